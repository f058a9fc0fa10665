from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.matches.worlds import WIDTH, World

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.foundations.errors import DataError
from phenoprints.maps import MapSettings, perturbation_map
from phenoprints.matches import MatchSettings, calibrated_neighbours, match
from phenoprints.wells import ArrayEmbeddings

FAST = MatchSettings(num_null=2000, num_resamples=200)


def first(table):
    return table[table["rank"] == 1].set_index("name")


def test_relatives_are_found_new_kinds_are_novel_and_nothing_is_like_nothing(old, new):
    screen, x = new
    result = match(old[0], screen.wells, x, screen.conditions)
    nearest = first(result.table)
    assert len(nearest) == 40
    for k in range(12):
        row = nearest.loc[f"relative{k}"]
        assert (row["neighbour"], row["is_novel"]) == (f"r{k}", False)
        assert row["q_value"] < 0.01
        assert row["low"] < row["cosine"] < row["high"]
    assert nearest.loc[[f"novel{k}" for k in range(8)], "is_novel"].all()
    assert (nearest.loc[[f"nothing{k}" for k in range(20)], "q_value"] > 0.05).all()
    assert nearest[["x", "y"]].notna().all(axis=None)
    assert set(result.fits["status"]) == {"PASS"}
    assert result.attributes["num_references"] == {"U2OS": 60}


def called_and_found(seed):
    """Shares: null conditions with a neighbour; relatives found when placed, and after a refit."""
    world = World(seed=seed, length=0.8)
    reference, (old_screen, old_x) = world.reference(
        {f"r{k}": k if k < 40 else None for k in range(60)}
    )
    effects = {f"relative{k}": k for k in range(12)} | {f"nothing{k}": None for k in range(40)}
    screen, x = world.screen("new", effects)
    nearest = first(match(reference, screen.wells, x, screen.conditions, settings=FAST).table)
    wells = pd.concat([old_screen.wells, screen.wells], ignore_index=True)
    order = wells.sort_values(["experiment", "plate", "well"], kind="stable").index.to_numpy()
    wells, y = wells.iloc[order].reset_index(drop=True), np.concatenate([old_x, x])[order]
    reader = ArrayEmbeddings(wells, y)
    aligned = fit_alignment(wells, reader, AlignmentSettings(folds=0)).of(reader)
    is_old = wells["screen"].to_numpy() == "old"
    old_wells = wells[is_old].reset_index(drop=True)
    z = aligned.read_all()
    refitted = perturbation_map(
        old_wells, old_screen.conditions, ArrayEmbeddings(old_wells, z[is_old], aligned.attributes),
        MapSettings(levels=["condition"]),
    )  # fmt: skip
    own = wells[~is_old].reset_index(drop=True)
    compounds = dict(enumerate(screen.conditions["perturbation"]))
    code = own["conditions"].map(lambda ids: ids[0])
    tested = (own["role"] == "treatment").to_numpy()
    from phenoprints.consistency import Design

    table = calibrated_neighbours(
        z[~is_old][tested], code[tested].map(compounds), refitted.vectors,
        Design(well_id=own["well_id"][tested], plate=own["plate"][tested]), settings=FAST,
    )  # fmt: skip
    names = refitted.table["name"].to_numpy()
    table = table[table["rank"] == 1].set_index("condition")
    relatives = [f"relative{k}" for k in range(12)]
    is_hit = [
        (row["q_value"] < 0.05) & (names[row["reference"]] == f"r{k}")
        for k, (_, row) in enumerate(table.loc[relatives].iterrows())
    ]
    placed = nearest.loc[relatives]
    hits = (placed["q_value"] < 0.05) & (placed["neighbour"] == [f"r{k}" for k in range(12)])
    nothing = nearest.loc[[f"nothing{k}" for k in range(40)], "q_value"] < 0.05
    return nothing.mean(), hits.mean(), np.mean(is_hit)


def test_q_values_are_calibrated_and_as_many_relatives_are_found_as_after_a_refit():
    called, found, refitted = np.mean([called_and_found(seed) for seed in range(8)], axis=0)
    assert called <= 0.06
    assert refitted > 0.3
    assert found >= 0.9 * refitted


