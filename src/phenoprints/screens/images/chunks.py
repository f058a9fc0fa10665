"""How large the chunks of an image array are and where they lie, judged before any is read."""

# C channel · H W pixels

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISLNK
from typing import TYPE_CHECKING

from phenoprints.foundations.errors import CorruptionError, Problem, UnsafeInputError
from phenoprints.foundations.names import below
from phenoprints.screens.images.headers import MAX_PLANE_BYTES, MAX_SIDE_PX

if TYPE_CHECKING:
    import tensorstore

MAX_CHUNKS = 1 << 20
"""Chunks of a plane, and of a shard, whose index is read whole."""
UNLINKED = "replace the link by what it points to"


def judge_field(array: tensorstore.TensorStore, path: str) -> None:
    """Raise UnsafeInputError where one plane of a field needs too much to be read.

    Counted are whole chunks, which are decoded whole however little of them is wanted.
    """
    plane = [1] * (array.ndim - 2) + [int(side) for side in array.shape[-2:]]
    inner, outer = _chunks(array)
    num = math.prod(math.ceil(s / c) for s, c in zip(plane, inner, strict=True))
    chunk_bytes = math.prod(inner) * array.dtype.numpy_dtype.itemsize
    num_in_shard = math.prod(outer) // max(1, math.prod(inner))
    is_large = max(chunk_bytes, num * chunk_bytes // 4) > MAX_PLANE_BYTES
    if max(num, num_in_shard) > MAX_CHUNKS or is_large:
        what = f"chunks of {inner} in shards of {outer}: a plane would decode {num * chunk_bytes:,}"
        expected = f"at most {MAX_PLANE_BYTES:,} bytes a chunk, four times that and {MAX_CHUNKS:,} "
        fix = "write the array with chunks of one plane or less"
        problem = Problem(path, f"{what} bytes", f"{expected}chunks a plane", fix)
        raise UnsafeInputError(str(problem))


def judge_store(array: tensorstore.TensorStore, path: str) -> None:
    """Raise CorruptionError unless an array has the form of an image store, one site per shard."""
    expected = f"(sites, C, H, W) with sides of at most {MAX_SIDE_PX} pixels"
    shape = tuple(map(int, array.shape))
    if array.ndim != 4 or max(shape[2:]) > MAX_SIDE_PX or _site(shape) > 4 * MAX_PLANE_BYTES:
        _refuse_store(path, f"an array of shape {shape} is no image store", expected)
    inner, outer = _chunks(array)
    is_one_site = outer[0] == 1 and all(s <= o for s, o in zip(shape[1:], outer[1:], strict=True))
    if not is_one_site or _site(outer) > 2 * max(1, _site(shape)):
        _refuse_store(path, f"shards of {outer} are no image store", "a shard for each site")
    if math.prod(outer) // max(1, math.prod(inner)) > MAX_CHUNKS:
        _refuse_store(path, f"shards of {outer} in chunks of {inner}", f"at most {MAX_CHUNKS:,}")
    metadata = array.spec().to_json()["metadata"]
    encoding = metadata.get("chunk_key_encoding", {})
    separator = encoding.get("configuration", {}).get("separator", "/")
    if (encoding.get("name"), separator) != ("default", "/"):
        _refuse_store(path, f"files named by {encoding} are no image store", "names with /")
    _refuse_linked_folder(path)


def judge_planes(
    shape: Sequence[int], chunk: Sequence[int], shard: Sequence[int], path: str
) -> None:
    """Raise CorruptionError unless an array of images has the form of an image store.

    `shape` is that of the array, `chunk` and `shard` are height and width.
    """
    is_small = max(shape[2:]) <= MAX_SIDE_PX and _site(shape) <= 4 * MAX_PLANE_BYTES
    num = shape[1] * math.prod(s // max(1, c) for s, c in zip(shard, chunk, strict=True))
    is_even = min(chunk) > 0 and all(s % c == 0 for s, c in zip(shard, chunk, strict=True))
    if not (is_small and is_even and math.prod(shard) <= 2 * math.prod(shape[2:]) + MAX_SIDE_PX):
        _refuse_store(path, f"an array of shape {tuple(shape)} in shards of {tuple(shard)}", "less")
    if num > MAX_CHUNKS:
        _refuse_store(path, f"shards of {num} chunks", f"at most {MAX_CHUNKS:,}")
    _refuse_linked_folder(path)


def _refuse_linked_folder(path: str) -> None:
    for name in ("zarr.json", "c"):
        if Path(path, name).is_symlink():
            raise UnsafeInputError(str(_linked(Path(path, name))))


def refuse_linked_shard(path: str | Path, index: int) -> None:
    """Raise UnsafeInputError where the file of a site, or a folder of its own, is a link.

    What is not there passes: the reader says so. The folder of all sites is looked at when the
    array is opened.
    """
    place = f"{path}/c/{index}"
    try:
        for part in (place, f"{place}/0", f"{place}/0/0", f"{place}/0/0/0"):
            if S_ISLNK(os.lstat(part).st_mode):
                raise UnsafeInputError(str(_linked(part)))
    except OSError:
        return


def refuse_leaving_links(root: str | Path, folder: str | Path) -> None:
    """Raise UnsafeInputError for links in a folder that lead out of the root, or to folders."""
    for link in _links(Path(folder)):
        try:
            is_folder = link.is_dir()
            below(root, link)
        except RuntimeError:  # a loop of links
            is_folder = True
        if is_folder:
            raise UnsafeInputError(str(_linked(link)))


def _links(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    yield from _links(Path(entry.path))
    except OSError:  # the reader says why
        return


def _linked(path: str | Path) -> Problem:
    return Problem(str(path), "a link inside of an array", "files and folders", UNLINKED)


def _chunks(array: tensorstore.TensorStore) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of what is decoded at once, and of what lies in one file."""
    layout = array.chunk_layout
    inner, outer = layout.read_chunk.shape or (), layout.write_chunk.shape or ()
    return tuple(int(side or 1) for side in inner), tuple(int(side or 1) for side in outer)


def _site(shape: Sequence[int]) -> int:
    return math.prod(shape[1:])


def _refuse_store(path: str, what: str, expected: str) -> None:
    raise CorruptionError(f"{path}: {what}.\n  Expected {expected}.")
