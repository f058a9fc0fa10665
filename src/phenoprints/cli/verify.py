"""`phenoprints verify RUN`: every artefact against what its provenance says."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phenoprints.cli.rebuild_commands import artefact_of, rebuild_command
from phenoprints.cli.runs import (
    FOLDER_STAGES,
    SUFFIX,
    TARGET_FOLDERS,
    TARGETS,
    base_folder,
    change_of,
    checked_provenance,
    provenance_files,
    run_folder,
    short,
)
from phenoprints.cli.store_integrity import damaged_companions
from phenoprints.cli.terminal import count, verdict
from phenoprints.configuration.freezing import checksum_path, thaw
from phenoprints.foundations.errors import MAX_SHOWN, CorruptionError, PhenoprintsError
from phenoprints.foundations.fingerprints import content_sha256, tree_digests
from phenoprints.foundations.provenance import artefact_path
from phenoprints.foundations.publishing import PARTIAL_SUFFIX
from phenoprints.freshness import stale_artefacts

_RANKS = {stage: rank for rank, stage in enumerate(TARGETS)}
RANKS = _RANKS | {folder: _RANKS[stage] for folder, stage in FOLDER_STAGES.items()}
"""Where the folders of a run stand on the journey."""
MAX_STRAYS = 200
"""Files without provenance that are put in order; the others come last."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as recorded: file, expected, found, and the target that mends it."""

    verdict: str
    file: str
    expected: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        lines = [f"{verdict(self.verdict)}  {self.file}: expected {self.expected}, {self.found}"]
        if self.mend:
            lines.append(f"    To mend: {self.mend}")
        return "\n".join(lines)


def run(arguments: argparse.Namespace) -> int:
    """Print every finding and a last line that counts; 1 when an artefact is not as recorded."""
    folder = run_folder(arguments.run)
    files = list(provenance_files(folder))
    findings = verified(folder, has_all_images=arguments.images)
    failed = sum(finding.verdict == "FAIL" for finding in findings)
    for finding in _shown(findings):
        print(finding)
    word = "FAIL" if failed else "CHECK" if findings or not files else "PASS"
    others = len(findings) - failed
    print(
        f"{verdict(word)}  {folder}: {count(len(files))} artefacts, {failed} not as recorded, "
        f"{others} to look at"
    )
    return int(failed > 0)


def _shown(findings: Sequence[Finding]) -> Iterator[Finding | str]:
    """Every FAIL, the first of what is to be looked at, and how many more of these there are."""
    yield from (finding for finding in findings if finding.verdict == "FAIL")
    others = [finding for finding in findings if finding.verdict != "FAIL"]
    yield from others[:MAX_SHOWN]
    if len(others) > MAX_SHOWN:
        yield f"… and {count(len(others) - MAX_SHOWN)} more to look at"


def verified(folder: Path, *, has_all_images: bool = False) -> list[Finding]:
    """Everything in a run that does not agree with its provenance.

    FAIL: an artefact is gone, or its bytes are not those that were written. CHECK: it was made
    from an input that has changed or gone since, or an unfinished file lies about. What others
    are made from comes before them, so that the commands mend in this order.
    """
    findings = [*_artefacts(folder), *_outdated(folder, has_all_images)]
    if findings:
        steps = _steps_after(folder)
        findings.sort(key=lambda each: -steps.get(_artefact(each, folder), 0))
    return [*_configuration(folder), *findings]


def _artefact(finding: Finding, folder: Path) -> Path:
    """Return the artefact that a finding is about, or whose unit it is about."""
    artefact = artefact_of(Path(finding.file.removesuffix(SUFFIX)), folder).absolute()
    return artefact.with_name(artefact.name.removesuffix(".units"))


