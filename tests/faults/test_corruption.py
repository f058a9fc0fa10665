"""Corruption is named, with file and cure, and the cure cures: every file of two finished runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from phenoprints.cli.rebuild_commands import artefact_of
from phenoprints.cli.runs import provenance_files
from phenoprints.cli.verify import Finding, unaccounted, verified
from phenoprints.foundations.provenance import artefact_path, read_provenance

from .runs import TIMED, contents, differing, run

RUNS = [
    pytest.param("example", marks=pytest.mark.xdist_group("faults")),
    pytest.param("tiny", marks=[pytest.mark.xdist_group("tiny"), pytest.mark.torch]),
]
UNCHECKED = re.compile(r"^(logs|durations|fingerprints|stale)/|\.training/|\.snakemake_timestamp$")
"""What tells of time, and is nobody's input; a damaged cache of fingerprints is made anew."""
MEND = re.compile(r"target \w+: rm -rf (.+) && snakemake --configfile \S+ -- (\S+)")


def content_after(damage: str, content: bytes, other: bytes) -> bytes | None:
    """What a file holds after a damage; None where it is gone."""
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    damages = {"truncated": content[:middle], "flipped": flipped, "emptied": b"", "swapped": other}
    return damages.get(damage)


def spoil(results: Path, names: list[str], damage: str) -> set[str]:
    """Damage files; the names of those that are other files now."""
    whole = {name: (results / name).read_bytes() for name in names}
    others = dict(zip(names, [*names[1:], names[0]], strict=True))
    for name, content in whole.items():
        left = content_after(damage, content, whole[others[name]])
        (results / name).unlink()  # a hard link to the whole run
        if left is not None:
            (results / name).write_bytes(left)
    return {n for n in names if damage != "swapped" or whole[n] != whole[others[n]]}


def halves(results: Path) -> dict[str, list[str]]:
    """The files of a run, those that others are checked by apart."""
    files = (path for path in results.rglob("*") if path.is_file())
    names = sorted(path.relative_to(results).as_posix() for path in files)
    checked = [name for name in names if not UNCHECKED.search(name)]
    checks = [n for n in checked if n.endswith(".provenance.json") or ".units/" in n]
    return {"artefacts": sorted(set(checked) - set(checks)), "what they are checked by": checks}


@pytest.fixture
def copy(request, tmp_path) -> Callable[[str], Path]:
    """The function that links a finished run into a folder of this test; gives its results."""

    def link(name: str) -> Path:
        fixture = {"example": "untouched", "tiny": "tiny_again"}[name]
        folder = request.getfixturevalue(fixture)
        folder = folder if name == "example" else folder.parents[1]
        shutil.copytree(folder, tmp_path / "run", copy_function=os.link)
        return tmp_path / "run/results" / name

    return link


def named_by(findings: Iterable[Finding], results: Path) -> str:
    found = list(findings)
    assert all(finding.expected and finding.found and finding.mend for finding in found)
    return "\n".join(str(Path(finding.file).relative_to(results)) for finding in found)


def is_named(name: str, named: list[str]) -> bool:
    """Whether a file is named, or a folder that it lies in, of which nothing is left."""
    path = Path(name.removesuffix(".sha256"))
    return any(str(place) in named for place in (path, *path.parents))


@pytest.mark.parametrize("name", RUNS)
def test_a_finished_run_is_as_recorded(name, copy):
    assert verified(copy(name)) == []


@pytest.mark.parametrize("half", ["artefacts", "what they are checked by"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "deleted", "swapped"])
@pytest.mark.parametrize("name", RUNS)
def test_corruption_is_named_with_file_and_cure(name, damage, half, copy):
    results = copy(name)
    names = halves(results)[half]
    damaged = spoil(results, names, damage)
    if damage == "deleted" and half != "artefacts":
        # Nothing says what a file without provenance was: it is to be looked at.
        found = {str(Path(finding.file).relative_to(results)) for finding in verified(results)}
        assert {n.removesuffix(".provenance.json") for n in names if ".units/" not in n} <= found
        return
    named = named_by(verified(results), results).splitlines()
    assert {n for n in damaged if not is_named(n, named)} == set()
    assert len(damaged) > 15


