"""Find the tables in a folder or in the cache; download them there, checked."""

from __future__ import annotations

import gzip
import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from phenoprints.annotation.catalogue import Source, source_named
from phenoprints.foundations.errors import CorruptionError, MissingInputError
from phenoprints.foundations.publishing import publish_bytes

TIMEOUT_S = 60
MAX_BYTES = 200_000_000
"""No table of the catalogue comes near this; whatever does is not the table."""


def cache_path(name: str, cache: str | Path) -> Path:
    """Where the cache keeps a table, by source and checksum."""
    return Path(cache).expanduser() / source_named(name).cached_name


def path_of(
    name: str, *, folder: str | None = None, cache: str = "", offline: bool = False
) -> str | None:
    """Locate a table: in `folder` or below it, else in the cache; None if it is unavailable.

    A path in the cache that does not exist yet is one that `download` can make.
    """
    source = source_named(name)
    if folder is not None:
        found = _search(Path(folder).expanduser(), source.file)
        if found is not None:
            return str(found)
    cached = cache_path(name, cache)
    return None if offline and not cached.exists() else str(cached)


def download(name: str, cache: str | Path) -> Path:
    """Download a table into the cache, uncompressed, and check it.

    Raises
    ------
    MissingInputError
        It cannot be had; the message says where to put it by hand.
    CorruptionError
        What came is not the table of the catalogue; nothing is kept.
    """
    source, path = source_named(name), cache_path(name, cache)
    content = _fetch(source)
    if source.url.endswith(".gz"):
        content = gzip.decompress(content)
    problem = _problem(source, content)
    if problem:
        raise CorruptionError(
            f"{source.url}: the download is not the expected table.\n"
            f"  {problem}. Nothing was kept.\n"
            f"  To fix: put {source.file} into a folder and name it in annotation.folder."
        )
    publish_bytes(path, content)
    return path


def _problem(source: Source, content: bytes) -> str:
    """Describe what is wrong with the content of a table, "" if nothing is."""
    if source.sha256 is not None:
        actual = hashlib.sha256(content).hexdigest()
        return "" if actual == source.sha256 else f"Expected sha256 {source.sha256}, got {actual}"
    number = len(content.decode("utf-8", errors="replace"))
    expected = source.num_characters
    return "" if number == expected else f"Expected {expected} characters, got {number}"


def _fetch(source: Source) -> bytes:
    assert source.url.startswith("https://")
    try:
        with urllib.request.urlopen(source.url, timeout=TIMEOUT_S) as response:  # noqa: S310
            content: bytes = response.read(MAX_BYTES)
            return content
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise MissingInputError(
            f"{source.url}: cannot be downloaded ({error}).\n"
            f"  To fix: put {source.file} into a folder and name it in annotation.folder, or leave "
            "its source out of the configuration."
        ) from error


def _search(folder: Path, file: str) -> Path | None:
    if not folder.is_dir():
        raise MissingInputError(f"annotation.folder: {folder} is not a folder.")
    for name in (file, f"{file}.gz"):
        found = sorted(folder.rglob(name))
        if found:
            return found[0]
    return None
