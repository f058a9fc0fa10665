"""Curated training sets, encoders, embeddings and maps from Cell Painting screens.

Packages are imported on first use, so that importing the library takes milliseconds:

>>> import phenoprints as pp
>>> pp.consistency.combine_cauchy([0.01, 0.01]).round(3).item()
0.01
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PACKAGES = (
    "alignment", "annotation", "benchmarks", "configuration", "consistency", "curation",
    "embeddings", "maps", "matches", "models", "planning", "probes", "quality", "reports", "runs",
    "screens", "sharing", "simulation", "testing", "training", "wells",
)  # fmt: skip

_FUNCTIONS = {"open_run": "runs", "match": "matches", "plan": "planning"}

__all__ = ["__version__", *_FUNCTIONS, *_PACKAGES]


def __getattr__(name: str) -> Any:
    """Import a package of the library, or one of its functions, when it is first used."""
    if name in _PACKAGES:
        return importlib.import_module(f"phenoprints.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"phenoprints.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'phenoprints' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
