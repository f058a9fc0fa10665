"""Wells and perturbations from a user's tables, by the mapping in the configuration."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import (
    ConfigurationError,
    MissingInputError,
    Problem,
    raise_problems,
)
from phenoprints.screens.columns import ColumnRule, apply_rule, numbers, recognised_rules
from phenoprints.screens.conditions import FACTS, KEY
from phenoprints.screens.contracts import ROLES
from phenoprints.screens.joins import Join, join_table, key_names
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.problems import FILE, LINE, value_problems
from phenoprints.screens.tables import MISSING, read_table, require_columns

WELL_PROPERTIES = ("experiment", "plate", "well", "role", "cell_type", "background",
                   "replicate_group")  # fmt: skip
SPLIT_ALONGSIDE = ("concentration_um", "gene", "guide", "kind")
"""Properties that are split together with a perturbation of the same separator."""


@dataclass(frozen=True)
class WellTable:
    """A user's tables of wells and how their columns are read; fields as in the configuration."""

    root: str
    wells: str | Sequence[str]
    join: Sequence[Mapping[str, Any]] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    missing_values: Sequence[str] = MISSING

    def rules(self, available: list[str]) -> dict[str, ColumnRule]:
        """The rule of each property: as configured, else by the field's usual column names."""
        given = {k: ColumnRule.of(v) for k, v in self.columns.items() if k != "annotations"}
        rules = {**recognised_rules(available), **given}
        if "role" not in rules and self.roles and "perturbation" in rules:
            column = rules["perturbation"].column
            rules["role"] = ColumnRule(column=column, default="treatment")
        return rules

    def annotations(self) -> dict[str, ColumnRule]:
        """The rules of the further columns of the conditions table."""
        given = {k: ColumnRule.of(v) for k, v in self.columns.get("annotations", {}).items()}
        for name in given:
            if name in {*KEY, *FACTS, "condition_id", "well_row"}:
                raise ConfigurationError(f"columns.annotations: {name!r} is a column already.")
        return given


def find_files(root: str | Path, patterns: str | Sequence[str]) -> list[Path]:
    """The files below `root` that paths or globs name, sorted, each once.

    Raises
    ------
    MissingInputError
        A path or glob names no file; all of them in one message.
    """
    found: dict[Path, None] = {}
    problems = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        place = Path(root) / pattern
        is_glob = glob.has_magic(str(place)) and not place.is_file()
        matches = glob.glob(str(place), recursive=True) if is_glob else [str(place)]  # noqa: PTH207
        paths = sorted(map(Path, matches))
        files = [path for path in paths if path.is_file()]
        if not files:
            what = "no file matches" if is_glob else "the file is not there"
            problems.append(Problem(str(place), what, "", "correct the path in the configuration"))
        found.update(dict.fromkeys(files))
    raise_problems(problems, MissingInputError)
    return list(found)


