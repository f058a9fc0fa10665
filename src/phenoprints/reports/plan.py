"""The page of a plan: what each design finds, at which cost, and what is known of the noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from phenoprints.planning import Pilot
from phenoprints.reports import numbers
from phenoprints.reports.figures import interval_chart, line_chart
from phenoprints.reports.page_model import Fact, Figure, Page, Section, Text
from phenoprints.reports.tables import Column, Table

MAX_CURVES = 6

DESIGN_COLUMNS = [
    Column("design", "Design"),
    Column("wells", "Wells", "count"),
    Column("plates", "Plates", "count"),
    Column("conditions", "Conditions", "count"),
    Column("expected", "Phenoprints expected", "number"),
    Column("interval", "90 % interval"),
    Column("false_rate", "Called without effect", "percent"),
    Column("smallest_effect", "Smallest effect found (power 0.8)", "number"),
    Column("guard", "Control guard runs", "percent"),
]
NOISE_COLUMNS = [
    Column("component", "Component"),
    Column("length", "Length, in units of the well noise", "number"),
    Column("interval", "90 % interval"),
    Column("source", "Source"),
]


def plan_page(pilot: Pilot, table: pd.DataFrame, sentences: Sequence[str]) -> Page:
    """Return the page of a plan.

    Parameters
    ----------
    pilot
        The noise and effects that the designs were simulated with.
    table
        A row per design, from `planning.predict`.
    sentences
        The recommended design of each budget.
    """
    sections = [
        Section("designs", "Designs", [_cost_figure(table), _designs_table(table)]),
        Section("power", "Which effects are found", [_power_figure(pilot, table)]),
        Section("pilot", "What the plan assumes", [Text(_effects_sentence(pilot)), _noise(pilot)]),
    ]
    facts = [
        Fact(("plan", "designs"), "Designs compared", len(table), headline=True),
        Fact(
            ("plan", "expected"),
            "Phenoprints of the best design",
            round(float(table["expected"].max()), 1),
            headline=True,
        ),
    ]
    question = "Which design finds how many phenoprints?"
    return Page("plan", "Plan", question, " ".join(sentences), sections, facts, has_verdict=False)


def _cost_figure(table: pd.DataFrame) -> Figure:
    ordered = table.sort_values("wells")
    frame = pd.DataFrame(
        {
            "name": ordered["design"] + " · " + ordered["wells"].map("{:,} wells".format),
            "value": ordered["expected"], "low": ordered["low"], "high": ordered["high"],
        }
    )  # fmt: skip
    title = "Phenoprints against wells"
    caption = (
        "Expected phenoprints of each design with the interval in which nine of ten such screens "
        "end, fewest wells first. Farther right is better."
    )
    chart = interval_chart(frame, title=title, value_title="expected phenoprints")
    return Figure("cost", title, caption, chart)


def _interval(low: float, high: float, digits: int = 0) -> str:
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _designs_table(table: pd.DataFrame) -> Table:
    frame = table.assign(
        interval=[_interval(*pair) for pair in zip(table["low"], table["high"], strict=True)]
    )
    note = (
        "Called without effect: the share of simulated conditions without any effect that the rule "
        "calls. Control guard runs: the share of simulated screens in which the guard could "
        "measure that rate on control wells."
    )
    return Table("designs-table", "What each design finds", DESIGN_COLUMNS, frame, note)


def _power_figure(pilot: Pilot, table: pd.DataFrame) -> Figure:
    shown = table.sort_values("wells")
    shown = shown.iloc[np.unique(np.linspace(0, len(shown) - 1, MAX_CURVES).round().astype(int))]
    lengths = pilot.effects.lengths
    curves = pd.concat(
        pd.DataFrame({"x": lengths, "y": row.power, "group": row.design})
        for row in shown.itertuples()
    )
    curves = curves[curves["x"] <= 4.0]
    title = "Power by length of effect"
    caption = (
        "Share of simulated conditions that have a phenoprint, by the length of their effect in "
        "units of the noise of a well; a few designs, from fewest to most wells. The value at 0 is "
        "the false rate."
    )
    chart = line_chart(
        curves, title=title, x_title="length of the effect", y_title="share that is found"
    )
    return Figure("power-curves", title, caption, chart)


def _effects_sentence(pilot: Pilot) -> str:
    share, low, high = pilot.effects.active
    if "effects" in pilot.assumed:
        return f"{numbers.percent(share)} of the conditions have an effect; this is assumed."
    return (
        f"Estimated from {pilot.num_conditions:,} conditions with replicates "
        f"({pilot.num_wells:,} wells): {numbers.percent(share)} of them have an effect "
        f"(90{numbers.NBSP}% interval {numbers.percent(low)} to {numbers.percent(high)})."
    )


def _noise(pilot: Pilot) -> Table:
    rows = []
    for name in ("plate", "position", "experiment"):
        low, high = pilot.intervals.get(name, (np.nan, np.nan))
        is_assumed = name in pilot.assumed
        rows.append(
            {
                "component": name,
                "length": getattr(pilot, name),
                "interval": "" if is_assumed else _interval(low, high, 2),
                "source": "assumed" if is_assumed else "estimated from the pilot",
            }
        )
    note = (
        "Offsets of plates, positions and experiments, beyond the noise of wells. Offsets of "
        "experiments are removed by the alignment, of the pilot too, and are assumed."
    )
    return Table("noise", "Noise of the screen", NOISE_COLUMNS, pd.DataFrame(rows), note)
