"""Presets: what a condition must reach in step 3 and where it is tested, by kind of perturbation.

The funnel's limits come from the paper (3 experiments, 20 wells), which public screens cannot
reach; each preset says what its screen offers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phenoprints.foundations.errors import ConfigurationError

KINDS = ("crispr", "sirna", "orf", "compound", "other")
Limits = dict[str, dict[str, Any]]


def _limits(min_experiments: int, min_wells: int, *, across: bool = False) -> dict[str, Any]:
    scope = "across-experiments" if across else "within-experiments"
    return {"min_experiments": min_experiments, "min_wells": min_wells, "scope": scope}


_PAPER = _limits(3, 20)
PRESETS: dict[str, Limits] = {
    # ViTally Consistent, A.1
    "paper": {},
    # One well per siRNA and experiment, 4 to 51 experiments by cell type.
    "rxrx1": {"sirna": _limits(3, 5, across=True)},
    # Genes lie in exactly 2 experiments; compounds in 1, with a few wells per concentration.
    "rxrx3": {"crispr": _limits(2, 12), "compound": _limits(1, 3, across=True)},
    # One plate set per batch: replicates are spread over batches of one source, or over sources.
    "jump-crispr": {"crispr": _limits(1, 3, across=True), "orf": _limits(1, 3, across=True)},
    "jump-compound": {"compound": _limits(1, 3, across=True)},
    # Two or three wells on different plates of one week.
    "bbbc021": {"compound": _limits(1, 2)},
    "demo": dict.fromkeys(KINDS, _limits(3, 12)),
}
SOURCE_PRESETS: dict[str, str | dict[str, str]] = {
    "rxrx1": "rxrx1",
    "rxrx3": "rxrx3",
    "rxrx3-core": "rxrx3",
    "jump-cp": {"crispr": "jump-crispr", "orf": "jump-crispr", "compound": "jump-compound"},
    "simulated": "demo",
}


def preset(name: str | Mapping[str, str]) -> Limits:
    """Return the limits of every kind of perturbation: min_experiments, min_wells, scope.

    `name` is a preset, or a preset per kind; kinds that it does not speak of get the paper's.
    """
    names = dict.fromkeys(KINDS, name) if isinstance(name, str) else dict(name)
    unknown = sorted(set(names.values()) - set(PRESETS))
    if unknown:
        raise ConfigurationError(
            f'"{unknown[0]}" is no preset; expected one of {", ".join(PRESETS)}.'
        )
    return {kind: dict(PRESETS[names.get(kind, "paper")].get(kind, _PAPER)) for kind in KINDS}


def preset_of_screen(screen: Mapping[str, Any]) -> str | Mapping[str, str]:
    """Return the preset that a screen names, else that of its source."""
    named = screen.get("preset")
    if named:
        return named  # type: ignore[no-any-return]
    source = screen.get("planned_source", screen["source"])
    return SOURCE_PRESETS.get(source, "paper")
