"""BBBC021's real profiles: mechanisms are found again as the field has seen them."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.bbbc021 import read_profiles

from phenoprints.alignment import PCACenterScale, TypicalVariationNormalization
from phenoprints.benchmarks import mechanism_accuracy, relationship_recall
from phenoprints.maps import aggregate

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def screen(test_data):
    return read_profiles(test_data / "profiles" / "bbbc021")


@pytest.mark.parametrize(
    ("method", "other_compound", "other_week"),
    [
        (PCACenterScale(standardize_first=True), 0.86, 0.61),
        (TypicalVariationNormalization(), 0.88, 0.63),
    ],
    ids=["pca-center-scale", "tvn"],
)
def test_mechanisms_of_bbbc021(screen, method, other_compound, other_week):
    wells, x = screen
    is_control = (wells["compound"] == "DMSO").to_numpy()
    aligned = method.fit_transform(x, is_control, wells["experiment"])
    assert method.num_components_ == 271
    key = wells["compound"] + " " + wells["concentration"].astype(str)
    names, code = np.unique(key.to_numpy(str), return_inverse=True)
    vectors = aggregate(aligned, np.where(is_control, -1, code), len(names), how="mean")
    first = wells.groupby(code).first()
    treated = np.isfinite(vectors).all(axis=1)
    first, vectors = first[treated], vectors[treated]
    assert len(vectors) == 103
    arguments = (vectors, first["moa"].tolist(), first["compound"].tolist())
    found = mechanism_accuracy(*arguments)
    assert found.accuracy >= other_compound
    assert found.random < 0.15
    weeks = [[week] for week in first["experiment"]]
    assert mechanism_accuracy(*arguments, batches=weeks).accuracy >= other_week


def test_compounds_of_one_mechanism_are_related_on_the_map(screen):
    wells, x = screen
    is_control = (wells["compound"] == "DMSO").to_numpy()
    aligned = TypicalVariationNormalization().fit_transform(x, is_control, wells["experiment"])
    names, code = np.unique(wells["compound"].to_numpy(str), return_inverse=True)
    vectors = aggregate(aligned, np.where(is_control, -1, code), len(names))
    treated = wells.loc[~is_control, ["compound", "moa"]].drop_duplicates()
    treated = treated.drop_duplicates("compound")  # a few compounds have two mechanisms by dose
    pairs = treated.merge(treated, on="moa").rename(
        columns={"compound_x": "entity1", "compound_y": "entity2"}
    )
    result = relationship_recall(vectors, names.tolist(), pairs).set_index("tails")
    assert result.loc["both", "num_perturbations"] == 38
    assert result.loc["right", "recall"] > 0.4
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    assert relationship_recall(vectors, shuffled, pairs)["recall"].max() < 0.25
