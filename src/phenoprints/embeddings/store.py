"""Embeddings on disk: a Zarr v3 group, one array per experiment, written in whole units."""

# n wells of an experiment · D features · B blocks

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.embeddings.chunks import RowArray
from phenoprints.foundations.errors import (
    CorruptionError,
    DataError,
    MissingInputError,
)
from phenoprints.foundations.names import file_name
from phenoprints.foundations.provenance import provenance_path
from phenoprints.foundations.publishing import abandoned, publish_bytes

FORMAT = 1
UNIT_WELLS = 1024
"""Wells of a unit, and so of a chunk, at most."""


@dataclass(frozen=True, order=True)
class Unit:
    """Wells `start` to `stop` of one experiment: one chunk of its array, computed as a whole."""

    experiment: str
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """The unit's rows in the experiment's array."""
        return slice(self.start, self.stop)


def rows_per_unit(num_wells: int, unit_wells: int = UNIT_WELLS) -> int:
    """Rows of each unit when `num_wells` are cut into as few, equal units as `unit_wells` lets."""
    num_units = max(1, math.ceil(num_wells / unit_wells))
    return max(1, math.ceil(num_wells / num_units))


def plan_units(num_wells: Mapping[str, int], unit_wells: int = UNIT_WELLS) -> list[Unit]:
    """Return the units of a store, in order of experiments and rows: they cover every well once."""
    units = []
    for experiment, count in num_wells.items():
        rows = rows_per_unit(count, unit_wells)
        units += [Unit(experiment, at, min(at + rows, count)) for at in range(0, count, rows)]
    return units


def create_store(
    path: str | Path,
    well_ids: Mapping[str, NDArray[np.uint64]],
    row_shape: tuple[int, ...],
    *,
    attributes: Mapping[str, Any],
    unit_wells: int = UNIT_WELLS,
    dtype: str = "float32",
) -> None:
    """Make the group and an empty array per experiment; keep arrays that are already so.

    Parameters
    ----------
    path
        Folder of the Zarr group. Arrays of another shape or of unknown experiments are removed.
    well_ids
        For each experiment the ids of its wells, in the order of the wells table.
    row_shape
        Shape of a well's row: (D,), or (B, D) for the features of every block.
    attributes
        What describes the rows: encoder fingerprint, block, pooling, geometry, precision, screen.
    unit_wells
        Rows of a chunk at most; each experiment is cut into equal units.
    dtype
        `float32` or `float16`. Reading always gives float32.
    """
    root = Path(path)
    names = {experiment: file_name(experiment, "experiment") for experiment in well_ids}
    # A store without provenance is unfinished, and this one is about to change.
    provenance_path(root).unlink(missing_ok=True)
    for folder in ("wells", "well_ids"):
        _write_group(root / folder, {})
        _remove_unfinished(root / folder)
        _remove_strangers(root / folder, set(names.values()))
    for experiment, ids in well_ids.items():
        shape = (len(ids), *row_shape)
        chunk_rows = rows_per_unit(len(ids), unit_wells)
        _create_array(root / "wells" / names[experiment], shape, chunk_rows, dtype)
        own = _create_array(root / "well_ids" / names[experiment], shape[:1], len(ids), "uint64")
        own.write(0, ids)
    listed = {
        experiment: {
            "array": f"wells/{names[experiment]}",
            "num_wells": len(ids),
            "well_ids_sha256": _digest(ids),
        }
        for experiment, ids in well_ids.items()
    }
    _write_group(root, {"format": FORMAT, **attributes, "experiments": listed})


def write_unit(path: str | Path, unit: Unit, values: NDArray[Any]) -> None:
    """Write the rows of one unit, also those that are all NaN; values are cast to its type.

    A unit that is not whole chunks of the array, or values of another shape, are a DataError:
    part of a chunk could not be written without reading the rest. A full disk is a StorageError.
    """
    array = _array(path, "wells", unit.experiment)
    length, chunk = array.shape[0], array.chunk_rows
    whole = unit.start % chunk == 0 and (unit.stop % chunk == 0 or unit.stop == length)
    expected = (unit.stop - unit.start, *array.shape[1:])
    if not whole or values.shape != expected or unit.stop > length:
        what = f"rows {unit.start} to {unit.stop} of shape {values.shape} are not whole chunks"
        raise DataError(f"{path}: {what}; expected multiples of {chunk} rows, shape {expected}")
    array.write(unit.start, values)


def chunk_files(path: str | Path, unit: Unit) -> list[Path]:
    """Return the files that hold a unit's rows, in their order."""
    return _array(path, "wells", unit.experiment).files(unit.rows)


def _array(path: str | Path, kind: str, experiment: str) -> RowArray:
    return RowArray.open(Path(path) / kind / file_name(experiment, "experiment"))


