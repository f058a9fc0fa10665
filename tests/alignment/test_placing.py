from __future__ import annotations

import json

import numpy as np
import pytest

from phenoprints.alignment import (
    AlignmentSettings,
    ChromosomeArmCorrection,
    fit_alignment,
    load_alignment,
    open_aligned,
    place_experiments,
    save_alignment,
)
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.fingerprints import tree_sha256

SETTINGS = [
    {"method": "tvn"},
    {"method": "tvn", "shrinkage": "oas"},
    {"method": "tvn", "tvn_variant": "efaar-1.0"},
    {"method": "pca-center-scale", "batch": "plate"},
    {"method": "center-scale", "remove_position": "plate-rows-columns"},
    {"method": "none"},
]


def part_of(wells, x, experiments):
    chosen = wells["experiment"].isin(experiments).to_numpy()
    return wells[chosen].reset_index(drop=True), x[chosen]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_an_experiment_that_was_fitted_has_the_same_map_when_it_is_placed(
    tmp_path, make_screen, embeddings, settings
):
    wells, x = make_screen(num_features=40)
    reader = embeddings(wells, x)
    save_alignment(fit_alignment(wells, reader, AlignmentSettings(**settings)), tmp_path / "a")
    before = tree_sha256(tmp_path / "a")
    frozen = load_alignment(tmp_path / "a")
    some = part_of(wells, x, ["e1"])
    again = embeddings(*some)
    placed = place_experiments(frozen, some[0], again, reference_wells=0)
    np.testing.assert_array_equal(placed.of(again).read("e1"), frozen.of(reader).read("e1"))
    assert tree_sha256(tmp_path / "a") == before
    save_alignment(placed, tmp_path / "b")
    stored = open_aligned(again, tmp_path / "b")
    np.testing.assert_array_equal(stored.read("e1"), frozen.of(reader).read("e1"))


def test_a_new_experiment_is_centred_and_changes_no_stored_vector(
    tmp_path, make_screen, embeddings
):
    wells, x = make_screen(num_experiments=4, num_controls=24)
    x[wells["experiment"] == "e3"] += 30
    reader = embeddings(*part_of(wells, x, ["e0", "e1", "e2"]))
    old = part_of(wells, x, ["e0", "e1", "e2"])[0]
    save_alignment(fit_alignment(old, reader), tmp_path / "a")
    frozen = load_alignment(tmp_path / "a")
    vectors = {name: frozen.of(reader).read(name) for name in reader.experiments}
    new = part_of(wells, x, ["e3"])
    placed = place_experiments(frozen, new[0], embeddings(*new))
    y = placed.of(embeddings(*new)).read("e3")
    is_control = (new[0]["role"] == "negative_control").to_numpy()
    np.testing.assert_allclose(y[is_control].mean(axis=0), 0, atol=1e-3)
    for name in reader.experiments:
        np.testing.assert_array_equal(frozen.of(reader).read(name), vectors[name])


def test_controls_of_a_placed_experiment_are_held_out_of_its_batch_part(make_screen, embeddings):
    wells, x = make_screen(num_experiments=4)
    old, new = part_of(wells, x, ["e0", "e1", "e2"]), part_of(wells, x, ["e3"])
    frozen = fit_alignment(old[0], embeddings(*old))
    reader = embeddings(*new)
    placed = place_experiments(frozen, new[0], reader).of(reader)
    assert placed.num_folds == 3
    controls = placed.held_out_controls("e3")
    for fold in range(3):
        fitted = controls.rows[controls.fold != fold]
        wells_without = new[0].copy()
        wells_without.loc[controls.rows[controls.fold == fold], "role"] = "treatment"
        scratch = place_experiments(frozen, wells_without, reader).of(reader).read("e3")
        held_out = placed.read_held_out("e3", fold)
        rows = np.setdiff1d(np.arange(len(scratch)), fitted)
        np.testing.assert_allclose(held_out.vectors[rows], scratch[rows], atol=2e-4)
        own = controls.rows[controls.fold == fold]
        np.testing.assert_allclose(controls.vectors[controls.fold == fold], scratch[own], atol=2e-4)


