"""The settings of the consistency test, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems

PLATE_MATCHED, EXPERIMENT, LAYOUT_MATCHED = "plate-matched", "experiment", "layout-matched"
ANY_WELLS, NEGATIVE_CONTROLS = "any-wells", "negative-controls"
NULL_MODELS = (PLATE_MATCHED, EXPERIMENT, LAYOUT_MATCHED, ANY_WELLS, NEGATIVE_CONTROLS)
STRATA = {PLATE_MATCHED: ("plate",), LAYOUT_MATCHED: ("plate", "edge")}
"""What the null sets of a null model copy of a condition's wells, beside their number."""
WITHIN, ACROSS, PRESET = "within-experiments", "across-experiments", "preset"
SCOPES = (WITHIN, ACROSS, PRESET)
P_VALUE_FORMULAS = ("max-1", "plus-1")
GENE_LEVELS = ("wells", "guides")
WEIGHTS = ("equal", "sqrt-wells")

_WORDS = {
    "null_model": NULL_MODELS,
    "scope": SCOPES,
    "p_value_formula": P_VALUE_FORMULAS,
    "gene_level": GENE_LEVELS,
    "weights": WEIGHTS,
}


@dataclass(frozen=True)
class ConsistencySettings:
    """How conditions are tested and their p-values combined; see docs/consistency.md.

    `scopes` gives the scope of each kind of perturbation under the scope `preset`; kinds that it
    does not name are tested within experiments.

    Raises
    ------
    ConfigurationError
        For an unknown word, num_null below 1, or a p_value_clip outside (0.5, 1].
    """

    null_model: str = PLATE_MATCHED
    scope: str = PRESET
    num_null: int = 10_000
    p_value_formula: str = "max-1"
    gene_level: str = "wells"
    weights: str = "equal"
    p_value_clip: float | None = None
    control_guard: bool = True
    scopes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            Problem(f"consistency.{key}", f'"{getattr(self, key)}"', f"one of {', '.join(words)}")
            for key, words in _WORDS.items()
            if getattr(self, key) not in words
        ]
        if self.num_null < 1:
            problems.append(Problem("consistency.num_null", f"{self.num_null}", "at least 1"))
        if self.p_value_clip is not None and not 0.5 < self.p_value_clip <= 1.0:
            what = f"{self.p_value_clip}"
            problems.append(Problem("consistency.p_value_clip", what, "between 0.5 and 1, or null"))
        raise_problems(problems, ConfigurationError)

    @classmethod
    def from_section(
        cls, section: Mapping[str, Any], limits: Mapping[str, Mapping[str, Any]] | None = None
    ) -> ConsistencySettings:
        """Build the settings from a screen's section `consistency` and its `limits` by kind."""
        known = {each.name for each in fields(cls)}
        scopes = {kind: limit["scope"] for kind, limit in (limits or {}).items()}
        return cls(**{k: v for k, v in section.items() if k in known}, scopes=scopes)

    def scope_of(self, kind: str) -> str:
        """Return where conditions of this kind of perturbation are tested."""
        return self.scopes.get(kind, WITHIN) if self.scope == PRESET else self.scope