class EmbeddingReader:
    """Reads a store strictly: what is missing or damaged is a CorruptionError, never a NaN."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.attributes: dict[str, Any] = _read_group(self.path)

    @cached_property
    def experiments(self) -> list[str]:
        """The experiments, in the order of the wells table."""
        return list(self.attributes["experiments"])

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a well's row: (D,), or (B, D) where the store holds every block."""
        return tuple(self._array("wells", self.experiments[0]).shape[1:])

    def read(self, experiment: str, rows: slice = slice(None)) -> NDArray[np.float32]:
        """Return the rows of an experiment's wells (n, D), or (n, B, D), as float32; failed rows
        NaN.
        """
        values = self._read("wells", experiment, rows)
        return values.astype(np.float32, copy=False)

    def well_ids(self, experiment: str) -> NDArray[np.uint64]:
        """Return the ids of the experiment's wells, one for each row."""
        ids = self._read("well_ids", experiment, slice(None))
        if _digest(ids) != self.attributes["experiments"][experiment]["well_ids_sha256"]:
            where = self.path / "well_ids" / file_name(experiment, "experiment")
            raise CorruptionError(f"{where}: not the wells that were written. {_cure(self.path)}")
        return ids

    def _read(self, kind: str, experiment: str, rows: slice) -> NDArray[Any]:
        array = self._array(kind, experiment)
        try:
            return array.read(rows)
        except CorruptionError as error:
            raise self._corruption(experiment, error) from error

    def _array(self, kind: str, experiment: str) -> RowArray:
        if experiment not in self.attributes["experiments"]:
            known = ", ".join(self.experiments[:5])
            what = f'{self.path}: there is no experiment "{experiment}"'
            raise MissingInputError(f"{what} among {len(self.experiments)} ({known}, …).")
        try:
            return _array(self.path, kind, experiment)
        except CorruptionError as error:
            raise self._corruption(experiment, error) from error

    def _corruption(self, experiment: str, error: CorruptionError) -> CorruptionError:
        return CorruptionError(f'{error} (experiment "{experiment}"). {_cure(self.path)}')


def open_embeddings(path: str | Path) -> EmbeddingReader:
    """Return a strict reader of the embeddings at `path`: `.experiments`, `.read(e)`,
    `.attributes`.
    """
    return EmbeddingReader(path)


def damage(path: str | Path) -> Iterator[CorruptionError]:
    """Every experiment of a store that cannot be read whole, each as the error reading gives."""
    reader = open_embeddings(path)
    for experiment in reader.experiments:
        try:
            reader.well_ids(experiment)
            reader.read(experiment)
        except CorruptionError as error:
            yield error


def _digest(ids: NDArray[np.uint64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(ids, "<u8").tobytes()).hexdigest()


def _write_group(root: Path, attributes: Mapping[str, Any]) -> None:
    content = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
    # Not sorted: the order of the experiments is that of the wells table.
    publish_bytes(root / "zarr.json", json.dumps(content, ensure_ascii=False, indent=1).encode())


def _read_group(root: Path) -> dict[str, Any]:
    path = root / "zarr.json"
    if not path.exists():
        raise MissingInputError(f"{root}: there are no embeddings (no {path.name} in this folder).")
    try:
        attributes: dict[str, Any] = json.loads(path.read_bytes())["attributes"]
        found = int(attributes["format"])
    except (ValueError, KeyError, TypeError) as error:
        what = f"{path}: not the description of a store of embeddings ({error!r})"
        raise CorruptionError(f"{what}. {_cure(root)}") from error
    if found > FORMAT:
        raise DataError(f"{path}: format {found}; this version reads up to {FORMAT}. Update it.")
    return attributes


def _remove_unfinished(folder: Path) -> None:
    """Remove what a killed job left: the group holds nothing but Zarr."""
    for entry in (*abandoned(folder.parent), *abandoned(folder)):
        entry.unlink(missing_ok=True)


def _remove_strangers(folder: Path, known: set[str]) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in known:
            shutil.rmtree(entry)


def _create_array(path: Path, shape: tuple[int, ...], chunk_rows: int, dtype: str) -> RowArray:
    """Return the array at `path`, made when it is not there; of another shape
    nothing can be used.
    """
    array = RowArray(path, shape, chunk_rows, np.dtype(dtype))
    try:
        is_other = RowArray.open(path) != array
    except CorruptionError:
        is_other = (path / "zarr.json").exists()
    # Without a description it may be that another job is just making the same array.
    if is_other:
        shutil.rmtree(path, ignore_errors=True)
    array.describe()
    return array


def _cure(root: Path) -> str:
    return (
        f"To fix: delete {provenance_path(root)} and run the same command again; "
        "units that are whole are kept."
    )
