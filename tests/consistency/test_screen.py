"""screen_consistency: which wells are tested, at which level, and what may not matter."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from phenoprints.consistency import (
    ConsistencySettings,
    Design,
    combine_cauchy,
    experiment_consistency,
    screen_consistency,
)
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.foundations.errors import ConfigurationError, DataError
from phenoprints.testing.simulation.embeddings import simulate_embeddings
from phenoprints.wells import ArrayEmbeddings

FAST = ConsistencySettings(num_null=300, null_model="experiment")


@pytest.fixture(scope="module")
def screen():
    return simulate_embeddings(
        num_conditions=30, full_share=0.2, num_experiments=3, dimensions=12, batch=0.0, effect=8.0
    )


class Reader:
    """A reader over changed vectors."""

    def __init__(self, screen, vectors=None, attributes=None):
        self.screen, self.experiments = screen, screen.experiments
        self.vectors = screen.vectors if vectors is None else vectors
        self.attributes = attributes or {}

    def read(self, experiment):
        return self.vectors[(self.screen.wells["experiment"] == experiment).to_numpy()]


def run(screen, reader=None, settings=FAST, **options):
    return screen_consistency(
        options.pop("wells", screen.wells),
        options.pop("conditions", screen.conditions),
        reader or screen,
        settings=settings,
        **options,
    )


def of_level(table, level):
    return table[table["level"] == level].reset_index(drop=True)


def genes_of_guides(screen, per_gene=3):
    """The same conditions as guides, `per_gene` of each gene."""
    number = np.arange(len(screen.conditions))
    gene = [f"G{i // per_gene:02}" for i in number]
    return screen.conditions.assign(
        kind="crispr", gene=np.where(number < number[-1], gene, None), guide=number.astype(str)
    )


def test_a_row_per_experiment_and_condition_that_equals_the_single_test(screen):
    table = of_level(run(screen), "condition")
    assert len(table) == 30 * 3
    experiment = screen.experiments[1]
    wells = screen.wells[screen.wells["experiment"] == experiment]
    treated = (wells["role"] == "treatment").to_numpy()
    alone = experiment_consistency(
        screen.read(experiment)[treated],
        [ids[0] for ids in wells["conditions"][treated]],
        Design(experiment, well_id=wells["well_id"][treated]),
        num_null=300,
        null_model="experiment",
    )
    rows = table[table["experiment"] == experiment]
    np.testing.assert_array_equal(rows["p_value"], alone["p_value"])
    np.testing.assert_array_equal(rows["condition_id"], alone["condition"])


def test_planted_conditions_are_found_and_others_are_not(screen):
    table = of_level(run(screen), "condition").merge(screen.truth, on="condition_id")
    below = table["p_value"] < 0.01
    assert below[table["truth"] == "full"].mean() > 0.9
    assert below[table["truth"] == "none"].mean() < 0.05


def test_the_table_keeps_its_contract(screen):
    table = run(screen, conditions=genes_of_guides(screen))
    CONSISTENCY.conform(table)
    assert set(table["level"]) == {"condition", "gene", "control", "control_gene"}
    assert (table["p_value"].isna() == (table["reason"] != "")).all()


def test_workers_and_order_of_wells_do_not_matter(screen):
    expected = run(screen)
    pd.testing.assert_frame_equal(expected, run(screen, workers=3))
    order = np.random.default_rng(0).permutation(len(screen.wells))
    order = order[np.argsort(screen.wells["experiment"].to_numpy()[order], kind="stable")]
    shuffled = screen.wells.iloc[order].reset_index(drop=True)

    class Shuffled(Reader):
        def read(self, experiment):
            return screen.vectors[order][(shuffled["experiment"] == experiment).to_numpy()]

    pd.testing.assert_frame_equal(expected, run(screen, Shuffled(screen), wells=shuffled))


def test_failing_wells_are_neither_tested_nor_drawn(screen):
    failing = screen.wells["well_id"][::7]
    kept = ~screen.wells["well_id"].isin(failing).to_numpy()
    vectors = np.where(kept[:, None], screen.vectors, np.float32(1e6))
    one = run(screen, failing=failing)
    pd.testing.assert_frame_equal(one, run(screen, Reader(screen, vectors), failing=failing))
    assert of_level(one, "condition")["num_wells"].sum() < 30 * 3 * 4


def test_wells_without_an_embedding_leave_their_condition(screen):
    vectors = screen.vectors.copy()
    wells = screen.wells
    first = wells["conditions"].map(lambda ids: len(ids) == 1 and ids[0] == 5)
    rows = np.flatnonzero(first & (wells["experiment"] == screen.experiments[0]))
    vectors[rows[0]] = np.nan
    table = of_level(run(screen, Reader(screen, vectors)), "condition").set_index(
        ["experiment", "condition_id"]
    )
    assert table.loc[(screen.experiments[0], 5), "num_wells"] == 3
    assert table.loc[(screen.experiments[0], 5), "reason"] == ""
    vectors[rows] = np.nan
    table = of_level(run(screen, Reader(screen, vectors)), "condition").set_index(
        ["experiment", "condition_id"]
    )
    assert table.loc[(screen.experiments[0], 5), "reason"] == "not_finite"
    assert table["reason"].ne("").sum() == 1


def test_wells_of_two_perturbations_are_not_tested(screen):
    wells = screen.wells.copy()
    pairs = wells["conditions"].map(lambda ids: [*ids, 1] if len(ids) and ids[0] == 2 else ids)
    table = of_level(run(screen, wells=wells.assign(conditions=pairs)), "condition")
    assert 2 not in set(table["condition_id"])


def test_genes_are_tested_by_all_wells_of_their_guides(screen):
    conditions = genes_of_guides(screen)
    table = of_level(run(screen, conditions=conditions), "gene")
    assert table["name"].nunique() == 10
    assert (table["num_wells"] == 12).all()
    assert (table["reason"] == "too_few_conditions").all()  # 12 wells, 10 genes
    pairs = of_level(run(screen, conditions=genes_of_guides(screen, 2)), "gene")
    assert (pairs["num_wells"] == 8).all()
    assert pairs["p_value"].notna().all()


def test_genes_by_their_guides(screen):
    conditions = genes_of_guides(screen)
    settings = ConsistencySettings(num_null=300, gene_level="guides")
    table = run(screen, conditions=conditions, settings=settings)
    gene = of_level(table, "gene").iloc[0]
    guides = of_level(table, "condition")
    p = guides["p_value"][(guides["experiment"] == gene["experiment"])][:3]
    assert gene["p_value"] == combine_cauchy(p, clip=(1 / 300, 1 - 1 / 300))
    assert gene["num_wells"] == 12


def test_without_held_out_maps_the_guard_gives_the_reason(screen):
    table = of_level(run(screen), "control")
    assert set(table["reason"]) == {"not_cross_fitted"}
    assert len(table) == len(screen.conditions) - 1
    without = ConsistencySettings(num_null=300, control_guard=False)
    assert "control" not in set(run(screen, settings=without)["level"])


def test_conditions_that_keep_their_position_are_marked():
    fixed, moving = (
        simulate_embeddings(num_conditions=40, num_experiments=2, positions=positions)
        for positions in ("fixed", "moving")
    )
    assert of_level(run(fixed), "condition")["single_position"].all()
    assert not of_level(run(moving), "condition")["single_position"].any()


def test_across_experiments_gives_one_test_per_condition(screen):
    settings = ConsistencySettings(num_null=300, scope="across-experiments")
    table = of_level(run(screen, settings=settings), "condition").merge(
        screen.truth, on="condition_id"
    )
    assert len(table) == 30
    assert (table["experiment"] == "").all()
    assert (table["num_wells"] == 12).all()
    assert table["p_value"][table["truth"] == "full"].max() < 0.01


def test_batch_effects_do_not_pass_as_consistency_across_experiments():
    """Each condition lies in one experiment of two; null sets copy that."""
    screen = simulate_embeddings(num_conditions=60, num_experiments=2, dimensions=12, batch=1.0)
    lies_in = np.array(screen.experiments)[np.arange(61) % 2]
    keep = screen.wells.apply(
        lambda w: w["role"] != "treatment" or lies_in[w["conditions"][0]] == w["experiment"], axis=1
    ).to_numpy()
    wells = screen.wells[keep].reset_index(drop=True)

    class Half(Reader):
        def read(self, experiment):
            return screen.vectors[keep][(wells["experiment"] == experiment).to_numpy()]

    settings = ConsistencySettings(num_null=300, scope="across-experiments")
    table = of_level(run(screen, Half(screen), settings, wells=wells), "condition")
    assert 0.4 < table["p_value"].mean() < 0.6


def test_scope_by_kind_of_perturbation(screen):
    conditions = screen.conditions.assign(
        kind=np.where(screen.conditions["condition_id"] < 15, "crispr", "compound")
    )
    scopes = {"crispr": "within-experiments", "compound": "across-experiments"}
    settings = ConsistencySettings(num_null=300, scopes=scopes)
    table = of_level(run(screen, conditions=conditions, settings=settings), "condition")
    by_kind = table.merge(conditions, on="condition_id").groupby("kind")["experiment"].nunique()
    assert by_kind.to_dict() == {"compound": 1, "crispr": 3}


def test_embeddings_of_another_screen_are_refused(screen):
    class Other(Reader):
        def __init__(self):
            super().__init__(screen)
            self.experiments = [*screen.experiments[1:], "new"]

    with pytest.raises(DataError) as error:
        run(screen, Other())
    assert f'experiment "{screen.experiments[0]}" is missing' in str(error.value)
    assert 'experiment "new" is not in the wells table' in str(error.value)


def test_embeddings_of_another_number_of_wells_are_refused(screen):
    class Short(Reader):
        def read(self, experiment):
            return super().read(experiment)[:-1]

    with pytest.raises(DataError, match="Expected one row per well"):
        run(screen, Short(screen))


def test_embeddings_of_other_wells_are_refused(screen):
    def stored(wells):
        return {
            "experiments": {
                e: {"well_ids_sha256": hashlib.sha256(ids.to_numpy("<u8").tobytes()).hexdigest()}
                for e, ids in wells.groupby("experiment")["well_id"]
            }
        }

    run(screen, Reader(screen, attributes=stored(screen.wells)))
    other = screen.wells.assign(well_id=screen.wells["well_id"].to_numpy()[::-1])
    with pytest.raises(DataError, match="embedded for other wells, or in another order"):
        run(screen, Reader(screen, attributes=stored(other)))


def test_a_screen_of_controls_alone_has_no_tests(screen):
    wells = screen.wells.assign(role="negative_control")
    assert run(screen, wells=wells).empty


@pytest.mark.parametrize(
    ("key", "value"),
    [("null_model", "x"), ("scope", "x"), ("p_value_formula", "x"), ("gene_level", "x"),
     ("weights", "x"), ("num_null", 0), ("p_value_clip", 0.4)],
)  # fmt: skip
def test_settings_refuse_what_they_do_not_know(key, value):
    with pytest.raises(ConfigurationError, match=f"consistency.{key}"):
        ConsistencySettings(**{key: value})


@pytest.mark.parametrize(("threshold", "reason"), [(0.01, "too_few_sets"), (0.05, "")])
def test_fewer_sets_than_the_threshold_of_the_rule_needs_are_too_few(threshold, reason):
    """Ten conditions, a well on each of two plates: 90 sets of different conditions."""
    screen = simulate_embeddings(num_conditions=10, num_experiments=1, dimensions=4)
    wells = screen.wells[screen.wells["role"] == "treatment"].groupby("experiment").head(20)
    first = np.array([ids[0] for ids in wells["conditions"]])
    wells = wells.assign(plate=pd.Series(first, wells.index).groupby(first).cumcount().astype(str))
    wells = wells[wells["plate"].isin(["0", "1"])]
    kept = wells.index.to_numpy()
    table = screen_consistency(
        wells.reset_index(drop=True),
        screen.conditions,
        ArrayEmbeddings(wells.reset_index(drop=True), screen.vectors[kept]),
        settings=ConsistencySettings(num_null=300, control_guard=False),
        threshold=threshold,
    )
    tests = of_level(table, "condition")
    assert (tests["num_sets"] == 90).all()
    assert (tests["reason"] == reason).all()
