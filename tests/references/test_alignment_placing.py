"""BBBC021: a week that was left out and placed is as good as one that was fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.bbbc021 import read_profiles

from phenoprints.alignment import AlignmentSettings, fit_alignment, place_experiments
from phenoprints.benchmarks.mechanism import admissible, nearest_admissible
from phenoprints.maps import aggregate

pytestmark = pytest.mark.data


class Profiles:
    def __init__(self, wells, x):
        self.arrays = {
            name: x[index] for name, index in wells.groupby("experiment").indices.items()
        }
        self.attributes = {}

    @property
    def experiments(self):
        return sorted(self.arrays)

    def read(self, experiment):
        return self.arrays[experiment]


@pytest.fixture(scope="module")
def screen(test_data):
    wells, x = read_profiles(test_data / "profiles" / "bbbc021")
    return wells, x.astype(np.float32)


def found_again(wells, y):
    """Whether the nearest treatment of another compound has the same mechanism, by treatment."""
    is_control = (wells["role"] == "negative_control").to_numpy()
    key = (wells["compound"] + " " + wells["concentration"].astype(str)).to_numpy(str)
    names, code = np.unique(key, return_inverse=True)
    vectors = aggregate(y, np.where(is_control, -1, code), len(names), how="mean")
    first = wells.groupby(code).first()
    treated = np.isfinite(vectors).all(axis=1)
    first, vectors = first[treated], vectors[treated]
    nearest = nearest_admissible(vectors, admissible(first["compound"].to_numpy(str)))
    moa = first["moa"].to_numpy(str)
    return pd.Series(moa[nearest] == moa, first["experiment"])


CASES = [
    ({"method": "tvn", "shrinkage": "oas"}, 0.02),
    ({"method": "pca-center-scale"}, 0.02),
    ({"method": "tvn"}, 0.02),
]


@pytest.mark.parametrize(("options", "margin"), CASES, ids=str)
def test_mechanisms_of_a_placed_week_are_found_as_well_as_after_a_fit_of_all(
    screen, options, margin
):
    """The treatments of each week in turn: nearly as often right, and no stored vector moves."""
    wells, x = screen
    settings = AlignmentSettings(folds=0, **options)
    reader = Profiles(wells, x)
    whole = fit_alignment(wells, reader, settings, is_precomputed=True).of(reader)
    y = np.concatenate([whole.read(name) for name in whole.experiments])
    refitted, placed = found_again(wells, y), []
    for week in reader.experiments:
        is_new = (wells["experiment"] == week).to_numpy()
        old = wells[~is_new].reset_index(drop=True), x[~is_new]
        new = wells[is_new].reset_index(drop=True), x[is_new]
        old_reader, new_reader = Profiles(*old), Profiles(*new)
        frozen = fit_alignment(old[0], old_reader, settings, is_precomputed=True)
        before = {name: frozen.of(old_reader).read(name) for name in old_reader.experiments}
        added = place_experiments(frozen, new[0], new_reader).of(new_reader)
        both = {**before, week: added.read(week)}
        hits = found_again(wells, np.concatenate([both[name] for name in sorted(both)]))
        placed += hits[hits.index == week].tolist()
        for name, vectors in before.items():
            np.testing.assert_array_equal(frozen.of(old_reader).read(name), vectors)
    assert len(placed) == len(refitted) == 103
    assert np.mean(placed) >= refitted.mean() - margin
