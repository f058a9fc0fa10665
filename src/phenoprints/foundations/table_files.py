"""The one reader of tables from outside: CSV of any form, Parquet and .h5ad, by columns."""

from __future__ import annotations

import codecs
import csv
import io
import lzma
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from phenoprints.foundations.cells import (
    MISSING,
    NumberForm,
    Numbers,
    cast_numbers,
    clean_names,
    has_point,
    name_texts,
    normalised,
    number_column,
)
from phenoprints.foundations.errors import (
    MissingInputError,
    PhenoprintsError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.running_job import note_input
from phenoprints.foundations.size_limits import (
    COMPRESSED,
    check_decompressed_size,
    memory_errors,
    refuse_large_array,
)

LINE = "line"
"""Column with the line of a row in its file (the header is line 1), or minus its number from 1."""
SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}
BY_SUFFIX = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
UNREADABLE = (
    ValueError, OSError, EOFError, KeyError, zlib.error, lzma.LZMAError, ImportError,
    pa.ArrowException,
)  # fmt: skip
"""What the readers of tables raise on files that are not what their names say."""
HEAD_BYTES, HEAD_LINES = 1 << 20, 50
"""What the separator and the encoding of a file are decided by."""
BLOCK_BYTES = 1 << 24
"""Bytes of text that are parsed at a time; a row has to fit in."""
MAX_ODD_ROWS = 100
_BOMS = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip


@dataclass(frozen=True)
class TableFormat:
    """How text tables are written; `auto` decides by the content, or refuses.

    Attributes
    ----------
    separator
        `auto`, or a key of `SEPARATORS`.
    encoding
        `auto` (UTF-8, or UTF-16 where the file begins as such), or the name of a Python codec.
    decimal, thousands
        `auto`, `point` or `comma`; and `none`, `comma`, `point` or `blank`.
    missing
        Cells without a value.
    """

    separator: str = "auto"
    encoding: str = "auto"
    decimal: str = "auto"
    thousands: str = "none"
    missing: Sequence[str] = MISSING

    @property
    def numbers(self) -> NumberForm:
        """How numbers are written."""
        marks = {"point": ".", "comma": ","}
        decimal, thousands = (marks.get(m, m) for m in (self.decimal, self.thousands))
        return NumberForm(decimal, thousands, tuple(self.missing))


