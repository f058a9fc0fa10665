"""Defects of the field's references that are known, shown there and shown to be absent here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from phenoprints.benchmarks import energy_distances, phenotypic_activity
from phenoprints.benchmarks.compound_gene import average_precision
from phenoprints.maps.control_sets import compare
from phenoprints.maps.doses import dose_lengths
from phenoprints.maps.summaries import sample_controls

# EFAAR_benchmarking 1.0: errors that are built and never raised stand in test_benchmarks_efaar,
# offsets between batches that survive in test_alignment_efaar. The pool of negatives that depends
# on the order of a set is that of its newer form: see benchmarks/test_compound_gene.


def make_wells(num_controls=200):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_controls + 6, 5))
    x[num_controls:] += 2
    role = ["control"] * num_controls + ["drug"] * 6
    return x, np.array(role)


def test_control_wells_are_drawn_without_a_seed_in_efaar_and_by_a_hash_here(efaar_benchmarking):
    x, role = make_wells()
    metadata = pd.DataFrame({"pert": role})

    def theirs():
        table = efaar_benchmarking.pert_signal_magnitude_benchmark(
            x, metadata, "pert", ["control"], "control", max_controls=30, n_jobs=1
        )
        return table.set_index("pert").loc["drug", "edist"]

    first, second = theirs(), theirs()
    assert first != second
    wells = pd.DataFrame({"well_id": np.arange(len(x), dtype=np.uint64)})

    def ours(order):
        chosen = sample_controls(
            wells.iloc[order], role[order] == "control", max_controls=30, seed=0
        )
        table = energy_distances(x[~(role == "control")], np.zeros(6, int), x[order][chosen])
        return float(table["energy_distance"].iloc[0])

    order = np.random.default_rng(2).permutation(len(x))
    assert ours(np.arange(len(x))) == pytest.approx(ours(order), rel=1e-12)


def test_a_p_value_can_be_0_in_efaar_and_not_here(efaar_benchmarking):
    x, role = make_wells()
    controls, drug = x[role == "control"], x[role == "drug"]
    null = np.sort(np.random.default_rng(0).random(50) / 100)
    _, p = efaar_benchmarking.pert_signal_magnitude_metric(drug, controls, null)
    assert p == 0
    wells = compare(drug + 20, np.zeros(6, int), controls)
    assert phenotypic_activity(wells, num_null=99)["p_value"].item() == 1 / 100
    doses = dose_lengths(wells, num_null=99, activity_p_value=0.05)
    assert doses["p_value"].item() == 1 / 100


def test_scikit_learn_takes_tied_scores_for_one_threshold_and_here_they_are_averaged():
    positive, negative = np.zeros((1, 1)), np.zeros((1, 3))
    truth, scores = np.array([1, 0, 0, 0]), np.zeros(4)
    orders = np.mean([1, 1 / 2, 1 / 3, 1 / 4])
    assert average_precision_score(truth, scores) == 1 / 4 != orders
    assert average_precision(positive, negative).item() == pytest.approx(orders)


def test_copairs_ranks_ties_by_the_order_of_its_input_and_here_they_are_averaged():
    pytest.importorskip("copairs")
    from copairs.map import average_precision as theirs

    meta = pd.DataFrame({"group": [0, 0, 9, 9, 9], "is_control": [False, False, True, True, True]})
    same = np.ones((5, 2))
    columns = {"pos_sameby": ["group"], "pos_diffby": [], "neg_sameby": []}
    table = theirs(meta, same, **columns, neg_diffby=["is_control"], progress_bar=False)
    assert (table.loc[:1, "average_precision"] == 1).all()
    found = phenotypic_activity(compare(same[:2], np.zeros(2, int), same[2:]), num_null=200)
    assert found["mean_average_precision"].item() == pytest.approx(
        np.mean([1, 1 / 2, 1 / 3, 1 / 4])
    )


def test_copairs_leaves_ties_out_of_its_p_values_and_here_they_count():
    """A group no better than half of its null is given the smallest p-value there can be."""
    pytest.importorskip("copairs")
    from copairs.map import average_precision as theirs
    from copairs.map import mean_average_precision

    meta = pd.DataFrame({"group": [0, 0, 9], "is_control": [False, False, True]})
    x = np.array([[1.0, 0], [1, 0], [0, 1]])
    columns = {"pos_sameby": ["group"], "pos_diffby": [], "neg_sameby": []}
    scores = theirs(meta, x, **columns, neg_diffby=["is_control"], progress_bar=False)
    table = mean_average_precision(
        scores, ["group"], null_size=1000, threshold=0.05, seed=0, progress_bar=False
    )
    assert table.set_index("group").loc[0, "p_value"] == pytest.approx(1 / 1001)
    wells = compare(x[:2], np.zeros(2, int), x[2:])
    found = phenotypic_activity(wells, num_null=1000, p_value=0.9)
    assert found["p_value"].item() == pytest.approx(1 / 3)  # one of the three sets of two wells
