"""What is declared in several places is the same everywhere."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements) -> set[str]:
    return {re.match(r"[A-Za-z0-9-]+", name)[0].lower() for name in requirements}


@pytest.mark.parametrize(("file", "extras"), [("core.yaml", []), ("train.yaml", ["train"])])
def test_conda_environments_agree_with_pyproject(file, extras):
    written = runpy.run_path(str(ROOT / "envs/write.py"))["environments"]()
    assert (ROOT / "envs" / file).read_text() == written[file], "run: python envs/write.py"
    wanted = list(project()["dependencies"])
    for extra in extras:
        wanted += project()["optional-dependencies"][extra]
    listed = names(yaml.safe_load(written[file])["dependencies"]) - {"python"}
    assert listed == {{"torch": "pytorch"}.get(name, name) for name in names(wanted)}


def test_lock_holds_an_exact_version_of_every_requirement():
    lines = (ROOT / "envs/lock.txt").read_text().splitlines()
    locked = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.\-+!]+", line) for line in lines)
    extras = project()["optional-dependencies"].values()
    wanted = [*project()["dependencies"], *(name for extra in extras for name in extra)]
    assert names(wanted) <= locked


def test_the_audit_tells_vulnerabilities_and_other_versions():
    audit = runpy.run_path(str(ROOT / "envs/audit.py"))
    lock = audit["locked"]("Ruamel.yaml==0.19\nzarr==3.1.6\n")
    assert lock == {"ruamel-yaml": "0.19", "zarr": "3.1.6"}
    assert audit["differences"](lock, {"zarr": "3.1.5"}) == ["zarr: locked 3.1.6, installed 3.1.5"]
    stated = {"a": "AGPL-3.0", "b": "LGPL-2.1", "c": "MIT OR GPL-3.0-only", "d": "BSD-3-Clause"}
    assert audit["incompatible"](stated) == ["a: licence AGPL-3.0"]
    assert audit["licences"](lock, {"zarr": "3.1.6"}) == {"zarr": "MIT"}
    vulnerable = {"name": "zarr", "version": "3", "vulns": [{"id": "X-1", "fix_versions": []}]}
    skipped = {"name": "torch", "skip_reason": "not found"}
    answer = json.dumps({"dependencies": [vulnerable, skipped]})
    assert audit["vulnerabilities"](answer) == (["zarr 3: X-1, fixed in no version"], 1)


def test_nothing_that_is_installed_without_torch_asks_for_it():
    """`make setup` promises so; a dependency of a dependency would break it without a word."""
    from importlib import metadata

    extras = project()["optional-dependencies"]
    waiting = names([*project()["dependencies"], *extras["test"], *extras["check"]])
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        plain = [line for line in required if "extra ==" not in line.replace("extra==", "extra ==")]
        waiting |= names(plain) - seen
    assert "numpy" in seen
    assert "torch" not in seen


def test_documented_commands_keep_targets_apart_from_configuration_files():
    """Snakemake's `--configfile` takes every word up to the next option."""
    files = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("config/**/*.[my][da]*")]
    commands = [
        line
        for file in files
        for line in file.read_text().splitlines()
        if "snakemake --configfile" in line
    ]
    assert len(commands) >= 8
    swallowed = r"--configfile \S+ (?!-|\\|does)\w"
    assert [line for line in commands if re.search(swallowed, line)] == []
