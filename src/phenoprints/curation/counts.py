"""Counts before and after every step, summed over parts in any order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.curation import kernels
from phenoprints.curation.encoding import TREATMENT, Encoded
from phenoprints.curation.steps import (
    OPTIONAL_STEPS,
    REASONS,
    STEP_OF_REASON,
    STEPS,
    Reason,
    last_reason,
)
from phenoprints.wells.contracts import ROLES

MAX_COUNTED = 8
"""Conditions of a well that are told apart."""


@dataclass
class Counts:
    """Wells by role and reason, and how far each condition and experiment came.

    `farthest` holds per condition the highest reason among its wells (-1: no well), `experiments`
    the number of experiments by that, `judged` the treatment wells that reach step 5 by their
    number of conditions (the last entry: as many or more).
    """

    wells: NDArray[np.int64]
    farthest: NDArray[np.int8]
    experiments: NDArray[np.int64]
    judged: NDArray[np.int64]

    @classmethod
    def empty(cls, num_conditions: int) -> Counts:
        """Return a tally of no wells."""
        return cls(
            wells=np.zeros((len(ROLES), len(Reason)), dtype=np.int64),
            farthest=np.full(num_conditions, -1, dtype=np.int8),
            experiments=np.zeros(len(Reason), dtype=np.int64),
            judged=np.zeros(MAX_COUNTED + 1, dtype=np.int64),
        )

    @classmethod
    def of(cls, part: Encoded, reason: NDArray[np.int8], num_conditions: int) -> Counts:
        """Return the tally of one part, which holds whole experiments."""
        pairs = part.role.astype(np.int64) * len(Reason) + reason
        is_judged = (part.role == TREATMENT) & (reason >= Reason.NO_PHENOPRINT)
        by_experiment = np.full(len(part.experiments), -1, dtype=np.int8)
        np.maximum.at(by_experiment, part.experiment, reason)
        return cls(
            wells=np.bincount(pairs, minlength=len(ROLES) * len(Reason)).reshape(len(ROLES), -1),
            farthest=kernels.farthest(part.offsets, part.values, reason, num_conditions),
            experiments=np.bincount(by_experiment, minlength=len(Reason)),
            judged=np.bincount(
                np.minimum(part.num_conditions[is_judged], MAX_COUNTED), minlength=MAX_COUNTED + 1
            ),
        )

    def add(self, other: Counts) -> None:
        """Add another part's tally; the order of additions does not matter."""
        self.wells += other.wells
        self.experiments += other.experiments
        self.judged += other.judged
        np.maximum(self.farthest, other.farthest, out=self.farthest)

    def steps(
        self, perturbation: NDArray[np.int64], optional: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """Return per step wells, conditions, perturbations, experiments and roles before and after.

        `perturbation` is the code of each condition's perturbation; of OPTIONAL_STEPS only those in
        `optional` are listed.
        """
        farthest = np.full(int(perturbation.max(initial=-1)) + 1, -1, dtype=np.int8)
        np.maximum.at(farthest, perturbation, self.farthest)
        entrance, result = 0, []
        for step, meaning in STEPS.items():
            if step in OPTIONAL_STEPS and step not in optional:
                continue
            door = last_reason(step) + 1
            before, after = (self._counts(limit, farthest) for limit in (entrance, door))
            result.append(
                {
                    "step": step,
                    "leaves": meaning,
                    "before": before,
                    "after": after,
                    "reasons": {
                        reason.word: int(self.wells[:, reason].sum())
                        for reason in REASONS
                        if STEP_OF_REASON[reason] == step
                    },
                }
            )
            entrance = door
        return result

    def _counts(self, limit: int, perturbations: NDArray[np.int8]) -> dict[str, Any]:
        """Count what remains of wells with a reason of at least `limit`."""
        by_role = self.wells[:, limit:].sum(axis=1)
        return {
            "wells": int(by_role.sum()),
            "conditions": int((self.farthest >= limit).sum()),
            "perturbations": int((perturbations >= limit).sum()),
            "experiments": int(self.experiments[limit:].sum()),
            "roles": {role: int(n) for role, n in zip(ROLES, by_role, strict=True)},
        }
