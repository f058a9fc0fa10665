"""The settings of the consistency test, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems

NULLS = ("distinct-conditions", "any-wells", "negative-controls", "layout-matched")
WITHIN, ACROSS, PRESET = "within-experiments", "across-experiments", "preset"
SCOPES = (WITHIN, ACROSS, PRESET)
P_FORMS = ("max-1", "plus-1")
GENE_LEVELS = ("wells", "guides")
WEIGHTS = ("equal", "sqrt-wells")

_WORDS = {
    "null": NULLS,
    "scope": SCOPES,
    "p_form": P_FORMS,
    "gene_level": GENE_LEVELS,
    "weights": WEIGHTS,
}


@dataclass(frozen=True)
class ConsistencySettings:
    """How conditions are tested and their p-values combined; see docs/consistency.md.

    `scopes` says for each kind of perturbation where the scope `preset` tests it; kinds that it
    does not name are tested within experiments.

    Raises
    ------
    ConfigurationError
        For a word that is not known, num_null below 1, or an upper_clip outside (0.5, 1].
    """

    null: str = "distinct-conditions"
    scope: str = PRESET
    num_null: int = 10_000
    p_form: str = "max-1"
    gene_level: str = "wells"
    weights: str = "equal"
    upper_clip: float | None = None
    layout_guard: bool = True
    scopes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            Problem(f"consistency.{key}", f'"{getattr(self, key)}"', f"one of {', '.join(words)}")
            for key, words in _WORDS.items()
            if getattr(self, key) not in words
        ]
        if self.num_null < 1:
            problems.append(Problem("consistency.num_null", f"{self.num_null}", "at least 1"))
        if self.upper_clip is not None and not 0.5 < self.upper_clip <= 1.0:
            what = f"{self.upper_clip}"
            problems.append(Problem("consistency.upper_clip", what, "between 0.5 and 1, or null"))
        raise_problems(problems, ConfigurationError)

    @classmethod
    def from_section(
        cls, section: Mapping[str, Any], limits: Mapping[str, Mapping[str, Any]] | None = None
    ) -> ConsistencySettings:
        """The settings of a screen's section `consistency` and its `limits` by kind."""
        known = {each.name for each in fields(cls)}
        scopes = {kind: limit["scope"] for kind, limit in (limits or {}).items()}
        return cls(**{k: v for k, v in section.items() if k in known}, scopes=scopes)

    def scope_of(self, kind: str) -> str:
        """Where conditions of this kind of perturbation are tested."""
        return self.scopes.get(kind, WITHIN) if self.scope == PRESET else self.scope
