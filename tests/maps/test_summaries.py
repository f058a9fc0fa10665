from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.maps import (
    clustered_order,
    dose_response,
    guide_concordance,
    nearest_neighbours,
    neighbour_table,
    two_dimensions,
    unit_rows,
)
from phenoprints.maps.layout import layout_table
from phenoprints.maps.summaries import sample_controls


def test_neighbours_are_those_of_the_whole_cosine_matrix():
    x = np.random.default_rng(0).normal(size=(50, 5))
    indices, cosines = nearest_neighbours(x, 7)
    whole = unit_rows(x) @ unit_rows(x).T
    np.fill_diagonal(whole, -np.inf)
    expected = np.argsort(-whole, axis=1)[:, :7]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(cosines, np.take_along_axis(whole, expected, 1), atol=1e-6)


def test_ties_go_to_the_earlier_row_and_nobody_is_his_own_neighbour():
    indices, cosines = nearest_neighbours(np.array([[1.0, 0], [2, 0], [3, 0], [0, 1]]), 9)
    assert indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    np.testing.assert_allclose(cosines[3], 0, atol=1e-7)
    assert nearest_neighbours(np.ones((1, 3)), 5)[0].shape == (1, 0)


def test_neighbours_stay_in_their_context():
    table = pd.DataFrame(
        {
            "level": "gene",
            "name": list("abcd"),
            "kind": "crispr",
            "cell_type": ["U2OS", "U2OS", "HUVEC", "HUVEC"],
            "background": "",
        }
    )
    vectors = np.array([[1.0, 0], [0, 1], [1, 0], [np.nan, 0]])
    result = neighbour_table(table, vectors, 3)
    assert result[["name", "neighbour", "rank"]].values.tolist() == [["a", "b", 1], ["b", "a", 1]]


def make_guides(seed=1, num_genes=40, num_guides=5):
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(num_genes, 30)).repeat(num_guides, axis=0)
    x = direction + 0.5 * rng.normal(size=direction.shape)
    gene = np.repeat([f"g{k:02d}" for k in range(num_genes)], num_guides)
    name = [f"{g}_{k % num_guides}" for k, g in enumerate(gene)]
    return pd.DataFrame({"gene": gene, "name": name}), x


def test_the_planted_outlier_guide_is_the_one_that_is_found():
    table, x = make_guides()
    x[7] = np.random.default_rng(9).normal(size=30) - x[5]
    result = guide_concordance(table, x)
    assert result.loc[result["is_outlier"], "guide"].tolist() == [table["name"][7]]
    others = unit_rows(unit_rows(x)[[5, 6, 8, 9]].sum(axis=0)[None])[0]
    np.testing.assert_allclose(result["cosine_to_others"][7], unit_rows(x)[7] @ others)


def test_guides_without_any_signal_have_no_outliers_to_speak_of():
    table, _ = make_guides()
    x = np.random.default_rng(3).normal(size=(len(table), 30))
    assert guide_concordance(table, x)["is_outlier"].mean() < 0.05


def test_a_gene_with_one_guide_has_nothing_to_agree_with():
    table, x = make_guides(num_guides=1)
    result = guide_concordance(table, x)
    assert result["cosine_to_others"].isna().all()
    assert not result["is_outlier"].any()


def make_doses(lengths):
    table = pd.DataFrame(
        {
            "perturbation": "C",
            "cell_type": "U2OS",
            "background": "",
            "concentration_um": [10.0, 0.1, 1.0],
            "num_wells": 4,
        },
        index=[5, 9, 2],
    )
    means = np.zeros((3, 6))
    means[:, 0] = lengths
    return table, means


def make_tested(p_values):
    return pd.DataFrame({"length": 1.0, "p_value": p_values})


@pytest.mark.parametrize(
    ("p_values", "lowest"),
    [
        ((0.001, 0.5, 0.002), 1.0),
        ((0.001, 0.002, 0.001), 0.1),
        ((0.001, 0.001, 0.5), 10.0),
        ((0.5, 0.001, 0.001), np.nan),
        ((0.001, 0.001, np.nan), 0.1),
        ((np.nan, 0.5, 0.001), 1.0),
        ((np.nan, np.nan, np.nan), np.nan),
    ],
)
def test_the_lowest_active_concentration_is_the_one_above_which_all_tested_ones_are_active(
    p_values, lowest
):
    table, means = make_doses((9, 8, 7))
    result = dose_response(table, means, make_tested(p_values))
    np.testing.assert_equal(result["lowest_active_concentration_um"].unique(), [lowest])
    assert result["concentration_um"].tolist() == [0.1, 1.0, 10.0]
    np.testing.assert_allclose(result["cosine_to_highest"], 1)


def test_clusters_stand_side_by_side():
    rng = np.random.default_rng(0)
    code = rng.permutation(np.repeat(np.arange(4), 10))
    x = np.eye(4)[code] + 0.05 * rng.normal(size=(40, 4))
    assert (np.diff(code[clustered_order(x)]) != 0).sum() == 3


def test_two_dimensions_are_the_principal_components():
    x = np.random.default_rng(0).normal(size=(30, 4)) * [5, 3, 1, 0.1]
    flat = two_dimensions(x)
    centred = x - x.mean(axis=0)
    values = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    np.testing.assert_allclose((flat**2).sum(axis=0), values[:2])
    np.testing.assert_allclose(two_dimensions(-x), -flat * np.sign(-flat * two_dimensions(-x)))
    assert two_dimensions(x, how="tsne").shape == (30, 2)


def test_the_layout_has_one_row_per_perturbation():
    table = pd.DataFrame(
        {"level": "gene", "name": list("abcd"), "kind": "crispr", "cell_type": "", "background": ""}
    )
    result = layout_table(table, np.random.default_rng(0).normal(size=(4, 3)))
    assert sorted(result["position"]) == [0, 1, 2, 3]
    assert np.isfinite(result[["x", "y"]].to_numpy()).all()


def test_the_draw_of_controls_does_not_depend_on_row_order():
    wells = pd.DataFrame({"well_id": np.arange(500, dtype=np.uint64)})
    is_control = np.arange(500) % 2 == 0
    order = np.random.default_rng(0).permutation(500)
    drawn = sample_controls(wells, is_control, max_controls=50, seed=3)
    shuffled = wells.iloc[order].reset_index(drop=True)
    again = sample_controls(shuffled, is_control[order], max_controls=50, seed=3)
    assert set(wells["well_id"][drawn]) == set(shuffled["well_id"][again])
    assert drawn.sum() == 50
    assert is_control[drawn].all()