class TableFile:
    """One table, read by columns: as names (text) or as numbers.

    Parameters
    ----------
    path
        CSV, TSV or text, each also compressed (.gz, .bz2, .xz, .zst); Parquet; or .h5ad, whose
        columns are those of `obs` and the variables of `X`.
    form
        How text is written.

    Attributes
    ----------
    columns
        Names of the columns, without outer blanks and in Unicode NFC. An unnamed one is "".
    notes
        What was decided or changed while reading, in sentences.

    Raises
    ------
    MissingInputError, TableError, UnsafeInputError
        The file does not exist, is not what its name says, has rows of another length than its
        header or two columns of one name, or would become very large.
    """

    def __init__(self, path: str | Path, form: TableFormat | None = None) -> None:
        self.path, self.form = Path(path), form or TableFormat()
        self.notes: list[str] = []
        if not self.path.is_file():
            raise MissingInputError(
                f"{path}: the file is not there.\n  To fix: correct the path in the configuration; "
                "relative paths start where snakemake was started."
            )
        note_input(self.path)
        with named(self.path):
            self._source = _opened(self.path, self.form)
            names = [normalised(name) for name in self._source.names]
        self.notes += self._source.notes
        self._raw = dict(zip(names, self._source.names, strict=True))
        twice = sorted({name for name in names if name and names.count(name) > 1}) if len(
            self._raw) < len(names) else []  # fmt: skip
        raise_problems(
            Problem(str(path), f'column "{name}" occurs {names.count(name)} times',
                    "one column of each name", "rename or delete the others")
            for name in twice
        )  # fmt: skip
        self.columns = list(self._raw)

    @property
    def is_text(self) -> bool:
        """Whether rows have lines."""
        return isinstance(self._source, _Text)

    def place(self, row: int) -> str:
        """Return where a row is: a line of a text file, else its number from 1."""
        return f"line {row + 2}" if self.is_text else f"row {row + 1}"

    def _read(self, columns: Sequence[str]) -> pa.Table:
        require_columns(self.columns, columns, str(self.path))
        raw = [self._raw[name] for name in columns]
        if suffix_of(self.path) == ".parquet":
            check_decompressed_size(self.path, raw)
        with named(self.path), memory_errors(self.path):
            return self._source.read(raw).rename_columns(list(columns))

    def names(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return columns (by default all that hold single values) as text, and `line`.

        Missing values are None. Blanks around names and other Unicode forms are mended, and
        noted in `notes`.
        """
        table = self._read(self.columns if columns is None else columns)
        found: dict[str, pd.Series[Any]] = {}
        for name in table.column_names:
            if pa.types.is_nested(table.schema.field(name).type):
                continue
            names = clean_names(name_texts(table.column(name)), self.form.missing)
            found[name] = names.values
            if names.num_changed:
                self.notes.append(
                    f"{self.path}: outer blanks, no-break spaces or another Unicode form were "
                    f"removed from cells of {name!r} ({names.num_changed}, first: "
                    f"{names.example!r})"
                )
        rows = np.arange(table.num_rows)
        line = rows + 2 if self.is_text else -rows - 1
        return pd.DataFrame({**found, LINE: line}, index=pd.RangeIndex(table.num_rows))

    def numbers(self, columns: Sequence[str]) -> Iterator[tuple[str, Numbers]]:
        """Yield columns as numbers, each with what it is made of; missing values are NaN."""
        table, form = self._read(columns), self.form.numbers
        casts: dict[str, pa.ChunkedArray] = {}
        if self.is_text:
            casts = {name: cast for name in columns
                     if (cast := cast_numbers(table.column(name), form)) is not None}  # fmt: skip
            form = self._decided(form, table, casts)
        for name in columns:
            yield name, number_column(table.column(name), form, casts.pop(name, None))

    def _decided(self, form: NumberForm, table: pa.Table, casts: Any) -> NumberForm:
        """Return the form with one decimal mark for all columns of the file."""
        odd = [name for name in table.column_names if name not in casts]
        words = {word for name in odd for word in table.column(name).unique().to_pylist() if word}
        decided = form.for_words(map(normalised, words))
        if decided.decimal == "," and form.decimal == "auto":
            if any(has_point(table.column(name)) for name in casts):
                return replace(form, decimal=".")
            self.notes.append(f"{self.path}: its numbers have a decimal comma.")
        return decided

    @cached_property
    def num_rows(self) -> int:
        """Rows of the table."""
        return int(self._read(self.columns[:1]).num_rows)


def suffix_of(path: Path) -> str:
    """Return the suffix of a path in lower case, without that of a compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes = suffixes[:-1]
    return suffixes[-1] if suffixes else ""


def require_columns(there: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Raise TableError with every wanted column that is not there."""
    known = ", ".join([name for name in there if name not in (LINE, "file")][:40])
    raise_problems(
        Problem(where, f'column "{column}" is missing', f"one of the table's columns: {known}")
        for column in wanted
        if column not in there
    )


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn what readers raise into a TableError that names the file."""
    try:
        yield
    except TableError:
        raise
    except UNREADABLE as error:
        if isinstance(error, PhenoprintsError | MemoryError):
            raise
        raise TableError(f"{path}: the table cannot be read. {error}") from error


class _Text:
    """A text table; all of it is read as text, once."""

    def __init__(self, path: Path, form: TableFormat) -> None:
        self.path, self.form = path, form
        self.notes: list[str] = []
        check_decompressed_size(path)
        if suffix_of(path) not in BY_SUFFIX:
            known = ", ".join([*BY_SUFFIX, ".parquet", ".h5ad"])
            raise ValueError(f"Its name should end in {known}; text also compressed.")
        with open_bytes(path) as stream:
            head = stream.read(HEAD_BYTES)
        self.encoding = form.encoding if form.encoding != "auto" else encoding_of(head)
        self.lines = _head_lines(head, self.encoding, len(head) < HEAD_BYTES)
        self.separator = self._separator()
        self.names = next(csv.reader(self.lines, delimiter=self.separator, skipinitialspace=True))

    def _separator(self) -> str:
        usual = BY_SUFFIX[suffix_of(self.path)]
        if self.form.separator != "auto":
            return SEPARATORS[self.form.separator]
        if not any(line.strip() for line in self.lines):
            raise ValueError("It is empty.")
        found = separator_of(self.lines, usual)
        if found != usual:
            called = {mark: name for name, mark in SEPARATORS.items()}
            self.notes.append(
                f"{self.path}: its columns are separated by a {called[found]} "
                f"({found.join(next(csv.reader(self.lines, delimiter=found))[:6])}), not as its "
                "name says; `table_format.separator` names another."
            )
        return found

    @cached_property
    def table(self) -> pa.Table:
        odd: list[pacsv.InvalidRow] = []

        def skip(row: pacsv.InvalidRow) -> str:
            if row.text.strip(self.separator + " \t\r\n\"'"):
                odd.append(row)
            return "skip" if len(odd) < MAX_ODD_ROWS else "error"

        names = [f"{place}" for place in range(len(self.names))]
        try:
            table = self._parsed(names, skip)
        except pa.ArrowInvalid:
            if not odd:
                raise
        raise_problems(self._odd_rows(odd))
        return table

    def _parsed(self, names: list[str], skip: Any) -> pa.Table:
        with open_bytes(self.path) as stream:
            return pacsv.read_csv(
                _utf8(stream, self.encoding),
                pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names,
                                  skip_rows=0),
                pacsv.ParseOptions(delimiter=self.separator, newlines_in_values=True,
                                   invalid_row_handler=skip),
                pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()),
                                     null_values=[""], strings_can_be_null=True),
            ).slice(1)  # fmt: skip

    def _odd_rows(self, odd: list[pacsv.InvalidRow]) -> Iterator[Problem]:
        if not odd:
            return
        first, has_names = odd[0], odd[0].actual_columns == odd[0].expected_columns + 1
        shown = first.text if len(first.text) < 60 else first.text[:60] + "…"
        many = f"{len(odd)}{' or more' if len(odd) >= MAX_ODD_ROWS else ''} rows have"
        what = f"{first.actual_columns} cells ({shown})"
        if len(odd) > 1:
            lines = ", ".join(str(row.number) for row in odd[:5])
            what += f". {many} another number of cells than the header (lines {lines})"
        fix = "correct the row, or set table_format.separator where columns are separated otherwise"
        if has_names:
            fix += "; where the first column has no name (as R writes row names), name it"
        yield Problem(f"{self.path}, line {first.number}", what,
                      f"{first.expected_columns} as in the header", fix)  # fmt: skip

    def read(self, names: Sequence[str]) -> pa.Table:
        return self.table.select([self.names.index(name) for name in names])


