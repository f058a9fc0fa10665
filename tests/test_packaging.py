"""What is declared in several places is the same everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"torch": "pytorch"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def as_conda(requirement: str) -> str:
    name, bounds = re.fullmatch(r"([A-Za-z0-9-]+)(?:\[.*\])?(.*)", requirement).groups()
    return CONDA_NAMES.get(name, name) + bounds


@pytest.mark.parametrize(("file", "extras"), [("core", []), ("train", ["train"])])
def test_conda_environments_agree_with_pyproject(file, extras):
    wanted = list(project()["dependencies"])
    for extra in extras:
        wanted += project()["optional-dependencies"][extra]
    environment = yaml.safe_load((ROOT / f"envs/{file}.yaml").read_text())
    assert environment["dependencies"] == ["python>=3.11", *map(as_conda, wanted)]


def test_lock_holds_an_exact_version_of_every_requirement():
    lines = (ROOT / "envs/lock.txt").read_text().splitlines()
    locked = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.\-+!]+", line) for line in lines)
    extras = project()["optional-dependencies"].values()
    wanted = [*project()["dependencies"], *(name for extra in extras for name in extra)]
    names = {re.match(r"[A-Za-z0-9-]+", name)[0].lower() for name in wanted}
    assert names <= locked
