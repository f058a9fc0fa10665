"""The rules of one manifest, checked once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems
from phenoprints.wells.contracts import KINDS

JUDGE_BY = ("condition", "perturbation", "gene")
COMBINE = ("cauchy", "any-experiment")
RARE = ("any", "all")
SAMPLED_ROLES = ("positive_control", "unperturbed", "negative_control")
SAMPLING_FRACTIONS = {"positive_control": 0.1, "unperturbed": 0.1, "negative_control": 0.3}
"""Shares of wells that step 4 keeps. Source: ViTally Consistent, A.1."""


@dataclass(frozen=True)
class Rules:
    """How the funnel decides; the names are those of a manifest in the configuration.

    `limits` replaces min_experiments and min_wells by kind of perturbation. Without `judges` the
    funnel ends after step 4.

    Raises
    ------
    ConfigurationError
        Every value that is not allowed, at once.
    """

    judges: tuple[str, ...] = ()
    p_value: float = 0.01
    judge_by: str = "condition"
    combine: str = "cauchy"
    rare_condition_rule: str = "any"
    sampling_fractions: Mapping[str, float] = field(
        default_factory=lambda: dict(SAMPLING_FRACTIONS)
    )
    keep_controls: bool = True
    max_perturbations: int = 3
    min_experiments: int = 3
    min_wells: int = 20
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hold_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        words = {"judge_by": JUDGE_BY, "combine": COMBINE, "rare_condition_rule": RARE}
        problems = [
            Problem(key, f'"{getattr(self, key)}"', f"one of {', '.join(allowed)}")
            for key, allowed in words.items()
            if getattr(self, key) not in allowed
        ]
        if not 0.0 < self.p_value <= 1.0:
            problems.append(Problem("p_value", f"{self.p_value}", "above 0, at most 1"))
        problems += [
            Problem(
                f"sampling_fractions.{role}", f"{share}", "a sampled role with a share from 0 to 1"
            )
            for role, share in self.sampling_fractions.items()
            if role not in SAMPLED_ROLES or not 0.0 <= share <= 1.0
        ]
        problems += [
            Problem(key, f"{getattr(self, key)}", "at least 1")
            for key in ("max_perturbations", "min_experiments", "min_wells")
            if getattr(self, key) < 1
        ]
        strange = sorted(set(self.limits) - set(KINDS))
        kinds = f"one of {', '.join(KINDS)}"
        problems += [Problem(f"limits.{kind}", "no such kind", kinds) for kind in strange]
        raise_problems(problems, ConfigurationError)

    @classmethod
    def from_section(cls, section: Mapping[str, Any]) -> Rules:
        """The rules of a resolved manifest section; keys that belong to others are left out."""
        known = {each.name for each in fields(cls)}
        given = {k: v for k, v in section.items() if k in known and v is not None}
        for key in ("judges", "hold_out"):
            given[key] = tuple(given.get(key, ()))
        return cls(**given)

    def least(self, key: str, kind: str) -> int:
        """`min_experiments` or `min_wells` of a kind of perturbation."""
        return int(self.limits.get(kind, {}).get(key, getattr(self, key)))

    def is_held_out(self, screen: str, experiment: str) -> bool:
        """Whether an experiment is held out, by its name or as `<screen>/<experiment>`."""
        return experiment in self.hold_out or f"{screen}/{experiment}" in self.hold_out


def check_held_out(rules: Rules, experiments: Collection[tuple[str, str]]) -> None:
    """Refuse to hold out what is not there: a misspelt name would leak into the manifest."""
    known = {name for _, name in experiments} | {f"{s}/{name}" for s, name in experiments}
    problems = [
        Problem("hold_out", f'"{name}" is no experiment of these screens', _nearest(name, known))
        for name in sorted(set(rules.hold_out) - known)
    ]
    raise_problems(problems, ConfigurationError)


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, sorted(known), n=3, cutoff=0.0)
    return f"a name such as {', '.join(near)}" if near else "an experiment"
