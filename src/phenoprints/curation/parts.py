"""Parts of wells: whole experiments at a time, from memory or from Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints.curation.encoding import ENCODED, FLAGS
from phenoprints.foundations.errors import (
    CorruptionError,
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.screens.contracts import WELLS

WELLS_PER_PART = 1 << 20
"""Where a table is cut into parts, each part has at least this many wells, but for the last."""

TEXTS = ("screen", "experiment", "plate", "well", "cell_type", "background", "modality", "role",
         "replicate_group")  # fmt: skip


class Parts(Protocol):
    """Pieces of a wells table, each with whole experiments in consecutive rows."""

    def __len__(self) -> int:
        """How many parts there are."""

    def read(self, number: int, *, deciding_only: bool) -> pa.Table:
        """One part: all of its columns, or only those that the funnel decides by."""


class TableParts:
    """Parts of tables in memory."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self._tables = list(tables)

    def __len__(self) -> int:
        return len(self._tables)

    def read(self, number: int, *, deciding_only: bool) -> pa.Table:
        """One part; both kinds of reading are free here."""
        table = self._tables[number]
        return table.select(_deciding(table.column_names)) if deciding_only else table


class FileParts:
    """Parts that are Parquet files with the columns of ENCODED and any more."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._paths = [Path(path) for path in paths]
        missing = [path for path in self._paths if not path.exists()]
        raise_problems([Problem(str(p), "this part is not there") for p in missing],
                       MissingInputError)  # fmt: skip

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, number: int, *, deciding_only: bool) -> pa.Table:
        """One part, texts as dictionaries; a damaged file is named."""
        path = self._paths[number]
        try:
            return _read_part(path, deciding_only)
        except (pa.ArrowException, OSError) as error:
            raise CorruptionError(
                f"{path}: this part cannot be read ({error}).\n  To fix: write it again."
            ) from error


def _read_part(path: Path, deciding_only: bool) -> pa.Table:
    names = pq.read_schema(path).names
    absent = [name for name in ENCODED.names if name not in names]
    raise_problems(
        [Problem(str(path), f'column "{name}" is missing') for name in absent], TableError
    )
    return pq.read_table(
        path,
        columns=_deciding(names) if deciding_only else None,
        read_dictionary=[name for name in TEXTS if name in names],
        use_threads=False,
        page_checksum_verification=True,
    )


def _deciding(names: Sequence[str]) -> list[str]:
    return [name for name in names if name in ENCODED.names or name in FLAGS]


def screen_parts(
    wells: pd.DataFrame,
    new_ids: NDArray[np.int32],
    *,
    quality: pd.DataFrame | None = None,
    sites: pd.DataFrame | None = None,
    geometry: Mapping[str, int | None] | None = None,
) -> list[pa.Table]:
    """The wells of one screen as parts: conditions renumbered, with flags and locators.

    Parameters
    ----------
    wells, quality, sites
        Tables of their contracts. Without sites no well can have unusual or missing images.
    new_ids
        The manifest's condition_id of each of the screen's own.
    geometry
        Declared height_px, width_px and num_channels; where None, the most frequent of a modality.
    """
    table = pa.Table.from_pandas(wells[WELLS.schema.names], WELLS.schema, preserve_index=False)
    table = table.set_column(
        table.column_names.index("conditions"), "conditions",
        renumber(table["conditions"], new_ids),
    )  # fmt: skip
    well_id = wells["well_id"].to_numpy(np.uint64)
    failed = _failed_sites(quality)
    flags = {"is_failing": np.isin(well_id, failed.loc[failed["site"] == -1, "well_id"])}
    if sites is not None and len(sites):
        flags["is_unusual"] = np.isin(well_id, unusual_wells(wells, sites, geometry or {}))
        flags["has_no_images"] = ~np.isin(well_id, sites["well_id"])
    for name, values in flags.items():
        table = table.append_column(name, pa.array(values))
    table = table.append_column("locators", _locators(well_id, sites, failed))
    return list(split_by_experiment(table.replace_schema_metadata(None)))


def renumber(conditions: pa.ChunkedArray, new_ids: NDArray[np.int32]) -> pa.Array:
    """The lists with every id replaced by new_ids[id]; a null list stays null."""
    lists = conditions.combine_chunks()
    lists = lists if isinstance(lists, pa.Array) else pa.concat_arrays(lists.chunks)
    old = lists.values.to_numpy()
    raise_problems(
        [Problem("wells", f"condition_id {i} is not in the conditions table", "a known condition")
         for i in np.unique(old[(old < 0) | (old >= len(new_ids))])],
        TableError,
    )  # fmt: skip
    return pa.ListArray.from_arrays(
        lists.offsets, pa.array(new_ids[old], pa.int32()), mask=lists.is_null()
    )


def _failed_sites(quality: pd.DataFrame | None) -> pd.DataFrame:
    if quality is None:
        return pd.DataFrame({"well_id": np.array([], np.uint64), "site": np.array([], np.int32)})
    return quality.loc[quality["verdict"] == "fail", ["well_id", "site"]]


def unusual_wells(
    wells: pd.DataFrame, sites: pd.DataFrame, geometry: Mapping[str, int | None]
) -> NDArray[np.uint64]:
    """Wells with a site whose size or number of channels is not what the screen declares.

    What is not declared is taken from the most frequent (height, width, channels) of the modality.
    """
    modality = wells.set_index("well_id")["modality"].reindex(sites["well_id"]).to_numpy()
    shape = pd.DataFrame(
        {
            "height_px": sites["height"].to_numpy(),
            "width_px": sites["width"].to_numpy(),
            "num_channels": [len(channels) for channels in sites["channels"]],
        }
    )
    usual = shape.groupby(modality).transform(lambda column: column.mode().iloc[0])
    for name, declared in geometry.items():
        if declared is not None:
            usual[name] = declared
    is_unusual = (shape != usual).any(axis=1).to_numpy()
    found: NDArray[np.uint64] = sites["well_id"].to_numpy(np.uint64)[is_unusual]
    return found


def _locators(
    well_id: NDArray[np.uint64], sites: pd.DataFrame | None, failed: pd.DataFrame
) -> pa.Array:
    """By well the locators of its sites that did not fail, in order of site."""
    if sites is None or not len(sites):
        return pa.array([[]] * len(well_id), pa.list_(pa.string()))
    good = sites[~_has_failed(sites, failed)]
    row = pd.Index(well_id).get_indexer(pd.Index(good["well_id"]))
    order = np.lexsort((good["site"], row))
    order = order[row[order] >= 0]
    counts = np.bincount(row[order], minlength=len(well_id))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(good["locator"].to_numpy(dtype=object)[order], pa.string())
    )


def _has_failed(sites: pd.DataFrame, failed: pd.DataFrame) -> NDArray[np.bool_]:
    """Per site whether it stands among the failed; few do, so only their wells are compared."""
    keys = ["well_id", "site"]
    result = np.zeros(len(sites), dtype=np.bool_)
    near = np.flatnonzero(sites["well_id"].isin(failed["well_id"]))
    if len(near):
        pairs = pd.MultiIndex.from_frame(sites[keys].iloc[near])
        result[near] = pairs.isin(pd.MultiIndex.from_frame(failed[keys]))
    return result


def split_by_experiment(
    table: pa.Table, wells_per_part: int = WELLS_PER_PART
) -> Iterator[pa.Table]:
    """The table in pieces of whole experiments; wells of one experiment follow each other."""
    codes = table["experiment"].combine_chunks().dictionary_encode()
    codes = codes if isinstance(codes, pa.Array) else codes.unify_dictionaries().combine_chunks()
    is_first = np.flatnonzero(np.diff(codes.indices.to_numpy(), prepend=-1))
    start = 0
    for stop in [*is_first[1:], len(table)]:
        if stop - start >= wells_per_part or stop == len(table):
            yield table.slice(start, stop - start)
            start = int(stop)
