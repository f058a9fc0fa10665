"""The image store: Zarr v3, an array (sites, C, H, W) uint8 per plate, one site per shard."""

# C channel · H W pixels

from __future__ import annotations

import json
import math
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.errors import CorruptionError, DataError, MissingInputError
from phenoprints.foundations.names import file_name
from phenoprints.foundations.publishing import publish_bytes
from phenoprints.screens.images.chunks import judge_planes, judge_store, refuse_linked_shard
from phenoprints.screens.images.planes import CODECS, PlaneArray, plane_array, require_codec

if TYPE_CHECKING:
    import tensorstore

COMPRESSIONS = ("zstd", "none", *CODECS)
ZSTD_LEVEL = 1
"""Level 1 packs 1.45 : 1 at twice the reading speed of level 3."""
DIMENSIONS = ("site", "channel", "y", "x")
MAX_PENDING = 2
"""Sites that may be on their way to the disk."""
OPEN_ARRAYS = 64
"""Arrays that stay open in a process."""

Request = tuple[str | Path, int, int, int, int, int]
"""An array's path, a site's index, and y, x, height and width of a region."""


def plate_store(experiment: str, plate: str) -> str:
    """Return the relative path of a plate's array; names from data cannot leave the folder."""
    return f"{file_name(experiment, 'experiment')}/{file_name(plate, 'plate')}.zarr"


def array_metadata(
    shape: Sequence[int], *, chunk_px: int = 256, compression: str = "zstd"
) -> dict[str, Any]:
    """Return the Zarr v3 metadata of a plate's array of the given shape (sites, C, H, W).

    A shard holds one site, in chunks (1, C, h, w) of equal parts of its sides, as near to
    `chunk_px` as can be: 1080 pixels are 4 × 270 for 256, where 5 × 256 would write and compress
    padding. `zstd` chunks carry a checksum, `none` is for hot copies; the chunks of `htj2k` and
    `jpegxl` are images of one channel, with a crc32c. The index of a shard always has a crc32c.
    """
    if compression not in COMPRESSIONS:
        raise DataError(f"compression {compression!r}: expected one of {', '.join(COMPRESSIONS)}.")
    if compression in CODECS:
        require_codec(compression)
    _, num_channels, height, width = shape
    num_y, num_x = (max(1, round(side / chunk_px)) for side in (height, width))
    chunk = [1, num_channels, math.ceil(height / num_y), math.ceil(width / num_x)]
    shard = [1, num_channels, num_y * chunk[2], num_x * chunk[3]]
    codecs: list[dict[str, Any]] = [{"name": "bytes"}]
    if compression in CODECS:
        chunk[1] = 1
        codecs = [{"name": CODECS[compression], "configuration": {}}, {"name": "crc32c"}]
    if compression == "zstd":
        zstd = {"level": ZSTD_LEVEL, "checksum": True}
        codecs.append({"name": "zstd", "configuration": zstd})
    index_codecs = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "crc32c"},
    ]
    sharding = {"chunk_shape": chunk, "codecs": codecs, "index_codecs": index_codecs}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(map(int, shape)),
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "fill_value": 0,
        "dimension_names": list(DIMENSIONS),
        "attributes": {},
    }


def create_array(path: str | Path, metadata: dict[str, Any]) -> None:
    """Publish the metadata of an array; an array of another form that lies there is removed."""
    file = Path(path) / "zarr.json"
    content = json.dumps(metadata, indent=2, sort_keys=True).encode() + b"\n"
    if file.exists() and file.read_bytes() == content:
        return
    if Path(path).exists():
        shutil.rmtree(path)
    publish_bytes(file, content)


def open_array(path: str | Path, *, writable: bool = False) -> tensorstore.TensorStore:
    """Return the array at a path, opened strictly: a missing chunk is an error and never zeros.

    Raises
    ------
    MissingInputError
        No array lies there.
    CorruptionError
        Its metadata cannot be read.
    """
    import tensorstore as ts

    if not (Path(path) / "zarr.json").is_file():
        raise MissingInputError(f"{path}: no image store lies there. Run the target `screens`.")
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    strictness = (
        {"store_data_equal_to_fill_value": True} if writable else {"fill_missing_data_reads": False}
    )
    try:
        return ts.open({**spec, **strictness}, open=True, read=True, write=writable).result()
    except ValueError as error:
        raise CorruptionError(f"{path}: the image store cannot be opened. {error}") from error


