"""From counts of null sets to p-values, and the smallest p-value that a test can give."""

# T tested conditions

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phenoprints.consistency.nulls import Counts


@dataclass(frozen=True)
class NullCounts:
    """What each condition was compared with, (T,) each; `total` is 0 where it has no null.

    See phenoprints.consistency.nulls.Counts for the meaning of the first five. `may_draw_itself`
    marks conditions whose own wells can be a null set.
    """

    at_least: NDArray[np.float64]
    total: NDArray[np.float64]
    is_complete: NDArray[np.bool_]
    num_sets: NDArray[np.float64]
    num_effective: NDArray[np.float64]
    may_draw_itself: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        counts: Sequence[Counts | None],
        codes: Sequence[Sequence[int]],
        may_draw_itself: NDArray[np.bool_],
    ) -> NullCounts:
        """Spread the counts of compositions over the conditions (codes) that have them."""
        numbers = np.zeros((4, len(may_draw_itself)))
        is_complete = np.zeros(len(may_draw_itself), dtype=np.bool_)
        for count, own in zip(counts, codes, strict=True):
            if count is not None:
                numbers[0, own] = count.at_least
                numbers[1, own] = count.total
                numbers[2, own] = count.num_sets
                numbers[3, own] = count.num_effective
                is_complete[own] = count.is_complete
        at_least, total, num_sets, num_effective = numbers
        return cls(at_least, total, is_complete, num_sets, num_effective, may_draw_itself)

    @classmethod
    def summed(
        cls, parts: Sequence[NullCounts], is_used: Sequence[NDArray[np.bool_]]
    ) -> NullCounts:
        """Add the counts of the parts that a condition uses; no null where one of them has none."""
        used = np.array(is_used)
        has_null = np.logical_or([part.has_null for part in parts], ~used)
        is_complete = np.logical_or([part.is_complete for part in parts], ~used)
        weight = used & np.logical_and.reduce(has_null)

        def added(name: str) -> NDArray[np.float64]:
            total: NDArray[np.float64] = np.sum(weight * [getattr(p, name) for p in parts], axis=0)
            return total

        return cls(
            at_least=added("at_least"),
            total=added("total"),
            is_complete=np.logical_and.reduce(is_complete),
            num_sets=added("num_sets"),
            num_effective=added("num_effective"),
            may_draw_itself=parts[0].may_draw_itself,
        )

    @property
    def has_null(self) -> NDArray[np.bool_]:
        """Whether a condition was compared with anything."""
        return self.total > 0

    def p_values(self, formula: str) -> NDArray[np.float64]:
        """Return the p-value of each condition, NaN without a null.

        Drawn nulls give max(b, 1)/K or (b + 1)/(K + 1), as `formula` is max-1 or plus-1. Complete
        nulls give (b + 1)/(M + 1), since the tested set itself is not among them, else b/M.
        """
        is_plus = self.is_complete & ~self.may_draw_itself
        is_plus |= ~self.is_complete & (formula == "plus-1")
        total = np.where(self.has_null, self.total, np.nan)
        at_least = np.minimum(self.at_least, total)  # sums of weights differ in their last digits
        plus = (at_least + 1) / (total + 1)
        return np.where(is_plus, plus, np.maximum(at_least, 1) / total)

    def smallest(self, formula: str) -> NDArray[np.float64]:
        """Return the p-value of wells that are more consistent than every null set."""
        return replace(self, at_least=np.zeros_like(self.at_least)).p_values(formula)
