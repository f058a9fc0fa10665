"""BBBC021's real profiles from the wells table to the manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import kstest

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.configuration import load, screen_settings
from phenoprints.consistency import (
    ConsistencySettings,
    Design,
    experiment_consistency,
    screen_consistency,
)
from phenoprints.consistency.separation import design_warnings
from phenoprints.consistency.settings import NULL_MODELS
from phenoprints.curation import Rules, curate, phenoprints_table
from phenoprints.curation.measured import measured_false
from phenoprints.reports.stages.guard import judge_verdict
from phenoprints.screens import read

pytestmark = pytest.mark.data

ROOT = Path(__file__).parents[2]


class Profiles:
    """The profile columns as embeddings."""

    def __init__(self, wells, x):
        self.x = {e: x[rows] for e, rows in wells.groupby("experiment").indices.items()}
        self.experiments, self.attributes = sorted(self.x), {}

    def read(self, experiment):
        return self.x[experiment]


@pytest.fixture(scope="module")
def screen(test_data):
    config = yaml.safe_load((ROOT / "config/examples/bbbc021.yaml").read_text())
    config["screens"]["bbbc021"]["root"] = str(test_data / "profiles/bbbc021")
    resolved = load(config)
    settings = screen_settings(resolved, "bbbc021")
    return read(settings, name="bbbc021"), resolved["screens"]["bbbc021"]


@pytest.fixture(scope="module")
def profiles(screen, test_data):
    wells = screen[0].wells
    name = "profiles/bbbc021/ljosa_jbiomolscreen_2013_per_well_mean.csv.gz"
    table = pd.read_csv(test_data / name)
    keys = ["plate", "well"]
    table = table.rename(columns={"Image_Metadata_Plate": "plate", "Image_Metadata_Well": "well"})
    x = wells[keys].merge(table, on=keys, validate="one_to_one").drop(columns=keys)
    x = x.loc[:, x.columns.str.match("Cells|Nuclei|Cytoplasm")]
    return Profiles(wells, x.to_numpy(np.float32))


@pytest.fixture(scope="module", params=["tvn", "pca-center-scale"])
def tests(request, screen, profiles):
    read_screen, section = screen
    settings = AlignmentSettings(method=request.param)
    aligned = fit_alignment(read_screen.wells, profiles, settings, is_precomputed=True).of(profiles)
    return screen_consistency(
        read_screen.wells,
        read_screen.conditions,
        aligned,
        settings=ConsistencySettings.from_section(section["consistency"], section["limits"]),
    )


def test_share_of_conditions_below_the_threshold(tests):
    conditions = tests[tests["level"] == "condition"]
    assert len(conditions) == 103
    assert 0.24 <= (conditions["p_value"] < 0.01).mean() <= 0.36
    assert conditions["num_wells"].isin([2, 3]).all()


def test_replicates_resemble_each_other(tests):
    conditions = tests[tests["level"] == "condition"]
    n = conditions["num_wells"]
    cosine = (conditions["statistic"] * n - 1) / (n - 1)
    assert 0.72 < cosine.median() < 0.85


def test_the_week_with_one_condition_is_not_tested(tests):
    week = tests[(tests["experiment"] == "Week6") & (tests["level"] == "condition")]
    assert week["reason"].tolist() == ["too_few_conditions"]
    assert week["p_value"].isna().all()


def test_the_guard_measures_what_positions_call(tests, screen):
    """Treatments and controls keep their positions, so each group of controls keeps one, too."""
    assert tests.loc[tests["level"] == "condition", "single_position"].all()
    control = tests[tests["level"] == "control"]
    assert control.loc[control["p_value"].notna(), "single_position"].all()
    settings = {"bbbc021": ConsistencySettings.from_section(screen[1]["consistency"])}
    rules = Rules(judges=("j",))
    guard = measured_false({"j": {"bbbc021": tests}}, rules, settings=settings)["any"]
    assert guard["status"] == "RUN"
    assert guard["conditions"] == guard["of"] == 102
    assert guard["separate"] == 96  # 6 controls on each of 16 sets of plates
    assert guard["rate"] <= 0.02
    assert guard["high"] < 0.1
    names = {"screen": "bbbc021", "encoder": "j"}
    text = judge_verdict(names, tests, guard, 0.01).finding
    assert "conditions keep one position, whose effect cannot be separated from theirs" in text


def test_the_layout_is_cautioned_of_before_the_run(screen):
    read_screen, section = screen
    texts = design_warnings(
        read_screen.wells,
        read_screen.conditions,
        ConsistencySettings.from_section(section["consistency"], section["limits"]),
        is_fitted=(read_screen.wells["role"] == "negative_control").to_numpy(),
        folds=3,
    )
    assert any("keep their positions on all plates" in text for text in texts)


@pytest.fixture(scope="module")
def controls(screen, profiles):
    """DMSO wells of all weeks with their aligned profiles."""
    wells = screen[0].wells
    aligned = fit_alignment(wells, profiles, AlignmentSettings(), is_precomputed=True).of(profiles)
    x = np.concatenate([aligned.read(week) for week in aligned.experiments])
    is_control = (wells["role"] == "negative_control").to_numpy()
    return wells[is_control].reset_index(drop=True), x[is_control]


@pytest.mark.parametrize("null", [*NULL_MODELS, "across-experiments"])
def test_shuffled_controls_have_uniform_p_values(null, controls):
    """Pseudo-conditions of three DMSO wells, drawn anew for every seed.

    Of one week, but across experiments of three weeks, which null sets copy.
    """
    wells, x = controls
    weeks = wells["experiment"].value_counts().index
    is_across = null == "across-experiments"
    chosen = wells["experiment"].isin(weeks[: 3 if is_across else 1]).to_numpy()
    wells, x = wells[chosen], x[chosen]
    p_values = []
    for seed in range(500):
        rng = np.random.default_rng(seed)
        label = shuffled_labels(wells["experiment"], rng) if is_across else (
            rng.permutation(len(x)) // 3
        )  # fmt: skip
        design = Design(
            wells["experiment"].to_numpy(object) if is_across else "",
            group=label,
            plate=wells["plate"],
            edge=np.zeros(len(x)),
            is_control=label > 0 if null == "negative-controls" else None,
        )
        table = experiment_consistency(
            x, np.where(label == 0, 0, None), design, num_null=1000, threshold=1.0, seed=seed,
            null_model="plate-matched" if is_across else null,
        )  # fmt: skip
        p_values += table["p_value"].tolist()
    assert len(p_values) == 500
    assert kstest(p_values, "uniform").pvalue > 1e-3


def shuffled_labels(experiment, rng):
    """The number of each well in a random order of its experiment: one well of each per label."""
    order = rng.permutation(len(experiment))
    number = experiment.iloc[order].groupby(experiment.iloc[order]).cumcount()
    return number.sort_index().to_numpy()


def wells_wanted(section):
    """The limits of a screen's section without its scopes."""
    keys = ("min_experiments", "min_wells")
    return {kind: {key: of[key] for key in keys} for kind, of in section["limits"].items()}


def test_from_tests_to_a_manifest(tests, screen):
    read_screen, section = screen
    rules = Rules(judges=("j",), limits=wells_wanted(section))
    table = phenoprints_table({"j": {"bbbc021": tests}}, read_screen.conditions, rules)
    funnel = curate(read_screen.wells, table, rules, seed=3)
    found = table["has_phenoprint"].sum()
    steps = {step["step"]: step for step in funnel.steps}
    assert steps["replicates"]["after"]["wells"] == steps["replicates"]["before"]["wells"] == 632
    assert funnel.after["conditions"] == found + 1  # and DMSO
    assert 70 <= funnel.after["roles"]["negative_control"] <= 130  # 30 % of 330
    assert set(funnel.reasons["reason"]) == {"not_sampled", "no_phenoprint", "untestable"}
    assert (funnel.reasons["reason"] == "untestable").sum() == 3
    assert funnel.is_kept.sum() + len(funnel.reasons) == 632
