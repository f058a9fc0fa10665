"""A contract is a table's columns, types and rules in one place, checked where data enters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.foundations.parquet import named_errors
from phenoprints.foundations.publishing import publish_table


@dataclass(frozen=True)
class Contract:
    """Columns with types, what must be unique, how rows are sorted, which words are allowed.

    `words` maps a column to its allowed values; `may_add` admits further columns (annotations).
    `derived` maps a column that tables of older versions lack to a function of the table that
    returns its values.
    """

    name: str
    schema: pa.Schema
    unique: Sequence[str] = ()
    sorted_by: Sequence[str] = ()
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    may_add: bool = False
    derived: Mapping[str, Callable[[pd.DataFrame], Any]] = field(default_factory=dict)

    def conform(self, table: pd.DataFrame, *, where: str | None = None) -> pa.Table:
        """Return the table in this contract's columns, types and row order; every breach in one
        error.
        """
        source = where or self.name
        table = self.completed(table)
        raise_problems(self._missing(table, source))
        extra = [c for c in table.columns if c not in self.schema.names] if self.may_add else []
        if self.sorted_by:
            table = table.sort_values(list(self.sorted_by), kind="stable", ignore_index=True)
        raise_problems([*self._duplicates(table, source), *self._strangers(table, source)])
        try:
            core = pa.Table.from_pandas(
                table[self.schema.names], schema=self.schema, preserve_index=False
            )
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TableError(f"{source}: a column cannot hold its values. {error}") from error
        for column in extra:
            core = core.append_column(column, pa.array(table[column], from_pandas=True))
        return core.replace_schema_metadata(None)

    def completed(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table with the derived columns that it lacks."""
        absent = {name: of for name, of in self.derived.items() if name not in table.columns}
        return table.assign(**absent) if absent else table

    def write(self, path: str | Path, table: pd.DataFrame) -> None:
        """Check the table and publish it as Parquet."""
        publish_table(path, self.conform(table, where=str(path)))

    def read(self, path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the table, or some of its columns; a missing or foreign file is named.

        Derived columns that the file lacks are computed.
        """
        with named_errors(path):
            absent = set(self.derived) - set(pq.read_schema(path).names)
            is_derived = bool(absent & set(columns or self.schema.names))
            stored = None if columns is None or is_derived else list(columns)
            table: pa.Table = pq.read_table(path, columns=stored)
        frame: pd.DataFrame = table.to_pandas()
        frame = self.completed(frame) if is_derived else frame
        raise_problems(self._missing(frame, str(path), columns))
        return frame[list(columns)] if is_derived and columns else frame

    def _missing(
        self, table: pd.DataFrame, where: str, wanted: Sequence[str] | None = None
    ) -> list[Problem]:
        absent = [c for c in wanted or self.schema.names if c not in table.columns]
        expected = ", ".join(self.schema.names)
        return [
            Problem(where, f'column "{c}" is missing', f"the columns {expected}") for c in absent
        ]

    def _duplicates(self, table: pd.DataFrame, where: str) -> list[Problem]:
        if not self.unique:
            return []
        twice = table[table.duplicated(list(self.unique), keep=False)]
        keys = twice[list(self.unique)].astype(str).agg("/".join, axis=1).value_counts(sort=False)
        return [
            Problem(
                where, f'{"/".join(self.unique)} "{key}" stands in {count} rows', "one row each"
            )
            for key, count in keys.items()
        ]

    def _strangers(self, table: pd.DataFrame, where: str) -> list[Problem]:
        problems = []
        for column, allowed in self.words.items():
            strange = table.loc[~table[column].isin(allowed), column].value_counts(sort=False)
            for value, count in strange.items():
                what = f'column "{column}": "{value}" in {count} rows'
                problems.append(Problem(where, what, f"one of {', '.join(allowed)}"))
        return problems
