"""Encode nested perturbations of very large screens to condition ids, part by part, out of core."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.foundations.publishing import publish_table
from phenoprints.screens.conditions import FACTS, KEY, condition_lists, contradictions
from phenoprints.wells.contracts import CONDITIONS

Result = TypeVar("Result")

NESTED = "perturbations"
"""The column that is encoded: a list of structs with `perturbation` and, as far as known, `kind`,
`gene`, `guide` and `concentration_um`."""
WELL_KEY = ("cell_type", "background")
HASH_KEYS = ("phenoprints-key-", "phenoprints-key+")
"""Keys of the 64-bit hash; the second is used should two conditions ever share the first's."""


@dataclass(frozen=True)
class Entries:
    """The perturbations of a part, one row each, as codes into the part's distinct conditions.

    `code` is -1 where the perturbation is unknown; `well_row` is the position of its well.
    """

    well_row: NDArray[np.int64]
    code: NDArray[np.int64]
    distinct: pd.DataFrame


def encode_parts(
    parts: Sequence[str | Path], folder: str | Path, *, workers: int = 1
) -> pd.DataFrame:
    """Write each part with `conditions` in place of `perturbations`, and the conditions table.

    Parameters
    ----------
    parts
        Parquet files of wells with `role`, `cell_type`, `background` and the nested column
        `perturbations`; whole experiments each.
    folder
        Receives `conditions.parquet` and a part of the same name for each of `parts`.
    workers
        Parts that are worked on at once; the bytes do not depend on it.

    Returns
    -------
    The conditions table, ids in sorted order of their keys over all parts.

    Raises
    ------
    TableError
        A part has no such column, or a condition contradicts itself; all problems in one message.
    """
    files, place = [Path(part) for part in parts], Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    for key in HASH_KEYS:
        try:
            return _encode(files, place, workers, key)
        except SharedHashError:
            continue
    what = "two conditions share both of their 64-bit hashes"
    raise TableError(str(Problem("conditions", what, "distinct hashes", "rename one of them")))


class SharedHashError(Exception):
    """Two conditions have the same hash: another key must be tried."""


def _encode(files: Sequence[Path], place: Path, workers: int, key: str) -> pd.DataFrame:
    """Two passes: the codes of each part are kept on disk while the conditions are united."""
    with ThreadPoolExecutor(workers) as pool, TemporaryDirectory(dir=place) as scratch:
        held = [Path(scratch) / f"{number}.npz" for number in range(len(files))]

        def collect(file: Path, codes: Path) -> tuple[pd.DataFrame, NDArray[np.uint64]]:
            found = read_entries(file)
            hashes = _hashes(found.distinct, key)
            row, code = found.well_row.astype(np.int32), found.code.astype(np.int32)
            np.savez(codes, well_row=row, code=code, hashes=hashes)
            return found.distinct, hashes

        conditions = _united(_ahead(pool, collect, files, held))
        ids = IdsByHash.of_conditions(conditions, key)

        def write(file: Path, codes: Path) -> None:
            with np.load(codes) as found:
                known = np.append(ids.of(found["hashes"]), np.int32(-1))
                condition = known[found["code"]]
                well_row = found["well_row"].astype(np.int64)
            publish_table(place / file.name, encoded(file, well_row, condition))

        for _ in _ahead(pool, write, files, held):
            pass
    CONDITIONS.write(place / "conditions.parquet", conditions)
    return conditions


def _ahead(
    pool: ThreadPoolExecutor, task: Callable[..., Result], *arguments: Sequence[Path]
) -> Iterator[Result]:
    """The results of a task in order, only a few of them computed before they are taken."""
    waiting: deque[Future[Result]] = deque()
    for entry in zip(*arguments, strict=True):
        waiting.append(pool.submit(task, *entry))
        if len(waiting) > MAX_AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def read_entries(file: Path) -> Entries:
    """The perturbations of one part; only the columns that conditions need are read."""
    there = pq.read_schema(file)
    wanted = [name for name in ("role", *WELL_KEY, NESTED) if name in there.names]
    few = [name for name in ("role", *WELL_KEY) if name in wanted]
    return entries(pq.read_table(file, columns=wanted, read_dictionary=few, use_threads=False))


def entries(table: pa.Table) -> Entries:
    """The perturbations of a table of wells with the nested column."""
    if NESTED not in table.column_names or not pa.types.is_list(table.schema.field(NESTED).type):
        raise TableError(f'wells: column "{NESTED}" is missing or no list of perturbations.')
    nested = table.column(NESTED).combine_chunks()
    if isinstance(nested, pa.ChunkedArray):
        nested = nested.chunk(0)
    rows = pc.list_parent_indices(nested).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = pc.list_flatten(nested)
    there = [field.name for field in flat.type]
    columns = {name: pc.struct_field(flat, name) for name in there}
    roles = table.column("role").cast(pa.string())
    is_perturbed = pc.not_equal(roles, "unperturbed").to_numpy()[rows]
    rows = rows[is_perturbed]
    coded = {}
    for name in there:
        codes, values = _codes(columns[name])
        coded[name] = codes[is_perturbed], values
    for name in WELL_KEY:
        codes, values = _codes(table.column(name))
        coded[name] = codes[rows], values
    code, distinct = _combined(coded, len(rows))
    code[coded["perturbation"][0] == 0] = -1
    return Entries(rows, code, distinct)


