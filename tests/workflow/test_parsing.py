"""The Snakefile parses quickly and without heavy libraries."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNAKEFILES = [ROOT / "Snakefile", ROOT / "workflow/Snakefile", *ROOT.glob("workflow/rules/*.smk")]


def snakemake(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_no_snakefile_imports_pandas_or_torch():
    for path in SNAKEFILES:
        assert not re.search(r"\b(import|from)\s+(pandas|torch|numpy)\b", path.read_text()), path


@pytest.mark.parametrize("path", SNAKEFILES, ids=lambda path: path.name)
def test_snakefiles_hold_rules_and_no_functions(path):
    assert not re.search(r"^\s*def \w+\(", path.read_text(), re.M)


def test_parsing_loads_no_heavy_library():
    code = (
        "import sys; from phenoprints import configuration\n"
        "from phenoprints.configuration import inputs, resources, run_messages\n"
        "from phenoprints.foundations import errors, publishing, versions\n"
        "heavy = {'numpy', 'pandas', 'torch', 'pyarrow', 'zarr'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


TARGETS = [
    "screens",
    "quality",
    "embed",
    "align",
    "consistency",
    "curate",
    "map",
    "benchmark",
    "report",
    "all",
]


MAX_PARSE_S = 1.5
MAX_TRIES = 4


def test_the_snakefile_is_parsed_in_a_second_and_a_half():
    """Processor time with Snakemake's own imports; the best of some runs, for a busy machine."""

    def used() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert snakemake("--list-target-rules").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert any(used() <= MAX_PARSE_S for _ in range(MAX_TRIES))


def test_every_target_is_listed_with_its_sentence():
    done = snakemake("--list-target-rules")
    assert done.returncode == 0, done.stderr
    listed = dict(re.findall(r"^(\w+) \((.+\.)\)$", done.stdout, flags=re.MULTILINE))
    missing = [target for target in TARGETS if target not in listed]
    assert not missing, f"no sentence for {missing} in:\n{done.stdout}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("workflow/scripts/*.py")), ids=lambda p: p.name)
def test_scripts_are_thin(path):
    assert len(path.read_text().splitlines()) <= 60


RULES = [
    (path.name, *rule)
    for path in SNAKEFILES
    for rule in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), re.M | re.S)
]


@pytest.mark.parametrize(("file", "name", "text"), RULES, ids=[f"{r[0]}:{r[1]}" for r in RULES])
def test_every_rule_says_what_it_does_and_what_it_needs(file, name, text):
    assert text.lstrip().startswith('"""'), f"{name} has no docstring"
    if "script:" not in text:
        assert "localrule: True" in text, f"{name} is a target and should run at once"
        return
    needed = ["log:", "benchmark:", "threads:", "runtime=", "message:", "conda:"]
    if name != "download_annotation":  # its result is fixed by a checksum
        needed.append(f'**PARAMS.of("{name}")')
    assert not [directive for directive in needed if directive not in text]
    assert "mem_mb=memory_mb(" in text, f"{name} does not ask for more memory after a failure"
