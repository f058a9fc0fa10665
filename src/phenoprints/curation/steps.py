"""The steps of the funnel and every reason for which a well leaves, as small integers."""

from __future__ import annotations

from enum import IntEnum

STEPS = {
    "held_out": "experiments held out for evaluation",
    "quality": "images that failed quality control",
    "information": "unknown or too many perturbations, unusual images",
    "replicates": "conditions in too few experiments or wells",
    "sampling": "controls and unperturbed wells under-sampled",
    "phenoprints": "perturbations without a phenoprint",
    "confounders": "conditions that a confounder explains",
    "duplicates": "wells that repeat another well",
    "balance": "wells of over-represented appearances",
}
"""Steps in their order, each with what leaves there. Source: ViTally Consistent, A.1; the last
three are options of ours."""

OPTIONAL_STEPS = ("confounders", "duplicates", "balance")
"""Steps that a funnel has only where its manifest sets the option of that name."""


class Reason(IntEnum):
    """Why a well leaves; KEPT is the end of the funnel. Values ascend with the steps."""

    HELD_OUT_EXPERIMENT = 0
    FAILED_QUALITY = 1
    UNKNOWN_PERTURBATION = 2
    TOO_MANY_PERTURBATIONS = 3
    UNUSUAL_IMAGES = 4
    NO_IMAGES = 5
    TOO_FEW_EXPERIMENTS = 6
    TOO_FEW_WELLS = 7
    NOT_SAMPLED = 8
    NO_PHENOPRINT = 9
    UNTESTABLE = 10
    CONTROL = 11
    CONFOUNDED = 12
    NEAR_DUPLICATE = 13
    BALANCED_OUT = 14
    KEPT = 15

    @property
    def word(self) -> str:
        """The reason as tables show it."""
        return self.name.lower()


STEP_OF_REASON = {
    Reason.HELD_OUT_EXPERIMENT: "held_out",
    Reason.FAILED_QUALITY: "quality",
    Reason.UNKNOWN_PERTURBATION: "information",
    Reason.TOO_MANY_PERTURBATIONS: "information",
    Reason.UNUSUAL_IMAGES: "information",
    Reason.NO_IMAGES: "information",
    Reason.TOO_FEW_EXPERIMENTS: "replicates",
    Reason.TOO_FEW_WELLS: "replicates",
    Reason.NOT_SAMPLED: "sampling",
    Reason.NO_PHENOPRINT: "phenoprints",
    Reason.UNTESTABLE: "phenoprints",
    Reason.CONTROL: "phenoprints",
    Reason.CONFOUNDED: "confounders",
    Reason.NEAR_DUPLICATE: "duplicates",
    Reason.BALANCED_OUT: "balance",
}

REASONS = tuple(STEP_OF_REASON)
REASON_WORDS = tuple(reason.word for reason in REASONS)
STEP_WORDS = tuple(STEP_OF_REASON[reason] for reason in REASONS)


def last_reason(step: str) -> Reason:
    """Return the reason with the highest value of a step: wells that pass the step lie above it."""
    return max(reason for reason, of in STEP_OF_REASON.items() if of == step)
