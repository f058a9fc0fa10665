from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import HeldOut
from phenoprints.foundations.errors import (
    ConfigurationError,
    CorruptionError,
    DataError,
    MissingInputError,
)
from phenoprints.foundations.fingerprints import tree_sha256
from phenoprints.maps import (
    MapSettings,
    aggregate,
    map_tables,
    open_map,
    perturbation_map,
    read_map_table,
    save_map,
    unit_rows,
)


class Embeddings:
    def __init__(self, wells, x, attributes=None):
        indices = wells.groupby("experiment").indices
        self.arrays = {name: x[rows] for name, rows in indices.items()}
        role = wells["role"].to_numpy()
        self.is_control = {name: role[rows] == "negative_control" for name, rows in indices.items()}
        self.attributes = attributes or {"alignment": {"controls": "negative_control"}}

    @property
    def experiments(self):
        return sorted(self.arrays)

    num_folds = 1

    def read_held_out(self, experiment, fold):
        """Nothing was fitted on the controls: there is one fold of all of them."""
        return HeldOut(fold, self.arrays[experiment], self.is_control[experiment])

    def read(self, experiment):
        return self.arrays[experiment]


def make_screen(seed=0):
    """Three genes with two guides, two compounds at three doses, a DMSO control."""
    conditions = pd.DataFrame(
        [(0, "DMSO", "compound", "", "", np.nan), (1, "nontargeting", "crispr", "", "nt_1", np.nan)]
        + [
            (2 + 2 * g + k, f"G{g}", "crispr", f"G{g}", f"G{g}_guide_{k}", np.nan)
            for g in range(3)
            for k in range(2)
        ]
        + [
            (8 + 3 * c + d, f"C{c}", "compound", "", "", dose)
            for c in range(2)
            for d, dose in enumerate((0.1, 1.0, 10.0))
        ],
        columns=["condition_id", "perturbation", "kind", "gene", "guide", "concentration_um"],
    )
    conditions["cell_type"], conditions["background"] = "U2OS", ""
    conditions["mechanism"] = np.where(conditions["perturbation"] == "C0", "kinase", "")
    rows = []
    for experiment in ("e1", "e2"):
        rows += [(experiment, "negative_control", [0])] * 20
        rows += [(experiment, "negative_control", [1])] * 5
        rows += [(experiment, "treatment", [c]) for c in range(2, 14) for _ in range(4)]
        rows += [(experiment, "treatment", [2, 3]), (experiment, "treatment", None)]
    wells = pd.DataFrame(rows, columns=["experiment", "role", "conditions"])
    wells["well_id"] = np.arange(len(wells), dtype=np.uint64)
    wells["plate"] = "p"
    x = np.random.default_rng(seed).normal(size=(len(wells), 6)).astype(np.float32)
    return wells, conditions, x


def test_a_gene_is_the_spherical_mean_of_all_its_wells_around_the_controls():
    wells, conditions, x = make_screen()
    built = perturbation_map(wells, conditions, Embeddings(wells, x))
    centred = x - x[wells["role"] == "negative_control"].mean(axis=0)
    rows = [index for index, ids in enumerate(wells["conditions"]) if ids in ([4], [5])]
    mean = unit_rows(centred[rows]).mean(axis=0)
    genes = built.level("gene")
    row = genes.table.index[genes.table["name"] == "G1"][0]
    np.testing.assert_allclose(genes.vectors[row], mean / np.linalg.norm(mean), atol=1e-6)
    assert genes.table.loc[row, ["num_wells", "num_usable", "num_experiments"]].tolist() == [
        16,
        16,
        2,
    ]
    assert genes.table.loc[row, "experiments"] == ["e1", "e2"]


def test_levels_are_those_that_the_screen_has_and_controls_are_not_on_the_map():
    wells, conditions, x = make_screen()
    table = perturbation_map(wells, conditions, Embeddings(wells, x)).table
    counts = table["level"].value_counts().to_dict()
    assert counts == {"condition": 12, "guide": 6, "gene": 3, "compound": 2, "concentration": 6}
    assert not table["perturbation"].isin(["DMSO", "nontargeting"]).any()
    assert "C1 @ 0.1 µM" in set(table.loc[table["level"] == "concentration", "name"])
    assert table.loc[table["name"] == "C0", "mechanism"].tolist() == ["kinase"]


@pytest.mark.parametrize("how", ["mean", "median"])
def test_plain_means_and_medians_are_those_of_efaar(efaar_aggregate, how):
    wells, conditions, x = make_screen()
    settings = MapSettings(aggregate=how, centre_on="none", levels=("gene",))
    built = perturbation_map(wells, conditions, Embeddings(wells, x), settings)
    gene = np.array(
        [
            ""
            if ids is None or len(ids) != 1
            else f"G{(ids[0] - 2) // 2}"
            if 2 <= ids[0] < 8
            else ""
            for ids in wells["conditions"]
        ]
    )
    expected = efaar_aggregate(x, gene, how)
    np.testing.assert_allclose(built.vectors, expected, atol=1e-6)


@pytest.fixture
def efaar_aggregate():
    def calculate(x, gene, how):
        named = pd.DataFrame(x[gene != ""]).groupby(gene[gene != ""])
        return (named.mean() if how == "mean" else named.median()).to_numpy()

    return calculate


def test_guides_first_weighs_guides_and_not_wells():
    wells, conditions, x = make_screen()
    extra = wells[[ids == [2] for ids in wells["conditions"]]].iloc[:3]
    wells = pd.concat([wells, extra], ignore_index=True).sort_values("experiment", kind="stable")
    x = np.concatenate([x, x[:3] + 9])[wells.index]
    wells = wells.reset_index(drop=True)
    settings = MapSettings(guides_first=True)
    built = perturbation_map(wells, conditions, Embeddings(wells, x), settings)
    guides, genes = built.level("guide"), built.level("gene")
    mean = guides.vectors[(guides.table["gene"] == "G0").to_numpy()].mean(axis=0)
    row = genes.table.index[genes.table["name"] == "G0"][0]
    np.testing.assert_allclose(genes.vectors[row], mean / np.linalg.norm(mean), atol=1e-6)