@lru_cache(maxsize=OPEN_ARRAYS)
def _opened(path: str) -> tensorstore.TensorStore | PlaneArray:
    planes = plane_array(path)
    if planes is not None:
        judge_planes(planes.shape, planes.chunk, planes.shard, path)
        return planes
    array = open_array(path)
    judge_store(array, path)
    return array


def opened(path: str | Path) -> tensorstore.TensorStore | PlaneArray:
    """Return the array at a path, kept open for further reads of this process; its
    form is judged.
    """
    return _opened(str(path))


def forget_opened() -> None:
    """Close the arrays that `opened` keeps, as after they were written anew."""
    _opened.cache_clear()


class SiteWriter:
    """Writes whole sites (C, H, W), each as one shard, a few of them at once.

    All of them are on disk when its `with` block ends.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._array = plane_array(path) or open_array(path, writable=True)
        self._pending: deque[Any] = deque()

    def __enter__(self) -> SiteWriter:
        return self

    def write(self, index: int, image: NDArray[np.uint8]) -> None:
        """Start to write a site, which must not change any more; at most two are on their way."""
        if isinstance(self._array, PlaneArray):
            publish_bytes(shard_path(self._path, index), self._array.encode(image))
            return
        self._pending.append(
            self._array[index].write(image, can_reference_source_data_indefinitely=True)
        )
        if len(self._pending) > MAX_PENDING:
            self._pending.popleft().result()

    def __exit__(self, *_: object) -> None:
        while self._pending:
            self._pending.popleft().result()


def shard_path(path: str | Path, index: int) -> Path:
    """Return the file that holds a site."""
    return Path(path) / "c" / str(index) / "0" / "0" / "0"


def read_regions(
    requests: Sequence[Request], *, targets: NDArray[np.uint8] | None = None
) -> Sequence[NDArray[np.uint8]]:
    """Return the pixels (C, height, width) of regions, all read at once and strictly.

    Parameters
    ----------
    requests
        (array's path, site's index, y, x, height, width) for each region.
    targets
        An array (n, C, height, width) that receives the regions without a further copy; new
        memory for each when absent.

    Raises
    ------
    CorruptionError
        A chunk is missing, truncated or fails its checksum, or a region lies outside; the
        message names the array and the site.
    UnsafeInputError
        The site's file, or a folder of the array, is a link.
    """
    import tensorstore as ts

    regions = list(targets) if targets is not None else [_new_region(r) for r in requests]
    for path, index in {request[:2] for request in requests}:
        opened(path)
        refuse_linked_shard(path, index)
    batch, futures = ts.Batch(), []  # reads of one shard are made together
    for request, region in zip(requests, regions, strict=True):
        path, index, y, x, height, width = request
        array = opened(path)
        _judge_region(path, array.shape, index, y, x, height, width)
        if isinstance(array, PlaneArray):
            with _damage_named(request):
                array.read(shard_path(path, index), (y, x), region)
            continue
        source = array[index, :, y : y + height, x : x + width]
        futures.append((ts.array(region).write(source, batch=batch), request))
    batch.submit()
    for future, request in futures:
        with _damage_named(request):
            future.result()
    return regions


def _new_region(request: Request) -> NDArray[np.uint8]:
    path, _, _, _, height, width = request
    return np.empty((opened(path).shape[1], height, width), np.uint8)


def _judge_region(
    path: str | Path, shape: Sequence[int], index: int, y: int, x: int, height: int, width: int
) -> None:
    is_inside = index < shape[0] and y >= 0 <= x
    if not is_inside or y + height > shape[2] or x + width > shape[3]:
        raise CorruptionError(
            f"{path}: site {index}, rows {y} to {y + height}, columns {x} to {x + width} do not "
            f"exist.\n  Expected less than {shape[0]} sites of {shape[2]} × {shape[3]} pixels."
        )


@contextmanager
def _damage_named(request: Request) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError) as error:
        path, index = request[:2]
        raise CorruptionError(
            f"{path}: site {index} is missing or damaged.\n"
            f"  To fix: delete {shard_path(path, index)} and the marker of its unit, and run "
            f"the target `screens` again. ({str(error)[:300]})"
        ) from error
