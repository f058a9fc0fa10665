"""`phenoprints verify RUN`: every artefact against what its provenance says."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phenoprints.cli.runs import (
    TARGETS,
    base_folder,
    change_of,
    checked_provenance,
    provenance_files,
    run_folder,
    short,
)
from phenoprints.cli.terminal import count, verdict
from phenoprints.foundations.errors import CorruptionError
from phenoprints.foundations.fingerprints import content_sha256
from phenoprints.foundations.provenance import artefact_path
from phenoprints.foundations.publishing import PARTIAL_SUFFIX


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
    findings = list(verified(folder))
    for finding in findings:
        print(finding)
    failed = sum(finding.verdict == "FAIL" for finding in findings)
    word = "FAIL" if failed else "CHECK" if findings or not files else "PASS"
    others = len(findings) - failed
    print(
        f"{verdict(word)}  {folder}: {count(len(files))} artefacts, {failed} not as recorded, "
        f"{others} to look at"
    )
    return int(failed > 0)


def verified(folder: Path) -> Iterator[Finding]:
    """Everything in a run that does not agree with its provenance, in the order of paths.

    FAIL: an artefact is gone, or its bytes are not those that were written. CHECK: it was made
    from an input that has changed or gone since, or an unfinished file lies about.
    """
    base = base_folder(folder)
    for path in provenance_files(folder):
        yield from _verified(path, base)
    for partial in sorted(folder.rglob(f"*{PARTIAL_SUFFIX}")):
        mend = f"rm -r {partial}, when no run is going on"
        yield Finding("CHECK", str(partial), "no unfinished file", "found one", mend)


def _verified(path: Path, base: Path) -> Iterator[Finding]:
    artefact = artefact_path(path)
    try:
        provenance = checked_provenance(artefact)
    except CorruptionError as error:
        mend = f"rm {path} and run the target again"
        yield Finding(
            "FAIL", str(path), "a provenance file", f"found another thing ({error})", mend
        )
        return
    mend = _mend(path, provenance)
    recorded = str(provenance["sha256"])
    if not artefact.exists():
        yield Finding("FAIL", str(artefact), f"sha256 {short(recorded)}", "found nothing", mend)
        return
    found = content_sha256(artefact)
    if found != recorded:
        expected, got = f"sha256 {short(recorded)}", f"found {short(found)}"
        yield Finding("FAIL", str(artefact), expected, got, mend)
    yield from _inputs(artefact, provenance, base, mend)


def _inputs(
    artefact: Path, provenance: Mapping[str, Any], base: Path, mend: str
) -> Iterator[Finding]:
    for name, recorded in sorted(provenance["inputs"].items()):
        if change := change_of(base / name, str(recorded)):
            expected = f"to be made from {name} with sha256 {short(str(recorded))}"
            yield Finding("CHECK", str(artefact), expected, change, mend)


def _mend(path: Path, provenance: Mapping[str, Any]) -> str:
    target = TARGETS.get(str(provenance.get("stage")), "all")
    return f"rm {path} && snakemake {target}"
