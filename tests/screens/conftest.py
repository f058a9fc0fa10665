"""The layouts of the data sets, for all tests of the room."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def layouts():
    """The module `layouts.py` beside this file."""
    file = Path(__file__).parent / "layouts.py"
    spec = importlib.util.spec_from_file_location("screen_layouts", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["screen_layouts"] = module
    spec.loader.exec_module(module)
    return module