def test_wells_that_failed_leave_no_trace():
    wells, conditions, x = make_screen()
    usable = np.ones(len(wells), bool)
    usable[::7] = False
    clean = perturbation_map(wells, conditions, Embeddings(wells, x), is_usable=usable)
    x[::7] = 1e6
    spoiled = perturbation_map(wells, conditions, Embeddings(wells, x), is_usable=usable)
    x[::7] = np.nan
    missing = perturbation_map(wells, conditions, Embeddings(wells, x))
    np.testing.assert_array_equal(clean.vectors, spoiled.vectors)
    np.testing.assert_array_equal(clean.vectors, missing.vectors)


def test_a_perturbation_with_too_few_usable_wells_has_no_vector():
    wells, conditions, x = make_screen()
    x[[ids == [2] for ids in wells["conditions"]]] = np.nan
    built = perturbation_map(wells, conditions, Embeddings(wells, x), MapSettings(min_wells=2))
    row = (built.table["level"] == "guide") & (built.table["name"] == "G0_guide_0")
    assert np.isnan(built.vectors[row]).all()
    assert built.table.loc[row, "num_usable"].tolist() == [0]
    assert "G0_guide_0" not in set(built.level("guide").table["name"])


def test_non_targeting_guides_as_origin_and_arm_correction_exclude_each_other():
    wells, conditions, x = make_screen()
    settings = MapSettings(centre_on="non-targeting")
    built = perturbation_map(wells, conditions, Embeddings(wells, x), settings)
    assert built.attributes["num_origin_wells"] == 10
    corrected = {"alignment": {"controls": "negative_control", "arms": {"1p": 30}}}
    with pytest.raises(ConfigurationError, match="already removed the effect of cutting"):
        perturbation_map(wells, conditions, Embeddings(wells, x, corrected), settings)


def test_the_origin_of_an_aligned_screen_is_zero_already():
    wells, conditions, x = make_screen()
    x -= x[wells["role"] == "negative_control"].mean(axis=0)
    built = perturbation_map(wells, conditions, Embeddings(wells, x))
    assert built.attributes["origin_length"] < 1e-6
    moved = perturbation_map(wells, conditions, Embeddings(wells, x + 3))
    assert moved.attributes["origin_length"] > 0.5


def test_no_single_condition_is_an_error():
    wells, conditions, x = make_screen()
    wells.loc[wells["role"] == "treatment", "conditions"] = None
    with pytest.raises(DataError, match="no well has a single condition"):
        perturbation_map(wells, conditions, Embeddings(wells, x))


def test_wrong_settings_are_told_together():
    with pytest.raises(ConfigurationError) as error:
        MapSettings(levels=("gen",), aggregate="mode")
    assert 'maps.levels[0]: "gen"' in str(error.value)
    assert 'maps.aggregate: "mode"' in str(error.value)


def test_a_stored_map_is_the_same_and_its_bytes_do_not_change(tmp_path):
    wells, conditions, x = make_screen()
    reader = Embeddings(wells, x)
    built = perturbation_map(wells, conditions, reader)
    tables = map_tables(built, wells, conditions, reader)
    for name in ("a", "b"):
        save_map(tmp_path / name, built, tables)
    assert tree_sha256(tmp_path / "a") == tree_sha256(tmp_path / "b")
    again = open_map(tmp_path / "a")
    np.testing.assert_array_equal(again.vectors, built.vectors)
    assert again.table["name"].tolist() == built.table["name"].tolist()
    assert again.attributes == json.loads(json.dumps(built.attributes))
    assert set(tables) == {"neighbours", "layout", "guides", "doses"}
    pd.testing.assert_frame_equal(read_map_table(tmp_path / "a", "doses"), tables["doses"])


def test_a_stored_map_opens_as_anndata(tmp_path):
    anndata = pytest.importorskip("anndata")
    wells, conditions, x = make_screen()
    built = perturbation_map(wells, conditions, Embeddings(wells, x))
    save_map(tmp_path / "a", built)
    stored = anndata.read_h5ad(tmp_path / "a" / "map.h5ad")
    np.testing.assert_array_equal(stored.X, built.vectors)
    assert stored.obs["name"].astype(str).tolist() == built.table["name"].tolist()
    assert stored.uns["schema"] == "phenoprints-map-1"


def test_missing_and_spoiled_maps_are_named(tmp_path):
    with pytest.raises(MissingInputError, match="there is no map"):
        open_map(tmp_path)
    with pytest.raises(MissingInputError, match="has no such table"):
        read_map_table(tmp_path, "doses")
    (tmp_path / "map.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorruptionError, match="unreadable map"):
        open_map(tmp_path)


def test_aggregate_leaves_out_rows_without_direction():
    x = np.array([[1.0, 0], [0, 0], [np.nan, 1], [0, 2], [0, 0]])
    code = np.array([0, 0, 0, 0, 1])
    spherical = aggregate(x, code, 3)
    np.testing.assert_allclose(spherical[0], [0.5**0.5, 0.5**0.5])
    assert np.isnan(spherical[1:]).all()
    np.testing.assert_allclose(aggregate(x, code, 2, how="mean"), [[1 / 3, 2 / 3], [0, 0]])
    np.testing.assert_allclose(aggregate(x, code, 2, how="median"), [[0, 0], [0, 0]])
