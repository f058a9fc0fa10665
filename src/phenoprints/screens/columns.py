"""How a property of a well is read from a table: from a column or as a constant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.cells import NumberForm, normalised
from phenoprints.foundations.errors import ConfigurationError, Problem
from phenoprints.foundations.pattern_search import search_all
from phenoprints.screens.problems import value_problems

PROPERTIES = (
    "experiment", "plate", "well", "perturbation", "role", "concentration_um", "gene", "guide",
    "kind", "cell_type", "background", "replicate_group",
)  # fmt: skip
"""Properties that `columns` may map; `annotations` come beside them."""

RECOGNISED = {
    "experiment": ("Metadata_Batch", "Metadata_batch", "Batch", "batch"),
    "plate": ("Metadata_Plate", "Metadata_Assay_Plate_Barcode", "Assay_Plate_Barcode", "plate"),
    "well": ("Metadata_Well", "Metadata_well_position", "well_position", "well"),
    "perturbation": ("Metadata_broad_sample", "Metadata_JCP2022", "Metadata_pert_iname",
                     "broad_sample"),
    "role": ("Metadata_control_type", "Metadata_pert_type", "control_type", "pert_type"),
    "concentration_um": ("Metadata_mmoles_per_liter", "mmoles_per_liter"),
    "gene": ("Metadata_gene", "Metadata_Symbol", "Metadata_gene_name"),
    "guide": ("Metadata_target_sequence",),
    "kind": ("Metadata_experiment_type", "Metadata_pert_type"),
    "cell_type": ("Metadata_cell_line", "Metadata_cell_type", "Metadata_cell_id"),
}  # fmt: skip
"""Names that the field's tools write, tried in this order where a property is not mapped.

`mmoles_per_liter` holds micromolar doses in these tables, whatever its name says.
"""

RECOGNISED_VALUES: dict[str, dict[str, str]] = {
    "role": {
        "trt": "treatment", "trt_cp": "treatment", "trt_oe": "treatment", "trt_sh": "treatment",
        "trt_xpr": "treatment", "negcon": "negative_control", "poscon": "positive_control",
        "poscon_cp": "positive_control", "poscon_diverse": "positive_control",
        "poscon_orf": "positive_control", "ctl_vehicle": "negative_control",
        "ctl_vector": "negative_control", "control": "negative_control", "empty": "unperturbed",
    },
    "kind": {
        "CRISPR": "crispr", "Compound": "compound", "COMPOUND": "compound", "ORF": "orf",
        "trt_cp": "compound", "trt_oe": "orf", "trt_xpr": "crispr", "trt_sh": "other",
    },
}  # fmt: skip
"""Values of those columns and what they mean here."""


@dataclass(frozen=True)
class ColumnRule:
    """How one property is read; see `columns` in the configuration."""

    column: str | Sequence[str] | None = None
    value: str | float | None = None
    extract: str | None = None
    map: Mapping[str, str | float] = field(default_factory=dict)
    default: str | float | None = None
    scale: float | None = None
    separator: str | None = None
    otherwise: str | None = None
    """A second column, for rows in which the first is empty (only for recognised names)."""
    is_mapped_only: bool = False
    """Whether values that `map` lacks count as missing (only for recognised names)."""

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        own = [self.column] if isinstance(self.column, str) else list(self.column or [])
        return own if self.otherwise is None else [*own, self.otherwise]

    @classmethod
    def of(cls, setting: str | Mapping[str, Any] | ColumnRule) -> ColumnRule:
        """Return the rule of a setting: the name of a column, or a mapping of the fields above."""
        if isinstance(setting, ColumnRule):
            return setting
        rule = cls(column=setting) if isinstance(setting, str) else cls(**setting)
        if (rule.column is None) == (rule.value is None):
            raise ConfigurationError(f"columns: {setting!r} needs either `column` or `value`.")
        return rule


def recognised_rules(available: list[str]) -> dict[str, ColumnRule]:
    """Return a rule for every property whose usual name stands among the columns of a table."""
    rules = {}
    for name, candidates in RECOGNISED.items():
        column = next((c for c in candidates if c in available), None)
        if column is not None:
            values: Mapping[str, str | float] = {**RECOGNISED_VALUES.get(name, {})}
            default = "treatment" if name == "role" else None
            others = [c for c in candidates if c in available and c != column]
            second = others[0] if name == "role" and others else None
            rules[name] = ColumnRule(
                column=column, map=values, default=default, otherwise=second,
                is_mapped_only=column == "Metadata_pert_type" and name == "kind",
            )  # fmt: skip
    return rules


def apply_rule(
    name: str, rule: ColumnRule, table: pd.DataFrame, origin: str
) -> tuple[pd.Series[Any], list[Problem]]:
    """Return the values of one property for every row, and the rows whose text does not match.

    `default` fills what is empty after `map`. Splitting and numbers come later.
    """
    if rule.column is None:
        return pd.Series(rule.value, index=table.index, dtype=object), []
    values = _read_column(rule.column, table)
    if rule.otherwise is not None:
        values = values.where(values.notna(), table[rule.otherwise])
    problems: list[Problem] = []
    if rule.extract is not None:
        values, problems = _extracted(name, rule, values, table, origin)
    if rule.map:
        words = {normalised(str(word)): meaning for word, meaning in rule.map.items()}
        values = values.map(
            lambda value: words.get(value, None if rule.is_mapped_only else value),
            na_action="ignore",
        )
    if rule.default is not None:
        values = values.where(values.notna(), rule.default)
    return values, problems


def _read_column(column: str | Sequence[str], table: pd.DataFrame) -> pd.Series[Any]:
    """Return the texts of a column, or those of several joined; missing where one is missing."""
    if isinstance(column, str):
        return table[column].astype(object)
    parts = table[list(column)]
    joined = parts.astype(str).agg("".join, axis=1).astype(object)
    return joined.where(parts.notna().all(axis=1), None)


def _extracted(
    name: str, rule: ColumnRule, values: pd.Series[Any], table: pd.DataFrame, origin: str
) -> tuple[pd.Series[Any], list[Problem]]:
    pattern = compiled(name, str(rule.extract))
    found = search_all(pattern, values.dropna().unique(), f"columns.{name}.extract")
    groups = {text: match[1] for text, match in found.items() if match and match[1] is not None}
    is_wrong = (values.notna() & ~values.isin(list(groups))).to_numpy()
    problems = value_problems(
        values, is_wrong, table, origin,
        say=lambda value: (
            f'column "{rule.column}": "{value}" does not match {rule.extract!r}',
            f"a text from which columns.{name}.extract takes its first group",
            f"correct the sheet or columns.{name}.extract",
        ),
    )  # fmt: skip
    return values.map(groups), problems


def compiled(name: str, pattern: str) -> re.Pattern[str]:
    """Return the compiled `extract` of a property; it must have a group."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(
            f"columns.{name}.extract: {pattern!r} is not a regular expression ({error})."
        ) from error
    if expression.groups < 1:
        raise ConfigurationError(
            f"columns.{name}.extract: {pattern!r} has no group. Put brackets around what is meant."
        )
    return expression


