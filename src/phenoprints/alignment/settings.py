"""How a screen is aligned: the settings of the configuration's section `alignment`."""

from __future__ import annotations

from dataclasses import dataclass

from phenoprints.alignment.chromosome_arms import MIN_GENES, UNEXPRESSED_ZFPKM
from phenoprints.alignment.covariances import RIDGE, SHRINKAGES, Regularization
from phenoprints.alignment.folds import NUM_FOLDS
from phenoprints.alignment.limits import FEW_CONTROLS, Limits
from phenoprints.alignment.methods import CenterScaling, Method, PCACenterScaling
from phenoprints.alignment.shared import MIN_EIGENVALUE_RATIO
from phenoprints.alignment.tvn import TVN_VARIANTS, TypicalVariation
from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems
from phenoprints.wells import MIN_CONTROLS

CHOICES: dict[str, tuple[str | bool, ...]] = {
    "method": ("tvn", "pca-center-scale", "center-scale", "none"),
    "tvn_variant": TVN_VARIANTS,
    "shrinkage": SHRINKAGES,
    "standardize_first": ("auto", True, False),
    "controls": ("auto", "unperturbed", "negative_control"),
    "batch": ("experiment", "plate"),
    "small_batches": ("error", "skip"),
    "remove_position": ("none", "plate-rows-columns"),
    "chromosome_arms": ("auto", True, False),
}


@dataclass(frozen=True)
class AlignmentSettings:
    """Which alignment, on which controls; defaults first.

    `standardize_first: auto` is on for precomputed profiles (features of different units) and off
    for embeddings of networks; it concerns `pca-center-scale`, since TVN always standardises.
    `batch` is what has its own map, an experiment or a plate of it. `chromosome_arms: auto`
    corrects where the screen has CRISPR wells with genes and a table of chromosome arms is at
    hand. `folds` is the number of subsets of the controls that maps are fitted without (0: none, so
    that nothing can be compared with controls). `save_arrays` asks the workflow to store the
    aligned vectors as well.
    """

    method: str = "tvn"
    tvn_variant: str = "current"
    standardize_first: str | bool = "auto"
    controls: str = "auto"
    batch: str = "experiment"
    small_batches: str = "error"
    min_controls: int = MIN_CONTROLS
    warn_controls: int = FEW_CONTROLS
    shrinkage: str = "ridge"
    ridge: float = RIDGE
    pca_tolerance: float = MIN_EIGENVALUE_RATIO
    max_components: int | None = None
    folds: int = NUM_FOLDS
    remove_position: str = "none"
    chromosome_arms: str | bool = "auto"
    arm_expression: str | None = None
    arm_min_genes: int = MIN_GENES
    arm_max_zfpkm: float = UNEXPRESSED_ZFPKM
    save_arrays: bool = False

    def __post_init__(self) -> None:
        problems = []
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                expected = "one of " + ", ".join(str(choice) for choice in allowed)
                problems.append(Problem(f"alignment.{name}", f'"{value}"', expected))
        if self.folds < 0 or self.folds == 1:
            problems.append(Problem("alignment.folds", f"{self.folds}", "0 or at least 2"))
        raise_problems(problems, ConfigurationError)

    def method_to_fit(self, *, is_precomputed: bool = False) -> Method | None:
        """Return the alignment to fit, or None for `method: none`."""
        limits = Limits(
            small_batches=self.small_batches,
            min_controls=self.min_controls,
            warn_controls=self.warn_controls,
            pca_tolerance=self.pca_tolerance,
            max_components=self.max_components,
        )
        standardize = self.standardize_first
        if standardize == "auto":
            standardize = is_precomputed
        if self.method == "tvn":
            regularization = Regularization(self.shrinkage, self.ridge)
            return TypicalVariation(self.tvn_variant, regularization, limits)
        if self.method == "pca-center-scale":
            return PCACenterScaling(bool(standardize), limits)
        if self.method == "center-scale":
            return CenterScaling(limits)
        return None
