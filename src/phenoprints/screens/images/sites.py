"""Read one site as it was stored, uint8 or uint16, wherever its pixels lie."""

# C channel · H W pixels

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.errors import (
    ImageError,
    MissingInputError,
    PhenoprintsError,
    Problem,
    UnsafeInputError,
)
from phenoprints.foundations.names import inside
from phenoprints.foundations.remote import (
    address,
    context,
    has_file,
    is_remote,
    kvstore_spec,
    read_remote,
)
from phenoprints.foundations.size_limits import ALWAYS_BYTES, MAX_RATIO, regular_size
from phenoprints.screens.images.chunks import judge_field, refuse_leaving_links
from phenoprints.screens.images.decoding import decode_plane, judge_header, require_bits
from phenoprints.screens.images.headers import MAX_PLANE_BYTES, MAX_SIDE_PX, Header, read_header
from phenoprints.screens.images.locators import (
    FilesLocator,
    Locator,
    OmeZarrLocator,
    ParquetLocator,
    ZarrLocator,
    parse_locator,
)
from phenoprints.screens.images.stores import opened, read_regions

MAX_CHANNELS = 64
Planes = NDArray[Any] | Sequence[NDArray[Any]]
"""The channels of a site: one array (C, H, W), or an array (H, W) for each."""
MAX_GROUP_BYTES = 1 << 31
"""Largest row group of encoded images: Arrow's arrays of bytes hold no more."""
GROUP_ROWS = 16
"""Images that are read at once, between looks at their bytes."""
ROW_GROUPS = 2
"""Row groups of Parquet shards that stay in memory; sites are read in the order of the shards."""


@dataclass(frozen=True)
class Expected:
    """What a site's headers must say: height and width, bits a pixel; None where any will do."""

    shape: tuple[int, int] | None = None
    bits: int | None = None


def read_site(
    root: str | Path,
    locator: str,
    channels: Sequence[str],
    *,
    shape: tuple[int, int] | None = None,
    bits: int | None = None,
) -> NDArray[Any]:
    """Return the pixels (C, H, W) of a site as stored, uint8 or uint16.

    Parameters
    ----------
    root
        The folder that the locator's paths lie below.
    locator
        As in the sites table.
    channels
        The site's channels; another number of stored channels is refused before decoding.
    shape
        The site's declared height and width; another size is refused before decoding.
    bits
        The depth of the experiment's images, 8 or 16; another one is refused before decoding.
        Image stores always hold 8 bits.

    Raises
    ------
    UnsafeInputError
        A path leaves the root, or a header goes beyond the limits.
    MissingInputError
        A file is not there.
    ImageError, CorruptionError
        The image is broken, or not what the screen declares.
    """
    planes = read_planes(root, locator, channels, shape=shape, bits=bits)
    return planes if isinstance(planes, np.ndarray) else np.stack(planes)


def read_planes(
    root: str | Path,
    locator: str,
    channels: Sequence[str],
    *,
    shape: tuple[int, int] | None = None,
    bits: int | None = None,
) -> Planes:
    """Return the channels of a site as `read_site` gives them, before they are stacked."""
    place = parse_locator(locator)
    if not 0 < len(channels) <= MAX_CHANNELS:
        raise ImageError(
            f"{locator[:200]}: {len(channels)} channels, expected 1 to {MAX_CHANNELS}."
        )
    return _READERS[type(place)](str(root), place, len(channels), Expected(shape, bits))


def site_header(root: str | Path, locator: str) -> tuple[int, int]:
    """Return the height and width of a site by its headers alone."""
    height, width, _ = size_and_bits(root, locator)
    return height, width


def size_and_bits(root: str | Path, locator: str) -> tuple[int, int, int]:
    """Return the height, width and bits (8 or 16) of a site by its first channel's header alone."""
    place = parse_locator(locator)
    if isinstance(place, ZarrLocator):
        shape = opened(inside(root, place.path)).shape
        return int(shape[2]), int(shape[3]), 8
    if isinstance(place, OmeZarrLocator):
        array = _ome_array(str(root), place.path)
        return int(array.shape[-2]), int(array.shape[-1]), _bits_of(array)
    if isinstance(place, ParquetLocator):
        path, row = place.rows[0]
        header = read_header(_parquet_bytes(inside(root, path), row), f"{path}, row {row}")
    else:
        header = _file_header(root, place.paths[0])
    return header.height, header.width, header.bits


def check_site(
    root: str | Path, locator: str, channels: Sequence[str], shape: tuple[int, int]
) -> None:
    """Raise what `read_site` would raise by the headers of a site's channels, undecoded."""
    place = parse_locator(locator)
    if not isinstance(place, FilesLocator):
        size_and_bits(root, locator)
        return
    _require_channels(place.paths[0], len(place.paths), len(channels))
    for path in place.paths:
        judge_header(_file_header(root, path), path, shape=shape, bits=None)


