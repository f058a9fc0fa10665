from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tests.matches.worlds import freeze

from phenoprints.alignment import (
    AlignmentSettings,
    ChromosomeArmCorrection,
    cut_genes,
    fit_alignment,
)
from phenoprints.foundations.errors import CorruptionError, DataError, MissingInputError
from phenoprints.foundations.fingerprints import own_sha256, tree_sha256
from phenoprints.maps import MapSettings, perturbation_map
from phenoprints.matches import freeze_reference, match, open_reference, save_reference
from phenoprints.wells import ArrayEmbeddings


@pytest.fixture(scope="module")
def folder(old, tmp_path_factory):
    place = tmp_path_factory.mktemp("reference") / "old"
    save_reference(old[0], place)
    return place


def test_a_stored_reference_is_the_reference_and_has_a_card(folder, old):
    stored, reference = open_reference(folder), old[0]
    np.testing.assert_array_equal(stored.map.vectors, reference.map.vectors)
    np.testing.assert_array_equal(stored.origin, reference.origin)
    np.testing.assert_array_equal(stored.well_ids, reference.well_ids)
    pd.testing.assert_frame_equal(stored.left_out, reference.left_out)
    for name, array in reference.shared.arrays().items():
        np.testing.assert_array_equal(stored.shared.arrays()[name], array)
    card = (folder / "README.md").read_text()
    assert "| Licence | CC0-1.0 |" in card
    assert "| Wells | 1,728 in 6 experiments |" in card
    assert "| Cell types | U2OS |" in card


def test_a_match_changes_no_byte_of_the_reference_and_no_old_neighbour(folder, old, new):
    before = tree_sha256(folder)
    vectors = open_reference(folder).map.vectors.copy()
    screen, x = new
    first = match(folder, screen.wells, x, screen.conditions)
    assert tree_sha256(folder) == before
    np.testing.assert_array_equal(open_reference(folder).map.vectors, vectors)
    direct = match(old[0], screen.wells, x, screen.conditions)
    pd.testing.assert_frame_equal(first.table, direct.table)


@pytest.mark.parametrize("name", ["arrays.safetensors", "map.parquet", "left_out.parquet"])
@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_reference_is_named(folder, tmp_path, name, damage):
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content) if damage == "flip" else (copy / name).unlink()
    word = "its bytes are not" if damage == "flip" else "missing"
    with pytest.raises(CorruptionError, match=rf"{name}: .*{word}"):
        open_reference(copy)


def test_a_newer_version_and_a_changed_index_are_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    index = json.loads((copy / "reference.json").read_text())
    index["format"], index["version"] = 2, "9.0"
    (copy / "reference.json").write_text(json.dumps(index))
    with pytest.raises(CorruptionError, match=r"written by version 9\.0.*\n.*\n.*update"):
        open_reference(copy)
    index["format"] = 1
    (copy / "reference.json").write_text(json.dumps(index))
    with pytest.raises(CorruptionError, match="own sha256"):
        open_reference(copy)
    index["own_sha256"] = own_sha256(index)
    (copy / "reference.json").write_text(json.dumps(index))
    assert open_reference(copy).about["name"] == "old"
    with pytest.raises(MissingInputError, match="is no reference"):
        open_reference(tmp_path)


def test_a_published_reference_is_never_replaced(folder, old):
    with pytest.raises(DataError, match="exists, and a published reference never changes"):
        save_reference(old[0], folder)


@pytest.mark.parametrize(
    ("license_name", "message"),
    [("", "no licence is stated"), ("CC-BY-NC-ND-4.0", "does not permit to pass on")],
)
def test_screens_that_cannot_be_passed_on_are_refused(old, license_name, message):
    screen, x = old[1]
    with pytest.raises(DataError, match=message):
        freeze(screen, x, license=license_name)


@pytest.mark.parametrize("method", ["pca-center-scale", "center-scale", "none"])
def test_every_method_of_alignment_can_be_frozen(old, new, tmp_path, method):
    screen, x = old[1]
    settings = AlignmentSettings(method=method, folds=0)
    save_reference(freeze(screen, x, settings), tmp_path / "r")
    other, y = new
    table = match(tmp_path / "r", other.wells, y, other.conditions).table
    found = table[(table["rank"] == 1) & table["name"].str.startswith("relative")]
    hits = found["neighbour"].str[1:] == found["name"].str.removeprefix("relative")
    assert hits.mean() > 0.8


def test_offsets_of_chromosome_arms_are_stored_and_taken_off_new_wells(old, world, tmp_path):
    """Genes of one arm share a shift; it is that of the reference, whatever the new screen has."""
    arms = {f"r{k}": "1p" if k < 30 else "2q" for k in range(60)}

    def cut(screen, x):
        genes = screen.conditions["perturbation"].where(screen.conditions["perturbation"] != "DMSO")
        conditions = screen.conditions.assign(
            kind=np.where(genes.isna(), "compound", "crispr"), gene=genes.fillna("")
        )
        names = cut_genes(screen.wells, conditions)
        shift = np.array([{"1p": 2.0, "2q": -2.0}.get(arms.get(name), 0.0) for name in names])
        return conditions, x + shift[:, None].astype(np.float32) * x.std(axis=0)

    screen, features = old[1]
    conditions, x = cut(screen, features)
    reader, settings = ArrayEmbeddings(screen.wells, x), AlignmentSettings(folds=0)
    alignment = fit_alignment(
        screen.wells, reader, settings, arms=ChromosomeArmCorrection(arms),
        genes=cut_genes(screen.wells, conditions),
    )  # fmt: skip
    built = perturbation_map(
        screen.wells, conditions, alignment.of(reader), MapSettings(levels=["gene"])
    )
    given = (screen.wells, conditions, reader, alignment, built)
    about = {"name": "arms", "license": "CC0-1.0"}
    with pytest.raises(DataError, match="Expected the arm of genes"):
        freeze_reference(*given, about=about)
    save_reference(freeze_reference(*given, about=about, arms=arms), tmp_path / "r")
    other, y = world.screen("new", {f"r{k}": k for k in range(0, 60, 4)})
    new_conditions, y = cut(other, y)
    result = match(tmp_path / "r", other.wells, y, new_conditions)
    first = result.table[result.table["rank"] == 1]
    assert (first["neighbour"] == first["gene"])[first["gene"] < "r4"].mean() > 0.9
    assert set(first["level"]) == {"gene"}
    offsets = open_reference(tmp_path / "r").alignment.corrections[""].arm.offsets
    np.testing.assert_array_equal(offsets, next(iter(alignment.corrections.values())).arm.offsets)
