"""Vectors that others keep in arrays: .npy files, Zarr arrays, and stores of Phenoprints itself."""

# m rows of an array · D features

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.store import open_embeddings
from phenoprints.foundations.errors import (
    CorruptionError,
    DataError,
    Problem,
    TableError,
    UnsafeInputError,
)
from phenoprints.foundations.size_limits import ALWAYS_BYTES, MAX_RATIO, memory_errors

MAX_FEATURES = 100_000
"""Features of a vector; the widest of the field, of CellProfiler, have below 10,000."""

DESCRIPTIONS = ("zarr.json", ".zarray", ".zgroup")
"""Files that describe a Zarr folder; the workflow names one of them as the input."""


def array_place(path: str | Path) -> Path | None:
    """Return the .npy file or Zarr folder that a path stands for; None for a table."""
    place = Path(path)
    if place.name in DESCRIPTIONS:
        return place.parent
    return place if place.suffix == ".npy" or place.is_dir() else None


def is_own_store(place: Path) -> bool:
    """Whether a folder is a store of embeddings, which knows its wells by itself."""
    return place.is_dir() and (place / "wells" / "zarr.json").exists()


def read_own_store(place: Path) -> tuple[NDArray[np.float32], NDArray[np.uint64], list[str]]:
    """Return the vectors of a store, the ids of their wells and the names of the features."""
    reader = open_embeddings(place)
    parts = [reader.read(experiment) for experiment in reader.experiments]
    ids = [reader.well_ids(experiment) for experiment in reader.experiments]
    if not parts or parts[0].ndim != 2:
        raise DataError(f"{place}: it holds no vector per well; name a store of embeddings.")
    vectors = np.concatenate(parts)
    features = reader.attributes.get("features") or feature_names(vectors.shape[1])
    return vectors, np.concatenate(ids), list(features)


def read_array(place: Path, num_rows: int, row_table: str) -> NDArray[np.float32]:
    """Read the array (m, D) of a .npy file or a Zarr array as float32; check its form first.

    Parameters
    ----------
    place
        The file or the folder.
    num_rows, row_table
        The rows m that it must have: those of the table that names their wells, and its path.

    Raises
    ------
    TableError
        Another number of axes or rows, or another kind of values.
    CorruptionError
        A Zarr chunk is missing or does not match its checksum.
    UnsafeInputError
        It would become much larger than it is on disk, or than the memory.
    """
    values: Any = _zarr(place) if place.is_dir() else _npy(place)
    is_npy = isinstance(values, np.ndarray)
    dtype = values.dtype if is_npy else values.dtype.numpy_dtype
    if values.ndim != 2 or dtype.kind not in "fiu":
        found = f"{values.ndim} axes of {dtype}"
        raise TableError(f"{place}: {found}; expected numbers, a row per vector (m, D).")
    if values.shape[0] != num_rows:
        raise TableError(
            f"{row_table}: {num_rows} rows for the {values.shape[0]} vectors of {place}; expected "
            "one each, in their order."
        )
    _judge(place, values, max(4, dtype.itemsize))
    # Beyond float32 becomes infinite, which fails the well by name.
    with memory_errors(place), np.errstate(over="ignore"):
        whole: NDArray[np.generic] = values if is_npy else _read(values, place)
        return whole.astype(np.float32)


def _judge(place: Path, values: Any, itemsize: int) -> None:
    """Raise UnsafeInputError for an array, or chunks of it, that would fill the memory."""
    shape = tuple(map(int, values.shape))
    chunk = shape if isinstance(values, np.ndarray) else values.chunk_layout.read_chunk.shape
    files = [place] if place.is_file() else place.rglob("*")
    stored = sum(file.stat().st_size for file in files if file.is_file())
    limit = max(ALWAYS_BYTES, MAX_RATIO * stored)
    decoded = math.prod(max(s, int(c or s)) for s, c in zip(shape, chunk, strict=True)) * itemsize
    if shape[1] > MAX_FEATURES or decoded > limit:
        what = f"vectors of shape {shape} in chunks of {tuple(chunk)}: {decoded:,} bytes"
        most = f"at most {MAX_FEATURES:,} features, and {limit:,} bytes of what is {stored:,} here"
        fix = "write the array anew, in chunks no larger than itself, where you trust it"
        raise UnsafeInputError(str(Problem(str(place), what, most, fix)))


def _npy(place: Path) -> NDArray[np.generic]:
    try:
        values: NDArray[np.generic] = np.load(place, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise TableError(f"{place}: not a readable .npy file. {error}") from error
    return values


def _zarr(place: Path) -> Any:
    import tensorstore
    import zarr

    try:
        node = zarr.open(place, mode="r")
    except (ValueError, OSError, KeyError) as error:
        raise TableError(f"{place}: not a readable Zarr array. {error}") from error
    if isinstance(node, zarr.Group):
        names = ", ".join(sorted(name for name, _ in node.arrays())) or "none"
        raise TableError(f"{place}: a group; name one of its arrays below it ({names}).")
    driver = "zarr3" if node.metadata.zarr_format == 3 else "zarr"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{place}/"},
            "fill_missing_data_reads": False}  # fmt: skip
    try:
        return tensorstore.open(spec, read=True).result()
    except ValueError as error:
        raise CorruptionError(f"{place}: {str(error).partition(' [')[0]}") from error


def _read(array: Any, place: Path) -> NDArray[np.generic]:
    try:
        values: NDArray[np.generic] = array.read().result()
    except ValueError as error:
        raise CorruptionError(f"{place}: {str(error).partition(' [')[0]}") from error
    return values


def feature_names(num_features: int) -> list[str]:
    """Names of features that have none."""
    return [f"feature_{i:04d}" for i in range(num_features)]


def keys_of_ids(ids: NDArray[np.uint64]) -> pd.DataFrame:
    """Keys of rows whose wells are known by their ids; `well` is what messages call them."""
    names = [f"well_id {value}" for value in ids.tolist()]
    keys = pd.DataFrame({"experiment": None, "plate": None, "well": names}, dtype=object)
    # Nullable: beside rows without an id 64 bits would become a float.
    return keys.assign(well_id=pd.array(ids, dtype="UInt64"))
