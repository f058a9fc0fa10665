"""Decode one plane from its bytes, after its header has been judged."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.errors import ImageError
from phenoprints.screens.images.headers import Header, quiet_tifffile, read_header


def decode_plane(
    content: bytes, name: str, *, shape: tuple[int, int] | None = None, bits: int | None = None
) -> NDArray[Any]:
    """Return the pixels (H, W) of one encoded image, uint8 or uint16.

    Parameters
    ----------
    content
        The whole file: TIFF (compressions of bytes, such as LZW), PNG, JPEG (lossy) or JPEG 2000.
    name
        What messages call it.
    shape
        The size (height, width) that the screen declares; another one is refused undecoded.
    bits
        The depth that the experiment's images have, 8 or 16; another one is refused undecoded.

    Raises
    ------
    ImageError
        Not such an image, another size or depth than expected, or bytes that cannot be decoded.
    UnsafeInputError
        Its header goes beyond the limits.
    """
    header = read_header(content, name)
    judge_header(header, name, shape=shape, bits=bits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = _DECODERS[header.format](content)
    except Exception as error:  # codecs meet broken bytes with many kinds of exception
        raise ImageError(f"{name}: the image cannot be decoded ({str(error)[:200]}).") from error
    return _checked(pixels, header, name)


def judge_header(
    header: Header, name: str, *, shape: tuple[int, int] | None, bits: int | None
) -> None:
    """Raise ImageError where an image has another size or depth than expected (None: any)."""
    if shape is not None and (header.height, header.width) != tuple(shape):
        raise ImageError(
            f"{name}: its header says {header.height} × {header.width} pixels, the screen "
            f"declares {shape[0]} × {shape[1]}."
        )
    require_bits(header.bits, bits, name)


def require_bits(found: int, expected: int | None, name: str) -> None:
    """Refuse an image of another depth than its experiment's, for which no window holds."""
    if expected is not None and found != expected:
        raise ImageError(
            f"{name}: its header says {found} bits a pixel.\n"
            f"  Expected {expected}, as the other images of its experiment have; if all have 16,\n"
            "  no window is known yet: run the target `screens`."
        )


def _checked(pixels: NDArray[Any], header: Header, name: str) -> NDArray[Any]:
    expected = (header.height, header.width), np.uint16 if header.bits > 8 else np.uint8
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.shape != expected[0] or pixels.dtype.newbyteorder("=") != expected[1]:
        raise ImageError(
            f"{name}: it decodes to {pixels.shape} of {pixels.dtype}, not to what its header says."
        )
    return np.ascontiguousarray(pixels, dtype=expected[1])


def _tiff(content: bytes) -> NDArray[Any]:
    with quiet_tifffile().TiffFile(io.BytesIO(content)) as file:
        pixels: NDArray[Any] = file.pages.first.asarray(maxworkers=1)
    return pixels


def _png(content: bytes) -> NDArray[Any]:
    import imagecodecs

    pixels: NDArray[Any] = imagecodecs.png_decode(content)
    return pixels


def _jp2(content: bytes) -> NDArray[Any]:
    import imagecodecs

    pixels: NDArray[Any] = imagecodecs.jpeg2k_decode(content)
    return pixels


def _jpeg(content: bytes) -> NDArray[Any]:
    import imagecodecs

    pixels: NDArray[Any] = imagecodecs.jpeg8_decode(content)
    return pixels


_DECODERS = {"tiff": _tiff, "png": _png, "jp2": _jp2, "jpeg": _jpeg}
