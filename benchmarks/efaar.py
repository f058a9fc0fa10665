"""EFAAR_benchmarking 1.0 without scvi, which it imports and these tasks do not need."""

from __future__ import annotations

import importlib
import sys
import types
import warnings


def load(name: str) -> types.ModuleType:
    """One module of the package."""
    model = types.ModuleType("scvi.model")
    model.SCVI = object  # type: ignore[attr-defined]
    sys.modules.setdefault("scvi", types.ModuleType("scvi"))
    sys.modules.setdefault("scvi.model", model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"efaar_benchmarking.{name}")
