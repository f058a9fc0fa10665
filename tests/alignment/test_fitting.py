from __future__ import annotations

import json

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
from phenoprints.foundations.errors import (
    ConfigurationError,
    CorruptionError,
    DataError,
    MissingInputError,
)
from phenoprints.foundations.fingerprints import tree_sha256
from phenoprints.foundations.randomness import well_ids
from phenoprints.wells import control_wells


class Embeddings:
    """Embeddings that lie in memory, with the members of a stored one."""

    def __init__(self, arrays, attributes=None):
        self.arrays = arrays
        self.attributes = attributes or {"encoder": "test"}

    @property
    def experiments(self):
        return sorted(self.arrays)

    def read(self, experiment):
        return self.arrays[experiment]


@pytest.fixture
def screen():
    rng = np.random.default_rng(5)
    rows = [
        (experiment, plate, f"{'ABCDEF'[r]}{c + 1:02d}", r + 1, c + 1)
        for experiment in ("e1", "e2")
        for plate in ("p1", "p2")
        for r in range(6)
        for c in range(8)
    ]
    wells = pd.DataFrame(rows, columns=["experiment", "plate", "well", "row", "column"])
    wells["well_id"] = well_ids("s", wells["experiment"], wells["plate"], wells["well"])
    wells["role"] = np.where(wells["column"].isin([1, 2, 7, 8]), "negative_control", "treatment")
    x = rng.normal(size=(len(wells), 7)).astype(np.float32)
    x += (wells["experiment"] == "e2").to_numpy()[:, None]
    return wells, x


def reader_of(wells, x):
    return Embeddings(
        {name: x[index] for name, index in wells.groupby("experiment").indices.items()}
    )


def read_all(aligned):
    return np.concatenate([aligned.read(name) for name in aligned.experiments])


@pytest.mark.parametrize("method", ["tvn", "pca-center-scale", "center-scale", "none"])
def test_what_is_stored_and_applied_on_reading_is_what_was_fitted(tmp_path, screen, method):
    wells, x = screen
    reader = reader_of(wells, x)
    alignment = fit_alignment(wells, reader, AlignmentSettings(method=method))
    save_alignment(alignment, tmp_path / "a")
    aligned = open_aligned(reader, tmp_path / "a")
    assert aligned.experiments == ["e1", "e2"]
    assert aligned.attributes["alignment"]["controls"] == "negative_control"
    assert aligned.read("e1").dtype == np.float32
    np.testing.assert_array_equal(read_all(aligned), read_all(alignment.of(reader)))
    if method == "none":
        np.testing.assert_array_equal(read_all(aligned), x)


def test_out_of_core_equals_in_memory(screen):
    wells, x = screen
    aligned = fit_alignment(wells, reader_of(wells, x)).of(reader_of(wells, x))
    is_control = (wells["role"] == "negative_control").to_numpy()
    expected = TypicalVariationNormalization().fit_transform(
        x.astype(np.float64), is_control, wells["experiment"]
    )
    np.testing.assert_allclose(read_all(aligned), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["tvn", "pca-center-scale"])
def test_plates_can_be_the_batches(tmp_path, screen, method):
    wells, x = screen
    on_p2 = (wells["plate"] == "p2").to_numpy()
    reader = reader_of(wells, x + 3 * on_p2[:, None].astype(np.float32))
    alignment = fit_alignment(wells, reader, AlignmentSettings(method=method, batch="plate"))
    save_alignment(alignment, tmp_path / "a")
    y = read_all(open_aligned(reader, tmp_path / "a"))
    np.testing.assert_array_equal(y, read_all(alignment.of(reader)))
    is_control = (wells["role"] == "negative_control").to_numpy()
    for plate in ("p1", "p2"):
        rows = is_control & (wells["plate"] == plate) & (wells["experiment"] == "e1")
        np.testing.assert_allclose(y[rows].mean(axis=0), 0, atol=1e-5)