@pytest.mark.parametrize("name", RUNS)
def test_an_artefact_whose_provenance_is_gone_is_named(name, copy):
    """One after the other: another one may be called nearly the same."""
    results = copy(name)
    files = list(provenance_files(results))
    assert len(files) > 15
    for path in files:
        gone = path.rename(path.with_name("gone"))
        artefact = artefact_path(path)
        is_noted = any(artefact == found or artefact in found.parents
                       for found in unaccounted(results))  # fmt: skip
        assert is_noted, artefact
        gone.rename(path)
    assert unaccounted(results) == []


@pytest.mark.torch
@pytest.mark.xdist_group("tiny")
def test_what_others_are_made_from_is_mended_first(request, tmp_path):
    """Also where an artefact does not say any more from what it was made."""
    results = tmp_path / "run/results/tiny"
    shutil.copytree(request.getfixturevalue("tiny_again"), results, copy_function=os.link)
    lost = results / "alignment/tiny/untrained.provenance.json"
    inputs_of_lost = read_provenance(artefact_path(lost))["inputs"]
    names = [n for n in halves(results)["artefacts"] if "/images/" not in n]
    spoil(results, names, "flipped")
    lost.unlink()
    lost.write_text("{")
    told = [f.file for f in verified(results) if f.verdict == "FAIL" and "config" not in f.file]
    told = [file.removesuffix(".provenance.json") for file in told]
    order = {artefact_of(Path(file), results): place for place, file in enumerate(told)}

    def inputs_of(artefact):
        is_lost = artefact == artefact_path(lost)
        return inputs_of_lost if is_lost else read_provenance(artefact)["inputs"]

    pairs = [
        (order[artefact], order[results.parents[1] / name])
        for artefact in order
        for name in inputs_of(artefact)
        if results.parents[1] / name in order
    ]
    assert len(pairs) > 40
    assert all(made_from < made for made, made_from in pairs)


@pytest.mark.xdist_group("faults")
def test_a_damaged_configuration_is_mended_where_nothing_else_is_to_be_done(copy):
    results = copy("example")
    whole = (results / "config.json").read_bytes()
    (results / "config.json").unlink()
    (results / "config.json").write_bytes(whole[:-9])
    (finding,) = verified(results)
    asked = finding.mend.partition(" && snakemake --configfile <yours> ")[2].split()
    for path in results.glob("config.json*"):
        path.unlink()
    end = run(results.parents[1], "--configfile", "config.yaml", *asked)
    assert end.code == 0, end.printed
    assert (results / "config.json").read_bytes() == whole
    assert verified(results) == []


@pytest.mark.xdist_group("faults")
def test_the_command_that_is_told_mends(copy, untouched):
    """All commands at once: what they remove is removed, what they ask for is asked for."""
    results = copy("example")
    folder = results.parents[1]
    names = halves(results)["artefacts"]
    kinds = {re.sub(r"run-\d|\d{4,}", "#", n).split("/reports/")[0]: n for n in names}
    spoil(results, [n for n in kinds.values() if not n.startswith("config.json")], "flipped")
    targets = []
    for finding in verified(results):
        told = MEND.fullmatch(finding.mend.replace(f"{folder}/", ""))
        for gone in map(folder.joinpath, told[1].split()):
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
        targets.append(told[2])
    assert len(set(targets)) >= 13
    asked = [*sorted(set(targets)), "all"]
    end = run(folder, "--configfile", "results/example/config.json", "--", *asked)
    assert end.code == 0, end.printed
    assert differing(contents(folder), contents(untouched)) == []
    assert [f for f in verified(results) if not f.file.startswith(TIMED)] == []
