"""Wells and perturbations from a user's tables, by the mapping in the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import (
    ConfigurationError,
    Problem,
    raise_problems,
)
from phenoprints.screens.columns import ColumnRule, apply_rule, numbers, recognised_rules
from phenoprints.screens.conditions import FACTS, KEY
from phenoprints.screens.joins import Join, join_table, key_names
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.platemaps import PLATE_COLUMN, WELL_COLUMN, read_platemaps
from phenoprints.screens.problems import FILE, LINE, value_problems
from phenoprints.screens.tables import MISSING, find_files, read_files, require_columns
from phenoprints.wells.contracts import ROLES

WELL_PROPERTIES = ("experiment", "plate", "well", "role", "cell_type", "background",
                   "replicate_group")  # fmt: skip
SPLIT_ALONGSIDE = ("concentration_um", "gene", "guide", "kind")
"""Properties that are split together with a perturbation of the same separator."""


@dataclass(frozen=True)
class WellTable:
    """A user's tables of wells and how they are read; the fields are settings of a screen.

    Attributes
    ----------
    root
        Folder that the other paths start from.
    wells
        Paths or globs of the tables, one row per well.
    join
        Further tables: `table`, `keys`, `columns`, `missing`.
    columns
        For each property the column's name, or a mapping (`column` or `value`, `extract`, `map`,
        `default`, `scale`, `separator`); `annotations` are further columns of the conditions.
    roles
        Values of the role column and the role they mean.
    missing_values
        Cell texts that mean "nothing is known", beside the empty cell.
    barcode_platemap, platemap_folder
        Platemaps in pycytominer's form: in place of `wells`, or joined to them by plate and well.
    """

    root: str = "."
    wells: str | Sequence[str] | None = None
    join: Sequence[Mapping[str, Any]] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    missing_values: Sequence[str] = MISSING
    barcode_platemap: str | None = None
    platemap_folder: str | None = None

    def rules(self, available: list[str]) -> dict[str, ColumnRule]:
        """Return the rule of each property: as configured, else by the field's usual
        column names.
        """
        given = {k: ColumnRule.of(v) for k, v in self.columns.items() if k != "annotations"}
        rules = {**recognised_rules(available), **given}
        if "role" not in rules and self.roles and "perturbation" in rules:
            column = rules["perturbation"].column
            rules["role"] = ColumnRule(column=column, default="treatment")
        return rules

    def annotations(self) -> dict[str, ColumnRule]:
        """Return the rules of the further columns of the conditions table."""
        given = {k: ColumnRule.of(v) for k, v in self.columns.get("annotations", {}).items()}
        for name in given:
            if name in {*KEY, *FACTS, "condition_id", "well_row"}:
                raise ConfigurationError(f"columns.annotations: {name!r} is a column already.")
        return given


def well_table_settings() -> tuple[str, ...]:
    """Return the names of the settings of every source that reads a user's tables."""
    return tuple(field.name for field in fields(WellTable))


def read_well_table(source: WellTable) -> Listing:
    """Return the listing of a user's tables: rows joined, columns mapped, perturbations split.

    Raises
    ------
    ConfigurationError, MissingInputError, TableError
        A rule that cannot work, a file that is not there, or rows that do not fit their rules.
    """
    table, files = _base_table(source)
    origin = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"
    for entry in source.join:
        join = Join(
            key_names(entry["keys"]), entry.get("columns", ()), entry.get("missing", "keep")
        )
        paths = find_files(source.root, entry["table"])
        right = read_files(paths, source.missing_values)
        well_column = source.rules(list(table.columns)).get("well", ColumnRule(value="")).column
        table = join_table(table, right, join, str(paths[0]), wells=well_column or "")
        files += paths
    listing = map_table(source, table, origin)
    return replace(listing, inputs=tuple(map(str, files)))


def _base_table(source: WellTable) -> tuple[pd.DataFrame, list[Path]]:
    """Return rows of the wells tables, of the platemaps, or of the first joined to the second."""
    if source.wells is None and source.barcode_platemap is None:
        raise ConfigurationError("screens: `wells` or `barcode_platemap` must name a table.")
    if source.barcode_platemap is None:
        files = find_files(source.root, source.wells or ())
        return read_files(files, source.missing_values), files
    maps, map_files = read_platemaps(
        source.root, source.barcode_platemap, source.platemap_folder, source.missing_values
    )
    if source.wells is None:
        return maps, map_files
    files = find_files(source.root, source.wells)
    table = read_files(files, source.missing_values)
    rules = source.rules(list(table.columns))
    plate, well = (rules.get(name, ColumnRule(value="")).column for name in ("plate", "well"))
    keys = {str(plate): PLATE_COLUMN, str(well): WELL_COLUMN}
    new = [c for c in maps.columns if c not in {*table.columns, *keys.values(), LINE, FILE}]
    table = join_table(table, maps, Join(keys, new), str(map_files[0]), wells=str(well))
    return table, [*files, *map_files]


def map_table(source: WellTable, table: pd.DataFrame, origin: str) -> Listing:
    """Return the listing of a joined table, by the source's rules."""
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
    """Return the role of each well; words that are no roles stay and become problems later."""
    if "role" not in rules:
        return pd.Series("treatment", index=table.index, dtype=object)
    rule, role = rules["role"], values["role"]
    words = {word.casefold(): meaning for word, meaning in source.roles.items()}
    known = {**{word: word for word in ROLES}, **words}
    named = role.map(
        lambda value: source.roles.get(str(value)) or known.get(str(value).casefold(), value),
        na_action="ignore",
    )
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
    """Return the kind as given, else: a guide means crispr, a mapped concentration compound."""
    fallback = "compound" if "concentration_um" in rules else "other"
    inferred = pd.Series(fallback, index=rows.index, dtype=object)
    inferred = inferred.where(rows["guide"].isna(), "crispr")
    return rows["kind"].where(rows["kind"].notna(), inferred)