class _Parquet:
    """A Parquet table, read by columns."""

    def __init__(self, path: Path) -> None:
        self.path, self.notes = path, list[str]()
        self.names = list(pq.read_schema(path).names)

    def read(self, names: Sequence[str]) -> pa.Table:
        table = pq.read_table(self.path, columns=list(dict.fromkeys(names)))
        return table.select(list(names))


class _H5ad:
    """An AnnData file: `obs` as columns of names, `X` as one column for each variable."""

    def __init__(self, path: Path) -> None:
        import h5py
        from anndata.io import read_elem

        self.path, self.notes = path, list[str]()
        with h5py.File(path, "r") as file:
            obs, var = read_elem(file["obs"]), read_elem(file["var"])
            refuse_large_array(path, (len(obs), len(var)), 8)
            values = read_elem(file["X"])
        if obs.index.name is not None and obs.index.name not in obs:
            obs = obs.reset_index()
        self.matrix = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
        self.obs = pa.Table.from_pandas(obs, preserve_index=False)
        self.variables = [str(name) for name in var.index]
        self.names = [*self.obs.column_names, *self.variables]

    def read(self, names: Sequence[str]) -> pa.Table:
        places = {name: place for place, name in enumerate(self.variables)}
        return pa.table(
            [self.obs.column(name) if name in self.obs.column_names
             else pa.array(self.matrix[:, places[name]]) for name in names],
            names=list(map(str, range(len(names)))),
        )  # fmt: skip


