"""The simulated screen: its tables, its truth and its images."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from phenoprints.consistency import ConsistencySettings
from phenoprints.consistency.facts import well_facts
from phenoprints.consistency.pseudo_conditions import copying_reasons
from phenoprints.consistency.separation import design_warnings
from phenoprints.foundations.errors import ConfigurationError
from phenoprints.testing.simulation import (
    BAD_KINDS,
    CHANNELS,
    SimulatedScreen,
    SimulationSettings,
    design,
    draw,
)
from phenoprints.wells.contracts import CONDITIONS, SITES, WELLS

SMALL = {
    "experiments": 2, "plates": 2, "rows": 4, "columns": 8, "unperturbed": 4,
    "negative_controls": 2, "positive_controls": 1, "genes_per_pathway": 1, "inactive_genes": 2,
    "partial_genes": 1, "guides": 1, "compounds": 2, "size_px": 64, "bad_wells": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def screen() -> SimulatedScreen:
    return design()


@pytest.fixture(scope="module")
def small() -> SimulatedScreen:
    return design(SMALL, seed=3)


def test_tables_conform_to_the_contracts_of_screens(screen: SimulatedScreen) -> None:
    for contract, table in (
        (WELLS, screen.wells), (SITES, screen.sites), (CONDITIONS, screen.conditions),
    ):  # fmt: skip
        conformed = contract.conform(table).to_pandas()
        assert conformed["well_id" if "well_id" in table else "condition_id"].tolist() == (
            table["well_id" if "well_id" in table else "condition_id"].tolist()
        )


def test_default_screen_has_the_stated_size(screen: SimulatedScreen) -> None:
    assert screen.wells.groupby("experiment").size().tolist() == [384] * 4
    assert screen.truth["truth"].value_counts().to_dict() == {"full": 51, "none": 21, "partial": 4}
    assert set(screen.wells["role"]) == {
        "treatment", "negative_control", "positive_control", "unperturbed",
    }  # fmt: skip


def test_controls_of_the_default_screen_can_copy_every_treatment(screen: SimulatedScreen) -> None:
    """So that the control guard of the demo runs; only the positive control keeps its positions."""
    facts = well_facts(screen.wells, screen.conditions)
    controls = facts[facts["is_control"]].assign(fold=-1)  # the alignment uses unperturbed wells
    reasons = copying_reasons(facts[facts["is_tested"]], controls)
    assert (reasons == "").sum() == len(screen.truth)
    assert reasons[reasons != ""].tolist() == ["positions_differ"]
    assert design_warnings(
        screen.wells,
        screen.conditions,
        ConsistencySettings(),
        is_fitted=(screen.wells["role"] == "unperturbed").to_numpy(),
        folds=3,
    ) == []  # fmt: skip


def test_every_condition_has_a_well_on_every_plate(screen: SimulatedScreen) -> None:
    treated = screen.wells[screen.wells["role"] == "treatment"].explode("conditions")
    counts = treated.groupby(["conditions", "experiment", "plate"]).size()
    assert len(counts) == len(screen.truth) * 16
    assert set(counts) == {1}


def test_moving_wells_never_return_to_a_position_within_an_experiment(
    screen: SimulatedScreen,
) -> None:
    wells = screen.wells[screen.wells["role"].isin(["treatment"])].explode("conditions")
    positions = wells.groupby(["experiment", "conditions"])["well"].nunique()
    assert set(positions) == {4}
    negative = screen.wells[screen.wells["role"] == "negative_control"]
    assert not negative.duplicated(["experiment", "well"]).any()


@pytest.mark.parametrize("role", ["treatment", "negative_control"])
def test_fixed_wells_keep_their_position_on_every_plate(role: str) -> None:
    wells = design({"positions": "fixed"}).wells
    chosen = wells[wells["role"] == role].explode("conditions")
    layouts = chosen.groupby(["experiment", "plate"])[["well", "conditions"]].apply(
        lambda plate: tuple(map(tuple, plate.to_numpy()))
    )
    assert layouts.nunique() == 1


@pytest.mark.parametrize("positions", ["moving", "fixed"])
def test_unperturbed_and_positive_controls_stand_still(positions: str) -> None:
    wells = design({"positions": positions}).wells
    for role, count in (("unperturbed", 12), ("positive_control", 2)):
        chosen = wells[wells["role"] == role]
        assert chosen["well"].nunique() == count


def test_seed_and_settings_alone_decide_the_truth(screen: SimulatedScreen) -> None:
    text = screen.truth.to_csv(index=False, lineterminator="\n")
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == TRUTH_SHA256
    assert design(seed=1).truth["truth"].tolist() == screen.truth["truth"].tolist()


def test_no_effect_leaves_no_truth_but_none(small: SimulatedScreen) -> None:
    without = design({**SMALL, "effects": 0.0}, seed=3)
    assert set(without.truth["truth"]) == {"none"}
    treated = (without.wells["role"] == "treatment").to_numpy()
    assert np.array_equal(without.traits[treated], without.nuisance.traits[treated])
    assert not np.array_equal(small.traits[treated], small.nuisance.traits[treated])


def test_a_partial_condition_has_its_effect_in_its_experiment_only(
    screen: SimulatedScreen,
) -> None:
    effects = screen.traits - screen.nuisance.traits
    partial = screen.truth[screen.truth["truth"] == "partial"].set_index("condition_id")["only_in"]
    wells = screen.wells.explode("conditions")
    for condition, experiment in partial.items():
        own = (wells["conditions"] == condition).to_numpy()
        lengths = np.linalg.norm(effects[own], axis=1)
        here = (wells["experiment"] == experiment).to_numpy()[own]
        assert here.sum() == 4
        assert np.array_equal(lengths > 1e-9, here)


def test_genes_of_a_pathway_share_a_direction_and_compounds_that_of_their_target(
    screen: SimulatedScreen,
) -> None:
    effects = screen.traits - screen.nuisance.traits
    first = screen.wells.explode("conditions").reset_index().drop_duplicates("conditions")
    of_condition = first.set_index("conditions")["index"]
    truth = screen.truth[screen.truth["truth"] == "full"]
    vectors = effects[of_condition.loc[truth["condition_id"]]]
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    same_pathway = np.equal.outer(truth["pathway"].to_numpy(), truth["pathway"].to_numpy())
    assert cosines[same_pathway].min() > cosines[~same_pathway].max()
    assert abs(cosines[~same_pathway].mean()) < 0.1
    gene = truth["gene"].where(truth["gene"].notna(), truth["target"]).to_numpy()
    assert cosines[np.equal.outer(gene, gene)].min() > 0.999


def test_a_compound_grows_with_its_dose(screen: SimulatedScreen) -> None:
    doses = screen.truth[screen.truth["target"] != ""].groupby("perturbation")
    assert doses.ngroups == 3
    for _, rows in doses:
        effects = rows.sort_values("concentration_um")["truth"].tolist()
        assert effects == ["none"] * 3 + ["full"] * 5


def test_relationships_pair_the_genes_of_each_pathway(screen: SimulatedScreen) -> None:
    genes = screen.truth[screen.truth["gene"].notna()].drop_duplicates("gene")
    pathway = genes.set_index("gene")["pathway"]
    pairs = screen.relationships
    assert len(pairs) == 18
    assert (pathway[pairs["entity1"]].to_numpy() == pathway[pairs["entity2"]].to_numpy()).all()
    assert (pairs["entity1"] < pairs["entity2"]).all()


def test_each_compound_has_one_active_gene_and_enough_inactive_ones(
    screen: SimulatedScreen,
) -> None:
    table = screen.compound_genes
    active = table[table["nM_value"] <= 1000]
    target = screen.truth.drop_duplicates("perturbation").set_index("perturbation")["target"]
    assert active["gene_symbol"].tolist() == target[active["treatment"]].tolist()
    assert set(table.groupby("treatment").size()) == {26}


def test_accidents_are_planted_equally_often(screen: SimulatedScreen) -> None:
    assert screen.bad_wells["kind"].value_counts().to_dict() == dict.fromkeys(BAD_KINDS, 9)
    assert sum(kind != "" for kind in screen.kinds) == 45


def test_an_image_is_eight_bit_and_six_channels(small: SimulatedScreen) -> None:
    image = draw(small, 0)
    assert image.shape == (len(CHANNELS), 64, 64)
    assert image.dtype == np.uint8


def test_images_are_the_same_bytes_for_the_same_seed(screen: SimulatedScreen) -> None:
    digests = {at: hashlib.sha256(draw(screen, at).tobytes()).hexdigest() for at in IMAGE_SHA256}
    assert digests == IMAGE_SHA256


def test_an_image_depends_on_its_own_well_alone(small: SimulatedScreen) -> None:
    forwards = [draw(small, at) for at in range(6)]
    backwards = [draw(design(SMALL, seed=3, screen="other"), at) for at in reversed(range(6))]
    assert all(map(np.array_equal, forwards, reversed(backwards)))
    assert not np.array_equal(forwards[0], forwards[1])
    assert not np.array_equal(forwards[0], draw(design(SMALL, seed=4), 0))


def test_planted_accidents_are_what_they_are_called(screen: SimulatedScreen) -> None:
    usual = draw(screen, screen.kinds.index(""))
    by_kind = {kind: draw(screen, screen.kinds.index(kind)) for kind in BAD_KINDS}

    def steepness(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image[3].astype(float), axis=1)).mean() / image[3].mean())

    assert (by_kind["saturated"] == 255).mean() > 0.1 > (usual == 255).mean()
    assert steepness(by_kind["blurred"]) < 0.6 * steepness(usual)
    assert by_kind["empty"].std() < 0.3 * usual.std()
    assert (by_kind["debris"].min(axis=0) > 200).sum() > 200 > (usual.min(axis=0) > 200).sum()
    assert by_kind["dead"][2].mean() < 0.5 * usual[2].mean()


def test_settings_that_cannot_be_met_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SimulationSettings(positions="random", effects=-1.0)
    message = str(caught.value)
    assert 'positions: "random"' in message
    assert "effects: -1.0" in message
    with pytest.raises(ConfigurationError) as caught:
        SimulationSettings(rows=2, columns=3, partial_genes=9)
    message = str(caught.value)
    assert "at most 6 wells on a plate" in message
    assert "at most inactive_genes (8)" in message


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigurationError, match='"experments"; did you mean "experiments"'):
        design({"experments": 3})


def test_wells_and_effects_do_not_depend_on_the_name_of_the_screen() -> None:
    one, other = design(SMALL, screen="one"), design(SMALL, screen="other")
    columns = ["experiment", "plate", "well", "role"]
    pd.testing.assert_frame_equal(one.wells[columns], other.wells[columns])
    assert np.array_equal(one.traits, other.traits)
    assert not set(one.wells["well_id"]) & set(other.wells["well_id"])


TRUTH_SHA256 = "e924049c49ea272df042b00eeae12f9a95dff08bcec8b6e7a2153ad0ad408d56"
IMAGE_SHA256 = {
    0: "9c1d8494a295c2ab1b274465ea6f1451711b5587e4c557d26c7efbd6b04f7bc2",
    700: "157de91e8ef27b9c258fe6258bee77b9c9b019d50bd94df64b039cc792aa756a",
    1535: "24c12b63c210a53be9e5dc9029fa5c47f789d377ad6e4cd7597c1a4cb3e41482",
}
