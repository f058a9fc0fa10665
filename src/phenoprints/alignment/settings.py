"""How a screen is aligned: the settings of the configuration's section `alignment`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from phenoprints.alignment.methods import (
    CenterScale,
    ControlAlignment,
    PCACenterScale,
    TypicalVariationNormalization,
)
from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems

CHOICES: dict[str, tuple[str | bool, ...]] = {
    "method": ("tvn", "pca-center-scale", "center-scale", "none"),
    "form": ("current", "efaar-1.0"),
    "standardize_first": ("auto", True, False),
    "controls": ("auto", "unperturbed", "negative_control"),
    "small_batches": ("error", "skip"),
    "remove_position": ("none", "plate-rows-columns"),
    "chromosome_arms": ("auto", True, False),
}


@dataclass(frozen=True)
class AlignmentSettings:
    """Which alignment, on which controls; defaults first.

    `standardize_first: auto` is on for precomputed profiles (features of different units) and off
    for embeddings of networks; it concerns `pca-center-scale`, since TVN always standardises.
    `chromosome_arms: auto` corrects where the screen has CRISPR wells and annotation was given.
    """

    method: str = "tvn"
    form: str = "current"
    standardize_first: str | bool = "auto"
    controls: str = "auto"
    small_batches: str = "error"
    remove_position: str = "none"
    chromosome_arms: str | bool = "auto"

    def __post_init__(self) -> None:
        problems = []
        for field in fields(self):
            value, allowed = getattr(self, field.name), CHOICES[field.name]
            if value not in allowed:
                expected = "one of " + ", ".join(str(choice) for choice in allowed)
                problems.append(Problem(f"alignment.{field.name}", f'"{value}"', expected))
        raise_problems(problems, ConfigurationError)

    def estimator(self, *, is_precomputed: bool = False) -> ControlAlignment | None:
        """The alignment to fit, or None for `method: none`."""
        standardize = self.standardize_first
        if standardize == "auto":
            standardize = is_precomputed
        if self.method == "tvn":
            return TypicalVariationNormalization(self.form, self.small_batches)
        if self.method == "pca-center-scale":
            return PCACenterScale(bool(standardize), self.small_batches)
        if self.method == "center-scale":
            return CenterScale(self.small_batches)
        return None