def numbers(
    name: str, values: pd.Series[Any], table: pd.DataFrame, origin: str, form: NumberForm
) -> tuple[pd.Series[float], list[Problem]]:
    """Return values as finite numbers, missing ones as NaN, and the rows that hold no number."""
    words = [str(word) for word in values.dropna().unique()]
    form = form.for_words(words)
    read = {word: form.number(word) for word in words}
    found = values.map(str, na_action="ignore").map(read).astype("float64")
    is_wrong = values.notna().to_numpy() & ~np.isfinite(found.to_numpy())
    if name == "concentration_um":
        is_wrong |= found.to_numpy() < 0
    problems = value_problems(
        values, is_wrong, table, origin,
        say=lambda value: (
            f'{name}: "{value}" is not a number of 0 or more', "a number such as 0.25",
            f"correct the sheet, or use columns.{name}.extract or .map, or table_format.decimal",
        ),
    )  # fmt: skip
    return found, problems


def merged_doses(
    perturbations: pd.Series[Any], doses: pd.Series[float], tolerance: float
) -> tuple[pd.Series[float], int]:
    """Return doses with those of a perturbation that differ by rounding made equal.

    Of doses that follow one another within the relative tolerance of the smallest, all become
    the most frequent (of equally frequent ones the smallest). The second value counts the rows
    that changed. NaN stays NaN.
    """
    known = pd.DataFrame({"name": perturbations, "dose": doses}).dropna()
    counts = known.value_counts(sort=False).reset_index(name="rows")
    counts = counts.sort_values(["name", "dose"], ignore_index=True)
    first, group = np.nan, -1
    groups, last = [], None
    for name, dose in zip(counts["name"], counts["dose"], strict=True):
        if name != last or dose > first * (1 + tolerance):
            first, group, last = dose, group + 1, name
        groups.append(group)
    counts["group"] = groups
    best = counts.sort_values(["group", "rows", "dose"], ascending=[True, False, True])
    counts["merged"] = counts["group"].map(best.groupby("group")["dose"].first())
    merged = known.merge(counts, how="left", on=["name", "dose"])["merged"].to_numpy()
    result = doses.copy()
    result.loc[known.index] = merged
    return result, int((merged != known["dose"].to_numpy()).sum())