def _steps_after(folder: Path) -> dict[Path, int]:
    """How many steps in a row were made from each artefact."""
    made_from = _made_from(folder)
    steps: dict[Path, int] = {}
    order: list[Path] = []
    for artefact in made_from:
        _visit(artefact, made_from, steps, order)
    for artefact in reversed(order):  # what is made from an artefact comes before it
        for each in made_from.get(artefact, ()):
            steps[each] = max(steps.get(each, 0), steps[artefact] + 1)
    return steps


def _visit(
    first: Path, made_from: Mapping[Path, list[Path]], steps: dict[Path, int], order: list[Path]
) -> None:
    """Add an artefact and all that it was made from to `order`, inputs first; each once."""
    waiting = [(first, False)]
    while waiting:
        artefact, is_done = waiting.pop()
        if is_done:
            order.append(artefact)
        elif artefact not in steps:
            steps[artefact] = 0
            waiting += [(artefact, True), *((each, False) for each in made_from.get(artefact, ()))]


def _made_from(folder: Path) -> dict[Path, list[Path]]:
    """Return the inputs of each artefact; where its provenance is lost, what their names tell of
    them.
    """
    base = base_folder(folder)
    known = [artefact_path(path).absolute() for path in provenance_files(folder)]
    strays = [path.absolute() for path in unaccounted(folder)[:MAX_STRAYS]]
    places = {path: path.relative_to(folder.absolute()).parts for path in [*known, *strays]}
    made_from = {}
    for artefact, place in places.items():
        try:
            made_from[artefact] = [base / name for name in checked_provenance(artefact)["inputs"]]
        except PhenoprintsError:
            made_from[artefact] = [path for path in places if _comes_before(places[path], place)]
    return made_from


def _comes_before(earlier: Sequence[str], later: Sequence[str]) -> bool:
    """Whether a place in a run is of an earlier stage, of the same screen and, if any, encoder."""
    rank, later_rank = (RANKS.get(place[0], 0) for place in (earlier, later))
    num_shared = 1 if earlier[0] in ("screens", "quality") else 2
    pairs = zip(earlier[1 : 1 + num_shared], later[1:], strict=False)
    return rank < later_rank and all(Path(name).stem == Path(other).stem for name, other in pairs)


def _artefacts(folder: Path) -> Iterator[Finding]:
    base = base_folder(folder)
    for path in provenance_files(folder):
        yield from verified_artefact(path, folder, base)
    for damage in damaged_companions(folder):
        yield Finding("FAIL", str(damage.file), damage.expected, damage.found, damage.mend)
    for path in unaccounted(folder):
        mend = rebuild_command(path, folder)
        yield Finding("CHECK", str(path), "a provenance file beside it", "found none", mend)
    for partial in sorted(folder.rglob(f"*{PARTIAL_SUFFIX}")):
        mend = f"rm -r {shlex.quote(str(partial))}, when no run is going on"
        yield Finding("CHECK", str(partial), "no unfinished file", "found one", mend)


def _outdated(folder: Path, has_all_images: bool) -> Iterator[Finding]:
    """Yield the artefacts that the run's configuration and images would make in another way."""
    with suppress(PhenoprintsError):  # a configuration that cannot be read is a finding by itself
        config = thaw(folder / "config.json")
        if has_all_images:
            config = {**config, "freshness": {"max_files": None}}
        for each in stale_artefacts(folder, config, compared=("job", "images")):
            path = str(each.artefact)
            mend = rebuild_command(each.artefact, folder)
            yield Finding("CHECK", path, "the run's settings", "; ".join(each.reasons), mend)


def _configuration(folder: Path) -> Iterator[Finding]:
    """Yield the frozen configuration, which every start that has something to do writes again."""
    path = folder / "config.json"
    start = "snakemake --configfile <yours> --forcerun write_reports -- report"
    mend = f"rm -f {shlex.quote(str(path))}* && {start}"
    try:
        thaw(path)
    except PhenoprintsError as error:
        yield Finding("FAIL", str(path), "the run's configuration", f"found: {error}", mend)
        return
    if not checksum_path(path).is_file():  # version 0.1.0 wrote none
        yield Finding("CHECK", str(path), "its checksum beside it", "found none", mend)


