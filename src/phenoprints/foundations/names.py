"""Names from data as names of files: different names stay different, and none leaves its folder."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from phenoprints.foundations.errors import Problem, UnsafeInputError

MAX_NAME_BYTES = 200
"""Longest file name: file systems stop at 255 bytes, and writers add prefixes and suffixes."""

MAX_PATH_BYTES = 4096


def file_name(name: str, what: str = "name") -> str:
    """Return the name with all but `A-Z a-z 0-9 . _ -` %-encoded, and so a leading dot or `__`.

    An empty name, or one that is longer than 200 bytes when encoded, is an UnsafeInputError that
    calls it `what`.

    >>> file_name("HUVEC-01"), file_name("../a"), file_name("__x")
    ('HUVEC-01', '%2E.%2Fa', '%5F_x')
    """
    encoded = quote(name, safe="").replace("~", "%7E")
    if encoded.startswith((".", "__")):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if not 0 < len(encoded) <= MAX_NAME_BYTES:
        text = f'{what} "{name[:40]}": it has {len(encoded)} bytes as a file name'
        fix = "use a shorter name in the screen's table"
        raise UnsafeInputError(str(Problem("wells", text, f"1 to {MAX_NAME_BYTES}", fix)))
    return encoded


def inside(root: str | Path, relative: str) -> Path:
    """Resolve `relative` below `root`, following links; UnsafeInputError if it leaves `root`.

    Absolute paths, `..` that climb out and symbolic links to the outside are all refused.
    """
    top = Path(root).resolve()
    try:
        place = (top / relative).resolve()
        is_inside = place != top and place.is_relative_to(top) and not Path(relative).is_absolute()
        is_inside &= len(relative.encode()) <= MAX_PATH_BYTES
        is_inside &= all(len(part.encode()) <= 255 for part in Path(relative).parts)
    except (ValueError, OSError, RuntimeError):  # null bytes, too long, loops of links
        is_inside = False
    if not is_inside:
        what = f"{relative[:200]!r} does not stay inside of it"
        fix = "move the files below the screen's root, or correct the table that names them"
        raise UnsafeInputError(str(Problem(str(root), what, "a relative path below it", fix)))
    return place


def below(root: str | Path, path: str | Path) -> str:
    """Return the path relative to `root`, links followed, with `/`; UnsafeInputError
    outside of it.
    """
    top, place = Path(root).resolve(), Path(path).resolve()
    if not place.is_relative_to(top) or place == top:
        what = f"{str(path)[:200]} lies outside of it"
        fix = "move the files below the screen's root, or replace the link by what it points to"
        raise UnsafeInputError(str(Problem(str(root), what, "files below it", fix)))
    return place.relative_to(top).as_posix()
