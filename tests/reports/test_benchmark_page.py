"""The page of benchmarks: significance decides, in-sample controls are marked."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from phenoprints.reports import rules
from phenoprints.reports.stages.benchmarks import TIDY, benchmark_table, page
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS

ACTIVITY = {
    "benchmark": "activity", "metric": "mean_average_precision", "value": 0.7, "sd": 0.35,
    "n": 40, "random": 0.2, "random_sd": 0.01, "z": 1.4, "significance": 25.0,
}  # fmt: skip
MAGNITUDE = {
    "benchmark": "magnitude", "source": "condition", "metric": "unbiased", "value": 1.0, "sd": 2.0,
    "n": 40, "random": 0.0, "random_sd": 0.1, "z": 0.5, "significance": np.nan,
}  # fmt: skip


def make_run(*rows, controls="cross-fitted"):
    """A run of one screen and encoder whose benchmark table has these rows."""
    table = pd.DataFrame([{"encoder": "e", **row} for row in rows]).reindex(columns=TIDY)
    benchmarks = {"magnitude": {"controls": controls}}
    return SimpleNamespace(
        plan=SimpleNamespace(evaluated_pairs=[("s", "e")]),
        config={
            "encoders": {"e": {"kind": "precomputed"}},
            "screens": {"s": {"benchmarks": benchmarks}},
            "benchmarks": benchmarks,
        },
        table=lambda *_, **__: table,
    )


def verdict_of(monkeypatch, run):
    """BE101 of the page, whose other sections need files."""
    for name in ("across_sections", "terms_sections"):
        monkeypatch.setattr(f"phenoprints.reports.stages.benchmarks.{name}", lambda _: [])
    found = SimpleNamespace(verdict=lambda *_: None, boxes=list)
    monkeypatch.setattr("phenoprints.reports.stages.benchmarks.look_for", lambda *_: found)
    verdicts = [verdict for verdict in page(run).verdicts if verdict is not None]
    return next(verdict for verdict in verdicts if verdict.rule is rules.BEATS_RANDOM)


def test_effects_that_differ_in_size_are_not_called_chance(monkeypatch):
    """24 of 40 compounds have an effect: the spread between compounds is large, z is small."""
    assert verdict_of(monkeypatch, make_run(ACTIVITY)).status == PASS


@pytest.mark.parametrize("significance", [-1.0, 2.9])
def test_values_near_chance_are_named(monkeypatch, significance):
    run = make_run({**ACTIVITY, "significance": significance})
    verdict = verdict_of(monkeypatch, run)
    assert verdict.status == CHECK
    assert "activity" in verdict.finding


def test_in_sample_magnitude_has_no_significance_and_is_marked(monkeypatch):
    run = make_run(MAGNITUDE, controls="as-fitted")
    assert benchmark_table(run)["controls"].tolist() == ["in-sample"]
    assert verdict_of(monkeypatch, run).status == NOT_RUN
    assert benchmark_table(make_run(MAGNITUDE))["controls"].tolist() == [""]
