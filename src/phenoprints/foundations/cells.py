"""Cells of tables as names or numbers: one spelling, one list of missing words, one parser."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "Not listed",
)  # fmt: skip
"""Cells without a value: those of `pandas.read_csv`, and "Not listed" (IDR's)."""

NOT_NUMBERS = ("#DIV/0!", "#NUM!", "#VALUE!", "#REF!", "#NAME?", "#NULL!", "-nan(ind)", "nan(ind)")
"""What spreadsheets and C libraries write in place of a number; read as NaN, and counted."""

_BLANKS = {0x00A0: " ", 0x2007: " ", 0x202F: " ", 0x200B: None, 0xFEFF: None}
"""No-break spaces, and characters without width."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WITH_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)
_WITH_MARKS = re.compile(r"[+-]?\d[\d, ']*(\.\d*)?([eE][+-]?\d+)?%?", re.ASCII)
_CODE = re.compile(r"0\d+", re.ASCII)
_INFINITE = re.compile(r"[+-]?(inf|infinity|1\.#inf)", re.ASCII | re.IGNORECASE)
_BOOLEANS = {"true": 1.0, "false": 0.0}
_EXCEL_DATE = re.compile(
    r"\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r"|(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{2}"
    r"|\d{4}-\d{2}-\d{2}( 00:00:00)?|\d{1,2}/\d{1,2}/\d{2,4}",
    re.ASCII | re.IGNORECASE,
)


def normalised(text: str) -> str:
    """Return a text in Unicode NFC, with plain blanks inside and none around it."""
    return unicodedata.normalize("NFC", text.translate(_BLANKS)).strip()


def is_code(text: str) -> bool:
    """Return whether a text is digits with leading zeros, which is a name and no number."""
    return _CODE.fullmatch(text) is not None


def is_spreadsheet_date(name: str) -> bool:
    """Return whether a name looks like the date that a spreadsheet makes of MARCH1 or SEPT2."""
    return _EXCEL_DATE.fullmatch(name) is not None


def name_texts(column: pa.ChunkedArray) -> pd.Series[Any]:
    """Return the values of an Arrow column as names, None where it has none.

    Whole floats lose their point (a column with gaps turns 41000 into 41000.0), booleans are True
    and False, and times are written as pandas writes them to CSV, so that the same table has the
    same names in every file format.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return name_texts(column.cast(kind.value_type))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        column = column.cast(pa.string())
    values = column.to_pandas()
    if pa.types.is_floating(kind):
        return _float_texts(values.astype("float64"))
    if pa.types.is_integer(kind):
        values = column.cast(pa.string()).to_pandas()
    elif pa.types.is_temporal(kind) and not pa.types.is_time(kind):
        values = pd.to_datetime(values).astype(str).where(values.notna(), None)
    text = values.astype(object).map(str, na_action="ignore")
    named: pd.Series[Any] = text.where(text.notna(), None)
    return named


def _float_texts(values: pd.Series[float]) -> pd.Series[Any]:
    there = values.dropna()
    is_whole = bool(((there % 1 == 0) & (there.abs() < 2**53)).all())
    spelled = (lambda value: str(int(value))) if is_whole else repr
    return values.astype(object).where(values.notna(), None).map(spelled, na_action="ignore")


@dataclass(frozen=True)
class Names:
    """A column of names; `num_changed` cells were spelled otherwise, such as `example`."""

    values: pd.Series[Any]
    num_changed: int = 0
    example: str = ""


def clean_names(values: pd.Series[Any], missing: Sequence[str] = MISSING) -> Names:
    """Return names without outer blanks and in one Unicode form; missing words become None."""
    codes, words = pd.factorize(values)
    clean = [normalised(str(word)) for word in words]
    is_changed = np.array([a != str(b) and a not in missing
                           for a, b in zip(clean, words, strict=True)], dtype=bool)  # fmt: skip
    table = np.array([*(None if word in missing else word for word in clean), None], dtype=object)
    found = pd.Series(table[codes], index=values.index, dtype=object)
    if not is_changed.any():
        return Names(found)
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    first = words[int(np.argmax(is_changed))]
    return Names(found, int(counts[is_changed].sum()), str(first))


def frame_names(table: pd.DataFrame, missing: Sequence[str] = MISSING) -> pd.DataFrame:
    """Return a table in memory as names, as they are read from a file."""
    found = {}
    for name in table.columns:
        try:
            column = pa.chunked_array([pa.array(table[name], from_pandas=True)])
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # values of several types
            column = pa.chunked_array([pa.array(table[name].map(str, na_action="ignore"))])
        if not pa.types.is_nested(column.type):
            found[normalised(str(name))] = clean_names(name_texts(column), missing).values
    return pd.DataFrame(found, index=pd.RangeIndex(len(table)))


@dataclass(frozen=True)
class NumberForm:
    """How numbers are written: the decimal mark (`auto`, `.` or `,`) and that of thousands."""

    decimal: str = "auto"
    thousands: str = "none"
    missing: Sequence[str] = MISSING

    def for_words(self, words: Iterable[str]) -> NumberForm:
        """Return the form with the decimal mark that the words of a file show.

        A comma is a decimal mark where some number cannot be read otherwise and no number has a
        point. 1,234 alone can be read in two ways and decides nothing.
        """
        if self.decimal != "auto" or self.thousands != "none":
            return self
        has_point = has_comma = False
        for word in words:
            has_point |= "." in word and _NUMBER.fullmatch(word) is not None
            has_comma |= _WITH_COMMA.fullmatch(word) is not None and not _THOUSANDS.fullmatch(word)
        decimal = "," if has_comma and not has_point else "."
        return NumberForm(decimal, self.thousands, self.missing)

    def number(self, text: str) -> float | None:
        """Return the number that a cell holds, NaN where it is missing, None for other words."""
        word = normalised(text)
        if word in self.missing or word in NOT_NUMBERS:
            return float("nan")
        if _INFINITE.fullmatch(word):
            return -float("inf") if word.startswith("-") else float("inf")
        if self.thousands != "none":
            word = word.replace(" " if self.thousands == "blank" else self.thousands, "")
        if self.decimal == ",":
            word = word.replace(".", "?").replace(",", ".")
        return float(word) if _NUMBER.fullmatch(word) else None


@dataclass(frozen=True)
class Numbers:
    """A column of numbers (n, width) float64, with what it is made of.

    `kind` is number, boolean, code (digits with leading zeros), text, list or empty. `words` maps
    rows that hold no number to their text; `num_spoiled` counts cells such as #DIV/0!.
    """

    values: NDArray[np.float64]
    kind: str = "number"
    words: tuple[tuple[int, str], ...] = ()
    num_words: int = 0
    num_spoiled: int = 0


MAX_WORDS = 3
"""Cells without a number that a message shows."""


def number_column(
    column: pa.ChunkedArray, form: NumberForm, cast: pa.ChunkedArray | None = None
) -> Numbers:
    """Return an Arrow column as numbers; missing values are NaN, words are named.

    `cast` is what `cast_numbers` returned for a column of text.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return number_column(column.cast(kind.value_type), form)
    if pa.types.is_boolean(kind):
        return Numbers(_float64(column.cast(pa.uint8())), "boolean")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _judged(_float64(column))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return parsed(column, form, cast)
    return Numbers(np.full((len(column), 1), np.nan), "empty" if pa.types.is_null(kind) else "text")


def cast_numbers(column: pa.ChunkedArray, form: NumberForm) -> pa.ChunkedArray | None:
    """Return a column of text as float64 where every cell is a plain number or missing."""
    if form.decimal == "," or pc.any(pc.match_substring_regex(column, r"^\s*0[0-9]")).as_py():
        return None
    missing = pa.array(list(form.missing), column.type)
    known = pc.if_else(pc.is_in(column, value_set=missing), pa.scalar(None, column.type), column)
    try:
        return pc.cast(known, pa.float64())
    except pa.ArrowInvalid:
        return None


def has_point(column: pa.ChunkedArray) -> bool:
    """Return whether some cell of a column has a point."""
    return bool(pc.any(pc.match_substring(column, ".")).as_py())


def parsed(
    column: pa.ChunkedArray, form: NumberForm, cast: pa.ChunkedArray | None = None
) -> Numbers:
    """Return a column of text as numbers, by the form of its file."""
    cast = cast_numbers(column, form) if cast is None else cast
    if cast is not None:
        return _judged(_float64(cast))
    codes, words = pd.factorize(column.to_pandas())
    form = form.for_words(map(str, words))
    return _parsed_words(codes, [str(word) for word in words], form)


def _parsed_words(codes: NDArray[np.int64], words: list[str], form: NumberForm) -> Numbers:
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    clean = [normalised(word) for word in words]
    is_there = np.array([word not in form.missing for word in clean], dtype=bool)
    found = [form.number(word) for word in clean]
    is_word = np.array([value is None for value in found], dtype=bool)
    truths = [_BOOLEANS.get(word.casefold()) for word in clean]
    if is_there.any() and all(t is not None for t in np.array(truths, object)[is_there]):
        found, is_word, kind = truths, np.zeros(len(words), bool), "boolean"
    elif any(map(is_code, clean)):
        kind = "code"
    else:
        is_foreign = is_word & np.array([not _with_marks(word) for word in clean], dtype=bool)
        num_there, num_foreign = counts[is_there].sum(), counts[is_foreign].sum()
        kind = "text" if 2 * num_foreign > num_there else "number" if num_there else "empty"
    table = np.array([*(np.nan if v is None else v for v in found), np.nan], dtype=np.float64)
    rows = np.flatnonzero(np.append(is_word, False)[codes])[:MAX_WORDS]
    return Numbers(
        table[codes][:, None], kind,
        tuple((int(row), words[codes[row]]) for row in rows), int(counts[is_word].sum()),
        int(sum(counts[i] for i, word in enumerate(clean) if word in NOT_NUMBERS)),
    )  # fmt: skip


def _with_marks(word: str) -> bool:
    """Return whether a word looks like a number with marks that its file does not explain."""
    return _WITH_MARKS.fullmatch(word) is not None


def _float64(column: pa.ChunkedArray) -> NDArray[np.float64]:
    cast = column.cast(pa.float64(), safe=False).to_numpy()
    return np.asarray(cast, dtype=np.float64)[:, None]


def _judged(values: NDArray[np.float64]) -> Numbers:
    return Numbers(values, "empty" if np.isnan(values).all() else "number")


def _lists(column: pa.ChunkedArray) -> Numbers:
    """Return vectors of the most frequent length; rows with another length or none are NaN."""
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    there = lengths[~np.isnan(lengths.astype(np.float64))].astype(np.int64)
    if not len(there) or not (width := int(np.bincount(there).argmax())):
        return Numbers(np.full((len(column), 1), np.nan), "empty")
    is_whole = lengths == width
    try:
        flat = pc.list_flatten(column.filter(pa.array(is_whole))).cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return Numbers(np.full((len(column), 1), np.nan), "text")
    values = np.full((len(column), width), np.nan)
    values[is_whole] = np.asarray(flat.to_numpy(), np.float64).reshape(-1, width)
    odd = [(int(i), f"a list of {lengths[i]:g}") for i in np.flatnonzero(~is_whole)
           if lengths[i] == lengths[i]]  # fmt: skip
    return Numbers(values, "list", tuple(odd[:MAX_WORDS]), len(odd))
