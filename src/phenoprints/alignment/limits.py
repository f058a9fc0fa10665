"""What a batch needs to be fitted, and what is reported about those that have less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from phenoprints.alignment.shared import MIN_EIGENVALUE_RATIO
from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.wells import MIN_CONTROLS

FEW_CONTROLS = 16
"""Fewer control wells than this are noted."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a batch needs, and what a component needs to count.

    `small_batches` is `error` or `skip`; `max_components` None keeps all components with an
    eigenvalue above `pca_tolerance` of the largest.
    """

    small_batches: str = "error"
    min_controls: int = MIN_CONTROLS
    warn_controls: int = FEW_CONTROLS
    pca_tolerance: float = MIN_EIGENVALUE_RATIO
    max_components: int | None = None

    def judge(self, counts: Mapping[str, int]) -> tuple[dict[str, str], list[str]]:
        """Return skipped batches with reasons, and notes on batches with few controls.

        Raises
        ------
        DataError
            A batch has too few controls and `small_batches` is `error`, or no batch has enough.
        """
        small = {name: count for name, count in counts.items() if count < self.min_controls}
        if self.small_batches == "error":
            raise_problems([self._problem(name, count) for name, count in small.items()], DataError)
        if len(small) == len(counts):
            raise DataError(
                f"alignment: no batch has {self.min_controls} control wells, so there is "
                "nothing to fit.\n"
                "  To fix: choose other controls (alignment.controls)."
            )
        notes = [
            f'batch "{name}": {count} control wells; fewer than {self.warn_controls} make its map '
            "uncertain"
            for name, count in counts.items()
            if self.min_controls <= count < self.warn_controls
        ]
        return {name: f"too_few_controls ({count})" for name, count in small.items()}, notes

    def _problem(self, name: str, count: int) -> Problem:
        return Problem(
            f'alignment, batch "{name}"',
            f"{count} usable control wells",
            f"at least {self.min_controls}",
            "choose other controls (alignment.controls), or leave such batches out with "
            "alignment.small_batches: skip",
        )


DEFAULT_LIMITS = Limits()
