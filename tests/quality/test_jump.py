"""Quality of the four real JUMP wells, as they are and with accidents made to them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from phenoprints.quality import assess, measure
from phenoprints.quality.artefacts import copied_percent
from phenoprints.screens.images.windows import look_up_tables, to_uint8, windows

pytestmark = pytest.mark.data

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
NUMBERS = (5, 4, 3, 2, 1)
WELLS = {
    "DMSO": ("DMSO", "r04c14", 95),
    "AMG900": ("AMG900", "r14c09", 36),
    "FK-866 D08": ("FK-866", "r04c08", 41),
    "FK-866 L09": ("FK-866", "r12c09", 39),
}
"""Folder, file stem and the number of nuclei of each well."""

SCALING = ("mean_", "std_", "percentile_", "level_")
Images = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def images(test_data: Path) -> Images:
    folder = test_data / "images" / "jump_cpg0000_phenix"
    return {
        name: np.stack(
            [tifffile.imread(folder / place / f"{stem}f05p01-ch{c}sk1fk1fl1.tiff") for c in NUMBERS]
        )
        for name, (place, stem, _) in WELLS.items()
    }


@pytest.fixture(scope="module")
def metrics(images: Images) -> list[dict[str, object]]:
    """Four quarters of the DMSO image as control wells, then the four whole images."""
    dmso = images["DMSO"]
    quarters = [dmso[:, y : y + 540, x : x + 540] for y in (0, 540) for x in (0, 540)]
    return [row(at, image) for at, image in enumerate([*quarters, *images.values()])]


def row(well: int, image: np.ndarray) -> dict[str, object]:
    return {"well_id": np.uint64(well), "site": 1, "unreadable": "", **measure(image, CHANNELS)}


def reasons(rows: list[dict[str, object]]) -> list[list[str]]:
    roles = ["negative_control"] * 4 + ["treatment"] * 4
    wells = pd.DataFrame(
        {"well_id": np.arange(8, dtype=np.uint64), "experiment": "e", "plate": "p", "role": roles}
    )
    table = assess(pd.DataFrame(rows), wells)
    return [list(codes) for codes in table.loc[table["site"] == -1, "reasons"]]


def blurred(sigma: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(image: np.ndarray) -> np.ndarray:
        return np.rint(ndimage.gaussian_filter(image.astype(np.float32), (0, sigma, sigma))).astype(
            np.uint16
        )

    return change


def saturated(image: np.ndarray) -> np.ndarray:
    return np.minimum(image.astype(np.int64) * 10, 65535).astype(np.uint16)


def swapped(*order: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: image[list(order)]


def pasted(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[:, 700:900, 700:900] = image[:, 300:500, 250:450]
    return image


def test_the_originals_pass(metrics: list[dict[str, object]]) -> None:
    assert reasons(metrics) == [[]] * 8


@pytest.mark.parametrize("name", WELLS)
def test_nuclei_are_counted_within_15_percent(metrics: list[dict[str, object]], name: str) -> None:
    count = metrics[4 + list(WELLS).index(name)]["nuclei_count"]
    assert count == pytest.approx(WELLS[name][2], rel=0.15)


@pytest.mark.parametrize("name", WELLS)
@pytest.mark.parametrize(
    ("change", "code", "others"),
    [
        pytest.param(blurred(2.0), "QC010", set(), id="blur-2"),
        pytest.param(blurred(4.0), "QC010", {"QC022"}, id="blur-4"),
        pytest.param(saturated, "QC011", {"QC012", "QC021"}, id="saturation"),
        pytest.param(swapped(0, 2, 1, 3, 4), "QC004", set(), id="ER-RNA"),
        pytest.param(pasted, "QC005", set(), id="copied-crop"),
    ],
)
def test_each_accident_is_flagged_and_nothing_else_fails(
    images: Images,
    metrics: list[dict[str, object]],
    name: str,
    change: Callable[[np.ndarray], np.ndarray],
    code: str,
    others: set[str],
) -> None:
    """`others` are codes that the accident may bring too: smears, say, are bright everywhere."""
    at = 4 + list(WELLS).index(name)
    rows = list(metrics)
    rows[at] = row(at, change(images[name]))
    found = reasons(rows)
    codes = set(found.pop(at))
    assert code in codes
    assert codes <= {code} | others
    assert found == [[]] * 7


def renamed(metrics: dict[str, object], a: str, b: str) -> dict[str, object]:
    """The metrics as if two channels had been exchanged (nuclei as they are)."""
    a, b = a.lower(), b.lower()
    changed = dict(metrics)
    for key in metrics:
        if key.startswith("correlation_"):
            names = [{a: b, b: a}.get(name, name) for name in key.split("_")[1:]]
            there = [f"correlation_{x}_{y}" for x, y in (names, names[::-1])]
            changed[key] = next(metrics[name] for name in there if name in metrics)
        elif key.endswith((f"_{a}", f"_{b}")):
            stem, _, name = key.rpartition("_")
            changed[key] = metrics[f"{stem}_{b if name == a else a}"]
    return changed


@pytest.mark.parametrize("name", WELLS)
@pytest.mark.parametrize("pair", list(combinations(CHANNELS, 2)), ids="-".join)
def test_every_pair_of_exchanged_channels_is_flagged(
    metrics: list[dict[str, object]], pair: tuple[str, str], name: str
) -> None:
    at = 4 + list(WELLS).index(name)
    rows = list(metrics)
    rows[at] = renamed(rows[at], *pair)
    found = reasons(rows)
    assert "QC004" in found.pop(at)
    assert found == [[]] * 7


@pytest.mark.parametrize("factor", [0.4, 2.5])
@pytest.mark.parametrize("channel", CHANNELS)
def test_a_brighter_or_darker_channel_is_no_exchange(
    metrics: list[dict[str, object]], channel: str, factor: float
) -> None:
    for at in range(4, 8):
        rows = list(metrics)
        rows[at] = {
            key: value * factor
            if key.startswith(SCALING) and key.endswith(channel.lower())
            else value
            for key, value in rows[at].items()
        }
        assert "QC004" not in reasons(rows)[at]


class BehindWindows:
    """The wells as a run measures them: windows of 8 bits belong to a channel's name."""

    def __init__(self, images: Images) -> None:
        limits = windows(images.values())
        self.tables = look_up_tables(limits)
        self.known = dict(zip(CHANNELS, limits, strict=True))
        dmso = images["DMSO"]
        quarters = [dmso[:, y : y + 540, x : x + 540] for y in (0, 540) for x in (0, 540)]
        self.rows = [
            self.measured(at, image) for at, image in enumerate([*quarters, *images.values()])
        ]

    def measured(self, well: int, image: np.ndarray) -> dict[str, object]:
        found = measure(to_uint8(image, self.tables), CHANNELS, windows=self.known)
        return {"well_id": np.uint64(well), "site": 1, "unreadable": "", **found}

    def reasons(self, well: int, image: np.ndarray) -> list[str]:
        """Why the well fails with this image; no other well may."""
        rows = list(self.rows)
        rows[well] = self.measured(well, image)
        found = reasons(rows)
        codes = found.pop(well)
        assert found == [[]] * 7
        return codes


