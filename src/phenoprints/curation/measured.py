"""The measured rate of false phenoprints: control wells under the rule that judges conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.consistency import ConsistencySettings
from phenoprints.curation.phenoprints import Tests, has_gene, judged, level_of, renumbered
from phenoprints.curation.rules import Rules

ANY = "any"
"""The rule itself: a phenoprint by any of the judges."""

RUN, NOT_RUN = "RUN", "NOT RUN"

MIN_COPIED = 0.5
"""Share of the tested conditions whose design must have been copied for a rate to be stated."""

LEVEL = 0.95
"""Coverage of the interval."""

REASON_TEXTS = {
    "": "the control guard is switched off, or nothing was tested",
    "no_controls": "plates with tested conditions have no control wells",
    "too_few_controls": "plates have fewer control wells of one fold than conditions have wells",
    "positions_differ": "conditions keep their position over plates and control wells do not",
    "not_cross_fitted": "the alignment has no maps that were fitted without some of the controls",
    "untestable": "the pseudo-conditions have no p-value",
    "perturbations": "the controls do not suffice for all conditions of a perturbation at once",
    "genes": "the rule judges genes by the p-values of their guides, whose designs are not copied",
}
"""Why no rate was measured, in words."""


@dataclass(frozen=True)
class Measured:
    """How often the rule calls control wells that copy the designs of the conditions.

    Attributes
    ----------
    status
        RUN, or NOT RUN with the `reason`; then all numbers but `conditions` and `of` are None or 0.
    rate, low, high
        Share called, every copied condition weighing the same, and its 95 % interval.
    tests, below
        Pseudo-conditions (pseudo-perturbations, when these are judged), and those called.
    separate
        How many of them share no control well: what the interval counts.
    conditions, of
        Conditions (perturbations) whose design was copied, of those tested that it was tried for:
        all, or of large screens a random sample.
    """

    status: str
    reason: str = ""
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    tests: int = 0
    below: int = 0
    separate: float = 0.0
    conditions: int = 0
    of: int = 0


def measured_false(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]],
    rules: Rules,
    *,
    conditions: pd.DataFrame | None = None,
    new_ids: Mapping[str, NDArray[np.int32]] | None = None,
    settings: Mapping[str, ConsistencySettings] | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure, by judge and for any of them, how often the rule calls control wells.

    Pseudo-conditions are combined over experiments, clipped and judged by the functions that judge
    conditions.

    Parameters
    ----------
    consistency
        By judge and then by screen, the table of phenoprints.consistency.contracts.
    rules
        The rule whose false phenoprints are measured.
    conditions
        All conditions of the manifest; needed where perturbations are judged.
    new_ids, settings
        As for `phenoprints_table`.

    Returns
    -------
    dict
        By judge, and under `ANY` for the rule of all judges, the fields of `Measured`.
    """
    if not consistency:
        return {}
    names = [*consistency, ANY]
    if rules.judge_by == "gene":
        has_genes = (
            _has_pseudo_genes(table) for of in consistency.values() for table in of.values()
        )
        if not any(has_genes):
            return {name: asdict(Measured(NOT_RUN, "genes")) for name in names}
        consistency, new_ids = _of_genes(consistency, conditions, new_ids or {}), None
    units, tests = _pseudo_tests(consistency, rules, new_ids or {}, settings or {})
    tested = _tested(consistency, rules, new_ids or {})
    reasons = _reasons(consistency, rules)
    table = judged(units, tests, rules)
    column = "p_value" if rules.combine == "cauchy" else "smallest_p_value"
    calls = {
        judge: (table[f"{column}_{judge}"] < rules.p_value, table[f"p_value_{judge}"].notna())
        for judge in consistency
    }
    calls[ANY] = (table["has_phenoprint"].astype(bool), table["is_testable"].astype(bool))
    return {
        name: asdict(_measured(_Calls.of(units, *calls[name]), tested[name], reasons[name], rules,
                               conditions))
        for name in names
    }  # fmt: skip


def _has_pseudo_genes(table: pd.DataFrame) -> bool:
    return bool((table["level"] == "control_gene").any())


