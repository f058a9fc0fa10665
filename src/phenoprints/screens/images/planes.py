"""Image stores whose chunks are images: Zarr v3 shards of HTJ2K or JPEG XL planes, lossless.

A chunk is a part of one channel of one site. Its inner codecs are an image codec and crc32c, so a
damaged chunk is an error; the index of a shard, at its end, has a crc32c too. zarr-python reads
these stores after `register_with_zarr`.
"""

# C channel · H W pixels

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.errors import CorruptionError, MissingDependencyError

CODECS = {"htj2k": "imagecodecs_htj2k", "jpegxl": "imagecodecs_jpegxl"}
"""Names of the image codecs in the configuration, and in the metadata of an array."""
OPTIONS: dict[str, dict[str, Any]] = {
    "htj2k": {"reversible": True},
    "jpegxl": {"lossless": True, "effort": 3},
}
CRC_BYTES = 4
INDEX_ENTRY = 16
"""Bytes of a chunk's offset and size in the index of a shard."""


def require_codec(name: str) -> Any:
    """Return the library imagecodecs, which must have been built with a codec.

    Raises
    ------
    MissingDependencyError
        It was not: the message names the package.
    """
    import imagecodecs

    if not getattr(imagecodecs, name.upper()).available:
        raise MissingDependencyError(
            f"pack_compression: {name} needs the package imagecodecs with {name.upper()}.\n"
            "  To fix: pip install --upgrade imagecodecs, or set pack_compression: zstd."
        )
    return imagecodecs


def encode_plane(name: str, plane: NDArray[np.uint8]) -> bytes:
    """Return a plane (H, W) as one lossless image, followed by its crc32c."""
    encode = getattr(require_codec(name), f"{name}_encode")
    content = bytes(encode(np.ascontiguousarray(plane), **OPTIONS[name]))
    return content + _crc(content)


