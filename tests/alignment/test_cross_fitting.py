from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import (
    AlignmentSettings,
    ChromosomeArmCorrection,
    TypicalVariationNormalization,
    fit_alignment,
    open_aligned,
    save_alignment,
)
from phenoprints.alignment.estimators import CenterScale, PCACenterScale
from phenoprints.alignment.folds import BatchControls, assign_folds, fit_without
from phenoprints.alignment.methods import CenterScaling, PCACenterScaling
from phenoprints.alignment.statistics import ControlStatistics, merge
from phenoprints.alignment.tvn import TypicalVariation
from phenoprints.foundations.errors import CorruptionError, DataError
from phenoprints.simulation import PlateLayout, lay_out

METHODS = {
    "tvn": (TypicalVariation(), TypicalVariationNormalization()),
    "efaar-1.0": (
        TypicalVariation("efaar-1.0"),
        TypicalVariationNormalization(tvn_variant="efaar-1.0"),
    ),
    "pca-center-scale": (PCACenterScaling(), PCACenterScale()),
    "standardised pca": (PCACenterScaling(True), PCACenterScale(standardize_first=True)),
    "center-scale": (CenterScaling(), CenterScale()),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("num_features", [6, 40, 90], ids=["dense", "mixed", "thin"])
def test_held_out_vectors_equal_a_fit_from_scratch_without_the_fold(name, num_features):
    rng = np.random.default_rng(1)
    sizes, num_folds = {"a": 45, "b": 30, "c": 31}, 4
    batches, parts = {}, []
    for batch, size in sizes.items():
        mixing = np.eye(num_features) + 0.3 * rng.normal(size=(num_features,) * 2)
        x = rng.normal(size=(size, num_features)) @ mixing + 5 * rng.normal(size=num_features)
        fold = rng.permutation(np.arange(size) % num_folds).astype(np.int16)
        batches[batch] = BatchControls(x, fold)
        parts.append(ControlStatistics.of_rows(x))
    x = np.concatenate([of.x for of in batches.values()])
    fold = np.concatenate([of.fold for of in batches.values()])
    batch = np.repeat(list(sizes), list(sizes.values()))
    method, estimator = METHODS[name]
    total = merge(parts).summed()
    for number in range(num_folds):
        fitted, whole = (
            fit_without(number, method, batches, total=total, dtype=np.float64, only_held_out=only)
            for only in (True, False)
        )
        estimator.fit(x, fold != number, batch)
        expected = {key: estimator.transform(x[batch == key], batch[batch == key]) for key in sizes}
        for key in sizes:
            np.testing.assert_allclose(whole.vectors[key], expected[key], rtol=0, atol=1e-8)
        # Held out alone, vectors may be rotated: lengths and cosines over all batches are the same.
        found = np.concatenate([fitted.vectors[key] for key in sizes])
        wanted = np.concatenate([expected[k][fold[batch == k] == number] for k in sizes])
        np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, rtol=0, atol=1e-7)
        if name != "tvn":
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", ["tvn", "pca-center-scale", "center-scale", "none"])
@pytest.mark.parametrize("position", ["none", "plate-rows-columns"])
@pytest.mark.parametrize("batch", ["experiment", "plate"])
def test_published_controls_are_what_is_read_held_out(
    tmp_path, method, position, batch, make_screen, embeddings
):
    wells, x = make_screen()
    reader = embeddings(wells, x)
    settings = AlignmentSettings(method=method, remove_position=position, batch=batch, folds=4)
    alignment = fit_alignment(wells, reader, settings)
    save_alignment(alignment, tmp_path / "a")
    aligned = open_aligned(reader, tmp_path / "a")
    assert aligned.num_folds == (1 if (method, position) == ("none", "none") else 4)
    for experiment in aligned.experiments:
        controls = aligned.held_out_controls(experiment)
        here = wells[wells["experiment"] == experiment]
        assert here["role"].iloc[controls.rows].eq("negative_control").all()
        assert len(controls.rows) == 32
        for fold in range(aligned.num_folds):
            held_out = aligned.read_held_out(experiment, fold)
            rows = controls.rows[controls.fold == fold]
            assert held_out.fold == fold
            assert held_out.is_control.nonzero()[0].tolist() == sorted(rows)
            np.testing.assert_allclose(
                held_out.vectors[rows], controls.vectors[controls.fold == fold], atol=2e-4
            )
            fitted = controls.rows[controls.fold != fold]
            assert np.isnan(held_out.vectors[fitted]).all()
            others = np.setdiff1d(np.arange(len(here)), fitted)
            assert np.isfinite(held_out.vectors[others]).all()