def _of_genes(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]],
    conditions: pd.DataFrame | None,
    new_ids: Mapping[str, NDArray[np.int32]],
) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the tables with genes in the place of their conditions, numbered after all conditions.

    Conditions without a gene stay, where `conditions` names the genes, in the manifest's numbering.
    """
    tables = [table for of_screen in consistency.values() for table in of_screen.values()]
    genes = sorted({name for t in tables for name in t.loc[t["level"] == "gene", "name"]})
    without = np.zeros(0, dtype=np.int64)
    if conditions is not None:
        without = conditions.loc[~has_gene(conditions), "condition_id"].to_numpy(np.int64)
    first = 1 + max([0, *(int(t["condition_id"].max()) for t in tables), *without.tolist()])
    codes = {gene: first + i for i, gene in enumerate(genes)}
    return {
        judge: {
            screen: _with_genes(table, codes, without, new_ids.get(screen), screen)
            for screen, table in of_screen.items()
        }
        for judge, of_screen in consistency.items()
    }


def _with_genes(
    table: pd.DataFrame,
    codes: Mapping[str, int],
    without: NDArray[np.int64],
    new_ids: NDArray[np.int32] | None,
    screen: str,
) -> pd.DataFrame:
    plain = table[table["level"].isin(("condition", "control"))]
    ids = plain["condition_id"].to_numpy()
    ids = ids if new_ids is None else renumbered(ids, new_ids, screen)
    plain = plain.assign(condition_id=ids)[np.isin(ids, without)]
    genes = table[table["level"] == "gene"]
    genes = genes.assign(level="condition", condition_id=genes["name"].map(codes), name="")
    copies = table[table["level"] == "control_gene"]
    parts = copies["name"].str.split("/", n=2, expand=True).reindex(columns=range(3))
    name = (parts[0] + "/" + parts[1]).where(parts[0] != "", "")
    copies = copies.assign(level="control", condition_id=parts[2].map(codes), name=name)
    joined = pd.concat([plain, genes, copies], ignore_index=True)
    return joined.dropna(subset="condition_id").astype({"condition_id": np.int64})


def _pseudo_tests(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]],
    rules: Rules,
    new_ids: Mapping[str, NDArray[np.int32]],
    settings: Mapping[str, ConsistencySettings],
) -> tuple[pd.DataFrame, dict[str, Tests]]:
    """Return the pseudo-conditions of all judges (condition_id, name), and each judge's tests of
    them.
    """
    rows = {
        judge: _rows(tables, "control", rules, new_ids) for judge, tables in consistency.items()
    }
    rows = {judge: part[part["name"] != ""] for judge, part in rows.items()}
    keys = ["condition_id", "name"]
    units = pd.concat([part[keys] for part in rows.values()]).drop_duplicates()
    units = units.sort_values(keys, ignore_index=True).assign(unit=lambda each: each.index)
    tests = {
        judge: Tests(
            part.drop(columns="unit", errors="ignore").merge(units, on=keys), len(units), settings
        )
        for judge, part in rows.items()
    }
    return units[keys], tests


def _rows(
    tables: Mapping[str, pd.DataFrame],
    level: str,
    rules: Rules,
    new_ids: Mapping[str, NDArray[np.int32]],
) -> pd.DataFrame:
    """Return the tests of one level of all screens, condition ids in the manifest's numbering."""
    parts = []
    for screen, table in tables.items():
        part = level_of(table, level, screen, rules)
        if screen in new_ids:
            ids = renumbered(part["condition_id"].to_numpy(), new_ids[screen], screen)
            part = part.assign(condition_id=ids)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _tested(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]],
    rules: Rules,
    new_ids: Mapping[str, NDArray[np.int32]],
) -> dict[str, set[int]]:
    """Return conditions with a p-value whose design was to be copied, by judge and for any of them.

    Of large screens the guard copies a random sample of the designs.
    """
    result = {}
    for judge, tables in consistency.items():
        rows = _rows(tables, "condition", rules, new_ids)
        has_p = set(rows.loc[rows["p_value"].notna(), "condition_id"].astype(int))
        wanted = set(_rows(tables, "control", rules, new_ids)["condition_id"].astype(int))
        result[judge] = has_p & wanted
    result[ANY] = set().union(*result.values())
    return result


