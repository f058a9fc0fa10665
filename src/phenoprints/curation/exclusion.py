"""The funnel's decisions: a reason per well, from one part and dense arrays over conditions."""

# W wells of a part · C conditions

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.curation import kernels
from phenoprints.curation.encoding import TREATMENT, Encoded
from phenoprints.curation.rules import Rules
from phenoprints.curation.steps import Reason
from phenoprints.foundations.randomness import is_kept
from phenoprints.wells.contracts import ROLES

LIMITS = ("min_experiments", "min_wells")

RARE, FEW_EXPERIMENTS, PHENOPRINT, TESTABLE, UNCONFOUNDED = 1, 2, 4, 8, 16
"""Bits of a condition: what steps 3, 5 and confounders need to know of it. UNCONFOUNDED is a
phenoprint that no excluded confounder explains."""


@dataclass(frozen=True)
class ConditionFacts:
    """What the funnel knows of every condition, (C,) each.

    `has_phenoprint` and `is_testable` are None for a manifest without judges, whose funnel ends
    after step 4; `is_confounded` is None where no confounder is excluded.
    """

    min_experiments: NDArray[np.int32]
    min_wells: NDArray[np.int32]
    perturbation: NDArray[np.int64]
    has_phenoprint: NDArray[np.bool_] | None
    is_testable: NDArray[np.bool_] | None
    is_confounded: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, table: pd.DataFrame, rules: Rules) -> ConditionFacts:
        """Return the facts of a phenoprints table (or of plain conditions, without judges)."""
        kind, kinds = pd.factorize(table["kind"])
        limits = [[rules.least(key, each) for each in kinds] for key in LIMITS]
        min_experiments, min_wells = np.array(limits, dtype=np.int32).reshape(2, -1)[:, kind]
        both = pd.factorize(table["perturbation"])[0] * np.int64(len(kinds)) + kind
        excluded = list(rules.confounders.exclude) if rules.confounders else []
        is_judged = "has_phenoprint" in table and bool(table["has_phenoprint"].notna().any())
        return cls(
            min_experiments=min_experiments,
            min_wells=min_wells,
            perturbation=pd.factorize(both)[0],
            has_phenoprint=table["has_phenoprint"].to_numpy(np.bool_) if is_judged else None,
            is_testable=table["is_testable"].to_numpy(np.bool_) if is_judged else None,
            is_confounded=table[excluded].any(axis=1).to_numpy(np.bool_) if excluded else None,
        )

    @property
    def is_judged(self) -> bool:
        """Whether step 5 takes place."""
        return self.has_phenoprint is not None

    def __len__(self) -> int:
        return len(self.min_wells)


def condition_flags(
    facts: ConditionFacts, num_wells: NDArray[np.int64], num_experiments: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the bits of every condition, from its distinct wells and experiments after step 2."""
    few_experiments = num_experiments < facts.min_experiments
    flags = few_experiments * FEW_EXPERIMENTS
    flags |= (few_experiments | (num_wells < facts.min_wells)) * RARE
    if facts.has_phenoprint is not None and facts.is_testable is not None:
        flags |= facts.has_phenoprint * PHENOPRINT | facts.is_testable * TESTABLE
        if facts.is_confounded is not None:
            flags |= (facts.has_phenoprint & ~facts.is_confounded) * UNCONFOUNDED
    return flags.astype(np.uint8)


def own_reasons(part: Encoded, rules: Rules) -> NDArray[np.int8]:
    """Return the reason of wells that leave for what they are (steps up to 2), else KEPT."""
    held_out = np.array([rules.is_held_out(*each) for each in part.experiments], dtype=np.bool_)
    tests = [
        (held_out[part.experiment], Reason.HELD_OUT_EXPERIMENT),
        (part.flags.get("is_failing"), Reason.FAILED_QUALITY),
        (part.is_unknown, Reason.UNKNOWN_PERTURBATION),
        (part.num_conditions > rules.max_perturbations, Reason.TOO_MANY_PERTURBATIONS),
        (part.flags.get("is_unusual"), Reason.UNUSUAL_IMAGES),
        (part.flags.get("has_no_images"), Reason.NO_IMAGES),
    ]
    reason = np.full(len(part.well_id), Reason.KEPT, dtype=np.int8)
    for is_out, name in reversed(tests):
        if is_out is not None:
            reason[is_out] = name
    return reason


def count(part: Encoded, rules: Rules, num_conditions: int) -> NDArray[np.int32]:
    """Distinct wells and experiments per condition after step 2, (2, C)."""
    stays = own_reasons(part, rules) == Reason.KEPT
    return np.stack(
        kernels.count_conditions(part.offsets, part.values, part.experiment, stays, num_conditions)
    )


def reasons(
    part: Encoded, rules: Rules, flags: NDArray[np.uint8], *, is_judged: bool, seed: int
) -> NDArray[np.int8]:
    """Return the reason of every well: the first step that drops it, or KEPT.

    `flags` are those of every condition; not `is_judged` ends the funnel after step 4.
    """
    of_any, of_all = kernels.fold_flags(part.offsets, part.values, flags)
    reason = own_reasons(part, rules)
    steps = [_step_3(part, rules, of_any, of_all), _step_4(part, rules, seed)]
    if is_judged:
        steps.append(_step_5(part, of_any))
    if not rules.keep_controls:
        steps.append(np.where(part.role == TREATMENT, Reason.KEPT, Reason.CONTROL))
    if is_judged and "confounders" in rules.optional_steps:
        is_left = (part.role == TREATMENT) & (of_any & UNCONFOUNDED == 0)
        steps.append(np.where(is_left, Reason.CONFOUNDED, Reason.KEPT))
    for step in steps:
        reason = np.where(reason == Reason.KEPT, step, reason).astype(np.int8)
    return reason


def _step_3(
    part: Encoded, rules: Rules, of_any: NDArray[np.uint8], of_all: NDArray[np.uint8]
) -> NDArray[np.int8]:
    """Wells of which any condition (option: every condition) is rare."""
    is_rare = (of_any if rules.rare_condition_rule == "any" else of_all) & RARE != 0
    result = np.full(len(part.well_id), Reason.KEPT, dtype=np.int8)
    leaves = is_rare & (np.diff(part.offsets) > 0)
    result[leaves] = Reason.TOO_FEW_WELLS
    result[leaves & (of_any & FEW_EXPERIMENTS != 0)] = Reason.TOO_FEW_EXPERIMENTS
    return result


def _step_4(part: Encoded, rules: Rules, seed: int) -> NDArray[np.int8]:
    """Return a seeded sample of controls and unperturbed wells, decided by each well's own id."""
    result = np.full(len(part.well_id), Reason.KEPT, dtype=np.int8)
    for role, share in sorted(rules.sampling_fractions.given().items()):
        chosen = np.flatnonzero(part.role == ROLES.index(role))
        result[chosen[~is_kept(seed, part.well_id[chosen], share)]] = Reason.NOT_SAMPLED
    return result


def _step_5(part: Encoded, of_any: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Treatments none of whose conditions has a phenoprint; controls are exempt."""
    result = np.full(len(part.well_id), Reason.KEPT, dtype=np.int8)
    leaves = (part.role == TREATMENT) & (of_any & PHENOPRINT == 0)
    result[leaves] = Reason.NO_PHENOPRINT
    result[leaves & (of_any & TESTABLE == 0)] = Reason.UNTESTABLE
    return result