def test_wells_held_out_are_those_of_an_alignment_fitted_without_the_fold(
    tmp_path, make_screen, embeddings
):
    wells, x = make_screen()
    reader = embeddings(wells, x)
    settings = AlignmentSettings(remove_position="plate-rows-columns", folds=4)
    save_alignment(fit_alignment(wells, reader, settings), tmp_path / "a")
    aligned = open_aligned(reader, tmp_path / "a")
    fold = assign_folds(wells, (wells["role"] == "negative_control").to_numpy(), 4)
    for number in range(4):
        scratch = fit_alignment(
            wells.assign(role=np.where(fold == number, "treatment", wells["role"])),
            reader,
            AlignmentSettings(remove_position="plate-rows-columns", folds=0),
        ).of(reader)
        for experiment in aligned.experiments:
            held_out = aligned.read_held_out(experiment, number)
            usable = np.isfinite(held_out.vectors).all(axis=1)
            expected = scratch.read(experiment)[usable]
            np.testing.assert_allclose(held_out.vectors[usable], expected, atol=2e-4)


def test_plain_vectors_do_not_depend_on_the_folds(make_screen, embeddings):
    wells, x = make_screen()
    reader = embeddings(wells, x)
    plain = fit_alignment(wells, reader, AlignmentSettings(folds=0)).of(reader)
    folded = fit_alignment(wells, reader, AlignmentSettings(folds=3)).of(reader)
    for name in plain.experiments:
        np.testing.assert_array_equal(plain.read(name), folded.read(name))


def test_fitting_reads_each_experiment_once(make_screen, embeddings):
    wells, x = make_screen()
    reader = embeddings(wells, x)
    fit_alignment(wells, reader)
    assert set(reader.num_reads.values()) == {1}


def fold_counts(wells, is_control, fold):
    plates = [wells["experiment"][is_control], wells["plate"][is_control]]
    return pd.crosstab(plates, fold[is_control])


@pytest.mark.parametrize("positions", ["moved", "fixed"])
def test_folds_are_balanced_over_plates_and_independent_of_row_order(positions):
    wells, _ = lay_out(PlateLayout(experiments=3, plates=4, controls=10, positions=positions))
    is_control = (wells["role"] == "negative_control").to_numpy()
    fold = assign_folds(wells, is_control, 4)
    assert (fold[~is_control] == -1).all()
    counts = fold_counts(wells, is_control, fold)
    assert counts.to_numpy().min() == 2
    assert counts.to_numpy().max() == 3
    if positions == "moved":
        assert (counts.groupby("experiment").sum() == 10).all(axis=None)
    order = np.random.default_rng(0).permutation(len(wells))
    np.testing.assert_array_equal(
        assign_folds(wells.iloc[order], is_control[order], 4), fold[order]
    )


def test_a_control_position_is_in_one_fold_on_all_plates_even_where_some_controls_are_missing():
    wells, _ = lay_out(PlateLayout(experiments=3, plates=4, controls=16, positions="fixed"))
    is_control = (wells["role"] == "negative_control").to_numpy()
    is_control &= np.random.default_rng(0).random(len(wells)) > 0.1
    fold = assign_folds(wells, is_control, 4)
    controls = wells[is_control].assign(fold=fold[is_control])
    assert (controls.groupby("well")["fold"].nunique() == 1).all()
    counts = fold_counts(wells, is_control, fold).to_numpy()
    assert counts.min() >= 1
    assert counts.max() <= 5


def test_positions_fixed_within_an_experiment_only_are_in_one_fold_there():
    parts = [
        lay_out(PlateLayout(experiments=1, plates=4, controls=16, positions="fixed"), seed=seed)[0]
        .assign(experiment=f"e{seed}")
        for seed in range(6)
    ]  # fmt: skip
    wells = pd.concat(parts, ignore_index=True)
    is_control = (wells["role"] == "negative_control").to_numpy()
    fold = assign_folds(wells, is_control, 4)
    controls = wells[is_control].assign(fold=fold[is_control])
    assert (controls.groupby(["experiment", "well"])["fold"].nunique() == 1).all()
    assert (fold_counts(wells, is_control, fold) == 4).all(axis=None)


def test_row_order_of_the_wells_does_not_matter(make_screen, embeddings):
    wells, x = make_screen()
    order = np.random.default_rng(2).permutation(len(wells))
    readers = embeddings(wells, x), embeddings(wells.iloc[order].reset_index(drop=True), x[order])
    first = fit_alignment(wells, readers[0]).of(readers[0])
    mixed = wells.iloc[order].reset_index(drop=True)
    second = fit_alignment(mixed, readers[1]).of(readers[1])
    for name in first.experiments:
        ids = [t.loc[t["experiment"] == name, "well_id"].to_numpy() for t in (wells, mixed)]
        vectors = [of.read_held_out(name, 1).vectors for of in (first, second)]
        place = pd.Index(ids[1]).get_indexer(ids[0])
        np.testing.assert_allclose(vectors[1][place], vectors[0], atol=2e-4)


