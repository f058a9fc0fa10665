"""What belongs to an artefact and has no provenance of its own: image stores, and markers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from phenoprints.cli.rebuild_commands import command, is_folder
from phenoprints.cli.runs import provenance_files, short
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.markers import read_marker
from phenoprints.foundations.provenance import artefact_path, provenance_path, read_provenance


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was written, what was expected and found, and what mends it."""

    file: Path
    expected: str
    found: str
    mend: str


def damaged_companions(run: Path) -> Iterator[Damage]:
    """Everything that is damaged in the image stores of a run and among its markers."""
    told_by = [*run.glob("screens/*/images"), *run.glob("screens/*/images.json*")]
    for folder in sorted({path.parent for path in told_by}):
        yield from _store(folder / "images.json", run)
    for store in map(artefact_path, provenance_files(run / "embeddings")):
        if is_folder(store):
            yield from _units(store, run)


def _store(images: Path, run: Path) -> Iterator[Damage]:
    from phenoprints.screens.images.packing import damaged_files, num_sites_marked

    again = {images, provenance_path(images)}
    for marker in sorted(images.parent.glob("images/*/*.units/*.json")):
        for file, expected, found in damaged_files(marker):
            mend = f"target screens: {command(run, images, {*again, marker})}"
            told = f"found {short(found)}" if found else "found nothing"
            yield Damage(file, f"sha256 {short(expected)}", told, mend)
    expected_sites = _noted(images, "rows", "packed")
    if expected_sites is not None and (marked := num_sites_marked(images.parent)) < expected_sites:
        mend = f"target screens: {command(run, images, again)}"
        told = f"found those of {marked}"
        yield Damage(images.parent / "images", f"markers of {expected_sites} sites", told, mend)


def _units(store: Path, run: Path) -> Iterator[Damage]:
    """Markers of the units of one store of embeddings."""
    folder = store.with_name(f"{store.name}.units")
    output = provenance_path(store)
    whole = 0
    for path in sorted(folder.glob("*.json")):
        if read_marker(path) is not None:
            whole += 1
            continue
        mend = f"target embed: {command(run, output, {path, output})}"
        yield Damage(path, "a whole marker", "found another thing", mend)
    expected = _noted(store, "notes", "units")
    if expected is not None and len(list(folder.glob("*.json"))) < expected:
        mend = f"target embed: {command(run, output, {output})}"
        yield Damage(folder, f"markers of {expected} units", f"found {whole}", mend)


def _noted(artefact: Path, part: str, key: str) -> int | None:
    """Return a number in the provenance of an artefact; None where there is none."""
    try:
        value = read_provenance(artefact).get(part, {}).get(key)
    except (PhenoprintsError, AttributeError):
        return None
    return value if isinstance(value, int) else None
