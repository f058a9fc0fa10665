"""Wells and perturbations from a user's tables, by the mapping in the configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.cells import MISSING, is_spreadsheet_date, normalised
from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems
from phenoprints.foundations.table_files import LINE, TableFormat, require_columns, together
from phenoprints.screens.columns import (
    RECOGNISED,
    ColumnRule,
    apply_rule,
    merged_doses,
    numbers,
    recognised_rules,
)
from phenoprints.screens.conditions import FACTS, KEY
from phenoprints.screens.joins import Join, join_table, key_names
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.platemaps import (
    MAP_COLUMN,
    PLATE_COLUMN,
    WELL_COLUMN,
    compare_plates,
    read_platemaps,
)
from phenoprints.screens.problems import FILE, value_problems
from phenoprints.screens.single_cells import refuse_cells
from phenoprints.screens.tables import find_files, read_files
from phenoprints.wells.contracts import ROLES

DOSE_TOLERANCE = 0.01
"""Dilutions are made in steps of 1.2 and more; what is closer was rounded differently."""
SHOWN_COLUMNS = 40
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
    table_format
        How text tables are written: the fields of `TableFormat` but `missing`.
    dose_tolerance
        Doses of one perturbation that differ by less, relative to the smaller, are one.
    barcode_platemap, platemap_folder
        Platemaps in pycytominer's form: in place of `wells`, or joined to them by plate and well.
    """

    root: str = "."
    wells: str | Sequence[str] | None = None
    join: Sequence[Mapping[str, Any]] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    missing_values: Sequence[str] = MISSING
    table_format: Mapping[str, str] = field(default_factory=dict)
    dose_tolerance: float = DOSE_TOLERANCE
    barcode_platemap: str | None = None
    platemap_folder: str | None = None

    @property
    def form(self) -> TableFormat:
        """How the text tables are written."""
        return TableFormat(**self.table_format, missing=("", *self.missing_values))

    def used(self, columns: Sequence[str]) -> set[str]:
        """Return the columns that hold properties or keys of joins, where a table has `columns`."""
        keys = [name for entry in self.join for name in key_names(entry["keys"])]
        rules = [*self.rules(list(columns)).values(), *self.annotations().values()]
        return {*keys, *(name for rule in rules for name in rule.columns)}

    def wanted(self, columns: Sequence[str], also: Sequence[str] = ()) -> list[str]:
        """Return the columns of a table that can be of use, and the first, which messages name.

        Tables of profiles have thousands of columns of numbers, which are not read as text.
        """
        used = {*self.used(columns), *also}
        return [c for i, c in enumerate(columns) if c in used or (c and i < SHOWN_COLUMNS)]

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
    notes: list[str] = []
    table, files = _base_table(source, notes)
    origin = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"
    for entry in source.join:
        paths = find_files(source.root, entry["table"])
        right = read_files(paths, source.form, notes)
        rules = source.rules(list(table.columns))
        well, dose = ("".join(rules[name].columns[:1]) if name in rules else "" for name in
                      ("well", "concentration_um"))  # fmt: skip
        join = Join(
            key_names(entry["keys"]), entry.get("columns", ()), entry.get("missing", "keep"),
            {dose, *entry.get("numbers", ())},
        )  # fmt: skip
        table = join_table(table, right, join, str(paths[0]), wells=well, notes=notes)
        files += paths
    listing = map_table(source, table, origin)
    listing.notes.warnings[:0] = together(notes)
    return replace(listing, inputs=tuple(map(str, files)))


