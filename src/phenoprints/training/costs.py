"""What a training costs in floating-point operations, counted from the network's shape."""

from __future__ import annotations

import numpy as np

from phenoprints.foundations.encoder_folders import training_flops as flops_of_folder
from phenoprints.models.flops import training_flops
from phenoprints.training.dataset import Corpus
from phenoprints.training.objectives import Objective
from phenoprints.training.sampling import CropSampler

STEPS_AT_ONCE = 1_000_000


def flops_by_group(objective: Objective, corpus: Corpus, sampler: CropSampler) -> list[float]:
    """Operations of training on one crop of each group of wells that share batches."""
    by_set = [training_flops(objective.model, len(names)) for names in corpus.channel_sets]
    return [by_set[corpus.channel_set_of[group[0]]] for group in sampler.groups]


def mean_flops(by_group: list[float], sampler: CropSampler) -> float:
    """Operations of training on one crop, on average over the groups as they are drawn."""
    return float(np.average(by_group, weights=[len(group) for group in sampler.groups]))


def total_flops(
    by_group: list[float], sampler: CropSampler, *, num_steps: int, batch_size: int
) -> float:
    """Operations of a whole training: every step with the channels of its own crops."""
    counts = np.zeros(len(by_group))
    for start in range(0, num_steps, STEPS_AT_ONCE):
        steps = np.arange(start, min(start + STEPS_AT_ONCE, num_steps))
        counts += np.bincount(sampler.groups_of(steps), minlength=len(by_group))
    return float(batch_size * (counts @ np.asarray(by_group)))


def with_start(flops: float, start_from: str | None) -> float | None:
    """Return the operations together with those of the encoder that training started from.

    None where those are not known: they are weights of others.
    """
    if start_from is None:
        return flops
    before = flops_of_folder(start_from)
    return None if before is None else flops + before