def _codes(column: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """For each value 0 when it is null, else 1 + its place among the distinct values."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    indices = pc.fill_null(column.indices.cast(pa.int64()), -1)
    return indices.to_numpy(zero_copy_only=False) + 1, column.dictionary


def _combined(
    coded: dict[str, tuple[NDArray[np.int64], pa.Array]], num_rows: int
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Each row's place among the distinct combinations of codes, and those as values."""
    mixed = np.zeros(num_rows, dtype=np.int64)
    for codes, values in coded.values():
        size = len(values) + 1
        if mixed.max(initial=0) > (2**62) // size:
            mixed = pd.factorize(mixed)[0].astype(np.int64)
        mixed = mixed * size + codes
    code, _ = pd.factorize(mixed)
    first = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int64)
    first[code[::-1]] = np.arange(num_rows)[::-1]
    distinct = {
        name: pc.take(values, pa.array(codes[first] - 1, mask=codes[first] == 0)).to_pandas()
        for name, (codes, values) in coded.items()
    }
    table = pd.DataFrame({name: distinct.get(name) for name in (*KEY, *FACTS)})
    return code.astype(np.int64), table.astype({"concentration_um": "float64"})


def _united(found: Iterable[tuple[pd.DataFrame, NDArray[np.uint64]]]) -> pd.DataFrame:
    """The conditions of all parts, in sorted order of their keys, with their ids."""
    tables: list[pd.DataFrame] = []
    hashes: list[NDArray[np.uint64]] = []
    num_rows = num_merged = 0
    for distinct, own in found:
        is_known = distinct["perturbation"].notna().to_numpy()
        tables.append(distinct[is_known])
        hashes.append(own[is_known])
        num_rows += int(is_known.sum())
        if num_rows - num_merged > MERGE_ROWS:
            table, kept = _merged(tables, hashes)
            tables, hashes, num_rows = [table], [kept], len(table)
            num_merged = len(table)
    whole, _ = _merged(tables, hashes)
    ordered = whole.sort_values([*KEY, *FACTS], na_position="last", ignore_index=True)
    groups = ordered.groupby(KEY, sort=True, dropna=False).ngroup()
    ids = np.asarray(groups, dtype=np.int32)
    raise_problems(contradictions(ordered, ids, "the parts"))
    first = ordered.assign(condition_id=ids).groupby("condition_id", sort=True)[[*KEY, *FACTS]]
    return first.first().reset_index().astype({"concentration_um": "float64"})


def _merged(
    tables: Sequence[pd.DataFrame], hashes: Sequence[NDArray[np.uint64]]
) -> tuple[pd.DataFrame, NDArray[np.uint64]]:
    """The rows of all tables without those that repeat their neighbour in the order of hashes.

    Rows of one hash that differ are all kept, so that nothing is lost to a shared hash.
    """
    whole, order = pd.concat(tables, ignore_index=True), np.argsort(np.concatenate(hashes))
    whole, sorted_hashes = whole.iloc[order], np.concatenate(hashes)[order]
    is_repeat = np.zeros(len(whole), dtype=np.bool_)
    is_repeat[1:] = sorted_hashes[1:] == sorted_hashes[:-1]
    alike = np.flatnonzero(is_repeat)
    for name in (*KEY, *FACTS):
        values = whole[name].to_numpy()
        one, other = values[alike], values[alike - 1]
        is_repeat[alike] &= (one == other) | (pd.isna(one) & pd.isna(other))
    return whole[~is_repeat].reset_index(drop=True), sorted_hashes[~is_repeat]


MAX_AHEAD = 4
"""Parts whose results may wait to be used."""
MERGE_ROWS = 2_000_000
"""Distinct conditions of single parts that are held before they are merged."""


@dataclass(frozen=True)
class IdsByHash:
    """Condition ids by the 64-bit hash of their keys; `hashes` are sorted and distinct."""

    hashes: NDArray[np.uint64]
    ids: NDArray[np.int32]

    @classmethod
    def of_conditions(cls, conditions: pd.DataFrame, key: str) -> IdsByHash:
        """The ids of a conditions table; SharedHashError when two of its hashes are equal."""
        hashes = _hashes(conditions, key)
        order = np.argsort(hashes)
        if (hashes[order][1:] == hashes[order][:-1]).any():
            raise SharedHashError
        return cls(hashes[order], conditions["condition_id"].to_numpy(np.int32)[order])

    def of(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The id of each hash; any id for the hash of an unknown perturbation."""
        if not len(self.ids):
            return np.full(len(hashes), -1, dtype=np.int32)
        found = np.minimum(np.searchsorted(self.hashes, hashes), len(self.ids) - 1)
        ids: NDArray[np.int32] = self.ids[found]
        return ids


def _hashes(table: pd.DataFrame, key: str) -> NDArray[np.uint64]:
    mixed = np.zeros(len(table), dtype=np.uint64)
    for name in KEY:
        column = table[name]
        values = column.to_numpy() if name == "concentration_um" else column.fillna("").to_numpy()
        hashed = pd.util.hash_array(values, hash_key=key, categorize=True)
        mixed = (mixed * np.uint64(0x9E3779B97F4A7C15)) ^ (hashed + (mixed >> np.uint64(32)))
    return mixed


def encoded(file: Path, well_row: NDArray[np.int64], condition: NDArray[np.int32]) -> pa.Table:
    """A part with sorted, distinct `conditions` in place of the nested column.

    Unperturbed wells have an empty list; wells without a known perturbation, null.
    """
    names = pq.read_schema(file).names
    others = [name for name in names if name != NESTED]
    table = pq.read_table(file, columns=others, use_threads=False)
    is_unperturbed = pc.equal(table.column("role"), "unperturbed").to_numpy()
    lists = condition_lists(well_row, condition, is_unperturbed)
    return table.add_column(names.index(NESTED), "conditions", lists)
