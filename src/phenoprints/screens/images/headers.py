"""What an image file says of itself, read and judged before a pixel is decoded."""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
from dataclasses import dataclass
from typing import Any

from phenoprints.foundations.errors import ImageError, Problem, UnsafeInputError

MAX_SIDE_PX = 32_768
"""Largest height and width of a plane; the largest cameras of the field have 5,056 pixels."""
MAX_PLANE_BYTES = 1 << 30
"""Largest size of one decoded plane."""
JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JP2_MAGIC = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
CODESTREAM_MAGIC = b"\xff\x4f\xff\x51"
MAX_TILE_PX = 1 << 22
"""Pixels that a tile of a TIFF may have however small the image is; else four times its pixels."""
TIFF_COMPRESSIONS = (1, 5, 8, 32773, 32946, 34925, 50000)
"""None, LZW, Deflate, PackBits, old Deflate, LZMA, zstd: of bytes, so that their size is known."""
TIFF_MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


@dataclass(frozen=True)
class Header:
    """Format (tiff | png | jp2 | jpeg), size in pixels, samples per pixel and bits per sample.

    `tile_px` is the number of pixels of a TIFF's tile or strip, which is decoded whole.
    """

    format: str
    height: int
    width: int
    samples: int
    bits: int
    tile_px: int = 0

    @property
    def num_bytes(self) -> int:
        """Bytes of the decoded image."""
        return self.height * self.width * self.samples * (2 if self.bits > 8 else 1)


def read_header(content: bytes, name: str) -> Header:
    """Return the header of an encoded image, by its first bytes and not by its name.

    Raises
    ------
    ImageError
        Not a TIFF, PNG, JPEG or JPEG 2000 image, a broken header, or pixels that are not unsigned
        integers of 8 or 16 bits with one sample.
    UnsafeInputError
        The image would decode to more than the limits.
    """
    try:
        header = _parse(content)
    except (struct.error, ValueError, IndexError) as error:
        raise ImageError(f"{name}: the image's header is broken ({error}).") from error
    if header is None:
        raise ImageError(f"{name}: not a TIFF, PNG, JPEG or JPEG 2000 image.")
    _judge(header, name)
    return header


def _parse(content: bytes) -> Header | None:
    if content.startswith(PNG_MAGIC):
        return _png(content)
    if content.startswith(TIFF_MAGICS):
        return _tiff(content)
    if content.startswith((JP2_MAGIC, CODESTREAM_MAGIC)):
        return _jp2(content)
    if content.startswith(JPEG_MAGIC):
        return _jpeg(content)
    return None


def _judge(header: Header, name: str) -> None:
    too_wide = max(header.height, header.width) > MAX_SIDE_PX
    if too_wide or header.num_bytes > MAX_PLANE_BYTES:
        raise UnsafeInputError(
            f"{name}: its header says {header.height} × {header.width} pixels with "
            f"{header.samples} samples, {header.num_bytes:,} bytes when decoded.\n"
            f"  Expected at most {MAX_SIDE_PX} pixels a side and {MAX_PLANE_BYTES:,} bytes."
        )
    if header.tile_px > max(MAX_TILE_PX, 4 * header.height * header.width):
        what = f"an image of {header.height} × {header.width} pixels in tiles of {header.tile_px:,}"
        expected = f"at most {MAX_TILE_PX:,} pixels a tile, or four times those of the image"
        fix = "write the image in strips or in smaller tiles"
        raise UnsafeInputError(str(Problem(name, what, expected, fix)))
    if min(header.height, header.width) < 1 or header.samples != 1 or header.bits not in (8, 16):
        raise ImageError(
            f"{name}: its header says {header.height} × {header.width} pixels with "
            f"{header.samples} samples of {header.bits} bits.\n"
            "  Expected one grey channel of 8 or 16 bits a file."
        )


