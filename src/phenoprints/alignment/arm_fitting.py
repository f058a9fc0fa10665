"""Fit the chromosome-arm correction of a screen, under its own maps and those without a fold."""

# N wells · G genes · K components · A arms

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from phenoprints.alignment.aligned import Alignment
from phenoprints.alignment.batches import Batches
from phenoprints.alignment.chromosome_arms import ChromosomeArmCorrection
from phenoprints.alignment.corrections import ArmCorrection


def remove_arms(
    alignment: Alignment,
    batches: Batches,
    arms: ChromosomeArmCorrection,
    genes: NDArray[np.object_],
    is_usable: NDArray[np.bool_] | None,
) -> Alignment:
    """Return the alignment with the bias of chromosome arms removed, also without each fold.

    `genes` (N,) is the gene that was cut in each well, "" for none. Genes are no controls: the same
    wells make up the offsets of every fold, as its maps transform them.
    """
    names, codes = np.unique(genes.astype(str), return_inverse=True)
    sums = np.zeros((len(names), alignment.num_components))
    counts = np.zeros(len(names))
    used = np.zeros(len(genes), dtype=bool)
    for name, index in batches.rows.items():
        y = alignment.align(name, batches.read(name))
        good = np.isfinite(y).all(axis=1) & (True if is_usable is None else is_usable[index])
        np.add.at(sums, codes[index][good], y[good])
        counts += np.bincount(codes[index][good], minlength=len(names))
        used[index] = good
    seen = (counts > 0) & (names != "")
    means = (sums[seen] / counts[seen, None]).astype(np.float32)
    arms.fit(means, [str(name) for name in names[seen]])
    arm_of_gene = arms.codes([str(name) for name in names])
    corrected = alignment.with_arms(
        {
            name: ArmCorrection(arm_of_gene[codes[index]], arms.offsets_)
            for name, index in batches.rows.items()
        },
        {
            "arm_basis": arms.basis_,
            "arms": dict(zip(arms.arms_, arms.num_genes_.tolist(), strict=True)),
        },
    )
    is_basis = seen & (arm_of_gene >= 0) & arms.counts_gene(names)
    weight = np.where(is_basis, 1 / np.maximum(counts, 1), 0.0)[codes] * used
    return _in_folds(corrected, batches, weight, len(arms.arms_))


def _in_folds(
    alignment: Alignment, batches: Batches, weight: NDArray[np.float64], num_arms: int
) -> Alignment:
    """Add the arms' offsets under the maps of every fold: means over wells with these weights."""
    cross_fit = alignment.cross_fit
    if cross_fit is None or not num_arms:
        return alignment
    folds = list(cross_fit.folds)
    sums: list[NDArray[np.float64]] = [np.zeros(1)] * len(folds)
    totals = [np.zeros(num_arms) for _ in folds]
    for name, index in batches.rows.items():
        x, correction = batches.read(name), alignment.corrections[name]
        assert correction.arm is not None
        of_arm = correction.arm.codes == np.arange(num_arms)[:, None]
        for fold in range(len(folds)):
            part, total = cross_fit.weighted_sums(name, fold, x, correction, of_arm * weight[index])
            sums[fold], totals[fold] = sums[fold] + part, totals[fold] + total
    for fold, total in enumerate(totals):
        means = sums[fold] / np.maximum(total, np.finfo(float).tiny)[:, None]
        folds[fold] = replace(folds[fold], arm_offsets=means.astype(np.float32))
    return replace(alignment, cross_fit=replace(cross_fit, folds=tuple(folds)))