def read_bytes(root: str | Path, path: str) -> bytes:
    """Return the content of a file below the root, a folder or an address; absent and huge files
    are refused.
    """
    if is_remote(root):
        content = read_remote(root, path)
        if len(content) > 2 * MAX_PLANE_BYTES:
            raise UnsafeInputError(f"{path}: the file is larger than any image plane.")
        return content
    place = inside(root, path)
    try:
        if _image_size(place) > 2 * MAX_PLANE_BYTES:
            raise UnsafeInputError(f"{place}: the file is larger than any image plane.")
        return place.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise MissingInputError(f"{place}: the image is not there.") from error
    except PhenoprintsError:
        raise
    except OSError as error:
        raise ImageError(f"{place}: the image cannot be read. {error}") from error


def _image_size(place: Path) -> int:
    try:
        return regular_size(place)
    except UnsafeInputError as error:
        raise ImageError(str(error)) from error


def _file_header(root: str | Path, path: str) -> Header:
    return read_header(read_bytes(root, path), path)


def _require_channels(name: str, found: int, expected: int) -> None:
    if found != expected:
        raise ImageError(f"{name}: it has {found} channels, the screen declares {expected}.")


def _alike(planes: Sequence[NDArray[Any]], name: str) -> Sequence[NDArray[Any]]:
    kinds = {(plane.shape, plane.dtype.str) for plane in planes}
    if len(kinds) > 1:
        sizes = ", ".join(sorted(f"{s[0]} × {s[1]} {d}" for s, d in kinds))
        raise ImageError(f"{name}: its channels differ in size or depth ({sizes}).")
    return planes


def _zarr_site(root: str, place: ZarrLocator, num_channels: int, expected: Expected) -> Planes:
    path = inside(root, place.path)
    array = opened(path)
    _require_channels(str(path), array.shape[1], num_channels)
    height, width = array.shape[2:]
    if expected.shape is not None and (height, width) != tuple(expected.shape):
        raise ImageError(
            f"{path}: {height} × {width} pixels, the screen declares "
            f"{expected.shape[0]} × {expected.shape[1]}."
        )
    return read_regions([(path, place.index, 0, 0, height, width)])[0]


def _file_site(root: str, place: FilesLocator, num_channels: int, expected: Expected) -> Planes:
    _require_channels(place.paths[0], len(place.paths), num_channels)
    planes = [
        decode_plane(read_bytes(root, path), path, shape=expected.shape, bits=expected.bits)
        for path in place.paths
    ]
    planes = list(_alike(planes, place.paths[0]))
    for channel, path in enumerate(place.illumination):
        planes[channel] = _corrected(planes[channel], _illumination(root, path), path)
    return planes


