"""The sha256 of files and folders, kept with the state that the file system shows of them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from phenoprints.foundations.errors import CorruptionError, Problem
from phenoprints.foundations.fingerprints import TIME_STAMP, content_sha256, fingerprint

State = list[int | str]
SETTLED_NS = 2_000_000_000
COARSE_SETTLED_NS = 20_000_000_000
"""Age from which a time tells content apart; for file systems that keep whole seconds."""
FOLDER = "fingerprints"
"""The folder of a run that holds the cache; it may be deleted."""
TRIES = 3


def state_of(path: str | Path) -> State:
    """Return size, times of content and entry (ns), and inode of a file; of a folder, of all below.

    The time of the entry (ctime) cannot be set: it also changes where content is replaced under
    the old time, as `cp -p` and `rsync -a` do.
    """
    place = Path(path)
    if not place.is_dir():
        return _entry_state(place.stat())
    found = sorted(
        (str(entry.relative_to(place)), *_entry_state(entry.stat()))
        for entry in place.rglob("*")
        if entry.name != TIME_STAMP and entry.is_file()
    )
    newest = max((max(int(row[2]), int(row[3])) for row in found), default=0)
    return [len(found), newest, newest, fingerprint(found)]


def _entry_state(stat: os.stat_result) -> State:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def is_settled(state: State, now_ns: int) -> bool:
    """Whether a later change would show in a state: its times are old enough to be told apart.

    Times in the future, as on a file server whose clock is ahead, never are.
    """
    newest = max(int(state[1]), int(state[2]))
    is_coarse = newest % 1_000_000_000 == 0
    return newest + (COARSE_SETTLED_NS if is_coarse else SETTLED_NS) < now_ns


class ContentCache:
    """The sha256 of files and folders, read again only where their state has changed.

    Parameters
    ----------
    folder
        Where the cache lies, a small file for each path; None for none. What is damaged there, or
        was copied from another place, is not used. Several processes may share it.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def sha256(self, path: str | Path) -> str:
        """Return the sha256 of a file's bytes, or of a folder (as `content_sha256` does)."""
        state = state_of(path)
        found = self._kept(path)
        if found is not None and found[0] == state:
            return str(found[1])
        return self._read(path, state)

    def keep(self, path: str | Path, sha256: str) -> None:
        """Keep the sha256 of what was just written."""
        state = state_of(path)
        if self.folder is None:
            return
        entry = {"path": str(path), "state": state, "sha256": sha256, "at_ns": time.time_ns()}
        with suppress(OSError):  # a cache that cannot be written is none
            self.folder.mkdir(parents=True, exist_ok=True)
            place = self._place(path)
            partial = place.with_name(f"{place.name}.{os.getpid()}")
            partial.write_text(json.dumps(entry), encoding="utf-8")
            partial.replace(place)

    def _read(self, path: str | Path, state: State) -> str:
        for _ in range(TRIES):
            sha256 = content_sha256(path)
            after = state_of(path)
            if after == state:
                self.keep(path, sha256)
                return sha256
            state = after
        what = f"it changed each of the {TRIES} times that it was read"
        fix = "wait until nothing writes to it, and run again"
        raise CorruptionError(str(Problem(str(path), what, fix=fix)))

    def _kept(self, path: str | Path) -> tuple[State, str] | None:
        """Return the state and sha256 of a path as they were kept, where they can be trusted."""
        if self.folder is None:
            return None
        try:
            entry: Any = json.loads(self._place(path).read_text(encoding="utf-8"))
            state, sha256, at = list(entry["state"]), str(entry["sha256"]), int(entry["at_ns"])
            is_own = entry["path"] == str(path)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return (state, sha256) if is_own and is_settled(state, at) else None

    def _place(self, path: str | Path) -> Path:
        assert self.folder is not None
        name = hashlib.sha256(str(path).encode()).hexdigest()[:24]
        return self.folder / f"{name}.json"


def run_folder_of(artefact: str | Path) -> Path | None:
    """Return the folder of the run that an artefact lies in, `results/<run>`; None outside."""
    path = Path(artefact)
    return next((p for p in path.parents if p.parent.name == "results"), None)


def cache_of(artefact: str | Path) -> ContentCache:
    """Return the cache of the run that an artefact lies in; one that keeps nothing outside."""
    run = run_folder_of(artefact)
    return ContentCache(run / FOLDER if run is not None else None)
