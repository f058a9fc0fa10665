"""The artefacts of a run, found by the provenance files beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phenoprints.foundations.errors import CorruptionError, MissingInputError
from phenoprints.foundations.fingerprints import file_sha256, fingerprint, own_sha256
from phenoprints.foundations.provenance import (
    artefact_sha256,
    is_provenance,
    provenance_path,
    read_provenance,
)

SUFFIX = ".provenance.json"
TARGETS = {
    "screens": "screens",
    "quality": "quality",
    "embeddings": "embed",
    "alignment": "align",
    "consistency": "consistency",
    "curation": "curate",
    "training": "train",
    "probes": "probe",
    "maps": "map",
    "matches": "match",
    "benchmarks": "benchmark",
    "reports": "report",
}
"""The target of each stage."""

FOLDER_STAGES = {"blocks": "embeddings", "crops": "embeddings", "encoders": "training"}
"""The stage of folders that are not called like it."""

TARGET_FOLDERS = {*TARGETS, *FOLDER_STAGES}
"""Folders of a run that hold artefacts."""


def run_folder(run: str) -> Path:
    """Return the folder of a run, given by its path or by its name below `results/`."""
    for folder in (Path(run), Path("results") / run):
        if folder.is_dir():
            return folder
    raise MissingInputError(f"{run}: there is no such folder, nor results/{run}.")


def provenance_files(folder: Path) -> Iterator[Path]:
    """Every provenance file below a folder, sorted."""
    return iter(sorted(folder.rglob(f"*{SUFFIX}")))


def run_of(path: Path) -> Path:
    """Return the run's folder that a path lies in: the one below `results/`, else its parent."""
    absolute = path.absolute()
    for parent in absolute.parents:
        if parent.parent.name == "results":
            return parent
    return absolute.parent


def base_folder(run: Path) -> Path:
    """Return the folder that recorded paths are relative to: where `results/` lies, or the current
    one.
    """
    absolute = run.absolute()
    if absolute.name == "results":
        return absolute.parent
    return absolute.parents[1] if absolute.parent.name == "results" else Path.cwd()


def short(digest: str) -> str:
    """Return the first twelve digits of a fingerprint."""
    return digest[:12]


_SHAPE = {
    "sha256": str,
    "stage": str,
    "stage_version": int,
    "settings": dict,
    "settings_sha256": str,
    "seeds": dict,
    "inputs": dict,
    "rows": dict,
    "code": dict,
}


def checked_provenance(artefact: Path) -> dict[str, Any]:
    """Return the provenance of an artefact, with every part there and of the type it
    should have.
    """
    provenance = read_provenance(artefact)
    for key, kind in _SHAPE.items():
        if not isinstance(provenance.get(key), kind):
            raise CorruptionError(f'{provenance_path(artefact)}: "{key}" is not what it should be.')
    if not isinstance(provenance.get("files", {}), dict):
        raise CorruptionError(f'{provenance_path(artefact)}: "files" is not what it should be.')
    own = provenance.get("own_sha256")  # absent from files of format 1
    if provenance.get("format") != 1 and own != own_sha256(provenance):
        raise CorruptionError(
            f"{provenance_path(artefact)}: it is not what was written (own sha256)."
        )
    settings = {"settings": provenance["settings"]}
    if not own_sha256(settings) or (
        fingerprint(provenance["settings"]) != provenance["settings_sha256"]
    ):
        raise CorruptionError(f"{provenance_path(artefact)}: the settings are not those written.")
    for key in ("version", "commit"):
        if not isinstance(provenance["code"].get(key), str):
            raise CorruptionError(f'{provenance_path(artefact)}: "code" is not what it should be.')
    return provenance


def change_of(path: Path, recorded: str) -> str:
    """Describe how an input differs from its recorded sha256; "" if it is unchanged."""
    if not path.exists():
        return "which is gone"
    if not (path.is_file() or path.is_dir()):
        return "which is neither file nor folder"
    try:
        found = artefact_sha256(path)
    except CorruptionError:
        return "whose own provenance is damaged"
    # Earlier versions recorded the bytes of provenance files.
    is_same = found == recorded or (is_provenance(path) and file_sha256(path) == recorded)
    return "" if is_same else f"which is now {short(found)}"
