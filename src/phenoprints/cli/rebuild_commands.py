"""What makes an artefact again: the files to delete, and the one that Snakemake is asked for."""

from __future__ import annotations

import shlex
from pathlib import Path

from phenoprints.cli.runs import FOLDER_STAGES, TARGETS
from phenoprints.foundations.provenance import provenance_path

SCREEN_OUTPUTS = {
    "wells.parquet", "sites.parquet", "conditions.parquet", "notes.json", "images.json",
    "unreadable.parquet",
}  # fmt: skip
"""Files of a screen that rules name; further tables are made with the notes."""
REPLACED = {"alignment", "curation", "maps", "reports"}
"""Stages whose folders are made anew as a whole; others keep the units that are whole."""


DEPTHS = {"reports": 1, "encoders": 2, "probes": 4}
"""Parts of an artefact's path below the run, where they are not three as in embeddings/a/mae."""


def artefact_of(path: Path, run: Path) -> Path:
    """Return the artefact that a file of a run is, or is a part of, by where it lies."""
    parts = path.relative_to(run).parts
    if parts[0] == "screens" and parts[2:3] == ("images",):
        return run.joinpath(*parts[:2], "images.json")
    return run.joinpath(*parts[: DEPTHS.get(parts[0], 3)])


def is_folder(artefact: Path) -> bool:
    """Whether an artefact is a folder, also where it is gone: names of screens may hold dots."""
    return artefact.suffix not in (".parquet", ".json", ".html", ".csv")


def target_of(path: Path, run: Path) -> str:
    """Return the target whose stage a file of a run belongs to."""
    first = path.relative_to(run).parts[0].removesuffix(".provenance.json")
    return TARGETS.get(FOLDER_STAGES.get(first, first), "all")


def rebuild_command(artefact: Path, run: Path) -> str:
    """Return the target that an artefact belongs to, and the command that makes it again."""
    stage = artefact.relative_to(run).parts[0]
    output = provenance_path(artefact) if is_folder(artefact) else artefact
    if stage == "screens" and not is_folder(artefact) and artefact.name not in SCREEN_OUTPUTS:
        output = artefact.with_name("notes.json")
    removed = {output, provenance_path(artefact)}
    if not is_folder(artefact) or stage in REPLACED:
        removed.add(artefact)
    return f"target {target_of(artefact, run)}: {command(run, output, removed)}"


def command(run: Path, output: Path, removed: set[Path]) -> str:
    """Return the shell command that deletes files and lets Snakemake make one of them again."""
    gone = " ".join(shlex.quote(str(path)) for path in sorted(removed))
    asked = f"--configfile {shlex.quote(str(run / 'config.json'))} -- {shlex.quote(str(output))}"
    return f"rm -rf {gone} && snakemake {asked}"
