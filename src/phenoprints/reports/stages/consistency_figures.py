"""The figures of consistency: p-values in all and by experiment, statistics, judges compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.figures import p_value_histogram, qq_plot
from phenoprints.reports.page_model import Figure, Gallery, Section
from phenoprints.reports.pvalue_panels import p_value_panel
from phenoprints.reports.runs import Run
from phenoprints.reports.scatter import point_map
from phenoprints.reports.stages.consistency_tests import anchor, below

MAX_PANELS = 60
"""Experiments that get a panel: those with the most and the fewest small p-values."""


def test_figures(
    names: Mapping[str, str], table: pd.DataFrame, threshold: float, guard: Mapping[str, Any]
) -> list[Figure]:
    """p-values of all conditions, the statistic against replicates, and the control guard."""
    return [
        *_p_value_figures(names, table, threshold),
        _statistic_figure(names, table, threshold),
        *_guard_figures(names, table, threshold, guard),
    ]


def experiment_panels(
    names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> list[Gallery]:
    """Return a histogram and a QQ plot of every experiment's p-values; nothing for a single one."""
    tests = table[(table["level"] == "condition") & table["p_value"].notna()]
    parts = {str(name): part for name, part in tests.groupby("experiment", sort=True)}
    if len(parts) < 2:
        return []
    shares = {name: below(part, "condition", threshold) for name, part in parts.items()}
    ranked = sorted(shares, key=lambda name: shares[name].value)
    shown = sorted({*ranked[: MAX_PANELS // 2], *ranked[-MAX_PANELS // 2 :]})
    more = (
        f" The {len(shown)} of {len(parts)} experiments with the most and the fewest."
        if len(shown) < len(parts)
        else ""
    )
    low, high = shares[ranked[0]], shares[ranked[-1]]
    return [
        Gallery(
            anchor(names, "by-experiment"),
            f"Between {low.shown} and {high.shown} of an experiment's tests lie below {threshold}",
            "p-values of each experiment's conditions: on the left their histogram, on the right "
            f"in order against uniform ones with their 95 % band.{more} Good looks alike in all "
            "experiments; one that stands out has a cause of its own.",
            [
                p_value_panel(
                    parts[name]["p_value"].to_numpy(float),
                    title=f"{name}: {shares[name].count} of {shares[name].total}",
                )
                for name in shown
            ],
        )
    ]


def _p_value_figures(
    names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> list[Figure]:
    p = table.loc[table["level"] == "condition", "p_value"].dropna().to_numpy(float)
    share = below(table, "condition", threshold)
    hits, tests, expected = share.count, share.total, threshold * share.total
    finding = f"{hits} of {tests} tests lie below {threshold}, where chance gives {expected:.1f}"
    return [
        Figure(
            anchor(names, "p-values"),
            finding,
            f"p-values of {tests} tests (a condition in an experiment), uncorrected. The line is "
            "the count without any effect. Good looks like a peak at 0 over a flat floor.",
            p_value_histogram(p, title=f"p-values: {finding}"),
        ),
        Figure(
            anchor(names, "qq"),
            "Small p-values are more frequent than by chance"
            if share.value > 2 * threshold
            else "Small p-values are about as frequent as by chance",
            f"The same {tests} p-values in order; the band holds 95 % of uniform ones, point by "
            "point. Good looks like points that leave the line at the right end only.",
            qq_plot(p, title="QQ plot of p-values"),
        ),
    ]


def _statistic_figure(names: Mapping[str, str], table: pd.DataFrame, threshold: float) -> Figure:
    tests = table[(table["level"] == "condition") & table["p_value"].notna()]
    hit = np.where(tests["p_value"] < threshold, f"p < {threshold}", "not below")
    medians = tests["statistic"].groupby(tests["p_value"] < threshold).median()
    typical = {flag: numbers.number(medians.get(flag, np.nan)) for flag in (True, False)}
    return Figure(
        anchor(names, "statistic"),
        f"Replicates agree with a median cosine of {typical[True]} below the threshold, "
        f"{typical[False]} above it",
        f"Statistic against replicates of {len(tests)} tests; without effect it is near 1/n. "
        "Good looks like two clouds at every n.",
        point_map(
            tests["num_wells"].to_numpy(float) + _spread(len(tests)),
            tests["statistic"].to_numpy(float),
            title="Statistic against number of wells",
            x_title="wells of the condition in the experiment (spread by up to 0.3)",
            y_title="mean cosine",
            group=list(hit),
        ),
    )


def _spread(size: int) -> np.ndarray:
    """Even offsets in [-0.3, 0.3] that keep points of one count apart, the same every time."""
    golden = (np.arange(size) * 0.6180339887498949) % 1.0
    offsets: np.ndarray = 0.6 * (golden - 0.5)
    return offsets


def _guard_figures(
    names: Mapping[str, str], table: pd.DataFrame, threshold: float, guard: Mapping[str, Any]
) -> list[Figure]:
    p = table.loc[table["level"] == "control", "p_value"].dropna().to_numpy(float)
    if not len(p) or guard["rate"] is None:
        return []
    rate = numbers.percent(guard["rate"])
    low, high = numbers.percent(guard["low"]), numbers.percent(guard["high"])
    return [
        Figure(
            anchor(names, "control"),
            f"Control guard: {rate} of groups of control wells are called",
            f"p-values of {len(p)} tests of control wells that copy the designs of the conditions, "
            "with as many wells on each plate, under maps that were fitted without them. Combined "
            f"over experiments, {rate} of {guard['tests']:,} groups lie below {threshold} (95 % "
            f"interval {low} to {high}). Groups reuse control wells; "
            f"{numbers.number(guard['separate'])} at a time have none in common. Good looks "
            "flat; a peak at 0 means that plates or positions pass for phenoprints.",
            p_value_histogram(p, title="p-values of control wells"),
        )
    ]


def agreement(run: Run, there: Any) -> list[Section]:
    """Judges against each other on the conditions of a screen that both tested."""
    by_screen: dict[str, list[str]] = {}
    for names in there:
        by_screen.setdefault(names["screen"], []).append(names["encoder"])
    figures = [
        figure
        for screen, judges in by_screen.items()
        for at, first in enumerate(judges)
        for second in judges[at + 1 :]
        if (figure := _agreement_figure(run, screen, first, second)) is not None
    ]
    return [Section("agreement", "Agreement of judges", figures)] if figures else []


def _agreement_figure(run: Run, screen: str, first: str, second: str) -> Figure | None:
    keys = ["experiment", "condition_id"]
    tables = [run.table("consistency", screen=screen, encoder=judge) for judge in (first, second)]
    if any(table is None for table in tables):
        return None
    ours, theirs = (
        t.loc[t["level"] == "condition", [*keys, "p_value"]] for t in tables if t is not None
    )
    both = ours.merge(theirs, on=keys).dropna()
    if len(both) < 3:
        return None
    rho = float(both["p_value_x"].rank().corr(both["p_value_y"].rank()))
    x, y = (-np.log10(both[name].to_numpy(float)) for name in ("p_value_x", "p_value_y"))
    return Figure(
        f"{screen}-{first}-{second}".replace(".", "-"),
        f"{first} and {second} agree with a rank correlation of {numbers.number(rho)} on {screen}",
        f"p-values of {len(both)} tests that both judges made. A phenoprint needs one of them.",
        point_map(
            x,
            y,
            title=f"{first} against {second}",
            x_title=f"−log10 p, {first}",
            y_title=f"−log10 p, {second}",
            has_diagonal=True,
        ),
    )
