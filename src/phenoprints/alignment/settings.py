"""The settings of alignment, and the method that they describe."""

from __future__ import annotations

from phenoprints.alignment.covariances import Regularization
from phenoprints.alignment.limits import Limits
from phenoprints.alignment.methods import CenterScaling, Method, PCACenterScaling
from phenoprints.alignment.tvn import TypicalVariation
from phenoprints.configuration.models.stages import Alignment


class AlignmentSettings(Alignment):
    """Which alignment, on which controls; fields and defaults are those of the configuration.

    `standardize_first: auto` concerns `pca-center-scale` alone, since TVN always standardises.
    `batch` is what has its own map, an experiment or a plate of it. With `folds: 0` nothing can be
    compared with controls.
    """

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