def test_foreign_cells_are_refused_and_marked_where_that_is_asked(old, new):
    world, (screen, x) = World(), new
    rng = np.random.default_rng(5)
    foreign = x * rng.uniform(0.6, 1.6, WIDTH).astype(np.float32)
    foreign += rng.normal(size=WIDTH).astype(np.float32) * x.std(axis=0)
    with pytest.raises(DataError, match=r'batch "new-0": does not fit: .*\n.*by 6 batches'):
        match(old[0], screen.wells, foreign, screen.conditions, settings=FAST)
    marked = match(
        old[0], screen.wells, foreign, screen.conditions, settings=FAST.replace(misfit="mark")
    )
    assert marked.table["is_misfit"].all()
    other, y = world.screen("hepg2", {"a": 1, "b": 2}, cell="HepG2")
    with pytest.raises(DataError, match=r"cell type: HepG2(.|\n)*U2OS(.|\n)*other_cell_types"):
        match(old[0], other.wells, y, other.conditions, settings=FAST)
    allowed = match(
        old[0], other.wells, y, other.conditions, settings=FAST.replace(other_cell_types="allow")
    )
    assert allowed.attributes["num_references"] == {"HepG2": 60}


def test_what_cannot_be_compared_is_refused_by_name(old, new):
    screen, x = new
    names = [f"f{k}" for k in range(WIDTH)]
    table = pd.DataFrame(x, columns=names)
    match(old[0], screen.wells, table, screen.conditions, settings=FAST)
    wells, conditions = screen.wells, screen.conditions

    def refused(pattern, wells=wells, vectors=x):
        with pytest.raises(DataError, match=pattern):
            match(old[0], wells, vectors, conditions, settings=FAST)

    refused(r"features: 2 are missing \(f0, f1\)", vectors=table[names[2:]])
    swapped = [names[1], names[0], *names[2:]]
    refused(r'another order: feature 1 is "f1"(.|\n)*"f0"', vectors=table[swapped])
    refused("features: 40 a well(.|\n)*48, as in the reference", vectors=x[:, :40])
    few = wells.copy()
    few.loc[few.index[few["role"] == "negative_control"][3:], "role"] = "unperturbed"
    refused('experiment "new-0": 3 wells of the role negative_control', wells=few)
    own = old[1][0]
    with pytest.raises(DataError, match="1728 wells of the reference itself, such as p0"):
        match(old[0], own.wells, old[1][1], own.conditions, settings=FAST)


@pytest.mark.parametrize("name", ["encoder_fingerprint", "channels", "geometry"])
def test_embeddings_of_another_encoder_are_refused(old, new, name):
    from dataclasses import replace

    screen, x = new
    values = {"encoder_fingerprint": ("a", "b"), "channels": (["DNA"], ["RNA"]),
              "geometry": ({"crop_px": 256}, {"crop_px": 128})}[name]  # fmt: skip
    about = {**old[0].about, "encoder": {name: values[0]}}
    reference = replace(old[0], about=about)
    same = ArrayEmbeddings(screen.wells, x, {name: values[0]})
    match(reference, screen.wells, same, screen.conditions, settings=FAST)
    other = ArrayEmbeddings(screen.wells, x, {name: values[1]})
    with pytest.raises(DataError, match=name.replace("_", " ")):
        match(reference, screen.wells, other, screen.conditions, settings=FAST)


def test_conditions_of_one_well_or_without_vectors_keep_a_row(old, world):
    screen, x = world.screen("new", {f"c{k}": k for k in range(15)})
    wells, conditions = screen.wells, screen.conditions
    of = dict(zip(conditions["condition_id"], conditions["perturbation"], strict=True))
    name = wells["conditions"].map(lambda ids: of[ids[0]])
    single = wells.index[name == "c3"]
    usable = np.ones(len(wells), bool)
    usable[single[1:]] = False
    x = x.copy()
    x[name == "c4"] = np.nan
    table = match(old[0], wells, x, conditions, settings=FAST, is_usable=usable).table
    one = first(table).loc["c3"]
    assert (one["num_wells"], one["reason"]) == (1, "too_few_wells")
    assert np.isnan(one["p_value"])
    assert np.isnan(one["consistency_p_value"])
    assert one["neighbour"] == "r3"
    lost = table[table["name"] == "c4"]
    assert lost[["rank", "reason"]].to_numpy().tolist() == [[0, "not_finite"]]


def test_order_of_wells_changes_nothing_but_the_order_of_rows_is_that_of_conditions(old, new):
    screen, x = new
    one = match(old[0], screen.wells, x, screen.conditions, settings=FAST)
    two = match(old[0], screen.wells, ArrayEmbeddings(screen.wells, x), screen.conditions,
                settings=FAST)  # fmt: skip
    pd.testing.assert_frame_equal(one.table, two.table)
    with pytest.raises(DataError, match=r"match\.levels: the reference has no perturbation"):
        match(old[0], screen.wells, x, screen.conditions, settings=FAST.replace(levels=["gene"]))