def unaccounted(folder: Path) -> list[Path]:
    """Artefacts of the stages, sorted, that neither have nor belong to one with a provenance.

    What is named after an artefact (`mae.units/…`, `images/…` beside `images.json`) belongs to it.
    Logs, durations, the configuration and an exported crate are no artefacts.
    """
    owners = set()
    for path in provenance_files(folder):
        artefact = artefact_path(path)
        owners |= {artefact, artefact.with_name(artefact.name.removesuffix(".json"))}
    found = set()
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        is_made = path.is_file() and inside[0] in TARGET_FOLDERS and SUFFIX not in path.name
        if is_made and not path.name.endswith(PARTIAL_SUFFIX) and not _belongs(path, owners):
            found.add(artefact_of(path, folder))
    return sorted(found)


def _belongs(path: Path, owners: set[Path]) -> bool:
    """Whether the path or a folder that it lies in is an artefact, or named after one."""
    places = [place for place in (path, *path.parents) if place.name]
    return any(place in owners or place.with_name(_owner(place.name)) in owners for place in places)


def _owner(name: str) -> str:
    """Return the artefact that folders such as `mae.units` and `mae.training` belong to: `mae`."""
    return name.removesuffix(".units").removesuffix(".training")


def verified_artefact(path: Path, folder: Path, base: Path) -> Iterator[Finding]:
    """Yield what does not agree with the provenance file at `path`, of a run below `base`."""
    artefact = artefact_path(path)
    mend = rebuild_command(artefact, folder)
    try:
        provenance = checked_provenance(artefact)
    except CorruptionError as error:
        found = f"found another thing ({error})"
        yield Finding("FAIL", str(path), "a provenance file", found, mend)
        return
    recorded = str(provenance["sha256"])
    if not _is_of(provenance, path):
        found = f"found that of {provenance['artefact']}"
        yield Finding("FAIL", str(path), f"the provenance of {artefact.name}", found, mend)
    elif not artefact.exists():
        yield Finding("FAIL", str(artefact), f"sha256 {short(recorded)}", "found nothing", mend)
    elif (found := content_sha256(artefact)) != recorded:
        for file, expected, got in _differences(artefact, provenance, found):
            yield Finding("FAIL", str(file), expected, got, mend)
    else:
        yield from _inputs(artefact, provenance, base, mend)


def _differences(
    artefact: Path, provenance: Mapping[str, Any], found: str
) -> Iterator[tuple[Path, str, str]]:
    """Each file of an artefact that differs, what was expected and found; else the whole of it."""
    listed = provenance.get("files") or {}
    there = dict(tree_digests(artefact)) if artefact.is_dir() else {}
    if not listed:
        yield artefact, f"sha256 {short(str(provenance['sha256']))}", f"found {short(found)}"
        return
    for name in sorted({*listed, *there}):
        if listed.get(name) != there.get(name):
            expected = f"sha256 {short(str(listed[name]))}" if name in listed else "no such file"
            got = f"found {short(there[name])}" if name in there else "found nothing"
            yield artefact / name, expected, got


def _is_of(provenance: Mapping[str, Any], path: Path) -> bool:
    """Whether a provenance file lies beside what it was written for, wherever the run lies now."""
    named = Path(str(provenance.get("artefact", ""))).parts
    lies = artefact_path(path.absolute()).parts
    inside = named[named.index("results") + 2 :] if "results" in named[:-2] else named[-1:]
    return lies[-len(inside) :] == inside


def _inputs(
    artefact: Path, provenance: Mapping[str, Any], base: Path, mend: str
) -> Iterator[Finding]:
    for name, recorded in sorted(provenance["inputs"].items()):
        if change := change_of(base / name, str(recorded)):
            expected = f"to be made from {name} with sha256 {short(str(recorded))}"
            yield Finding("CHECK", str(artefact), expected, change, mend)