def _opened(path: Path, form: TableFormat) -> _Text | _Parquet | _H5ad:
    match suffix_of(path):
        case ".parquet":
            return _Parquet(path)
        case ".h5ad":
            return _H5ad(path)
        case _:
            return _Text(path, form)


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, decompressed by its suffix."""
    kind = COMPRESSED.get(path.suffix.lower())
    if kind == "xz":
        return lzma.open(path)  # type: ignore[return-value]
    if kind is None:
        return path.open("rb")
    return pa.input_stream(str(path), compression=kind)  # type: ignore[no-any-return]


def encoding_of(head: bytes) -> str:
    """Return UTF-8 or UTF-16 by the first bytes of a file; ValueError with the setting to use.

    Zero bytes in every other place are UTF-16 without a mark; bytes that are no UTF-8 can be any
    of the older encodings, which only the user knows.
    """
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            return name
    zeros = [head[start:2000:2].count(0) for start in (0, 1)]
    if max(zeros) > len(head[:2000]) // 4:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError as error:
        near = head[max(0, error.start - 12) : error.start + 8]
        raise ValueError(
            f"Near {near!r} it is not UTF-8.\n  To fix: set `table_format: {{encoding: cp1252}}` "
            "for files of Windows and latin-1, mac_roman for those of old Macs, or save it as UTF-8"
        ) from error
    return "utf-8"


def _head_lines(head: bytes, encoding: str, is_whole: bool) -> list[str]:
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head, final=is_whole)
    lines = io.StringIO(text.removeprefix("\ufeff"), newline=None).read().split("\n")
    kept = lines if is_whole else lines[:-1] or lines
    return [line for line in islice(kept, HEAD_LINES * 4) if line.strip()][:HEAD_LINES]


def separator_of(lines: Sequence[str], usual: str) -> str:
    """Return the character that cuts all lines into equally many cells, two or more.

    Several do: the usual one of them, else ValueError with the setting to use. None does: the
    usual one, where the header has it, else the one that the header has most of.
    """
    widths = {
        mark: [len(row) for row in csv.reader(lines, delimiter=mark, skipinitialspace=True) if row]
        for mark in SEPARATORS.values()
    }
    even = [mark for mark, counts in widths.items() if counts[0] > 1 and len(set(counts)) == 1]
    if len(even) == 1 or usual in even:
        return usual if usual in even else even[0]
    if even:
        raise ValueError(
            f"Its columns could be separated by any of {', '.join(map(repr, even))}.\n"
            "  To fix: set table_format.separator"
        )
    return usual if widths[usual][0] > 1 else max(widths, key=lambda mark: widths[mark][0])


def _utf8(stream: IO[bytes], encoding: str) -> IO[bytes]:
    """Return a stream of bytes as UTF-8, without a byte order mark; bad bytes are an error."""
    if encoding == "utf-8":
        return stream
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    return io.BytesIO(text.read().removeprefix("\ufeff").encode("utf-8"))


def read_names(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    optional: Sequence[str] = (),
    form: TableFormat | None = None,
    notes: list[str] | None = None,
) -> pd.DataFrame:
    """Return a table as text, missing values as None, with the column `line`.

    Parameters
    ----------
    path, form
        As for `TableFile`.
    columns
        Columns to read, all of which have to be there; all when None.
    optional
        Further columns that are read where they are there.
    notes
        Receives what was decided or changed while reading.

    Raises
    ------
    MissingInputError, TableError, UnsafeInputError
        As for `TableFile`.
    """
    table = TableFile(path, form)
    wanted = None
    if columns is not None:
        wanted = [*columns, *(name for name in optional if name in table.columns)]
    found = table.names(wanted)
    if notes is not None:
        notes += table.notes
    return found


def together(notes: Sequence[str]) -> list[str]:
    """Return notes, `file: sentence`, with the same sentence on several files as one."""
    by: dict[str, list[str]] = {}
    for note in notes:
        file, mark, sentence = note.partition(": ")
        by.setdefault(sentence if mark else "", []).append(file if mark else note)
    alone = by.pop("", [])
    lines = []
    for sentence, files in by.items():
        more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
        lines.append(f"{files[0]}{more}: {sentence}")
    return [*lines, *alone]