def test_without_folds_nothing_can_be_compared_with_controls(make_screen, embeddings):
    wells, x = make_screen()
    reader = embeddings(wells, x)
    aligned = fit_alignment(wells, reader, AlignmentSettings(folds=0)).of(reader)
    assert aligned.num_folds == 0
    with pytest.raises(DataError, match=r"alignment\.folds"):
        aligned.held_out_controls("e0")
    with pytest.raises(DataError, match="no fold 7"):
        fit_alignment(wells, reader).of(reader).read_held_out("e0", 7)


def test_a_batch_that_is_too_small_without_a_fold_has_no_held_out_vectors(make_screen, embeddings):
    wells, x = make_screen(num_plates=1)
    in_e2 = (wells["experiment"] == "e2").to_numpy()
    wells.loc[in_e2 & (np.arange(len(wells)) % 96 >= 4), "role"] = "treatment"
    reader = embeddings(wells, x)
    aligned = fit_alignment(wells, reader).of(reader)
    assert np.isfinite(aligned.read("e2")).all()
    controls = aligned.held_out_controls("e2")
    assert np.isnan(controls.vectors).all()
    for fold in np.unique(controls.fold):
        assert np.isnan(aligned.read_held_out("e2", fold).vectors).all()
    assert np.isfinite(aligned.held_out_controls("e0").vectors).all()
    notes = [note for note in aligned.attributes["alignment"]["notes"] if "without fold" in note]
    assert len(notes) == 1
    assert notes[0].startswith('batch "e2": too few controls are left without fold')


def test_failed_wells_and_wells_without_vectors_are_no_held_out_controls(make_screen, embeddings):
    wells, x = make_screen()
    x[0] = np.nan
    usable = np.ones(len(wells), bool)
    usable[1] = False
    reader = embeddings(wells, x)
    aligned = fit_alignment(wells, reader, is_usable=usable).of(reader)
    assert not {0, 1} & set(aligned.held_out_controls("e0").rows)
    held_out = aligned.read_held_out("e0", 0)
    assert np.isfinite(held_out.vectors[1]).all()
    assert not held_out.is_control[[0, 1]].any()


def test_a_changed_file_of_held_out_controls_is_named(tmp_path, make_screen, embeddings):
    wells, x = make_screen()
    reader = embeddings(wells, x)
    save_alignment(fit_alignment(wells, reader), tmp_path / "a")
    for name in ("fold-1.safetensors", "controls-0000.safetensors"):
        path = tmp_path / "a" / name
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        aligned = open_aligned(reader, tmp_path / "a")
        with pytest.raises(CorruptionError, match=name):
            aligned.read_held_out("e0", 1)


@pytest.mark.parametrize("position", ["none", "plate-rows-columns"])
@pytest.mark.parametrize("batch", ["experiment", "plate"])
def test_arms_are_removed_under_the_maps_of_every_fold(
    tmp_path, position, batch, make_screen, embeddings
):
    wells, x = make_screen()
    rng = np.random.default_rng(4)
    is_treated = (wells["role"] == "treatment").to_numpy()
    genes = np.where(is_treated, [f"g{k}" for k in rng.integers(0, 30, len(wells))], "")
    x[40] = np.nan
    arms = {f"g{k}": ("1p" if k < 25 else "2q") for k in range(30)}
    reader = embeddings(wells, x)
    settings = AlignmentSettings(remove_position=position, batch=batch)
    unexpressed = [f"g{k}" for k in range(20)]
    correction = ChromosomeArmCorrection(arms, unexpressed, min_genes=10)
    fitted = fit_alignment(wells, reader, settings, arms=correction, genes=genes.astype(object))
    save_alignment(fitted, tmp_path / "a")
    aligned, plain = open_aligned(reader, tmp_path / "a"), fit_alignment(wells, reader, settings)
    names = aligned.experiments
    for fold in range(2):
        y = np.concatenate([aligned.read_held_out(name, fold).vectors for name in names])
        before = [plain.of(reader).read_held_out(name, fold).vectors for name in names]
        offsets = np.concatenate(before) - y
        on_arm = np.array([arms.get(gene) == "1p" for gene in genes]) & np.isfinite(y).all(axis=1)
        np.testing.assert_allclose(
            offsets[on_arm], offsets[on_arm][:1].repeat(on_arm.sum(), 0), atol=1e-4
        )
        in_basis = on_arm & np.isin(genes, unexpressed)
        by_gene = pd.DataFrame(y[in_basis]).groupby(genes[in_basis]).mean()
        np.testing.assert_allclose(by_gene.mean(), 0, atol=1e-4)
        rest = ~on_arm & np.isfinite(y).all(axis=1)
        np.testing.assert_array_equal(offsets[rest], 0)
