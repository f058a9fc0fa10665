"""How many phenoprints a rule would call without any effect, and how many it calls by position."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.consistency import ConsistencySettings
from phenoprints.curation.rules import Rules
from phenoprints.foundations.errors import Problem

WARN_ABOVE = 2.0
"""A layout rate above this multiple of the nominal rate is a warning."""


def expected_false(table: pd.DataFrame, rules: Rules) -> dict[str, Any]:
    """The phenoprints that `rules` would call if no condition had an effect, as rate and count.

    Each row of `table` (perturbation, when these are judged) has a number of independent chances to
    fall below the threshold by luck: a judge gives one, or one per experiment where any experiment
    suffices. With c chances the rate is 1 - (1 - p_value)^c; the mean is over all that are tested.
    """
    judges = judges_of(table)
    if not judges:
        return {"rate": 0.0, "units": 0, "count": 0.0}
    experiments = table[[f"num_experiments_{judge}" for judge in judges]].to_numpy()
    chances = experiments if rules.combine == "any-experiment" else (experiments > 0)
    per_unit = pd.Series(chances.sum(axis=1), index=table.index)
    if rules.judge_by == "perturbation":
        per_unit = per_unit.groupby([table["perturbation"], table["kind"]]).sum()
    tested = per_unit[per_unit > 0].to_numpy()
    rates = false_rate(tested, rules.p_value)
    return {
        "rate": float(rates.mean()) if len(rates) else 0.0,
        "units": len(rates),
        "count": float(rates.sum()),
    }


def false_rate(chances: Any, p_value: float) -> Any:
    """The probability that at least one of `chances` independent tests falls below `p_value`."""
    return 1.0 - (1.0 - p_value) ** np.asarray(chances)


def measured_false(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]], rules: Rules
) -> dict[str, dict[str, Any]]:
    """By judge, and for any judge: how many pseudo-conditions fall below the threshold.

    A pseudo-condition is made of control wells that share their position and nothing else.
    """
    parts = []
    for judge, tables in consistency.items():
        for screen, table in tables.items():
            rows = table[(table["level"] == "layout") & table["p_value"].notna()]
            parts.append(rows.assign(judge=judge, screen=screen))
    columns = ["judge", "screen", "experiment", "name", "p_value"]
    rows = pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
    best = rows.groupby(["screen", "experiment", "name"])["p_value"].min()
    rates = {str(judge): part["p_value"] for judge, part in rows.groupby("judge")}
    return {name: _rate(p, rules.p_value) for name, p in {**rates, "any": best}.items()}


def _rate(p: pd.Series, p_value: float) -> dict[str, Any]:
    below = int((p < p_value).sum())
    return {"tests": len(p), "below": below, "rate": below / len(p) if len(p) else None}


def judges_of(table: pd.DataFrame) -> list[str]:
    """The judges of a phenoprints or genes table."""
    prefix = "smallest_p_value_"
    names = [str(column) for column in table.columns]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def overlap_of_judges(table: pd.DataFrame, rules: Rules) -> list[dict[str, Any]]:
    """For every set of judges: the units that exactly these judges give a phenoprint.

    Judged one by one, before the verdict spreads over a perturbation.
    """
    judges = judges_of(table)
    column = "p_value" if rules.combine == "cauchy" else "smallest_p_value"
    calls = {judge: (table[f"{column}_{judge}"] < rules.p_value) for judge in judges}
    result: list[dict[str, Any]] = []
    for size in range(len(judges) + 1 if judges else 0):
        for chosen in combinations(judges, size):
            exact = np.logical_and.reduce(
                [call if judge in chosen else ~call for judge, call in calls.items()]
            )
            result.append({"judges": list(chosen), "units": int(np.sum(exact))})
    return result


def warnings_of(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]],
    table: pd.DataFrame,
    rules: Rules,
    settings: Mapping[str, ConsistencySettings],
    reached: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, list[Problem]]:
    """What a reader must know before trusting the phenoprints of `table`, by kind.

    ``limits``: no condition can reach them. ``resolution``: too few null sets. ``layout``:
    positions pass for phenoprints. ``hold_out``: held-out experiments judge. `reached` is that of
    a Funnel: the most that conditions of each kind have.
    """
    return {
        "limits": [
            *unreachable_threshold(rules, settings),
            *unreachable_limits(rules, reached or {}),
        ],
        "resolution": _unresolved(table, rules, settings),
        "layout": [
            _layout_problem(judge, rate, rules)
            for judge, rate in measured_false(consistency, rules).items()
            if judge != "any" and (rate["rate"] or 0.0) > WARN_ABOVE * rules.p_value
        ],
        "hold_out": held_out_judges(consistency, rules),
    }


def unreachable_threshold(
    rules: Rules, settings: Mapping[str, ConsistencySettings]
) -> list[Problem]:
    """A problem per screen whose smallest p-value is not below the threshold."""
    floors = {
        screen: 1.0 / (each.num_null + (each.p_form == "plus-1"))
        for screen, each in sorted(settings.items())
    }
    return [
        Problem(
            f'consistency of "{screen}"',
            f"the smallest p-value, {floor:g}, is not below the threshold {rules.p_value:g}",
            f"num_null above {int(np.ceil(1.0 / rules.p_value))}",
            "raise consistency.num_null, or p_value of the manifest",
        )
        for screen, floor in floors.items()
        if rules.judges and floor >= rules.p_value
    ]


def unreachable_limits(rules: Rules, reached: Mapping[str, Mapping[str, int]]) -> list[Problem]:
    """A problem per kind of perturbation none of whose conditions passes step 3."""
    return [
        Problem(
            "step 3 of the funnel",
            f"no condition of kind {kind} reaches {key} {rules.least(key, kind)}:"
            f" the most is {most[key]}",
            "limits that the screen can reach",
            "name the screen's preset, or set limits",
        )
        for kind, most in sorted(reached.items())
        for key in ("min_experiments", "min_wells")
        if most["min_wells"] and most[key] < rules.least(key, kind)
    ]


def held_out_judges(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]], rules: Rules
) -> list[Problem]:
    """A problem per screen whose tests run over all experiments, those held out among them."""
    across = {
        screen
        for tables in consistency.values()
        for screen, table in tables.items()
        if ((table["experiment"] == "") & table["p_value"].notna()).any()
    }
    return [
        Problem(
            f'consistency of "{screen}"',
            "tests across experiments have seen the experiments that are held out",
            "tests within experiments, or a screen without these experiments",
            "leave them out of the screen with include_experiments",
        )
        for screen in sorted(across)
        if rules.hold_out
    ]


def _unresolved(
    table: pd.DataFrame, rules: Rules, settings: Mapping[str, ConsistencySettings]
) -> list[Problem]:
    """One experiment at the floor 1/K and the rest at 0.5 combine to about m/K: too coarse."""
    most = max((int(table[f"num_experiments_{j}"].max()) for j in judges_of(table)), default=0)
    return [
        Problem(
            f'consistency of "{screen}"',
            f"num_null {each.num_null} cannot resolve a combined p-value of {rules.p_value:g} over"
            f" {most} experiments",
            f"at least {int(np.ceil(most / rules.p_value))}",
            "raise consistency.num_null",
        )
        for screen, each in sorted(settings.items())
        if most and each.num_null < most / rules.p_value and rules.combine == "cauchy"
    ]


def _layout_problem(judge: str, rate: Mapping[str, Any], rules: Rules) -> Problem:
    return Problem(
        f'layout guard of judge "{judge}"',
        f"{rate['below']} of {rate['tests']} groups of control wells that share only their"
        f" position ({rate['rate']:.1%}) have p < {rules.p_value:g}",
        f"at most {WARN_ABOVE * rules.p_value:.1%}",
        "compare the null layout-matched and, where plates hold many controls,"
        " alignment.remove_position: plate-rows-columns; see docs/consistency.md",
    )
