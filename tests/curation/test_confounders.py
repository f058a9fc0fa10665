"""Conditions that only kill are flagged, those with a phenotype of their own are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.curation.confounders import (
    FLAGS,
    add_ledger,
    covariates,
    explained_shares,
    ledger,
    mean_product,
)
from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out
from phenoprints.wells import single_condition

KINDS = {"kills": 0.15, "acts": 0.35, "both": 0.25, "none": 0.25}


def simulated(seed: int, *, replicates: int = 2, effect: float = 1.5) -> pd.DataFrame:
    """The ledger of a screen whose cell counts change the vectors along a curve, and the truth."""
    layout = PlateLayout(conditions=120, replicates=replicates, controls=16)
    wells, _ = lay_out(layout, seed)
    rng = np.random.default_rng(seed)
    noise = Noise.of(64, seed)
    condition = single_condition(wells["conditions"])
    is_control = (wells["role"] == "negative_control").to_numpy()
    condition[is_control] = -1
    num_conditions = condition.max() + 1
    kind = rng.choice(list(KINDS), num_conditions, p=list(KINDS.values()))
    dies, acts = np.isin(kind, ["kills", "both"]), np.isin(kind, ["acts", "both"])
    survival = np.where(dies, rng.uniform(0.1, 0.7, num_conditions), 1.0)
    own = np.where(condition >= 0, survival[condition], 1.0) * rng.lognormal(0, 0.08, len(wells))
    count = rng.poisson(200 * own)
    log = np.log(count / 200.0)[:, None]
    first, second = noise.draw(rng, 2, is_normal=True)
    x = draw_vectors(wells, noise, VectorEffects(batch=0.0), seed=seed).vectors
    x = x + 1.5 * (log * first + 0.8 * log**2 * second)
    directions = effect * acts[:, None] * noise.draw(rng, num_conditions, is_normal=True)
    x += np.where(condition[:, None] >= 0, directions[condition], 0.0)
    x -= x[is_control].mean(axis=0)
    quality = pd.DataFrame({"well_id": wells["well_id"], "site": 1, "nuclei_count": count})
    groups = covariates(wells, quality.astype({"nuclei_count": float}))
    table = ledger(explained_shares(x, groups, condition.astype(np.int64), is_control))
    return table.assign(kind=kind[table["condition_id"]])


@pytest.mark.parametrize("replicates", [1, 2])
def test_only_conditions_that_only_kill_are_flagged(replicates: int) -> None:
    table = pd.concat([simulated(seed, replicates=replicates) for seed in range(8)])
    table = table[table["strength"] > 3]
    flagged = table.groupby("kind")["cell_count_only"].mean()
    assert flagged["kills"] >= 0.95
    assert table.loc[table["kind"] != "kills", "cell_count_only"].mean() <= 0.02
    assert table["position_only"].mean() <= 0.02
    kills = table[table["kind"] == "kills"]
    assert (kills["explained_by"] == "cell_count").mean() >= 0.95


def test_shares_are_those_of_a_direct_computation() -> None:
    """One condition, one covariate, without the later rounds: by hand."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((40, 1))
    x = np.concatenate([2.0 * z, -z], axis=1) + 0.01 * rng.standard_normal((40, 2))
    condition = np.r_[np.full(20, -1), np.repeat([0, 1, 2, 3], 5)]
    z[20:25] += 2.0
    x[20:25] += [4.0, -2.0]
    is_control = condition < 0
    row = explained_shares(x, {"focus": z}, condition, is_control).iloc[0]
    centred = z - z[is_control].mean(axis=0)
    rest = condition != 0
    design = np.c_[np.ones(rest.sum()), centred[rest]]
    slope = np.linalg.solve(design.T @ design + np.diag([0.0, 1.0]), design.T @ x[rest])[1:]
    own = condition == 0
    left = mean_product(x[own] - centred[own] @ slope) / mean_product(x[own])
    assert row["share_focus"] == pytest.approx(1 - left, abs=0.01)
    assert row["n"] == 5


def test_the_mean_product_is_that_of_different_rows() -> None:
    x = np.random.default_rng(1).standard_normal((5, 3))
    products = [x[i] @ x[j] for i in range(5) for j in range(5) if i != j]
    assert mean_product(x) == pytest.approx(np.mean(products))


def test_a_plate_effect_is_found_as_position() -> None:
    wells, _ = lay_out(PlateLayout(conditions=60, replicates=3, spread="one-plate"), 0)
    condition = single_condition(wells["conditions"])
    is_control = (wells["role"] == "negative_control").to_numpy()
    condition[is_control] = -1
    x = draw_vectors(wells, Noise.of(32, 0), VectorEffects(batch=0.0), seed=0).vectors
    plate = wells.groupby(["experiment", "plate"]).ngroup().to_numpy()
    x[plate == 3] += 3.0
    groups = covariates(wells, pd.DataFrame({"well_id": [], "site": [], "verdict": []}))
    assert list(groups) == ["position", "plate"]
    table = ledger(explained_shares(x, groups, condition.astype(np.int64), is_control))
    on_plate = np.unique(condition[(plate == 3) & (condition >= 0)])
    row = table.set_index("condition_id")
    only_there = [
        c for c in on_plate if (plate[condition == c] == 3).mean() > 0.9 and c in row.index
    ]
    assert all(row.loc[c, "position_only"] for c in only_there)
    elsewhere = row.drop(index=on_plate)
    assert elsewhere["position_only"].mean() <= 0.02


def test_single_wells_and_missing_covariates_have_no_share() -> None:
    x = np.random.default_rng(0).standard_normal((12, 4))
    condition = np.array([-1] * 8 + [0, 1, 1, 1])
    z = np.full((12, 1), np.nan)
    table = explained_shares(x, {"cell_count": z}, condition, condition < 0)
    assert table["share_cell_count"].isna().all()
    assert np.isnan(table["strength"][0])
    flags = ledger(table)
    assert not flags[list(FLAGS)].any(axis=None)
    assert flags["explained_by"].tolist() == ["", ""]


def test_ledgers_of_several_screens_are_united() -> None:
    rows = {"n": [4, 6], "strength": [5.0, 9.0], "explained_share": [0.9, 0.2],
            "explained_by": ["cell_count", ""], "position_only": [False, False]}  # fmt: skip
    one = pd.DataFrame({"condition_id": [0, 1], **rows, "cell_count_only": [True, False]})
    other = one.assign(cell_count_only=[False, False], n=[9, 1], explained_by=["", "focus"])
    table = pd.DataFrame({"condition_id": [0, 1, 2]})
    ids = {"a": np.array([0, 1], np.int32), "b": np.array([0, 2], np.int32)}
    united = add_ledger(table, {"a": one, "b": other}, ids)
    assert united["cell_count_only"].tolist() == [False, False, False]
    assert united["explained_by"].tolist() == ["", "", "focus"]
    assert add_ledger(table, {"a": one}, ids)["cell_count_only"].tolist() == [True, False, False]
