"""Tables in pieces: the same training set from memory, from files and from any sizes of pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.foundations.errors import DataError, MissingInputError  # noqa: E402
from phenoprints.training import tables as reading  # noqa: E402
from phenoprints.training.columns import NamesBuilder, Texts, pair_keys, text_keys  # noqa: E402
from phenoprints.training.corpus import build_corpus  # noqa: E402
from phenoprints.training.manifest import (  # noqa: E402
    corpus_of_manifest,
    corpus_of_screen,
    parts_of,
)

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


def manifest_of(wells: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    """All wells but four, and all their sites but the second one of the first with two."""
    named = sites.groupby("well_id")["locator"].agg(list)
    table = wells[4:].assign(locators=[sorted(named[w]) for w in wells["well_id"][4:]])
    short = table.index[table["locators"].map(len) == 2][0]
    table.at[short, "locators"] = table.at[short, "locators"][:1]
    return table


@pytest.mark.parametrize("rows", [3, 1000])
def test_a_manifest_in_files_and_pieces(
    several: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    wells, sites = several
    manifest = manifest_of(wells, sites)
    of_screen = {s: wells.loc[wells["screen"] == s, "well_id"] for s in ("a", "b")}
    tables = {s: sites[sites["well_id"].isin(ids)] for s, ids in of_screen.items()}
    expected = corpus_of_manifest([manifest], tables, CONDITIONS, labels="perturbation")
    kept = {(w, x) for w, listed in zip(manifest["well_id"], manifest["locators"], strict=True)
            for x in listed}  # fmt: skip
    pairs = [(w, x) in kept for w, x in zip(sites["well_id"], sites["locator"], strict=True)]
    labels = CONDITIONS.set_index("condition_id")["perturbation"]
    plain = build_corpus(wells[4:], sites[pairs], labels=labels)
    assert expected.fingerprint() == plain.fingerprint()
    assert (len(expected), len(expected.locators)) == (60, sum(map(len, manifest["locators"])))

    monkeypatch.setattr(reading, "PIECE_ROWS", rows)
    (tmp_path / "manifest").mkdir()
    manifest[:40].to_parquet(tmp_path / "manifest" / "part-00000.parquet")
    manifest[40:].to_parquet(tmp_path / "manifest" / "part-00001.parquet")
    for name, table in tables.items():
        table.to_parquet(tmp_path / f"{name}.parquet", row_group_size=7)
    paths = {name: str(tmp_path / f"{name}.parquet") for name in tables}
    found = corpus_of_manifest(
        parts_of(tmp_path / "manifest"), paths, CONDITIONS, labels="perturbation"
    )
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
    found = corpus_of_screen(wells, sites, CONDITIONS, quality)
    for name, table in {"wells": wells, "sites": sites, "quality": quality}.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
    paths = [str(tmp_path / f"{name}.parquet") for name in ("wells", "sites", "quality")]
    assert corpus_of_screen(*paths[:2], CONDITIONS, paths[2]).fingerprint() == found.fingerprint()
    assert set(wells["well_id"]) - set(found.well_ids) == {ids[0], ids[4]}
    row = int(np.searchsorted(found.well_ids, ids[2]))
    first, last = found.sites.first[row : row + 2]
    assert list(found.locators[first:last]) == ["array:2/é"]


def test_a_well_that_stands_there_twice_is_named(tables: Tables) -> None:
    wells, sites = tables
    twice = pd.concat([wells, wells[3:4]])
    with pytest.raises(
        DataError, match=f"1 wells .* more than once, such as {wells['well_id'][3]}"
    ):
        build_corpus(twice, sites)


def test_what_is_not_there_is_named(several: Tables, tmp_path: Path) -> None:
    manifest, sites = manifest_of(*several), {"a": tmp_path / "sites.parquet"}
    with pytest.raises(MissingInputError, match=r"sites\.parquet: the table is not there"):
        corpus_of_manifest([manifest], sites, CONDITIONS)
    with pytest.raises(MissingInputError, match="no part of a manifest"):
        parts_of(tmp_path)


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


def test_keys_of_pairs_depend_on_both_and_on_nothing_else() -> None:
    texts = pa.array(["x", "a", "b", "a"])
    ids = np.array([7, 1, 1, 2], dtype=np.uint64)  # 1 ^ "b" is 2 ^ "a"
    keys = pair_keys(ids, texts)
    assert len(set(keys.tolist())) == 4
    assert list(pair_keys(ids[1:], texts[1:])) == list(keys[1:])
    assert list(pair_keys(ids, texts.cast(pa.large_string()))) == list(keys)
    # FNV-1a of "a" in 64 bits, as its authors print it.
    assert int(text_keys(pa.array(["a"]))[0]) == 0xAF63DC4C8601EC8C
    assert len(text_keys(pa.array([]).cast(pa.string()))) == 0
