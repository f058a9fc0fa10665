"""What the page of consistency states about power: the smallest effect, and shared phenotypes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from phenoprints.consistency.sensitivity import SHARED_COSINE, ScreenPower
from phenoprints.reports import numbers, rules
from phenoprints.reports.page_model import Fact
from phenoprints.reports.stages.consistency_tests import anchor
from phenoprints.reports.verdicts import CHECK, PASS, Verdict


def power_facts(path: tuple[str, ...], who: str, power: ScreenPower | None) -> list[Fact]:
    """Return the smallest effect that is found with probability 0.8, and conditions below it."""
    if power is None or np.isnan(power.smallest_effect):
        return []
    note = (
        f"length of a condition's mean shift over the root mean squared well noise, found with "
        f"probability 0.8 by {_design(power)}"
    )
    return [
        Fact(
            (*path, "smallest_effect"),
            f"Smallest effect that is found, {who}",
            power.smallest_effect,
            numbers.number(power.smallest_effect, 2),
            note,
        ),
        Fact(
            (*path, "conditions_below"),
            f"Conditions with a smaller effect, {who}",
            power.num_below,
            note=f"of {power.num_conditions:,}, by their mean cosine",
        ),
        Fact(
            (*path, "one_more"),
            f"Further phenoprints with one more experiment, {who}",
            round(power.one_more, 1),
            note="expected, for an experiment of the same design",
        ),
        Fact((*path, "dimension"), f"Effective dimension of the noise, {who}", power.dimension),
    ]


def power_sentence(power: ScreenPower | None, threshold: float) -> str:
    """Describe which effects this screen can detect, in words for non-statisticians."""
    if power is None:
        return "There are too few tests to estimate which effects they can find."
    if np.isnan(power.smallest_effect):
        return f"No effect, however large, can reach p < {threshold} with {_design(power)}."
    size = numbers.number(power.smallest_effect, 2)
    return (
        f"With {_design(power)}, an effect is found in 8 of 10 cases when it moves a condition's "
        f"wells by {size} times the usual distance of a well from the mean of its replicates "
        f"(root mean square). {power.num_below:,} of {power.num_conditions:,} conditions show "
        "less: a missing phenoprint does not prove that they do nothing. "
        f"One more such experiment would find about {power.one_more:.0f} more, roughly estimated."
    )


def _design(power: ScreenPower) -> str:
    wells = numbers.plural(power.num_wells, "well")
    return f"{wells} in each of {numbers.plural(power.num_experiments, 'experiment')}"


def shared_verdicts(names: Mapping[str, str], power: ScreenPower | None) -> list[Verdict]:
    """CHECK when null sets of treatments are clearly more alike than control wells are."""
    if power is None or np.isnan(power.control_cosine):
        return []
    more = power.null_cosine - power.control_cosine
    text = (
        f"Wells of different conditions have a mean cosine of {numbers.number(power.null_cosine)} "
        f"in the null sets, control wells of {numbers.number(power.control_cosine)}"
    )
    return [
        Verdict(
            rules.SHARED_PHENOTYPE,
            CHECK if power.is_shared else PASS,
            f"{names['screen']}, {names['encoder']}",
            text,
            numbers.number(more),
            f"at most {SHARED_COSINE}",
            0,
            page="consistency",
            anchor=anchor(names, "section"),
        )
    ]
