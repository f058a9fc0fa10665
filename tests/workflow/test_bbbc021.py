"""BBBC021 from CellProfiler profiles to a manifest, a map and a report, without torch."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.data, pytest.mark.xdist_group("bbbc021")]


@pytest.fixture(scope="session")
def results(bbbc021):
    return bbbc021 / "results/bbbc021"


def test_every_well_is_kept_or_has_a_reason(results):
    wells = pd.read_parquet(results / "screens/bbbc021/wells.parquet")
    kept = pd.read_parquet(results / "curation/phenoprints/manifest")
    left = pd.read_parquet(results / "curation/phenoprints/reasons")
    assert len(wells) == 632
    assert set(kept["well_id"]) | set(left["well_id"]) == set(wells["well_id"])
    assert not set(kept["well_id"]) & set(left["well_id"])
    assert (left["reason"] != "").all()


def test_a_quarter_to_a_third_of_the_conditions_have_a_phenoprint(results):
    phenoprints = pd.read_parquet(results / "curation/phenoprints/phenoprints.parquet")
    p_values = phenoprints["p_value_cellprofiler"].dropna()
    assert 0.24 <= (p_values < 0.01).mean() <= 0.36


def test_week_6_has_one_condition_and_says_so(results):
    tests = pd.read_parquet(results / "consistency/bbbc021/cellprofiler.parquet")
    week = tests[(tests["experiment"] == "Week6") & (tests["level"] == "condition")]
    assert (week["reason"] == "too_few_conditions").any()
    assert week["p_value"].isna().all()


def test_the_guard_runs_and_the_index_page_reports_what_it_cannot_separate(results):
    funnel = json.loads((results / "curation/phenoprints/funnel.json").read_text())
    measured = funnel["measured_false"]["cellprofiler"]
    assert measured["status"] == "RUN"
    assert measured["low"] <= measured["rate"] <= measured["high"] < 0.1
    verdicts = json.loads((results / "reports/verdicts.json").read_text())["verdicts"]
    guard = [v for v in verdicts if v["rule_code"] == "CO101"]
    text = "conditions keep one position, whose effect cannot be separated from theirs"
    assert [text in v["finding"] for v in guard] == [True]
    assert {v["status"] for v in verdicts if v["rule_code"] == "CO102"} == {"CHECK"}
    page = (results / "reports/index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert text in page
    assert f"{100 * measured['high']:.1f} %" in page


def test_mechanisms_are_recalled_as_in_the_field(results):
    table = pd.read_parquet(results / "benchmarks/bbbc021/cellprofiler.parquet")
    accuracy = table[table["benchmark"] == "mechanism"].set_index("metric")["value"]
    assert accuracy["accuracy_not_same_perturbation"] >= 0.88
    assert accuracy["accuracy_not_same_perturbation_and_batch"] >= 0.63


def test_compounds_of_one_mechanism_are_related_and_stand_together(results):
    table = pd.read_parquet(results / "benchmarks/bbbc021/cellprofiler.parquet")
    assert (table["reason"] == "").all()
    recall = table[table["benchmark"] == "relationships"].set_index("metric")
    assert set(recall["source"]) == {"screen"}
    assert recall.loc["recall_0.05_0.95_right", "value"] > 0.4
    assert recall.loc["recall_0.05_0.95_right", "z"] > 3
    others = table[table["source"] == "annotation"].set_index("metric")
    assert others.loc["ks", "value"] > others.loc["ks", "random"]
    assert others.loc["fraction_enriched", "z"] > 3


def test_a_second_run_does_nothing(bbbc021, workflow):
    done = workflow(bbbc021, "--configfile", str(bbbc021 / "config.yaml"), "--", "all")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_quality_is_not_assessed_without_images(results):
    quality = pd.read_parquet(results / "quality/bbbc021.parquet")
    assert set(quality["verdict"]) == {"not assessed"}
    assert np.array_equal(np.unique(quality["site"]), [-1])