@pytest.fixture(scope="module")
def eight_bits(images: Images) -> BehindWindows:
    return BehindWindows(images)


def copied(row: dict[str, object]) -> float:
    return max(float(str(row[f"copied_percent_{c.lower()}"])) for c in CHANNELS)


def test_the_originals_pass_behind_the_windows_far_from_any_copy(
    eight_bits: BehindWindows,
) -> None:
    assert reasons(eight_bits.rows) == [[]] * 8
    assert max(map(copied, eight_bits.rows)) < 0.05  # of the 1 % at which QC005 fails


@pytest.mark.parametrize("name", WELLS)
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 4.0])
def test_a_blurred_image_of_8_bits_is_blurred_and_holds_no_copy(
    images: Images, eight_bits: BehindWindows, name: str, sigma: float
) -> None:
    codes = eight_bits.reasons(4 + list(WELLS).index(name), blurred(sigma)(images[name]))
    assert ("QC010" in codes) or sigma < 1.5
    # At 4 px the nuclei of one well of FK-866 are bright smears in all channels: debris, too.
    assert set(codes) <= ({"QC010", "QC022"} if sigma == 4.0 else {"QC010"})


@pytest.mark.parametrize("name", WELLS)
def test_a_copied_region_of_8_bits_is_found_and_nothing_else(
    images: Images, eight_bits: BehindWindows, name: str
) -> None:
    at = 4 + list(WELLS).index(name)
    assert eight_bits.reasons(at, pasted(images[name])) == ["QC005"]
    soft = to_uint8(blurred(1.0)(pasted(images[name])), eight_bits.tables)
    assert max(map(copied_percent, soft)) > 1.0


@pytest.mark.parametrize("side", [100, 160])
def test_a_copied_square_of_8_bits_is_found_wherever_it_lies(
    images: Images, eight_bits: BehindWindows, side: int
) -> None:
    """Also on the background, which spans a few grey values only."""
    random = np.random.default_rng(side)
    for image in images.values():
        eight = to_uint8(image, eight_bits.tables)
        y, x = random.integers(0, 480 - side, 2)
        eight[:, 540 + y :, 540 + x :][:, :side, :side] = eight[:, x:, y:][:, :side, :side]
        assert max(map(copied_percent, eight)) > 1.0


def test_an_exchange_is_flagged_behind_the_windows_of_8_bits(images: Images) -> None:
    """Windows belong to a channel's name: an exchanged file meets that of the other channel."""
    parts = {name: image[:, :540, :540] for name, image in images.items()}
    limits = windows(images.values())
    tables = look_up_tables(limits)
    known = dict(zip(CHANNELS, limits, strict=True))

    def measured(well: int, image: np.ndarray) -> dict[str, object]:
        found = measure(to_uint8(image, tables), CHANNELS, windows=known)
        return {"well_id": np.uint64(well), "site": 1, "unreadable": "", **found}

    dmso = images["DMSO"]
    controls = [dmso[:, y : y + 540, x : x + 540] for y in (0, 540) for x in (0, 540)]
    rows = [measured(at, image) for at, image in enumerate([*controls, *parts.values()])]
    rows[4]["fingerprint"] = "the first quarter of DMSO stands twice"
    assert all("QC004" not in codes for codes in reasons(rows))
    for at, name in ((4, "DMSO"), (5, "AMG900")):
        for order in ((0, 2, 1, 3, 4), (4, 1, 2, 3, 0), (0, 1, 2, 4, 3)):
            exchanged = list(rows)
            exchanged[at] = measured(at, parts[name][list(order)])
            codes = reasons(exchanged)[at]  # RNA in the window of ER may saturate instead
            assert "QC004" in codes or (name != "DMSO" and "QC011" in codes), (name, order)
