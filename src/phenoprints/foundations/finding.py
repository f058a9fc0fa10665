"""Find files by paths and globs, whatever characters the names of their folders have."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from glob import has_magic
from pathlib import Path
from unicodedata import normalize

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jp2", ".j2k", ".jpg", ".jpeg")
"""What the names of image files end with; the format is that of the content."""


def composed(text: str) -> str:
    """Return a text with composed letters (NFC): macOS writes `Ä` in names as `A` and a dot."""
    return normalize("NFC", text)


def find(root: str | Path, patterns: str | Sequence[str]) -> list[Path]:
    """Return the files and folders that paths or globs name, each once, sorted by pattern.

    Parameters
    ----------
    root
        The folder that patterns start from; its own name is never read as a glob.
    patterns
        Paths or globs (`*`, `?`, `[...]`, `**` for any folders). A part of a pattern that exists
        as it is written is that file, brackets included. Composed and decomposed letters are
        equal, as are upper and lower case in the suffix of a glob (`*.tif` finds `A.TIF`).
        Names that start with a dot are found only by patterns that do so.
    """
    found: dict[Path, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        place = Path(pattern).expanduser()
        start = Path(place.anchor) if place.is_absolute() else Path(root).expanduser()
        parts = place.relative_to(start).parts if place.is_absolute() else place.parts
        found.update(dict.fromkeys(sorted(_descend(start, parts))))
    return list(found)


def _descend(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    if not parts:
        yield from [folder] if folder.exists() else []
        return
    head, rest = parts[0], parts[1:]
    if head == "**":
        yield from _descend(folder, rest) if rest else ()
        for entry in _entries(folder, is_visible):
            if _is_folder(entry):
                yield from _descend(Path(entry.path), parts)
            elif not rest:
                yield Path(entry.path)
    elif "*" not in head and (folder / head).exists():
        yield from _descend(folder / head, rest)
    else:
        for entry in _entries(folder, _matcher(head)):
            if not rest or _is_folder(entry):
                yield from _descend(Path(entry.path), rest)


def _entries(folder: Path, is_wanted: Callable[[str], object]) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from [entry for entry in entries if is_wanted(entry.name)]
    except OSError:  # not a folder, or not readable: nothing is found there
        return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def is_visible(name: str) -> bool:
    """Return whether a name does not start with a dot, as hidden files and `._` copies do."""
    return not name.startswith(".")


def _matcher(head: str) -> Callable[[str], object]:
    wanted = composed(head)
    if not has_magic(wanted):
        return lambda name: composed(name) == wanted
    stem, dot, suffix = wanted.rpartition(".")
    if dot and suffix.isalnum():
        suffix = "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in suffix)
        wanted = f"{stem}.{suffix}"
    match = re.compile(translate(wanted)).match
    return lambda name: (wanted.startswith(".") or is_visible(name)) and match(composed(name))
