"""`phenoprints diff` counts every well that has another fate, and names what changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprints.cli import main
from phenoprints.cli.curation_diff import Transition, transitions
from phenoprints.foundations.errors import CorruptionError
from phenoprints.foundations.provenance import write_provenance

FATES = ("kept", "quality: failed_quality", "sampling: sampled_out", "phenoprints: no_phenoprint")


def write(folder, fates: dict[int, str], *, p_value=0.01, phenoprints=("a",)):
    """A curation folder with one fate per well, wells spread over two parts."""
    for name in ("manifest", "reasons"):
        (folder / name).mkdir(parents=True)
    for part in range(2):
        of = {well: fate for well, fate in fates.items() if well % 2 == part}
        kept = np.array([well for well, fate in of.items() if fate == "kept"], np.uint64)
        left = [(w, *fate.split(": ")) for w, fate in of.items() if fate != "kept"]
        pd.DataFrame({"well_id": kept}).to_parquet(folder / f"manifest/part-{part:05}.parquet")
        table = pd.DataFrame(left, columns=["well_id", "step", "reason"])
        table = table.astype({"well_id": np.uint64, "step": str, "reason": str})
        table.to_parquet(folder / f"reasons/part-{part:05}.parquet")
    conditions = pd.DataFrame(
        {"perturbation": ["a", "b", "c"], "concentration_um": [1.0, 0.5, np.nan]}
    )
    for name in ("kind", "gene", "guide", "cell_type", "background"):
        conditions[name] = "U2OS" if name == "cell_type" else ""
    conditions["has_phenoprint"] = conditions["perturbation"].isin(phenoprints)
    conditions.to_parquet(folder / "phenoprints.parquet")
    settings = {"manifest": {"p_value": p_value}}
    write_provenance(folder / "manifest", "curation", settings=settings, seeds={"seed": 0})
    return folder


@settings(max_examples=10)
@given(
    st.dictionaries(st.integers(0, 40), st.sampled_from(FATES)),
    st.dictionaries(st.integers(0, 40), st.sampled_from(FATES)),
    st.integers(1, 7),
)
def test_counts_equal_a_dictionary_of_wells_for_any_slicing(tmp_path_factory, a, b, at_once):
    root = tmp_path_factory.mktemp("curations")
    found = transitions(write(root / "a", a), write(root / "b", b), rows_at_once=at_once)
    pairs = [(a.get(well, "not there"), b.get(well, "not there")) for well in {*a, *b}]
    assert found == sorted(Transition(*pair, pairs.count(pair)) for pair in set(pairs))


def test_a_changed_threshold_is_told_by_wells_conditions_and_settings(tmp_path, capsys):
    first = write(tmp_path / "first", {1: "kept", 2: "phenoprints: no_phenoprint", 3: "kept"})
    second = write(
        tmp_path / "second",
        {1: "kept", 2: "kept", 3: "quality: failed_quality"},
        p_value=0.05,
        phenoprints=("b", "c"),
    )
    assert main(["diff", str(first), str(second / "manifest")]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "Wells to learn from: 2 → 2",
        "  kept → quality: failed_quality     1",
        "  phenoprints: no_phenoprint → kept  1",
        "",
        "Conditions with a phenoprint: 1 → 2",
        "  gained 2: b 0.5 µM U2OS, c U2OS",
        "  lost 1: a 1 µM U2OS",
        "",
        "Settings that differ:",
        "  manifest.p_value: 0.01 → 0.05",
    ]


def test_equal_curations(tmp_path, capsys):
    folder = write(tmp_path / "first", {1: "kept", 2: "sampling: sampled_out"})
    assert main(["diff", str(folder), str(folder)]) == 0
    out = capsys.readouterr().out
    assert "every well has the same fate" in out
    assert "The settings are the same." in out


def test_a_folder_that_is_no_curation(tmp_path, capsys):
    assert main(["diff", str(tmp_path), str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert all(f"{tmp_path}/{name}: is not there" in error for name in ("manifest", "reasons"))


def test_a_well_that_stands_twice_is_corruption(tmp_path):
    folder = write(tmp_path / "first", {1: "kept", 2: "kept"})
    part = folder / "manifest/part-00000.parquet"
    (folder / "manifest/part-00007.parquet").write_bytes(part.read_bytes())
    with pytest.raises(CorruptionError, match="a well stands twice"):
        transitions(folder, folder)
