"""What holds for a whole evaluation: the same bytes in any order, and no bad input is silent."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.benchmarks import run_benchmarks
from phenoprints.benchmarks.contracts import BENCHMARKS
from phenoprints.benchmarks.running import BENCHMARK_FUNCTIONS
from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.writing import write_rows
from phenoprints.foundations.errors import DataError
from phenoprints.maps import MapSettings, perturbation_map

NAMES = sorted(BENCHMARK_FUNCTIONS)


def vectors_of(inputs):
    rows = inputs.wells.groupby("experiment", sort=True).indices
    x = np.empty((len(inputs.wells), 12), np.float32)
    for name, index in rows.items():
        x[index] = inputs.reader.read(name)
    return x


def digest(make_inputs, path, x, names=NAMES, *, seed=None, **options):
    """The sha256 of the benchmark table of a screen that goes through files."""
    inputs = make_inputs()
    order = np.arange(len(x)) if seed is None else np.random.default_rng(seed).permutation(len(x))
    wells = inputs.wells.iloc[order].assign(plate="p", row=1, column=1)
    x = x[order]
    back = np.lexsort([wells["well_id"], wells["experiment"]])  # as the contract of wells sorts
    wells, x = wells.iloc[back].reset_index(drop=True), x[back]
    write_rows(path / "embeddings", wells, x, attributes={"block": 7}, **options)
    reader = open_embeddings(path / "embeddings")
    aligned = fit_alignment(wells, reader, AlignmentSettings(chromosome_arms=False)).of(reader)
    shuffled = {
        name: table.sample(frac=1, random_state=seed) for name, table in inputs.pairs.items()
    }
    own = make_inputs(
        wells=wells,
        reader=aligned,
        uncorrected=aligned,
        built=perturbation_map(wells, inputs.conditions, aligned, MapSettings()),
        pairs=shuffled,
        truth=inputs.truth.sample(frac=1, random_state=seed),
        conditions=inputs.conditions,
    )
    table = BENCHMARKS.conform(run_benchmarks(names, own)).to_pandas()
    text = table[table["benchmark"].isin(NAMES[:4])].to_csv(index=False)
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_table_is_the_same_for_any_order_of_rows_chunks_and_benchmarks(tmp_path, make_inputs):
    inputs = make_inputs()
    x = vectors_of(inputs)
    first = digest(make_inputs, tmp_path / "a", x)
    assert digest(make_inputs, tmp_path / "b", x, seed=1) == first
    assert digest(make_inputs, tmp_path / "c", x, seed=2, unit_wells=7) == first
    assert digest(make_inputs, tmp_path / "d", x, NAMES[:4][::-1]) == first
    assert digest(make_inputs, tmp_path / "e", x + np.float32(1e-3)) != first


def spoiled(make_inputs, **changes):
    """Inputs whose reader gives other vectors: `nan` names conditions, `keep` wells of one."""
    inputs = make_inputs()
    ids = np.array([listed[0] for listed in inputs.wells["conditions"]])
    for name, index in inputs.wells.groupby("experiment").indices.items():
        rows = np.isin(ids[index], changes["nan"])
        inputs.reader.arrays[name][rows] = np.nan
    inputs.built = perturbation_map(inputs.wells, inputs.conditions, inputs.reader, MapSettings())
    return inputs


def test_failed_wells_of_some_perturbations_are_left_out(make_inputs):
    table = run_benchmarks(NAMES, spoiled(make_inputs, nan=[1, 2, 33]))
    table = table.set_index(["benchmark", "metric"]).sort_index()
    assert table.loc[("activity", "fraction_active"), "n"].item() == 37
    whole = run_benchmarks(["activity"], make_inputs()).set_index("metric")
    assert whole.loc["fraction_active", "n"] == 40
    assert np.isfinite(table.loc[("relationships", "recall_0.05_0.95"), "value"].item())


def test_a_screen_without_any_usable_vector_says_so_everywhere(make_inputs):
    inputs = make_inputs()
    for array in inputs.reader.arrays.values():
        array[:] = np.nan
    with pytest.raises(DataError, match="no control well has a usable embedding"):
        perturbation_map(inputs.wells, inputs.conditions, inputs.reader, MapSettings())
    inputs.built.vectors[:] = np.nan
    inputs.pairs = {"screen": pd.DataFrame({"entity1": ["G00"], "entity2": ["G01"]})}
    table = run_benchmarks(NAMES, inputs)
    assert table["value"].isna().all()
    assert (table["reason"] != "").all()
    assert set(table["benchmark"]) == set(NAMES)


def test_perturbations_that_are_there_once_are_not_tested_and_told(make_inputs):
    inputs = make_inputs()
    first = ~inputs.wells["conditions"].astype(str).duplicated() | (
        inputs.wells["role"] == "negative_control"
    )
    inputs.is_usable = first.to_numpy()
    table = run_benchmarks(["activity", "magnitude", "replicates"], inputs)
    reasons = table.groupby("benchmark")["reason"].first().to_dict()
    assert reasons == {
        "activity": "of 40 conditions, 40 have fewer than two usable wells",
        "magnitude": "no perturbation has 5 wells on plates with controls",
        "replicates": "no pair of replicate experiments shares enough perturbations",
    }


def test_replicate_groups_of_one_and_sources_without_a_pair_are_told(make_inputs):
    inputs = make_inputs()
    inputs.wells["replicate_group"] = inputs.wells["experiment"]
    inputs.pairs = {"strange": pd.DataFrame({"entity1": ["X"], "entity2": ["Y"]})}
    table = run_benchmarks(["replicates", "relationships"], inputs)
    assert table["value"].isna().all()
    assert set(table["reason"]) == {
        "no pair of replicate experiments shares enough perturbations",
        "no pair of the source is on the map",
    }


def test_a_shuffled_truth_and_permuted_names_give_the_random_figures(make_inputs):
    """The checks of an honest evaluation, on a screen with effects."""
    inputs = make_inputs()
    rng = np.random.default_rng(5)
    truth = inputs.truth.assign(nM_value=rng.permutation(inputs.truth["nM_value"]))
    genes = [f"G{k:02d}" for k in range(32)]
    names = dict(zip(genes, rng.permutation(genes), strict=True))
    pairs = {"screen": inputs.pairs["screen"].replace(names)}
    settings = {**inputs.settings, "num_random": 50}
    table = run_benchmarks(
        ["compound-gene", "relationships"],
        make_inputs(truth=truth, pairs=pairs, settings=settings),
    )
    main = table[table["metric"].isin(["average_precision", "recall_0.05_0.95"])]
    assert len(main) == 3
    assert (main["z"].abs() < 3).all()