def _reasons(consistency: Mapping[str, Mapping[str, pd.DataFrame]], rules: Rules) -> dict[str, str]:
    """Return the most frequent reason why designs were not copied or not tested; "" without any."""
    found = {}
    for judge, tables in consistency.items():
        rows = pd.concat([level_of(t, "control", s, rules) for s, t in tables.items()])
        reasons = rows["reason"].where(rows["name"] == "", "untestable")[rows["p_value"].isna()]
        found[judge] = reasons
    found[ANY] = pd.concat(list(found.values()))
    return {name: str(each.mode().iloc[0]) if len(each) else "" for name, each in found.items()}


@dataclass(frozen=True)
class _Calls:
    """Units that were tested: whose design they copy, their round, and whether they were called."""

    table: pd.DataFrame

    @classmethod
    def of(cls, units: pd.DataFrame, is_called: pd.Series, is_tested: pd.Series) -> _Calls:
        table = units.assign(is_called=is_called.to_numpy())[is_tested.to_numpy()]
        return cls(table.assign(round=[name.partition("/")[0] for name in table["name"]]))

    def of_perturbations(self, perturbation: pd.Series, members: pd.Series) -> _Calls:
        """Pseudo-perturbations: called when any of its conditions is; only complete ones count."""
        table = self.table.assign(unit=self.table["condition_id"].map(perturbation))
        groups = table.groupby(["unit", "name", "round"])
        united = groups.agg(is_called=("is_called", "any"), size=("is_called", "size"))
        united = united.reset_index()
        is_complete = united["size"] == united["unit"].map(members)
        return _Calls(united[is_complete].rename(columns={"unit": "condition_id"}))

    @property
    def units(self) -> set[Any]:
        """What was copied."""
        return set(self.table["condition_id"])


def _measured(
    calls: _Calls,
    tested: set[int],
    reason: str,
    rules: Rules,
    conditions: pd.DataFrame | None,
) -> Measured:
    wanted: set[Any] = tested
    if rules.judge_by == "perturbation" and conditions is not None:
        perturbation = conditions.groupby(["perturbation", "kind"]).ngroup()
        perturbation.index = conditions["condition_id"]
        of_tested = perturbation[sorted(tested)]
        copied = calls.of_perturbations(perturbation, of_tested.value_counts())
        reason = reason or "perturbations" if len(copied.units) < len(calls.units) else reason
        calls, wanted = copied, set(of_tested)
    copied_units = calls.units & wanted
    if not wanted or len(copied_units) < MIN_COPIED * len(wanted):
        return Measured(NOT_RUN, reason, conditions=len(copied_units), of=len(wanted))
    table = calls.table
    rate = float(table.groupby("condition_id")["is_called"].mean().mean())
    separate = float(table.groupby("round").size().mean())
    low, high = interval(rate, separate, len(wanted))
    return Measured(
        RUN,
        rate=rate,
        low=low,
        high=high,
        tests=len(table),
        below=int(table["is_called"].sum()),
        separate=separate,
        conditions=len(copied_units),
        of=len(wanted),
    )


def interval(rate: float, separate: float, conditions: int) -> tuple[float, float]:
    """Return the 95 % interval of the share of tested conditions that luck and layout call.

    Pseudo-conditions of different rounds reuse the same control wells, so a rate over all rounds
    is at least as precise as that of one round's `separate` tests (Hoeffding 1948, the variance of
    a U-statistic is at most that of a mean over disjoint sets) and is given no more credit than
    that. The share that is called among `conditions` varies around the rate as well; both variances
    add. The ends are those of Clopper and Pearson for 1/(1/separate + 1/conditions) tests, of which
    whole successes count for the lower end, widened to whole conditions.

    A rate of 0 has the lower end 0, a rate of 1 the upper end 1.

    Examples
    --------
    >>> [round(60 * end) for end in interval(0.0, 16, 60)]
    [0, 16]
    """
    from scipy.stats import beta

    num_tests = 1.0 / (1.0 / separate + 1.0 / conditions)
    below = rate * num_tests
    tail = (1.0 - LEVEL) / 2.0
    whole = np.floor(below + 1e-9)
    low = float(beta.ppf(tail, whole, num_tests - whole + 1.0)) if whole > 0 else 0.0
    more = num_tests - below
    high = float(beta.ppf(1.0 - tail, below + 1.0, more)) if more > 1e-9 else 1.0
    whole_low, whole_high = np.floor(low * conditions), np.ceil(high * conditions)
    return float(whole_low / conditions), float(whole_high / conditions)
