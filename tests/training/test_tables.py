"""Tables in pieces: the same training set from memory, from files and from any sizes of pieces."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

sys.path.insert(0, str(Path(__file__).parent))
from small_training import write_screen  # noqa: E402

from phenoprints.foundations.columns import NamesBuilder, Texts, text_keys  # noqa: E402
from phenoprints.foundations.errors import DataError, MissingInputError  # noqa: E402
from phenoprints.training import dataset as reading  # noqa: E402
from phenoprints.training.dataset import (  # noqa: E402
    build_corpus,
    corpus_of_manifest,
    corpus_of_screen,
)
from phenoprints.wells import SITES  # noqa: E402

Tables = tuple[pd.DataFrame, pd.DataFrame]
CONDITIONS = pd.DataFrame({"condition_id": range(5), "perturbation": list("vwxyz"), "gene": ""})


@pytest.fixture
def several(tables: Tables) -> Tables:
    """Two sites for every other well; three of them in a screen of other channels."""
    wells, sites = tables
    wells = wells.assign(screen=["a" if i % 3 else "b" for i in range(64)])
    sites = sites.merge(wells[["well_id", "screen"]])
    channels = [["dna"] if screen == "b" else ["dna", "er"] for screen in sites["screen"]]
    sites = sites.assign(channels=channels).drop(columns="screen")
    second = sites[::2].assign(site=np.int32(2), locator=sites["locator"][::2] + "/é")
    return wells, pd.concat([second, sites], ignore_index=True)


def write_manifest(folder: Path, wells: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    """All wells but four in two parts, and all their sites but the first one of two; the sites."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = sites[sites["well_id"].isin(wells["well_id"][4:])]
    number_of = kept.groupby("well_id")["site"].transform("size")
    kept = kept.drop(index=kept.index[number_of == 2][0])
    for number, part in enumerate((wells[4:40], wells[40:])):
        part.to_parquet(folder / f"part-{number:05}.parquet", row_group_size=7)
        own = kept[kept["well_id"].isin(part["well_id"])]
        table = pa.Table.from_pandas(own[SITES.schema.names], SITES.schema, preserve_index=False)
        pq.write_table(table, folder / f"sites-{number:05}.parquet", row_group_size=7)
    return kept


@pytest.mark.parametrize("rows", [3, 1000])
def test_a_manifest_is_read_from_its_folder_in_pieces(
    several: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    wells, sites = several
    kept = write_manifest(tmp_path / "manifest", wells, sites)
    labels = CONDITIONS.set_index("condition_id")["perturbation"]
    expected = build_corpus(wells[4:], kept, labels=labels)
    monkeypatch.setattr(reading, "BATCH_ROWS", rows)
    found = corpus_of_manifest(tmp_path / "manifest", CONDITIONS, labels="perturbation")
    assert (len(found), len(found.locators)) == (60, len(kept))
    assert found.fingerprint() == expected.fingerprint()
    assert list(found.locators) == list(expected.locators)
    assert found.channel_sets == (("dna",), ("dna", "er"))
    for row in range(len(found)):
        assert found.screens[row] == ("b" if found.channels_of(row) == ("dna",) else "a")


def test_failed_wells_and_sites_stay_out(several: Tables, tmp_path: Path) -> None:
    wells, sites = several
    ids = wells["well_id"].to_numpy()
    quality = pd.DataFrame(
        {
            "well_id": [ids[0], ids[2], ids[4], ids[4], ids[6]],
            "site": np.array([-1, 1, 1, 2, 2], dtype=np.int32),
            "verdict": ["fail", "fail", "fail", "fail", "pass"],
        }
    )
    found = corpus_of_screen(write_screen(tmp_path, wells, sites, CONDITIONS, quality))
    assert set(wells["well_id"]) - set(found.well_ids) == {ids[0], ids[4]}
    row = int(np.searchsorted(found.well_ids, ids[2]))
    first, last = found.sites.first[row : row + 2]
    assert list(found.locators[first:last]) == ["array:2/é"]


def test_a_well_that_is_there_twice_is_named(tables: Tables) -> None:
    wells, sites = tables
    twice = pd.concat([wells, wells[3:4]])
    with pytest.raises(
        DataError, match=f"1 wells .* more than once, such as {wells['well_id'][3]}"
    ):
        build_corpus(twice, sites)


def test_a_manifest_without_sites_is_refused_with_the_command(
    several: Tables, tmp_path: Path
) -> None:
    write_manifest(tmp_path, *several)
    for path in tmp_path.glob("sites-*"):
        path.unlink()
    with pytest.raises(MissingInputError, match=r"no sites-\*\.parquet[\s\S]*snakemake curate"):
        corpus_of_manifest(tmp_path, CONDITIONS)
    with pytest.raises(MissingInputError, match=r"no part-\*\.parquet"):
        corpus_of_manifest(tmp_path / "none", CONDITIONS)


def test_names_are_numbers_in_the_order_of_the_names() -> None:
    builder = NamesBuilder()
    builder.add(pa.array(["b", None, "c"]))
    builder.add(pa.chunked_array([["a", "b"], ["c"]]))
    names = builder.finish()
    assert list(names[np.arange(6)]) == ["b", "", "c", "a", "b", "c"]
    assert [list(group) for group in names.groups(np.array([5, 4, 0, 2]))] == [[4, 0], [5, 2]]
    assert list(names.is_in(["a", "x"])) == [False] * 3 + [True] + [False] * 2
    assert len(NamesBuilder().finish()) == 0


def test_texts_of_several_pieces_keep_their_order() -> None:
    column = Texts([pa.array(["p", "q"]), pa.array([]).cast(pa.string()), pa.array(["r"])],
                   np.array([2, 0, 1]))  # fmt: skip
    assert list(column) == ["r", "p", "q"]
    assert (column[0], list(column[1:]), len(column)) == ("r", ["p", "q"], 3)


def test_keys_of_texts_depend_on_nothing_else() -> None:
    texts = pa.array(["x", "a", "b", "a"])
    keys = text_keys(texts)
    assert list(text_keys(texts[1:])) == list(keys[1:])
    assert list(text_keys(texts.cast(pa.large_string()))) == list(keys)
    assert (len(set(keys.tolist())), keys[1]) == (3, keys[3])
    # FNV-1a of "a" in 64 bits, as its authors print it.
    assert int(keys[1]) == 0xAF63DC4C8601EC8C
    assert len(text_keys(pa.array([]).cast(pa.string()))) == 0