def _base_table(source: WellTable, notes: list[str]) -> tuple[pd.DataFrame, list[Path]]:
    """Return rows of the wells tables, of the platemaps, or of the first joined to the second."""
    if source.wells is None and source.barcode_platemap is None:
        raise ConfigurationError("screens: `wells` or `barcode_platemap` must name a table.")
    if source.barcode_platemap is None:
        files = find_files(source.root, source.wells or ())
        return read_files(files, source.form, notes, source.wanted, source.used(())), files
    maps = read_platemaps(
        source.root, source.barcode_platemap, source.platemap_folder, source.form, notes
    )
    if source.wells is None:
        return maps.wells, maps.files
    files = find_files(source.root, source.wells)
    both = [*maps.plates.columns, *maps.maps.columns]
    wanted = partial(source.wanted, also=both)
    table = read_files(files, source.form, notes, wanted, source.used(()))
    rules = source.rules(list(table.columns))
    plate, well = (str(rules.get(name, ColumnRule(value="")).column) for name in ("plate", "well"))
    require_columns(list(table.columns), [plate, well], str(files[0]))
    notes += compare_plates(table[plate], maps)
    plates = maps.plates.drop(columns=MAP_COLUMN)
    table = join_table(table, plates, Join({plate: PLATE_COLUMN}), str(maps.files[0]))
    keys = {plate: PLATE_COLUMN, well: WELL_COLUMN}
    wells = maps.maps.drop(columns=MAP_COLUMN)
    where = f"the platemaps of {maps.files[0]}"
    join = Join(keys, fix="delete the column from one of the tables")
    table = join_table(table, wells, join, where, wells=well, notes=notes)
    return table, [*files, *maps.files]


def map_table(source: WellTable, table: pd.DataFrame, origin: str) -> Listing:
    """Return the listing of a joined table, by the source's rules."""
    rules, annotations = source.rules(list(table.columns)), source.annotations()
    _require(rules, annotations, table, origin)
    notes = Notes()
    for text in unused_words(source, {**rules, **annotations}, table):
        notes.count("words_that_match_nothing", 1)
        notes.warn(text)
    values, problems = _applied({**rules, **_without_default(rules)}, table, origin)
    more, more_problems = _applied(annotations, table, origin)
    values["role"] = _roles(source, rules, values, table)
    if "role" not in rules:
        notes.warn("No column says which wells are controls: every well is a treatment.")
    wells = pd.DataFrame({name: values[name] for name in WELL_PROPERTIES if name in values})
    for name in ("experiment", "plate", "well", *(set(wells) & {"cell_type", "background"})):
        wells[name] = wells[name].map(str, na_action="ignore")
    wells = wells.assign(**{LINE: table[LINE], FILE: table[FILE]}).reset_index(drop=True)
    refuse_cells(wells, {name for rule in rules.values() for name in rule.columns})
    raise_problems([*problems, *more_problems])
    perturbations, split_problems = _perturbations(source, values, more, table, origin)
    raise_problems(split_problems)
    _merge_doses(perturbations, source.dose_tolerance, notes)
    _note_dates(perturbations, notes)
    _note_lone(wells, notes)
    return Listing(wells, perturbations, origin, notes=notes)


def _without_default(rules: Mapping[str, ColumnRule]) -> dict[str, ColumnRule]:
    """Return the rule of the role without its default, which comes after the words of `roles`."""
    return {"role": replace(rules["role"], default=None)} if "role" in rules else {}


def unused_words(
    source: WellTable, rules: Mapping[str, ColumnRule], table: pd.DataFrame
) -> list[str]:
    """Return a sentence for each word of `roles` and of a `map` that no cell has."""
    lines = []
    for name, rule in rules.items():
        if (name in RECOGNISED and name not in source.columns) or rule.extract is not None:
            continue
        there = {word for column in rule.columns for word in table[column].dropna().unique()}
        lines += [
            _unused(f"columns.{name}.map", word, rule.columns[0], there)
            for word in rule.map if rule.columns and normalised(str(word)) not in there
        ]  # fmt: skip
    if "role" in rules and rules["role"].columns:
        there = _words_of_role(rules, table)
        folded = {word.casefold() for word in there}
        lines += [
            _unused("roles", word, rules["role"].columns[0], there)
            for word in source.roles if normalised(word).casefold() not in folded
        ]  # fmt: skip
    return lines