@lru_cache(maxsize=16)
def _illumination(root: str, path: str) -> NDArray[np.float32]:
    try:
        if is_remote(root):
            function = np.load(io.BytesIO(read_bytes(root, path)), allow_pickle=False)
        else:
            place = inside(root, path)
            _image_size(place)
            function = np.load(place, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingInputError(f"{path}: the illumination function is not there.") from error
    except UnsafeInputError:
        raise
    except (ValueError, OSError, EOFError) as error:
        raise ImageError(f"{path}: not a readable illumination function. {error}") from error
    if function.ndim != 2 or function.nbytes > 4 * MAX_PLANE_BYTES or function.dtype.kind != "f":
        raise ImageError(f"{path}: an illumination function is a matrix of floats.")
    values: NDArray[np.float32] = np.array(function, dtype=np.float32)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ImageError(f"{path}: an illumination function is positive everywhere.")
    return values


def _corrected(
    plane: NDArray[Any], function: NDArray[np.float32], name: str
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the plane divided by its illumination function, rounded and clipped to
    its own type.
    """
    if plane.shape != function.shape:
        raise ImageError(f"{name}: {function.shape} pixels, its image has {plane.shape}.")
    top = np.iinfo(plane.dtype).max
    corrected: NDArray[Any] = np.clip(np.rint(plane / function), 0, top).astype(plane.dtype)
    return corrected


def _parquet_site(
    root: str, place: ParquetLocator, num_channels: int, expected: Expected
) -> Planes:
    name = f"{place.rows[0][0]}, row {place.rows[0][1]}"
    _require_channels(name, len(place.rows), num_channels)
    planes = [
        decode_plane(
            _parquet_bytes(inside(root, path), row),
            f"{path}, row {row}",
            shape=expected.shape,
            bits=expected.bits,
        )
        for path, row in place.rows
    ]
    return _alike(planes, name)


_PARQUET_LOCK = Lock()


def _parquet_bytes(path: Path, row: int) -> bytes:
    with _PARQUET_LOCK:  # a ParquetFile is not made for several threads
        first, group = _find_row_group(path, row)
        content: bytes | None = _row_group(path, group)[row - first].as_py()
    if content is None:
        raise ImageError(f"{path}, row {row}: there is no image.")
    return content


@lru_cache(maxsize=64)
def _parquet_file(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise MissingInputError(f"{path}: the image shard is not there.") from error
    except (pa.ArrowException, OSError) as error:
        raise ImageError(f"{path}: not a readable Parquet file. {error}") from error


def _find_row_group(path: Path, row: int) -> tuple[int, int]:
    first = 0
    metadata = _parquet_file(path).metadata
    for group in range(metadata.num_row_groups):
        num_rows = metadata.row_group(group).num_rows
        if row < first + num_rows:
            return first, group
        first += num_rows
    raise ImageError(f"{path}: there is no row {row}, the file has {first}.")


@lru_cache(maxsize=ROW_GROUPS)
def _row_group(path: Path, group: int) -> Any:
    """Return the encoded images of a row group, an Arrow array of bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    file = _parquet_file(path)
    limit = max(ALWAYS_BYTES, min(MAX_GROUP_BYTES, MAX_RATIO * path.stat().st_size))
    parts, read = [], file.metadata.row_group(group).total_byte_size
    try:
        batches = file.iter_batches(GROUP_ROWS, row_groups=[group], columns=["jp2"])
        while read <= limit and (batch := next(batches, None)) is not None:
            column = batch.column(0)
            is_struct = pa.types.is_struct(column.type)
            images = pc.struct_field(column, "bytes") if is_struct else column.cast(pa.binary())
            parts.append(images)
            read = max(read, sum(part.nbytes for part in parts))
        if read <= limit:
            return pa.concat_arrays(parts)
    except (pa.ArrowException, OSError, IndexError, KeyError) as error:
        raise ImageError(f"{path}: row group {group} cannot be read. {error}") from error
    what = f"row group {group} would become more than {limit:,} bytes of images"
    fix = "write the shard without compression and in smaller row groups where you trust it"
    raise UnsafeInputError(str(Problem(str(path), what, f"at most {limit:,}", fix)))


@lru_cache(maxsize=256)
def _ome_array(root: str, relative: str) -> Any:
    """Return the array of an OME-Zarr field, Zarr v2 or v3; absent chunks are its fill value."""
    import tensorstore as ts

    if is_remote(root):
        path, store, settings = address(root, relative), kvstore_spec(root, relative), context()
        is_3 = has_file(root, f"{relative}/zarr.json")
    else:
        path, settings = str(inside(root, relative)), None
        refuse_leaving_links(root, path)
        store, is_3 = {"driver": "file", "path": path}, (Path(path) / "zarr.json").is_file()
    spec = {"driver": "zarr3" if is_3 else "zarr", "kvstore": store}
    try:
        array = ts.open(spec, open=True, read=True, context=settings).result()
    except ValueError as error:
        raise ImageError(f"{path}: not a readable Zarr array. {str(error)[:300]}") from error
    if array.ndim < 2 or max(array.shape[-2:]) > MAX_SIDE_PX:
        raise UnsafeInputError(f"{path}: an array of shape {tuple(array.shape)} is no field.")
    if array.dtype.numpy_dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{path}: pixels of {array.dtype.name}, expected uint8 or uint16.")
    judge_field(array, path)
    return array


def _ome_site(root: str, place: OmeZarrLocator, num_channels: int, expected: Expected) -> Planes:
    path = place.path
    array = _ome_array(str(root), place.path)
    size = tuple(map(int, array.shape[-2:]))
    is_other_size = expected.shape is not None and size != tuple(expected.shape)
    are_planes = place.index[-2:] == (None, None) and None not in place.index[:-2]
    if len(place.index) != array.ndim or is_other_size or not are_planes:
        raise ImageError(f"{path}: {tuple(array.shape)} is not the field that the screen declares.")
    require_bits(_bits_of(array), expected.bits, str(path))
    listed = [i for i in place.index if isinstance(i, tuple)]
    _require_channels(str(path), len(listed[0]) if listed else 1, num_channels)
    planes = [_ome_plane(array, place.index, c, path) for c in (listed[0] if listed else (0,))]
    return _alike(planes, str(path))


def _bits_of(array: Any) -> int:
    return 8 * int(array.dtype.numpy_dtype.itemsize)


def _ome_plane(array: Any, index: Sequence[Any], channel: int, path: str) -> NDArray[Any]:
    where = tuple(
        slice(None) if i is None else channel if isinstance(i, tuple) else i for i in index
    )
    try:
        plane: NDArray[Any] = array[where].read().result()
    except (ValueError, IndexError, OSError) as error:
        raise ImageError(f"{path}: channel {channel} cannot be read. {str(error)[:300]}") from error
    if plane.ndim != 2:
        raise ImageError(f"{path}: {plane.ndim} axes are left of channel {channel}, expected y, x.")
    return plane


_READERS: dict[type[Locator], Callable[..., Planes]] = {
    ZarrLocator: _zarr_site,
    FilesLocator: _file_site,
    ParquetLocator: _parquet_site,
    OmeZarrLocator: _ome_site,
}