def decode_plane(name: str, content: bytes, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the pixels (H, W) of what `encode_plane` gave; ValueError where they are not those."""
    image, crc = content[:-CRC_BYTES], content[-CRC_BYTES:]
    if len(content) <= CRC_BYTES or _crc(image) != crc:
        raise ValueError("its checksum is another")
    try:
        plane: NDArray[np.uint8] = getattr(require_codec(name), f"{name}_decode")(image)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    if plane.shape != shape or plane.dtype != np.uint8:
        raise ValueError(f"it decodes to {plane.shape} of {plane.dtype}, not to {shape} of uint8")
    return plane


def _crc(content: bytes) -> bytes:
    return int(google_crc32c.value(content)).to_bytes(CRC_BYTES, "little")


@dataclass(frozen=True)
class PlaneArray:
    """An image store (sites, C, H, W) whose chunks are images, one site per shard."""

    path: str
    codec: str
    shape: tuple[int, int, int, int]
    chunk: tuple[int, int]
    shard: tuple[int, int]

    @classmethod
    def of(cls, path: str, metadata: Mapping[str, Any]) -> PlaneArray | None:
        """Return the array of some metadata; None where its chunks are no images."""
        codecs = [codec for codec in metadata.get("codecs", []) if isinstance(codec, Mapping)]
        inner = codecs[0].get("configuration", {}) if codecs else {}
        used = [codec.get("name") for codec in inner.get("codecs", [])]
        name = next((name for name, known in CODECS.items() if known in used), None)
        if name is None:
            return None
        chunk, shard = inner["chunk_shape"], metadata["chunk_grid"]["configuration"]["chunk_shape"]
        num, channels, height, width = map(int, metadata["shape"])
        is_known = used == [CODECS[name], "crc32c"] and metadata["data_type"] == "uint8"
        is_site = shard[:2] == [1, channels] and chunk[:2] == [1, 1]
        if not (is_known and is_site and shard[2] >= height and shard[3] >= width):
            raise CorruptionError(f"{path}: not an image store that Phenoprints writes.")
        sides = (int(chunk[2]), int(chunk[3])), (int(shard[2]), int(shard[3]))
        return cls(path, name, (num, channels, height, width), *sides)

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Channels, and chunks of a site down and across."""
        down, across = (s // c for s, c in zip(self.shard, self.chunk, strict=True))
        return self.shape[1], down, across

    def encode(self, image: NDArray[np.uint8]) -> bytes:
        """Return the shard of a site (C, H, W): its chunks, and their index with its crc32c."""
        padded = np.zeros((self.shape[1], *self.shard), np.uint8)
        padded[:, : self.shape[2], : self.shape[3]] = image
        height, width = self.chunk
        chunks = [
            encode_plane(
                self.codec,
                padded[c, y * height : (y + 1) * height, x * width : (x + 1) * width],
            )
            for c, y, x in np.ndindex(self.grid)
        ]
        sizes = np.array([len(chunk) for chunk in chunks], "<u8")
        index = np.stack([np.cumsum(sizes) - sizes, sizes], axis=1).astype("<u8").tobytes()
        return b"".join([*chunks, index, _crc(index)])

    def read(self, shard: str | Path, corner: tuple[int, int], target: NDArray[np.uint8]) -> None:
        """Fill a target (C, h, w) with the region of a site whose upper left corner is given.

        Raises
        ------
        OSError, ValueError
            The shard is not there, is cut short, or a chunk or the index fails its checksum.
        """
        with Path(shard).open("rb") as file:
            index = self._index(file)
            for number, c, (top, left), inside in self._parts(corner, target.shape[1:]):
                start, size = index[number]
                file.seek(int(start))
                plane = decode_plane(self.codec, file.read(int(size)), self.chunk)
                part = plane[inside]
                target[c, top : top + part.shape[0], left : left + part.shape[1]] = part

    def _index(self, file: Any) -> NDArray[np.uint64]:
        num = math.prod(self.grid)
        length = num * INDEX_ENTRY + CRC_BYTES
        end = file.seek(0, 2)
        if end < length:
            raise ValueError("the shard is cut short")
        file.seek(end - length)
        content = file.read(length)
        if _crc(content[:-CRC_BYTES]) != content[-CRC_BYTES:]:
            raise ValueError("the checksum of its index is another")
        index = np.frombuffer(content[:-CRC_BYTES], "<u8").reshape(num, 2)
        if (index.sum(axis=1) > end - length).any():
            raise ValueError("its index points outside of it")
        return index

    def _parts(
        self, corner: tuple[int, int], size: Sequence[int]
    ) -> Iterator[tuple[int, int, tuple[int, int], tuple[slice, slice]]]:
        """Yield, for each chunk of a region, its number, channel, place in the target, and part."""
        spans = [
            [(at, max(first, at * side), min(first + length, (at + 1) * side))
             for at in range(first // side, (first + length - 1) // side + 1)]
            for first, length, side in zip(corner, size, self.chunk, strict=True)
        ]  # fmt: skip
        channels, _, across = self.grid
        for c in range(channels):
            for y, top, bottom in spans[0]:
                for x, left, right in spans[1]:
                    number = (c * self.grid[1] + y) * across + x
                    part = (
                        slice(top - y * self.chunk[0], bottom - y * self.chunk[0]),
                        slice(left - x * self.chunk[1], right - x * self.chunk[1]),
                    )
                    yield number, c, (top - corner[0], left - corner[1]), part


def plane_array(path: str | Path) -> PlaneArray | None:
    """Return the image store at a path if its chunks are images; else None.

    Raises
    ------
    CorruptionError
        Its metadata are of an image codec, but not as Phenoprints writes them.
    """
    try:
        metadata = json.loads((Path(path) / "zarr.json").read_text(encoding="utf-8"))
        return PlaneArray.of(str(path), metadata)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, CorruptionError):
            raise
        return None


def register_with_zarr() -> None:
    """Make zarr-python read (and write) arrays whose chunks are HTJ2K or JPEG XL images."""
    from zarr.abc.codec import ArrayBytesCodec
    from zarr.registry import register_codec

    def codec_class(name: str) -> type[Any]:
        class ImageCodec(ArrayBytesCodec):  # type: ignore[misc]
            """One plane as an image."""

            is_fixed_size = False

            @classmethod
            def from_dict(cls, _: Any) -> Any:
                return cls()

            def to_dict(self) -> Any:
                return {"name": CODECS[name], "configuration": {}}

            def compute_encoded_size(self, input_byte_length: int, _: Any) -> int:
                raise NotImplementedError

            async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
                decode = getattr(require_codec(name), f"{name}_decode")
                plane = decode(chunk_bytes.to_bytes()).reshape(chunk_spec.shape)
                return chunk_spec.prototype.nd_buffer.from_numpy_array(plane)

            async def _encode_single(self, chunk_array: Any, chunk_spec: Any) -> Any:
                encode = getattr(require_codec(name), f"{name}_encode")
                plane = chunk_array.as_numpy_array().reshape(chunk_spec.shape[-2:])
                return chunk_spec.prototype.buffer.from_bytes(bytes(encode(plane, **OPTIONS[name])))

        return ImageCodec

    for name, known in CODECS.items():
        register_codec(known, codec_class(name))
