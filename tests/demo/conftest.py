"""A finished demo, as `make demo` leaves it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def demo() -> Path:
    """The results of the demo, from PHENOPRINTS_DEMO or from this checkout."""
    folder = Path(os.environ.get("PHENOPRINTS_DEMO", ROOT / "results/demo"))
    if not (folder / "reports/summary.json").exists():
        pytest.skip(f"{folder} holds no finished demo; run `make demo` first")
    return folder


@pytest.fixture(scope="session")
def summary(demo: Path) -> dict[str, Any]:
    """Every figure that the demo's pages show."""
    return json.loads((demo / "reports/summary.json").read_text())
