"""Which conditions and genes have a phenoprint: p-values combined over experiments, by judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.consistency import ConsistencySettings, combine_cauchy
from phenoprints.consistency.cauchy import check_p_values
from phenoprints.curation.rules import Rules
from phenoprints.foundations.errors import DataError

SUPPOSED_UPPER_CLIP = 0.99
"""Where no upper clip is configured, `depends_on_clip` compares with this one."""


@dataclass(frozen=True)
class Tests:
    """The tests of one judge over all screens of a manifest, and what each unit is called.

    `rows` has the columns unit (0 … num_units - 1), screen, experiment, num_wells and p_value.
    """

    rows: pd.DataFrame
    num_units: int
    settings: Mapping[str, ConsistencySettings]


def phenoprints_table(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]],
    conditions: pd.DataFrame,
    rules: Rules,
    *,
    new_ids: Mapping[str, NDArray[np.int32]] | None = None,
    settings: Mapping[str, ConsistencySettings] | None = None,
) -> pd.DataFrame:
    """Which conditions have a phenoprint, and why.

    Parameters
    ----------
    consistency
        By judge and then by screen, the table of phenoprints.consistency.contracts.
    conditions
        All conditions of the manifest, as from `unite_conditions`.
    rules
        Threshold, combination, what is judged, and experiments whose tests do not count.
    new_ids
        By screen, its condition ids in the numbering of `conditions`; as they are by default.
    settings
        By screen, with which K, clip and weights its tests are combined; defaults where absent.

    Returns
    -------
    DataFrame
        The conditions with, per judge J, ``p_value_J`` (Cauchy's combination over experiments),
        ``smallest_p_value_J``, ``reachable_p_value_J`` (if every test had its smallest possible
        p-value), ``q_value_J`` (Benjamini-Hochberg over the conditions tested),
        ``num_experiments_J`` (with a p-value) and ``depends_on_clip_J``; then ``is_testable`` (any
        p-value from any judge) and ``has_phenoprint`` (the rule holds for any judge; judged by
        perturbation, for any of its conditions; judged by gene, for the gene's own test where the
        condition has a gene). Without judges both are missing.
    """
    tests = {
        judge: _condition_tests(tables, len(conditions), rules, new_ids or {}, settings or {})
        for judge, tables in consistency.items()
    }
    table = judged(conditions, tests, rules)
    if tests and rules.judge_by == "perturbation":
        groups = table.groupby(["perturbation", "kind"], sort=False)
        for column in ("is_testable", "has_phenoprint"):
            table[column] = groups[column].transform("any")
    if tests and rules.judge_by == "gene":
        genes = genes_table(consistency, rules, settings=settings).set_index("gene")
        for column in ("is_testable", "has_phenoprint"):
            of_gene = table["gene"].map(genes[column]).astype("boolean").fillna(False)
            table[column] = table[column].where(~has_gene(table), of_gene)
    return table


def has_gene(conditions: pd.DataFrame) -> pd.Series:
    """Which conditions act on a named gene."""
    named: pd.Series = conditions["gene"].fillna("") != ""
    return named


def judged_units(phenoprints: pd.DataFrame, genes: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return the rows whose tests decide: conditions, or genes and conditions without one."""
    if rules.judge_by != "gene":
        return phenoprints
    return pd.concat([phenoprints[~has_gene(phenoprints)], genes], ignore_index=True)


def genes_table(
    consistency: Mapping[str, Mapping[str, pd.DataFrame]],
    rules: Rules,
    *,
    settings: Mapping[str, ConsistencySettings] | None = None,
) -> pd.DataFrame:
    """Which genes have a phenoprint: the columns of phenoprints_table for every gene, sorted."""
    rows = {
        judge: pd.concat(
            [level_of(table, "gene", screen, rules) for screen, table in tables.items()]
        )
        for judge, tables in consistency.items()
    }
    names = sorted({str(name) for table in rows.values() for name in table["name"]})
    code = {name: i for i, name in enumerate(names)}
    tests = {
        judge: Tests(
            table.assign(unit=table["name"].map(code).astype(np.int64)), len(names), settings or {}
        )
        for judge, table in rows.items()
    }
    return judged(pd.DataFrame({"gene": pd.Series(names, dtype=object)}), tests, rules)


def _condition_tests(
    tables: Mapping[str, pd.DataFrame],
    num_conditions: int,
    rules: Rules,
    new_ids: Mapping[str, NDArray[np.int32]],
    settings: Mapping[str, ConsistencySettings],
) -> Tests:
    parts = []
    for screen, table in tables.items():
        part = level_of(table, "condition", screen, rules)
        unit = part["condition_id"].to_numpy()
        if screen in new_ids:
            unit = renumbered(unit, new_ids[screen], screen)
        parts.append(part.assign(unit=unit))
    return Tests(pd.concat(parts, ignore_index=True), num_conditions, settings)


def renumbered(unit: NDArray[np.int32], new: NDArray[np.int32], screen: str) -> NDArray[np.int32]:
    """Return a screen's condition ids in the manifest's numbering; refuse ids without one."""
    inside = (unit >= 0) & (unit < len(new))
    result = np.where(inside, new[np.where(inside, unit, 0)], -1) if len(new) else unit * 0 - 1
    if (result < 0).any():
        raise DataError(
            f'consistency of screen "{screen}": {int((result < 0).sum())} rows have a condition_id'
            " that its conditions table lacks.\n  To fix: run the consistency of this screen again."
        )
    return result.astype(np.int32)


def level_of(table: pd.DataFrame, level: str, screen: str, rules: Rules) -> pd.DataFrame:
    """Return the tests of one level, without those of experiments that are held out."""
    rows = table[table["level"] == level].assign(screen=screen)
    names = rows["experiment"].unique()
    held_out = [name for name in names if rules.is_held_out(screen, name)]
    return rows[~rows["experiment"].isin(held_out)]


def judged(units: pd.DataFrame, tests: Mapping[str, Tests], rules: Rules) -> pd.DataFrame:
    """Return the units with the columns of every judge and the verdict of all."""
    table = units.copy()
    testable, verdict = np.zeros((2, len(units)), dtype=np.bool_)
    for judge, each in tests.items():
        columns = _combined(each, rules)
        for name in ("p_value", "smallest_p_value", "reachable_p_value", "q_value",
                     "num_experiments"):  # fmt: skip
            table[f"{name}_{judge}"] = columns[name]
        table[f"depends_on_clip_{judge}"] = columns["depends_on_clip"]
        testable |= columns["p_value"].notna().to_numpy()
        verdict |= columns["has_phenoprint"].to_numpy()
    table["is_testable"] = pd.array(testable if tests else [None] * len(units), dtype="boolean")
    table["has_phenoprint"] = pd.array(verdict if tests else [None] * len(units), dtype="boolean")
    return table


def _combined(tests: Tests, rules: Rules) -> pd.DataFrame:
    """p_value, smallest_p_value, q_value, num_experiments, verdict and dependence on the clip."""
    check_p_values(tests.rows["p_value"].to_numpy(dtype=np.float64))
    rows = tests.rows[tests.rows["p_value"].notna()]
    rows = rows.sort_values(["unit", "screen", "experiment"], kind="stable")
    unit = rows["unit"].to_numpy()
    weights = _weights(rows, tests.settings)
    plain, clipped, supposed = (
        combine_by_unit(clipped_p(rows, tests.settings, mode), weights, unit, tests.num_units)
        for mode in ("plain", "configured", "supposed")
    )
    smallest = _smallest(rows, tests.num_units)
    decisive = clipped if rules.combine == "cauchy" else smallest
    return pd.DataFrame(
        {
            "p_value": clipped,
            "smallest_p_value": smallest,
            "reachable_p_value": _reachable(tests, rows, rules, weights),
            "q_value": false_discovery_rates(clipped),
            "num_experiments": np.bincount(unit, minlength=tests.num_units).astype(np.int32),
            "has_phenoprint": decisive < rules.p_value,
            "depends_on_clip": (rules.combine == "cauchy")
            & ((plain < rules.p_value) != (supposed < rules.p_value)),
        }
    )


def _smallest(rows: pd.DataFrame, num_units: int) -> NDArray[np.float64]:
    smallest: NDArray[np.float64] = (
        rows.groupby("unit")["p_value"].min().reindex(range(num_units)).to_numpy(dtype=np.float64)
    )
    return smallest


def _reachable(
    tests: Tests, rows: pd.DataFrame, rules: Rules, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the combined p of each unit if all its tests had their smallest possible p-value."""
    floors = rows.assign(p_value=_floors(rows, tests.settings))
    if rules.combine != "cauchy":
        return _smallest(floors, tests.num_units)
    p = clipped_p(floors, tests.settings, "configured")
    return combine_by_unit(p, weights, rows["unit"].to_numpy(), tests.num_units)


def _floors(rows: pd.DataFrame, settings: Mapping[str, ConsistencySettings]) -> NDArray[np.float64]:
    """Return the smallest p-value that each test can reach; 1/K where the table does
    not hold it.
    """
    from_draws = _by_screen(rows, settings, lambda each: 1.0 / each.num_null)
    if "smallest_p" not in rows:
        return from_draws
    stored = rows["smallest_p"].to_numpy(dtype=np.float64)
    return np.where(np.isnan(stored), from_draws, stored)


def _by_screen(
    rows: pd.DataFrame,
    settings: Mapping[str, ConsistencySettings],
    value_of: Callable[[ConsistencySettings], float],
) -> NDArray[np.float64]:
    """Return a number per row, of the settings of its screen.

    Settings themselves never enter a column: pandas reads a missing one as NaN beside numbers.
    """
    codes, screens = pd.factorize(rows["screen"])
    values = [value_of(settings.get(screen, ConsistencySettings())) for screen in screens]
    return np.array(values, dtype=np.float64)[codes]


def _weights(
    rows: pd.DataFrame, settings: Mapping[str, ConsistencySettings]
) -> NDArray[np.float64]:
    is_root = _by_screen(rows, settings, lambda each: each.weights == "sqrt-wells") > 0
    return np.where(is_root, np.sqrt(rows["num_wells"].to_numpy(dtype=np.float64)), 1.0)


def clipped_p(
    rows: pd.DataFrame, settings: Mapping[str, ConsistencySettings], mode: str
) -> NDArray[np.float64]:
    """Clip the p-values of `rows` to [1/K, 1 - 1/K] of their screen and to the upper clip.

    `mode` is ``plain`` (no upper clip), ``configured``, or ``supposed`` (the configured one, else
    SUPPOSED_UPPER_CLIP).
    """
    p = rows["p_value"].to_numpy(dtype=np.float64)
    lowest = _by_screen(rows, settings, lambda each: 1.0 / each.num_null)
    upper = np.minimum(1.0 - lowest, _by_screen(rows, settings, lambda each: _clip(each, mode)))
    clipped: NDArray[np.float64] = np.clip(p, np.minimum(lowest, upper), upper)
    return clipped


def _clip(settings: ConsistencySettings, mode: str) -> float:
    """Return the upper clip of one screen under a mode of `clipped_p`; 1 clips nothing."""
    if mode == "plain":
        return 1.0
    if settings.p_value_clip is None:
        return SUPPOSED_UPPER_CLIP if mode == "supposed" else 1.0
    return settings.p_value_clip


def combine_by_unit(
    p: NDArray[np.float64], weights: NDArray[np.float64], unit: NDArray[np.int32], num_units: int
) -> NDArray[np.float64]:
    """Cauchy's combination of the p-values of every unit; `unit` ascends. NaN without any."""
    result = np.full(num_units, np.nan)
    present, starts, counts = np.unique(unit, return_index=True, return_counts=True)
    for count in np.unique(counts):
        chosen = counts == count
        index = starts[chosen][:, None] + np.arange(count)
        result[present[chosen]] = combine_cauchy(p[index], weights=weights[index])
    return result


def false_discovery_rates(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Benjamini-Hochberg q-values of the p-values present; NaN stays NaN."""
    from statsmodels.stats.multitest import multipletests

    q = np.full(len(p), np.nan)
    is_present = ~np.isnan(p)
    if is_present.any():
        q[is_present] = multipletests(p[is_present], method="fdr_bh")[1]
    return q