def test_position_effects_are_removed_and_stored(tmp_path, screen):
    wells, x = screen
    planted = 4 * np.sin(wells["row"]).to_numpy() + 3 * np.cos(wells["column"]).to_numpy()
    reader = reader_of(wells, (x + planted[:, None]).astype(np.float32))
    settings = AlignmentSettings(method="center-scale", remove_position="plate-rows-columns")
    alignment = fit_alignment(wells, reader, settings)
    save_alignment(alignment, tmp_path / "a")
    y = read_all(open_aligned(reader, tmp_path / "a"))
    np.testing.assert_array_equal(y, read_all(alignment.of(reader)))
    plain = read_all(
        fit_alignment(wells, reader, AlignmentSettings(method="center-scale")).of(reader)
    )
    by_row = wells["row"].to_numpy()
    spread = {
        name: np.std([values[by_row == r].mean() for r in range(1, 7)])
        for name, values in (("plain", plain), ("polished", y))
    }
    assert spread["polished"] < 0.3 * spread["plain"]


def test_a_plate_without_controls_is_noted_and_left_alone(screen):
    wells, x = screen
    on_p2 = (wells["plate"] == "p2").to_numpy()
    wells.loc[on_p2, "role"] = "treatment"
    settings = {"method": "center-scale"}
    reader = reader_of(wells, x)
    plain = fit_alignment(wells, reader, AlignmentSettings(**settings)).of(reader)
    polished = fit_alignment(
        wells, reader, AlignmentSettings(**settings, remove_position="plate-rows-columns")
    )
    assert polished.attributes["notes"] == [
        f'plate "p2" of experiment "{name}": no control, no position removed'
        for name in ("e1", "e2")
    ]
    np.testing.assert_array_equal(read_all(polished.of(reader))[on_p2], read_all(plain)[on_p2])


def test_arms_are_removed_and_stored(tmp_path, screen):
    wells, x = screen
    rng = np.random.default_rng(0)
    genes = np.where(
        wells["role"] == "treatment", [f"g{k}" for k in rng.integers(0, 30, len(wells))], ""
    ).astype(object)
    arms = {f"g{k}": ("1p" if k < 25 else "2q") for k in range(30)}
    reader = reader_of(wells, x)
    plain = read_all(fit_alignment(wells, reader).of(reader))
    alignment = fit_alignment(
        wells, reader, arms=ChromosomeArmCorrection(arms, min_genes=10), genes=genes
    )
    save_alignment(alignment, tmp_path / "a")
    y = read_all(open_aligned(reader, tmp_path / "a"))
    assert alignment.attributes["arm_basis"] == "all genes"
    assert list(alignment.attributes["arms"]) == ["1p"]
    on_arm = np.array([arms.get(gene) == "1p" for gene in genes])
    np.testing.assert_array_equal(y[~on_arm], plain[~on_arm])
    by_gene = pd.DataFrame(y[on_arm]).groupby(genes[on_arm]).mean()
    np.testing.assert_allclose(by_gene.mean(), 0, atol=1e-6)


def test_wells_that_failed_quality_are_aligned_and_never_fitted(screen):
    wells, x = screen
    spoiled = x.copy()
    bad = np.flatnonzero(wells["role"] == "negative_control")[::5]
    spoiled[bad] = 1e4
    usable = np.ones(len(wells), bool)
    usable[bad] = False
    reader = reader_of(wells, spoiled)
    y = read_all(fit_alignment(wells, reader, is_usable=usable).of(reader))
    expected = read_all(
        fit_alignment(wells, reader_of(wells, x), is_usable=usable).of(reader_of(wells, x))
    )
    good = np.setdiff1d(np.arange(len(wells)), bad)
    np.testing.assert_array_equal(y[good], expected[good])
    assert np.isfinite(y[bad]).all()