def read_files(
    files: Sequence[Path], missing: Sequence[str], columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of all files as one table with the columns `line` and `file`."""
    tables = [read_table(f, missing=missing, columns=columns).assign(file=str(f)) for f in files]
    whole = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    whole[FILE] = whole[FILE].astype("category")
    return whole


def read_well_table(source: WellTable) -> Listing:
    """The listing of a user's tables: rows joined, columns mapped, perturbations split.

    Raises
    ------
    ConfigurationError, MissingInputError, TableError
        A rule that cannot work, a file that is not there, or rows that do not fit their rules.
    """
    files = find_files(source.root, source.wells)
    origin = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"
    table = read_files(files, source.missing_values)
    joined_files = []
    for entry in source.join:
        join = Join(
            key_names(entry["keys"]), entry.get("columns", ()), entry.get("missing", "keep")
        )
        paths = find_files(source.root, entry["table"])
        right = read_files(paths, source.missing_values)
        well_column = source.rules(list(table.columns)).get("well", ColumnRule(value="")).column
        table = join_table(table, right, join, str(paths[0]), wells=well_column or "")
        joined_files += paths
    listing = map_table(source, table, origin)
    inputs = tuple(str(path) for path in [*files, *joined_files])
    return Listing(listing.wells, listing.perturbations, origin, notes=listing.notes, inputs=inputs)


def map_table(source: WellTable, table: pd.DataFrame, origin: str) -> Listing:
    """The listing of a joined table, by the source's rules."""
    rules, annotations = source.rules(list(table.columns)), source.annotations()
    _require(rules, annotations, table, origin)
    values, problems = _applied(rules, table, origin)
    more, more_problems = _applied(annotations, table, origin)
    notes = Notes()
    values["role"] = _roles(source, rules, values, table)
    if "role" not in rules:
        notes.warn("No column says which wells are controls: every well is a treatment.")
    wells = pd.DataFrame({name: values[name] for name in WELL_PROPERTIES if name in values})
    for name in ("experiment", "plate", "well", *(set(wells) & {"cell_type", "background"})):
        wells[name] = wells[name].map(str, na_action="ignore")
    wells = wells.assign(**{LINE: table[LINE], FILE: table[FILE]}).reset_index(drop=True)
    perturbations, split_problems = _perturbations(rules, values, more, table, origin)
    raise_problems([*problems, *more_problems, *split_problems])
    return Listing(wells, perturbations, origin, notes=notes)


def _require(
    rules: Mapping[str, ColumnRule],
    annotations: Mapping[str, ColumnRule],
    table: pd.DataFrame,
    origin: str,
) -> None:
    there = ", ".join(str(c) for c in list(table.columns)[:40] if c not in (LINE, FILE))
    raise_problems(
        Problem(
            origin,
            f"no column is known to hold the {name}",
            f"a usual name, or columns.{name}, among the columns {there}",
            f"add columns.{name} to the screen's configuration",
        )
        for name in ("experiment", "plate", "well", "perturbation")
        if name not in rules
    )
    used = [*rules.values(), *annotations.values()]
    require_columns(table, sorted({rule.column for rule in used if rule.column}), origin)


def _applied(
    rules: Mapping[str, ColumnRule], table: pd.DataFrame, origin: str
) -> tuple[dict[str, pd.Series[Any]], list[Problem]]:
    values, problems = {}, []
    for name, rule in rules.items():
        values[name], found = apply_rule(name, rule, table, origin)
        problems += found
    return values, problems


def _roles(
    source: WellTable,
    rules: Mapping[str, ColumnRule],
    values: Mapping[str, pd.Series[Any]],
    table: pd.DataFrame,
) -> pd.Series[Any]:
    """The role of each well; words that are no roles stay and become problems later."""
    if "role" not in rules:
        return pd.Series("treatment", index=table.index, dtype=object)
    rule, role = rules["role"], values["role"]
    named = role.map(lambda value: source.roles.get(str(value), value), na_action="ignore")
    if rule.default is not None and rule.column == rules["perturbation"].column:
        named = named.where(named.isin(ROLES), rule.default)
    return named


def _perturbations(
    rules: Mapping[str, ColumnRule],
    values: Mapping[str, pd.Series[Any]],
    annotations: Mapping[str, pd.Series[Any]],
    table: pd.DataFrame,
    origin: str,
) -> tuple[pd.DataFrame, list[Problem]]:
    rows = pd.DataFrame({"well_row": np.arange(len(table)), "perturbation": values["perturbation"]})
    for name in SPLIT_ALONGSIDE:
        rows[name] = values.get(name)
    rows = rows.assign(**annotations)
    problems: list[Problem] = []
    separator = rules["perturbation"].separator
    if separator is not None:
        alongside = [n for n in SPLIT_ALONGSIDE if n in rules and rules[n].separator == separator]
        rows, problems = _split(rows, ["perturbation", *alongside], separator, table, origin)
    lines = table.iloc[rows["well_row"].to_numpy()].reset_index(drop=True)
    rows = rows.reset_index(drop=True)
    dose, found = numbers("concentration_um", rows["concentration_um"], lines, origin)
    rule = rules.get("concentration_um")
    rows["concentration_um"] = dose * (rule.scale or 1.0) if rule else dose
    rows["kind"] = _kinds(rows, rules)
    for name in ("perturbation", "gene", "guide"):
        rows[name] = rows[name].map(str, na_action="ignore")
    return rows, [*problems, *found]


def _split(
    rows: pd.DataFrame, columns: list[str], separator: str, table: pd.DataFrame, origin: str
) -> tuple[pd.DataFrame, list[Problem]]:
    pieces = {
        name: rows[name].map(
            lambda text: [part.strip() or None for part in str(text).split(separator)],
            na_action="ignore",
        )
        for name in columns
    }
    num_parts = pieces["perturbation"].map(len, na_action="ignore").fillna(1).astype(int)
    problems: list[Problem] = []
    for name in columns:
        parts = pieces[name].where(pieces[name].notna(), num_parts.map(lambda n: [None] * n))
        is_wrong = (parts.map(len) != num_parts).to_numpy()
        problems += value_problems(
            rows[name], is_wrong, table, origin,
            say=partial(_say_unequal, name, separator),
        )  # fmt: skip
        rows = rows.assign(**{name: parts})
    raise_problems(problems)
    return rows.explode(columns, ignore_index=True), problems


def _say_unequal(name: str, separator: str, value: object) -> tuple[str, str, str]:
    what = f'{name}: "{value}" has not as many parts as the perturbation'
    return what, f"one part for each perturbation, separated by {separator!r}", "correct the sheet"


def _kinds(rows: pd.DataFrame, rules: Mapping[str, ColumnRule]) -> pd.Series[Any]:
    """The kind as given, else: a guide means crispr, a mapped concentration compound."""
    fallback = "compound" if "concentration_um" in rules else "other"
    inferred = pd.Series(fallback, index=rows.index, dtype=object)
    inferred = inferred.where(rows["guide"].isna(), "crispr")
    return rows["kind"].where(rows["kind"].notna(), inferred)
