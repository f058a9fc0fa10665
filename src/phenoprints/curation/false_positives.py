"""How many phenoprints a rule would call without any effect, and what a reader is warned of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.consistency import ConsistencySettings
from phenoprints.consistency.separation import can_reach
from phenoprints.curation.measured import ANY, RUN, measured_false
from phenoprints.curation.rules import Rules
from phenoprints.foundations.errors import Problem

WARN_ABOVE = 2.0
"""A measured rate above this multiple of the nominal rate is a warning."""


def expected_false(
    table: pd.DataFrame, rules: Rules, judged_wells: Sequence[int] = ()
) -> dict[str, Any]:
    """Return how many phenoprints `rules` would call if no condition had an effect.

    Each row of `table` (perturbation, when these are judged) has a number of chances to fall below
    the threshold by luck: a judge gives one, or one per experiment where any experiment suffices;
    tests whose null sets cannot reach the threshold give none. With c chances the rate is
    1 - (1 - p_value)^c, which is exact for independent chances. Judges see the same wells, and the
    more they agree the lower the rate is, so it is an upper bound wherever there are several.

    Parameters
    ----------
    table
        As from phenoprints_table, or genes_table.
    rules
        Threshold, combination and what is judged.
    judged_wells
        Treatment wells that reach step 5 by their number of conditions (0, 1, 2, ...), as in
        `Funnel.judged_wells`. A well stays when any of its conditions has a phenoprint.

    Returns
    -------
    dict
        `rate`, `units` (with at least one chance), `count`, `is_upper_bound`, and `wells`: the
        `rate` and `count` of treatment wells that stay (None without `judged_wells`).
    """
    per_unit = _chances(table, rules)
    tested = per_unit[per_unit > 0].to_numpy()
    rates = false_rate(tested, rules.p_value)
    rate = float(rates.mean()) if len(rates) else 0.0
    return {
        "rate": rate,
        "units": len(rates),
        "count": float(rates.sum()),
        "is_upper_bound": len(judges_of(table)) > 1,
        "wells": _false_wells(rate, judged_wells),
    }


def _chances(table: pd.DataFrame, rules: Rules) -> pd.Series:
    """How many independent tests of each judged unit can fall below the threshold by luck."""
    chances = pd.Series(0, index=table.index)
    for judge in judges_of(table):
        experiments = table[f"num_experiments_{judge}"]
        of_judge = experiments if rules.combine == "any-experiment" else (experiments > 0)
        chances += of_judge * (table[f"reachable_p_value_{judge}"] < rules.p_value)
    if rules.judge_by == "perturbation":
        chances = chances.groupby([table["perturbation"], table["kind"]]).sum()
    return chances


def _false_wells(rate: float, judged_wells: Sequence[int]) -> dict[str, float] | None:
    if not sum(judged_wells):
        return None
    count = sum(n * float(false_rate(m, rate)) for m, n in enumerate(judged_wells))
    return {"rate": count / sum(judged_wells), "count": count}


def false_rate(chances: Any, p_value: float) -> Any:
    """Return the probability that at least one of `chances` independent tests falls below
    `p_value`.
    """
    return 1.0 - (1.0 - p_value) ** np.asarray(chances)


def judges_of(table: pd.DataFrame) -> list[str]:
    """Return the judges of a phenoprints or genes table."""
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
    measured: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, list[Problem]]:
    """Return the warnings about the phenoprints of `table`, by kind.

    ``limits``: no condition can reach them. ``resolution``: too few null sets. ``control``:
    control wells pass for phenoprints. ``hold_out``: held-out experiments judge. `reached` is that
    of a Funnel: the most that conditions of each kind have. `measured` is the result of
    measured_false, computed where it is not given.
    """
    if measured is None:
        measured = measured_false(consistency, rules, settings=settings)
    return {
        "limits": [
            *unreachable_threshold(rules, settings),
            *unreachable_limits(rules, reached or {}),
        ],
        "resolution": [
            *too_few_sets(consistency, rules),
            *_unresolved(table, rules, settings),
        ],
        "control": _control_problems(
            measured, expected_false(table, rules)["rate"] or rules.p_value
        ),
        "hold_out": held_out_judges(consistency, rules),
    }


def too_few_sets(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]], rules: Rules
) -> list[Problem]:
    """Return a problem per screen none of whose tests has enough null sets to fall below the
    threshold.
    """
    problems = {}
    for tables in consistency.values():
        for screen, table in tables.items():
            can = can_reach(table, rules.p_value)
            if len(can) and not can.any():
                most = table.loc[can.index, "num_sets"].max()
                problems[screen] = Problem(
                    f'consistency of "{screen}"',
                    f"no test can fall below {rules.p_value:g}: at most {most:,.0f} distinct null"
                    " sets exist",
                    f"at least {int(np.ceil(1.0 / rules.p_value))} null sets of a test",
                    "more conditions per plate, consistency.scope: across-experiments, or another"
                    " null model; see docs/consistency.md",
                )
    return list(problems.values())


def unreachable_threshold(
    rules: Rules, settings: Mapping[str, ConsistencySettings]
) -> list[Problem]:
    """Return a problem per screen whose smallest p-value is not below the threshold."""
    floors = {
        screen: 1.0 / (each.num_null + (each.p_value_formula == "plus-1"))
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
    """Return a problem per kind of perturbation none of whose conditions passes step 3."""
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
    """Return a problem per screen whose tests run over all experiments, those held
    out among them.
    """
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


def _control_problems(measured: Mapping[str, Mapping[str, Any]], nominal: float) -> list[Problem]:
    """Return a problem where the rule calls control wells more than twice as often as it allows."""
    rule = measured.get(ANY)
    if rule is None or rule["status"] != RUN or rule["rate"] <= WARN_ABOVE * nominal:
        return []
    return [
        Problem(
            "control guard",
            f"the rule calls {rule['rate']:.1%} of pseudo-conditions of control wells that copy the"
            f" designs of the conditions (95 % interval {rule['low']:.1%} to {rule['high']:.1%})",
            f"at most {WARN_ABOVE * nominal:.1%}",
            "see docs/how-to/positions.md",
        )
    ]
