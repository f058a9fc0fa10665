"""Files below an address (https, http or S3), read through tensorstore's key-value stores.

Whole files are read for images; arrays are opened by tensorstore itself, which asks for ranges of
shards alone. Of S3, `AWS_ENDPOINT_URL` and `AWS_REGION` are used where they are set; without any
credentials requests are anonymous, as public buckets want it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from functools import lru_cache
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from phenoprints.foundations.errors import (
    ConfigurationError,
    MissingInputError,
    Problem,
    RemoteError,
    UnsafeInputError,
)

if TYPE_CHECKING:
    import tensorstore

SCHEMES = ("http://", "https://", "s3://")
RETRIES = {"max_retries": 4, "initial_delay": "300ms", "max_delay": "3s"}
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")


def is_remote(root: str | Path) -> bool:
    """Return whether a root is an address and no folder."""
    return str(root).startswith(SCHEMES)


def address(root: str | Path, path: str) -> str:
    """Return the address of a file below a root, for messages."""
    return f"{str(root).rstrip('/')}/{path}"


def kvstore_spec(root: str, path: str = "") -> dict[str, Any]:
    """Return tensorstore's description of what is below an address and a path there.

    Raises
    ------
    UnsafeInputError
        The path is absolute or leaves the root.
    """
    if path and not _is_inside(path):
        what = f"{path[:200]!r} does not stay inside of it"
        raise UnsafeInputError(str(Problem(root, what, "a relative path below it")))
    place = f"{root.rstrip('/')}/{path}".rstrip("/") + "/"
    if not root.startswith("s3://"):
        return {"driver": "http", "base_url": place}
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    spec: dict[str, Any] = {"driver": "s3", "bucket": bucket, "path": prefix}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        spec["aws_region"] = region
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        spec["endpoint"] = endpoint
    has_credentials = Path("~/.aws/credentials").expanduser().is_file()
    if not has_credentials and not any(name in os.environ for name in CREDENTIALS):
        spec["aws_credentials"] = {"type": "anonymous"}
    return spec


def context() -> tensorstore.Context:
    """Return the settings of requests: a failing server is given up after a few seconds."""
    import tensorstore as ts

    return ts.Context({"http_request_retries": RETRIES, "s3_request_retries": RETRIES})


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return not path.startswith("/") and ".." not in parts and "\\" not in path and "\0" not in path


@lru_cache(maxsize=16)
def _store(root: str) -> tensorstore.KvStore:
    import tensorstore as ts

    try:
        return ts.KvStore.open(kvstore_spec(root), context=context()).result()
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{root}: not an address that can be read. {error}") from error


def read_remote(root: str | Path, path: str) -> bytes:
    """Return the content of a file below an address.

    Raises
    ------
    MissingInputError
        The server says that it is not there.
    RemoteError
        The server cannot be reached, or answers otherwise.
    UnsafeInputError
        The path leaves the root.
    """
    kvstore_spec(str(root), path)  # checks the path
    try:
        found = _store(str(root)).read(path).result()
    except (ValueError, OSError) as error:
        where = address(root, path)
        raise RemoteError(f"{where}: it cannot be read. {str(error)[:300]}") from error
    if found.state != "value":
        raise MissingInputError(f"{address(root, path)}: the file is not there.")
    return bytes(found.value)


def has_file(root: str | Path, path: str) -> bool:
    """Return whether a file is there; it is read, so ask for small ones."""
    try:
        read_remote(root, path)
    except MissingInputError:
        return False
    return True


def find_remote(root: str | Path, patterns: Sequence[str]) -> Iterator[str]:
    """Yield paths below an address that patterns name; globs need a server that lists (S3).

    Raises
    ------
    ConfigurationError
        A glob below an address of http: such servers list nothing.
    """
    globs = [pattern for pattern in patterns if has_magic(pattern)]
    yield from (pattern for pattern in patterns if not has_magic(pattern))
    if not globs:
        return
    if not str(root).startswith("s3://"):
        what = f"{globs[0]!r} is a glob, and a web server does not list its files"
        fix = "list the paths in `images`, or use the address s3://… of the bucket"
        raise ConfigurationError(str(Problem(str(root), what, "paths", fix)))
    try:
        keys = [key.decode() for key in _store(str(root)).list().result()]
    except (ValueError, OSError) as error:
        raise RemoteError(f"{root}: it cannot be listed. {str(error)[:300]}") from error
    wanted = [_matcher(pattern) for pattern in globs]
    yield from sorted(key for key in keys if any(match(key) for match in wanted))


def _matcher(pattern: str) -> Any:
    """Return a function that matches whole paths: `**/` any folders, `*` no slash."""
    *folders, name = pattern.split("/")
    texts = ["(?:[^/]+/)*" if part == "**" else f"{_part(part)}/" for part in folders]
    return re.compile("".join([*texts, _part(name)]), re.IGNORECASE).fullmatch


def _part(pattern: str) -> str:
    return translate(pattern)[4:-3].replace(".*", "[^/]*")
