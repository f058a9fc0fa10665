"""Two curations compared: which wells have another fate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.curation import Rules, compare_manifests, curate
from phenoprints.curation.manifest import write_manifest
from phenoprints.curation.parts import TableParts, screen_parts
from phenoprints.foundations.errors import MissingInputError


def written(folder, wells, phenoprints, rules, **options):
    parts = screen_parts(wells, np.arange(40, dtype=np.int32), **options)
    write_manifest(TableParts(parts), phenoprints, rules, folder / "manifest", folder / "reasons")
    return folder


def test_changes_by_step_and_reason(wells, phenoprints, quality, tmp_path):
    rules = [Rules(judges=("j",), min_wells=20), Rules(judges=("j",), min_wells=25, rare="all")]
    one, two = (
        written(tmp_path / str(i), wells, phenoprints, rule, quality=quality)
        for i, rule in enumerate(rules)
    )
    changes = compare_manifests(one, two)
    fates = []
    for rule in rules:
        funnel = curate(wells, phenoprints, rule, quality=quality)
        fate = pd.Series("kept", index=wells["well_id"])
        fate[funnel.reasons["well_id"]] = funnel.reasons["reason"].to_numpy()
        fates.append(fate.to_numpy())
    expected = pd.crosstab(fates[0], fates[1]).stack()
    expected = expected[expected.index.get_level_values(0) != expected.index.get_level_values(1)]
    found = changes.set_index(["reason", "other_reason"])["wells"]
    assert found.to_dict() == expected[expected > 0].to_dict()
    assert changes["wells"].is_monotonic_decreasing
    assert (changes.loc[changes["reason"] == "kept", "step"] == "").all()


def test_equal_curations_do_not_differ(wells, phenoprints, tmp_path):
    one = written(tmp_path / "1", wells, phenoprints, Rules(min_wells=20))
    assert compare_manifests(one, one).empty


def test_wells_of_one_curation_alone(wells, phenoprints, tmp_path):
    rules = Rules(min_wells=1, min_experiments=1, max_perturbations=9)
    one = written(tmp_path / "1", wells, phenoprints, rules)
    two = written(tmp_path / "2", wells[wells["experiment"] != "e0"], phenoprints, rules)
    changes = compare_manifests(one, two)
    assert set(changes["other_reason"]) == {"absent"}
    assert changes["wells"].sum() == 200


def test_a_missing_curation_is_named(tmp_path):
    with pytest.raises(MissingInputError, match="Expected the folder of a curation"):
        compare_manifests(tmp_path / "a", tmp_path / "b")
