"""What the control guard measured: the rate of false phenoprints, or why it could not run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from phenoprints.consistency import ConsistencySettings
from phenoprints.curation import Rules
from phenoprints.curation.measured import REASON_TEXTS, RUN, measured_false
from phenoprints.reports import numbers, rules
from phenoprints.reports.page_model import Fact
from phenoprints.reports.stages.consistency_tests import anchor, single_positions
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Rule, Verdict

MAX_RATIO = 2.0
"""A measured rate above this multiple of the nominal one is a CHECK."""

MAX_HIGH = 0.25
"""An interval that reaches a rate above this one (or above the limit of the rate) is a CHECK."""

MAX_SINGLE = 0.5
"""Share of conditions at one position from which the verdict names what it cannot separate."""

ONE_POSITION = (
    "conditions keep one position, whose effect cannot be separated from theirs: the rate holds "
    "for the positions of the controls"
)

Guard = Mapping[str, Any]
"""The fields of phenoprints.curation.measured.Measured."""


def guard_of_judge(
    config: Mapping[str, Any], names: Mapping[str, str], table: pd.DataFrame, threshold: float
) -> Guard:
    """Measure how often one judge calls control wells of one screen, over its experiments."""
    screen, judge = names["screen"], names["encoder"]
    settings = ConsistencySettings.from_section(config["screens"][screen]["consistency"])
    rule = Rules(judges=(judge,), p_value=threshold)
    return measured_false({judge: {screen: table}}, rule, settings={screen: settings})[judge]


def is_measured(guard: Guard | None) -> bool:
    """Whether there is a rate."""
    return guard is not None and guard.get("status") == RUN


def range_of(guard: Guard) -> str:
    """`0.0 % to 12.0 %`: the interval of the rate."""
    return f"{numbers.percent(guard['low'])} to {numbers.percent(guard['high'])}"


def guard_facts(path: tuple[str, ...], who: str, guard: Guard, nominal: float) -> list[Fact]:
    """Return the measured rate with its interval and what it was measured on; nothing where it was
    not.
    """
    if not is_measured(guard):
        return []
    label = f"Measured false-phenoprint rate, {who}"
    shown = numbers.percent(guard["rate"])
    note = (
        f"{guard['tests']:,} groups of control wells with the designs of "
        f"{guard['conditions']:,} of {guard['of']:,} tested conditions; "
        f"95{numbers.NBSP}% interval {range_of(guard)}"
    )
    return [
        Fact((*path, "rate"), label, guard["rate"], shown, note, headline=True),
        Fact((*path, "low"), f"{label}: lower end", guard["low"]),
        Fact((*path, "high"), f"{label}: upper end", guard["high"]),
        Fact((*path, "below_threshold"), f"{label}: called", guard["below"]),
        Fact((*path, "tests"), f"{label}: groups of control wells", guard["tests"]),
        Fact((*path, "separate"), f"{label}: without a well in common", guard["separate"]),
        Fact((*path, "nominal"), f"Nominal rate, {who}", nominal),
    ]


def guard_verdict(
    rule: Rule, scope: str, guard: Guard | None, nominal: float, **place: Any
) -> Verdict:
    """CHECK where control wells are called more than twice as often as the rule allows.

    CHECK too where they are so few that a rate above MAX_HIGH is not excluded.
    """
    if guard is None or not is_measured(guard):
        reason = REASON_TEXTS.get(guard["reason"], guard["reason"]) if guard else REASON_TEXTS[""]
        return Verdict(rule, NOT_RUN, scope, f"No rate was measured: {reason}", **place)
    limit = MAX_RATIO * nominal
    is_wide = guard["rate"] <= limit and guard["high"] > max(MAX_HIGH, limit)
    text = (
        f"{numbers.percent(guard['rate'])} of groups of control wells are called phenoprints "
        f"(95{numbers.NBSP}% interval {range_of(guard)})"
    )
    if is_wide:
        text += (
            f"; {guard['separate']:.1f} groups without a well in common are too few to "
            f"exclude a rate above {numbers.percent(max(MAX_HIGH, limit), 0)}"
        )
    return Verdict(
        rule,
        CHECK if is_wide or guard["rate"] > limit else PASS,
        scope,
        text,
        numbers.percent(guard["rate"]),
        f"at most {numbers.percent(limit)} (nominal {numbers.percent(nominal)})",
        guard["below"],
        **place,
    )


def judge_verdict(
    names: Mapping[str, str], table: pd.DataFrame, guard: Guard, threshold: float
) -> Verdict:
    """Return the verdict about one judge on one screen, on the page of consistency."""
    scope = f"{names['screen']}, {names['encoder']}"
    place = {"page": "consistency", "anchor": anchor(names, "control")}
    verdict = guard_verdict(rules.FALSE_PHENOPRINTS, scope, guard, threshold, **place)
    single, conditions = single_positions(table)
    if not is_measured(guard) or single <= MAX_SINGLE * conditions:
        return verdict
    return replace(verdict, finding=f"{verdict.finding}; {ONE_POSITION}")


def rule_guard(document: Mapping[str, Any] | None) -> Guard | None:
    """Return funnel.json's entry for the rule of all judges; None in results of version 0.1."""
    measured = (document or {}).get("measured_false") or {}
    guard = measured.get("any")
    return guard if guard and "status" in guard else None
