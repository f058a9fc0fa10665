"""The field's own implementations, where they are installed."""

from __future__ import annotations

import importlib
import sys
import types
import warnings

import pytest


def _import_efaar(name: str) -> types.ModuleType:
    """A module of EFAAR_benchmarking 1.0 without scvi, which it imports and we do not need."""
    pytest.importorskip("efaar_benchmarking")
    model = types.ModuleType("scvi.model")
    model.SCVI = object
    stand_ins = {"scvi": types.ModuleType("scvi"), "scvi.model": model}
    added = {key: module for key, module in stand_ins.items() if key not in sys.modules}
    sys.modules.update(added)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(f"efaar_benchmarking.{name}")
    finally:
        for key in added:
            sys.modules.pop(key, None)


@pytest.fixture(scope="session")
def efaar() -> types.ModuleType:
    """EFAAR's alignment and aggregation."""
    return _import_efaar("efaar")


@pytest.fixture(scope="session")
def efaar_benchmarking() -> types.ModuleType:
    """EFAAR's benchmarks, which need torch and geomloss."""
    pytest.importorskip("torch")
    pytest.importorskip("geomloss")
    return _import_efaar("benchmarking")
