"""The image files of a screen as they were when they were read: sizes, times, some contents."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.publishing import publish_table
from phenoprints.foundations.randomness import generator

FOLDER = "image_files"
"""The folder of a run with a table for each screen."""
MAX_HASHED = 1_000
"""Files whose content is known: of more, none, and changed times are changed images."""
SAMPLED = 10_000
"""Files that are looked at, beside all folders, where there are more than the limit."""
GONE = (-1, -1)
State = tuple[int, int]


def table_path(run: Path, screen: str) -> Path:
    """Return the path of the table of a screen's image files."""
    return run / FOLDER / f"{screen}.parquet"


def image_states(root: str, paths: Sequence[str]) -> pd.DataFrame:
    """Return path, size, mtime_ns and sha256 of files below a root, and of the folders they are in.

    Folders end with `/` and have size 0. The sha256 is "" where there are more than MAX_HASHED
    files, and for folders. Files that are not there have size -1.
    """
    folders = sorted({f"{os.path.dirname(path)}/" for path in paths})  # noqa: PTH120
    states = [_state(root, path) for path in [*paths, *folders]]
    is_hashed = len(paths) <= MAX_HASHED
    digests = [
        file_sha256(os.path.join(root, path))  # noqa: PTH118
        if is_hashed and state != GONE and not path.endswith("/") and _is_file(root, path)
        else ""
        for path, state in zip([*paths, *folders], states, strict=True)
    ]
    return pd.DataFrame(
        {
            "path": [*paths, *folders],
            "size": np.array([state[0] for state in states], np.int64),
            "mtime_ns": np.array([state[1] for state in states], np.int64),
            "sha256": digests,
        }
    )


def record_images(run: Path, screen: str, root: str, states: pd.DataFrame, version: int) -> None:
    """Publish what `image_states` found; `version` counts the changes of the images."""
    publish_table(table_path(run, screen), states.assign(root=root, version=version))


def image_version(run: Path, screen: str) -> int:
    """Return the version that images would now be prepared as: one more where they changed."""
    path = table_path(run, screen)
    if not path.is_file():
        return 0
    version = pd.read_parquet(path, columns=["version"])["version"]
    before = int(version.iloc[0]) if len(version) else 0
    return before + bool(image_changes(run, screen, limit=None))


def image_changes(run: Path, screen: str, *, limit: int | None, seed: int = 0) -> list[str]:
    """Say which image files of a screen are gone or changed since they were read.

    Parameters
    ----------
    run, screen
        The folder of the run, and the screen's name.
    limit
        Of more files only the times of folders and a seeded sample are looked at, and a folder
        whose time changed has all of its files looked at; None for no limit.
    """
    path = table_path(run, screen)
    if not path.is_file():
        return []
    table = pd.read_parquet(path)
    is_folder = table["path"].str.endswith("/").to_numpy()
    files = table[~is_folder]
    if limit is not None and len(files) > limit:
        files = _sampled(files, table[is_folder], seed)
    changed = [str(row.path) for row in files.itertuples() if _has_changed(row)]
    if not changed:
        return []
    return [f"made from {len(changed):,} image files that changed or are gone, first {changed[0]}"]


def limited_screens(run: Path, limit: int) -> dict[str, int]:
    """Return the number of files of every screen of a run that has more than the limit."""
    counts = {
        path.stem: int((~pd.read_parquet(path, columns=["path"])["path"].str.endswith("/")).sum())
        for path in sorted((run / FOLDER).glob("*.parquet"))
    }
    return {screen: number for screen, number in counts.items() if number > limit}


def _sampled(files: pd.DataFrame, folders: pd.DataFrame, seed: int) -> pd.DataFrame:
    touched = {row.path for row in folders.itertuples() if _has_changed(row)}
    place = files["path"].str.rpartition("/")[0] + "/"
    drawn = np.zeros(len(files), bool)
    rng = generator(seed, "freshness", "images")
    drawn[rng.choice(len(files), min(SAMPLED, len(files)), replace=False)] = True
    chosen: pd.DataFrame = files[drawn | place.isin(touched).to_numpy()]
    return chosen


def _has_changed(row: Any) -> bool:
    root, path = str(row.root), str(row.path)
    was: State = (int(row.size), int(row.mtime_ns))
    now = _state(root, path)
    if now == was:
        return False
    sha256 = str(row.sha256)
    is_known = bool(sha256) and now[0] == was[0] and _is_file(root, path)
    return not is_known or file_sha256(os.path.join(root, path)) != sha256  # noqa: PTH118


def _is_file(root: str, path: str) -> bool:
    return os.path.isfile(os.path.join(root, path))  # noqa: PTH113, PTH118


def _state(root: str, path: str) -> State:
    try:
        found = os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118
    except OSError:
        return GONE
    return (0 if path.endswith("/") else found.st_size), found.st_mtime_ns