def test_the_covariance_of_a_new_batch_is_a_mean_weighted_by_wells(
    tmp_path, make_screen, embeddings
):
    """TVN with so many wells of the reference that the new batch is only standardised."""
    wells, x = make_screen(num_experiments=4, num_controls=24)
    old, new = part_of(wells, x, ["e0", "e1", "e2"]), part_of(wells, x, ["e3"])
    frozen = fit_alignment(old[0], embeddings(*old))
    reader = embeddings(*new)
    projected = frozen.shared.project_rows(new[1], np.float64)
    own = projected[(new[0]["role"] == "negative_control").to_numpy()]
    z, weight = (projected - own.mean(axis=0)) / own.std(axis=0), 40
    colour = frozen.shared.colour
    mixed = len(own) * (np.cov((own / own.std(axis=0)).T) + 0.5 * np.eye(len(colour)))
    values, vectors = np.linalg.eigh((mixed + weight * colour @ colour) / (len(own) + weight))
    expected = z @ (vectors / np.sqrt(values)) @ vectors.T @ colour
    placed = place_experiments(frozen, new[0], reader, reference_wells=weight)
    np.testing.assert_allclose(placed.of(reader).read("e3"), expected, atol=2e-3)
    save_alignment(placed, tmp_path / "placed")
    stored = open_aligned(reader, tmp_path / "placed").read_held_out("e3", 1).vectors
    np.testing.assert_array_equal(stored, placed.of(reader).read_held_out("e3", 1).vectors)
    only = place_experiments(frozen, new[0], reader, reference_wells=10**9).of(reader).read("e3")
    np.testing.assert_allclose(only, z, atol=2e-3)


def test_arms_of_a_placed_experiment_are_those_that_are_stored(tmp_path, make_screen, embeddings):
    wells, x = make_screen()
    is_treated = (wells["role"] == "treatment").to_numpy()
    numbers = np.random.default_rng(4).integers(0, 30, len(wells))
    genes = np.where(is_treated, [f"g{k}" for k in numbers], "").astype(object)
    arms = {f"g{k}": ("1p" if k < 25 else "2q") for k in range(30)}
    reader = embeddings(wells, x)
    fitted = fit_alignment(
        wells, reader, arms=ChromosomeArmCorrection(arms, min_genes=10), genes=genes
    )
    save_alignment(fitted, tmp_path / "a")
    frozen, some = load_alignment(tmp_path / "a"), part_of(wells, x, ["e2"])
    again = embeddings(*some)
    of_e2 = (wells["experiment"] == "e2").to_numpy()
    placed = place_experiments(
        frozen, some[0], again, arms=ChromosomeArmCorrection(arms), genes=genes[of_e2],
        reference_wells=0,
    )  # fmt: skip
    np.testing.assert_array_equal(placed.of(again).read("e2"), frozen.of(reader).read("e2"))
    assert np.isfinite(placed.of(again).read_held_out("e2", 0).vectors[16:]).any()
    with pytest.raises(DataError, match="pass arms and genes"):
        place_experiments(frozen, some[0], again)


def test_other_features_and_batches_that_are_too_small_are_named(make_screen, embeddings):
    wells, x = make_screen()
    frozen = fit_alignment(wells, embeddings(wells, x))
    with pytest.raises(DataError, match=r'"e0" have 5 features\. Expected 12'):
        place_experiments(frozen, wells, embeddings(wells, x[:, :5]))
    wells.loc[(wells["experiment"] == "e1") & (wells["column"] > 0), "role"] = "treatment"
    with pytest.raises(DataError, match='batch "e1": 0 usable control wells'):
        place_experiments(frozen, wells, embeddings(wells, x))


def test_alignments_of_version_0_1_are_read_and_refuse_what_they_do_not_hold(
    tmp_path, make_screen, embeddings
):
    wells, x = make_screen()
    reader = embeddings(wells, x)
    fitted = fit_alignment(wells, reader, AlignmentSettings(folds=0))
    save_alignment(fitted, tmp_path / "a")
    path = tmp_path / "a" / "index.json"
    index = json.loads(path.read_text())
    del index["folds"]
    index["format"] = 1
    settings = index["attributes"]["settings"]
    settings["form"] = settings.pop("tvn_variant")
    del settings["folds"], settings["shrinkage"]
    path.write_text(json.dumps(index))
    (tmp_path / "a" / "frozen.safetensors").unlink()
    old = open_aligned(reader, tmp_path / "a")
    assert old.num_folds == 0
    np.testing.assert_array_equal(old.read("e1"), fitted.of(reader).read("e1"))
    with pytest.raises(DataError, match="run the alignment again"):
        old.read_held_out("e1", 0)
    with pytest.raises(DataError, match="snakemake align"):
        place_experiments(old.alignment, wells, reader)