def _words_of_role(rules: Mapping[str, ColumnRule], table: pd.DataFrame) -> set[str]:
    """Return the words that roles are looked up by, those of the perturbation among them."""
    used = [rules["role"]]
    if _is_of_perturbation(rules):
        used.append(rules["perturbation"])
    words = {str(value) for rule in used for value in (*rule.map.values(), rule.default)}
    return words | {w for rule in used for c in rule.columns for w in table[c].dropna().unique()}


def _unused(setting: str, word: object, column: str, there: Collection[str]) -> str:
    near = get_close_matches(str(word), sorted(there), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{setting}: no cell of the column {column!r} is {word!r}.{hint}"


def _is_of_perturbation(rules: Mapping[str, ColumnRule]) -> bool:
    column = rules["role"].column
    return column is not None and column == rules["perturbation"].column


def _merge_doses(rows: pd.DataFrame, tolerance: float, notes: Notes) -> None:
    """Make doses that differ by rounding equal, in place, and count them."""
    before = rows["concentration_um"].copy()
    rows["concentration_um"], number = merged_doses(rows["perturbation"], before, tolerance)
    if number:
        first = int(np.flatnonzero(before.notna() & (before != rows["concentration_um"]))[0])
        notes.count("doses_merged", number)
        notes.warn(
            f"{number} doses differ from another dose of their perturbation by rounding and were "
            f"made equal to it (first: {rows['perturbation'].iloc[first]}, {before.iloc[first]:g} "
            f"for {rows['concentration_um'].iloc[first]:g} µM); dose_tolerance is {tolerance:g}."
        )


def _note_lone(wells: pd.DataFrame, notes: Notes) -> None:
    """Count experiments and plates of a single well beside larger ones: their name is mistyped."""
    for name, keys in (("experiment", ["experiment"]), ("plate", ["experiment", "plate"])):
        sizes = wells.groupby(keys, sort=True).size()
        lone = sizes.index[sizes == 1]
        if len(lone) and sizes.median() > 1:
            some = ", ".join("/".join(map(str, key)) if len(keys) > 1 else str(key)
                             for key in lone[:5])  # fmt: skip
            notes.count(f"{name}s_of_one_well", len(lone))
            notes.warn(f"{len(lone)} {name}s have a single well ({some}): is the name mistyped?")


def _note_dates(rows: pd.DataFrame, notes: Notes) -> None:
    """Count names of genes and perturbations that a spreadsheet turned into dates."""
    for name in ("perturbation", "gene"):
        words = [str(word) for word in rows[name].dropna().unique()]
        dates = [word for word in words if is_spreadsheet_date(word)]
        if dates:
            notes.count("names_that_are_dates", len(dates))
            notes.warn(
                f"{len(dates)} names of the {name} are dates ({', '.join(dates[:5])}): "
                "spreadsheets make them of genes such as MARCHF1 and SEPTIN2. Correct the table, "
                f"or use columns.{name}.map."
            )


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
    needed = sorted({name for rule in used for name in rule.columns})
    require_columns(list(table.columns), needed, origin)


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
    exact = {normalised(word): meaning for word, meaning in source.roles.items()}
    folded = {**{word: word for word in ROLES}, **{w.casefold(): m for w, m in exact.items()}}

    def meaning(value: object) -> object:
        return exact.get(str(value)) or folded.get(str(value).casefold(), value)

    named = values["role"].map(meaning, na_action="ignore")
    is_known = named.notna()
    if _is_of_perturbation(rules):
        of_perturbation = values["perturbation"].map(meaning, na_action="ignore")
        named = named.where(named.isin(ROLES), of_perturbation)
        is_known = named.isin(ROLES)
    default = rules["role"].default
    return named if default is None else named.where(is_known, meaning(default))


def _perturbations(
    source: WellTable,
    values: Mapping[str, pd.Series[Any]],
    annotations: Mapping[str, pd.Series[Any]],
    table: pd.DataFrame,
    origin: str,
) -> tuple[pd.DataFrame, list[Problem]]:
    rules = source.rules(list(table.columns))
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
    dose, found = numbers("concentration_um", rows["concentration_um"], lines, origin,
                          source.form.numbers)  # fmt: skip
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
