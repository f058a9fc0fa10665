"""Measuring many sites: any number of workers, unreadable sites as rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from phenoprints.foundations.errors import ConfigurationError, ImageError
from phenoprints.foundations.workers import worker_pool
from phenoprints.quality import batch_of, measure_sites
from phenoprints.screens.images import ScreenImages


@dataclass(frozen=True)
class Images:
    """Noise whose seed is the locator; `bad` cannot be read."""

    def read(
        self, locator: str, channels: list[str], *, experiment: str, shape: tuple[int, int]
    ) -> np.ndarray:
        if locator == "bad":
            raise ImageError("bad: the file ends early.\n  To fix: copy it again.")
        random = np.random.default_rng(int(locator))
        return random.integers(0, 99, (len(channels), *shape)).astype(np.uint8)


def sites(num: int = 40) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "well_id": np.arange(num, dtype=np.uint64) + np.uint64(2**63),
            "site": np.ones(num, np.int32),
            "locator": ["bad" if at == 3 else str(at) for at in range(num)],
            "height": 40, "width": 48, "channels": [["DNA", "ER"]] * num, "experiment": "e",
        }
    )  # fmt: skip


def test_every_site_has_a_row_in_order_and_unreadable_ones_a_reason() -> None:
    table = measure_sites(Images(), sites())
    assert table["well_id"].tolist() == sites()["well_id"].tolist()
    assert table.loc[3, "unreadable"] == "bad: the file ends early."
    assert (table["unreadable"] != "").sum() == 1
    assert table["mean_er"].isna().tolist() == [at == 3 for at in range(40)]


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    table = sites(20)
    for at in range(20):
        for channel in ("DNA", "ER"):
            plane = random.integers(0, 99, (40, 48)).astype(np.uint8)
            tifffile.imwrite(tmp_path / f"{at}{channel}.tif", plane)
    table["locator"] = [f'files:["{at}DNA.tif","{at}ER.tif"]' for at in range(20)]
    (tmp_path / "7ER.tif").unlink()
    one = measure_sites(ScreenImages(str(tmp_path)), table)
    with worker_pool(2) as spread:
        two = measure_sites(ScreenImages(str(tmp_path)), table, spread=spread)
    pd.testing.assert_frame_equal(one, two)
    assert "7ER.tif" in one.loc[7, "unreadable"]


def test_rows_are_gathered_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure_sites(Images(), sites())
    monkeypatch.setattr("phenoprints.quality.processing.ROWS_AT_ONCE", 3)
    pd.testing.assert_frame_equal(measure_sites(Images(), sites()), whole)


def test_sites_known_to_be_unreadable_are_not_asked_for() -> None:
    known = pd.DataFrame({"well_id": sites()["well_id"][:2], "site": 1, "reason": "no such file"})
    table = measure_sites(Images(), sites(), unreadable=known)
    assert table["unreadable"].tolist()[:4] == ["no such file"] * 2 + ["", table["unreadable"][3]]
    assert table["mean_dna"].isna().tolist()[:3] == [True, True, False]


def test_an_image_too_small_is_a_row_and_a_wrong_channel_an_error() -> None:
    table = measure_sites(Images(), sites(2).assign(height=8))
    assert all("at least 32" in reason for reason in table["unreadable"])
    with pytest.raises(ConfigurationError, match="'nothing' is no channel"):
        measure_sites(Images(), sites(2), nucleus_channel="nothing")


def test_no_sites_give_an_empty_table() -> None:
    assert list(measure_sites(Images(), sites(0)).columns) == ["well_id", "site", "unreadable"]


@pytest.mark.parametrize("num_batches", [1, 3, 7, 50])
def test_batches_hold_every_site_once(num_batches: int) -> None:
    parts = [batch_of(sites(), batch, num_batches) for batch in range(num_batches)]
    assert pd.concat(parts)["well_id"].tolist() == sites()["well_id"].tolist()
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