def test_skipped_experiments_are_nan_and_say_why(tmp_path, screen):
    wells, x = screen
    wells.loc[wells["experiment"] == "e2", "role"] = "treatment"
    reader = reader_of(wells, x)
    alignment = fit_alignment(wells, reader, AlignmentSettings(small_batches="skip"))
    save_alignment(alignment, tmp_path / "a")
    aligned = open_aligned(reader, tmp_path / "a")
    assert np.isnan(aligned.read("e2")).all()
    assert aligned.attributes["alignment"]["skipped"] == {"e2": "too_few_controls (0)"}


def test_automatic_controls_are_unperturbed_wells_where_every_experiment_has_them(screen):
    wells, _ = screen
    wells.loc[wells["column"] == 3, "role"] = "unperturbed"
    assert control_wells(wells)[1] == "unperturbed"
    wells.loc[(wells["column"] == 3) & (wells["experiment"] == "e2"), "role"] = "treatment"
    mask, role = control_wells(wells)
    assert role == "negative_control"
    assert (wells.loc[mask, "role"] == role).all()


def test_a_screen_without_such_controls_is_told_its_roles(screen):
    with pytest.raises(DataError, match="Roles in the screen: negative_control, treatment"):
        control_wells(screen[0], "unperturbed")


def test_embeddings_that_do_not_match_the_wells_are_named(screen):
    wells, x = screen
    reader = reader_of(wells, x)
    reader.arrays["e3"] = reader.arrays.pop("e2")
    with pytest.raises(DataError) as error:
        fit_alignment(wells, reader)
    assert 'experiment "e2" is missing' in str(error.value)
    assert 'experiment "e3" is not in the wells table' in str(error.value)
    with pytest.raises(DataError, match=r'"e1": shape \(95, [0-9]+\) for 96 wells'):
        fit_alignment(wells, Embeddings({"e1": x[:95], "e2": x[96:]}))


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(ConfigurationError) as error:
        AlignmentSettings(method="tnv", controls="dmso")
    assert 'alignment.method: "tnv"' in str(error.value)
    assert "expected one of auto, unperturbed, negative_control" in str(error.value)


def test_corruption_is_named(tmp_path, screen):
    wells, x = screen
    reader = reader_of(wells, x)
    save_alignment(fit_alignment(wells, reader), tmp_path / "a")
    file = tmp_path / "a" / "0001.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    aligned = open_aligned(reader, tmp_path / "a")
    aligned.read("e1")
    with pytest.raises(CorruptionError, match=r"0001\.safetensors: its bytes are not those"):
        aligned.read("e2")
    file.unlink()
    with pytest.raises(CorruptionError, match=r"0001\.safetensors: missing"):
        aligned.read("e2")
    (tmp_path / "a" / "index.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(CorruptionError, match="unreadable"):
        open_aligned(reader, tmp_path / "a")
    with pytest.raises(MissingInputError):
        open_aligned(reader, tmp_path / "b")


def test_other_embeddings_than_those_fitted_are_refused(screen):
    wells, x = screen
    alignment = fit_alignment(wells, reader_of(wells, x))
    with pytest.raises(DataError, match="Expected 7 features"):
        alignment.of(reader_of(wells, x[:, :6])).read("e1")
    with pytest.raises(DataError, match='"e9" was not fitted'):
        alignment.align("e9", x)


def test_no_name_of_an_experiment_leaves_the_folder(tmp_path, screen):
    wells, x = screen
    hostile = "../../outside/<e2>"
    wells["experiment"] = wells["experiment"].replace("e2", hostile)
    wells = wells.sort_values(["experiment", "plate"], kind="stable", ignore_index=True)
    reader = reader_of(wells, x)
    save_alignment(fit_alignment(wells, reader), tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert np.isfinite(open_aligned(reader, tmp_path / "a").read(hostile)).all()


def test_two_runs_store_the_same_bytes(tmp_path, screen):
    wells, x = screen
    for name in ("a", "b"):
        save_alignment(fit_alignment(wells, reader_of(wells, x)), tmp_path / name)
    assert tree_sha256(tmp_path / "a") == tree_sha256(tmp_path / "b")
