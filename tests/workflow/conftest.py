"""Real runs of the workflow in folders of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def hide(folder: Path, *modules: str) -> None:
    """Let an import of these modules fail in every job that runs in `folder`."""
    (folder / "hidden").mkdir(parents=True, exist_ok=True)
    for module in modules:
        text = f"raise ImportError('{module} is hidden from this run')\n"
        (folder / "hidden" / f"{module}.py").write_text(text)


@pytest.fixture(scope="session")
def bbbc021(
    tmp_path_factory: pytest.TempPathFactory, test_data: Path, workflow: Callable[..., object]
) -> Path:
    """The folder in which the BBBC021 example has run, with torch hidden."""
    folder = tmp_path_factory.mktemp("bbbc021")
    hide(folder, "torch", "timm", "lightning")
    (folder / "data").mkdir()
    (folder / "data/bbbc021").symlink_to(test_data / "profiles/bbbc021")
    shutil.copy(ROOT / "config/examples/bbbc021.yaml", folder / "config.yaml")
    workflow(folder, "--configfile", str(folder / "config.yaml"), "--", "all")
    return folder
