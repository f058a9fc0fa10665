"""Write the conda environments from pyproject.toml: python envs/write.py."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parent
CONDA_NAMES = {"torch": "pytorch"}
HEAD = """\
# For conda users: {what}, as in pyproject.toml (envs/write.py makes this file).
# The library itself is taken from the checkout.
channels: [conda-forge, bioconda, nodefaults]
dependencies:
"""


def as_conda(requirement: str) -> str:
    """Return a pip requirement under its conda name, without extras."""
    parts = re.fullmatch(r"([A-Za-z0-9-]+)(?:\[.*\])?(.*)", requirement)
    assert parts, requirement
    return CONDA_NAMES.get(parts[1], parts[1]) + parts[2]


def environment(what: str, requirements: list[str]) -> str:
    """Return the text of one environment file."""
    names = ["python>=3.11", *map(as_conda, requirements)]
    return HEAD.format(what=what) + "".join(f'  - "{name}"\n' for name in names)


def environments() -> dict[str, str]:
    """Return the text of every environment file by its name."""
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    core, train = project["dependencies"], project["optional-dependencies"]["train"]
    return {
        "core.yaml": environment("everything but encoders", core),
        "train.yaml": environment("everything, encoders included", [*core, *train]),
    }


if __name__ == "__main__":
    for name, text in environments().items():
        (FOLDER / name).write_text(text)