def _png(content: bytes) -> Header:
    # PNG 1.2 section 11.2.2: IHDR is the first chunk.
    if content[12:16] != b"IHDR":
        raise ValueError("no IHDR")
    width, height, bits, colour = struct.unpack(">IIBB", content[16:26])
    samples = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour, 0)
    return Header("png", height, width, samples, bits)


def _jp2(content: bytes) -> Header:
    # ISO/IEC 15444-1 A.5.1: SIZ follows SOC; the last 3 bytes per component begin with its depth.
    start = _codestream(content)
    if content[start : start + 4] != CODESTREAM_MAGIC:
        raise ValueError("no codestream")
    right, bottom, left, top = struct.unpack(">IIII", content[start + 8 : start + 24])
    samples, depth = struct.unpack(">HB", content[start + 40 : start + 43])
    is_signed, bits = depth >> 7, (depth & 0x7F) + 1
    if is_signed or bits > 16:
        raise ValueError(f"{'signed ' if is_signed else ''}pixels of {bits} bits")
    # Cameras of 12 bits write 12-bit codestreams: they decode to 16-bit integers.
    return Header("jp2", bottom - top, right - left, samples, 8 if bits <= 8 else 16)


def _jpeg(content: bytes) -> Header:
    # ISO/IEC 10918-1 B.2.2: SOF0 to SOF15 (without DHT, JPG, DAC) contain the size of the frame.
    at = 2
    while content[at] == 0xFF:
        marker, length = struct.unpack(">BH", content[at + 1 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, samples = struct.unpack(">BHHB", content[at + 4 : at + 10])
            return Header("jpeg", height, width, samples, bits)
        at += 2 + length
    raise ValueError("no frame")


def _codestream(content: bytes) -> int:
    """Where the codestream begins: at the front, or in the first `jp2c` box (Annex I.4)."""
    start = 0
    while content[:4] != CODESTREAM_MAGIC:
        length, kind = struct.unpack(">I4s", content[start : start + 8])
        head = 8
        if length == 1:
            (length,) = struct.unpack(">Q", content[start + 8 : start + 16])
            head = 16
        if kind == b"jp2c":
            return start + head
        if length < head:
            raise ValueError("a box of no length")
        start += length
    return start


def quiet_tifffile() -> Any:
    """Return the library tifffile, which else logs many lines about each broken file."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile


def _tiff(content: bytes) -> Header:
    tifffile = quiet_tifffile()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with tifffile.TiffFile(io.BytesIO(content)) as file:
                page = file.pages.first
                if _has_second_page(file) or _is_stack(file, page):
                    raise ValueError("several planes; write one file for each plane and channel")
                sizes = (page.imagelength, page.imagewidth, page.samplesperpixel)
                height, width, samples = map(int, sizes)
                bits, kind, depth = page.bitspersample, page.sampleformat, page.imagedepth
                compression, tile_px = int(page.compression), math.prod(map(int, page.chunks))
        except Exception as error:  # tifffile meets a broken file with many kinds of exception
            raise ValueError(str(error)[:200]) from error
    if kind != 1 or depth != 1 or not isinstance(bits, int):
        raise ValueError(f"sample format {kind}, depth {depth}, bits {bits}")
    if compression not in TIFF_COMPRESSIONS:
        # An image in the image has a header of its own, which could say any size.
        expected = "none, LZW, Deflate, PackBits, LZMA or zstd"
        raise ValueError(f"its compression is number {compression}; expected {expected}")
    return Header("tiff", height, width, samples, bits, tile_px)


def _has_second_page(file: Any) -> bool:
    try:
        file.pages[1]
    except IndexError:
        return False
    return True


def _is_stack(file: Any, page: Any) -> bool:
    """Whether the only page of a file stands for several planes, as ImageJ and MetaMorph write."""
    if not (file.is_imagej or file.is_shaped or file.is_stk or file.is_fluoview):
        return False
    return any(math.prod(series.shape) > math.prod(page.shape) for series in file.series)
