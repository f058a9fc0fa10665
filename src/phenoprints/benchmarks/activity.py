"""Which perturbations look like themselves and not like controls: mean average precision."""

# N wells · M controls · K components

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from phenoprints.benchmarks.compound_gene import average_precision
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator
from phenoprints.maps import unit_rows

Floats = NDArray[np.floating]


def phenotypic_activity(
    x: Floats,
    group: NDArray[np.integer],
    controls: Floats,
    *,
    num_null: int = 10_000,
    p_value: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """The mean average precision of every group of wells against control wells.

    Each well of a group ranks the other wells of its group (positives) among the controls
    (negatives) by cosine; the mean of its wells' average precisions is the group's.

    Parameters
    ----------
    x, group
        Wells (N, K), and the number of each well's group from 0 (-1: none).
    controls
        Control wells (M, K).
    num_null
        Random rankings of as many positives and negatives. As in copairs, all wells of a group
        share one ranking.

    Returns
    -------
    One row per group: group, num_wells, mean_average_precision, random (its expectation for a
    random ranking), p_value ((#{null >= value} + 1)/(num_null + 1), ties count), and
    corrected_p_value (Benjamini-Hochberg), is_active, reason. Groups with fewer than two usable
    wells have NaN and `too_few_wells`.

    Equals copairs' average_precision in absence of ties, which here give their expectation; its
    p-value counts only null values above the observed one. Source: Kalinin et al. 2025,
    doi:10.1038/s41467-025-60306-2.
    """
    negatives = unit_rows(np.asarray(controls, np.float64))
    negatives = negatives[np.isfinite(negatives).all(axis=1)]
    if not len(negatives):
        raise DataError("activity: no control well has a usable embedding.")
    length = np.einsum("nk,nk->n", x, x, dtype=np.float64)
    code = np.where(np.isfinite(length) & (length > 0), group, -1)
    num_groups = int(group.max(initial=-1)) + 1
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(num_groups + 1))
    nulls: dict[int, NDArray[np.float64]] = {}
    rows = []
    for number in range(num_groups):
        own = x[order[starts[number] : starts[number + 1]]]
        wells = unit_rows(np.asarray(own, np.float64))
        if len(wells) > 1 and len(wells) not in nulls:
            nulls[len(wells)] = null_precisions(len(wells) - 1, len(negatives), num_null, seed)
        rows.append(_row(number, wells, negatives, nulls.get(len(wells))))
    columns = ["group", "num_wells", "mean_average_precision", "random", "p_value", "reason"]
    return _corrected(pd.DataFrame(rows, columns=columns), p_value)


def null_precisions(
    num_positives: int, num_negatives: int, num_null: int, seed: int
) -> NDArray[np.float64]:
    """Average precisions (num_null,) of random rankings, by the stream of (seed, the two sizes)."""
    rng = generator(seed, "benchmarks", "activity", num_positives, num_negatives)
    total, step = num_positives + num_negatives, 1000
    precision = np.empty(num_null)
    hits = np.arange(1, num_positives + 1)
    for start in range(0, num_null, step):
        keys = rng.random((min(step, num_null - start), total), dtype=np.float32)
        ranks = np.argpartition(keys, num_positives - 1, axis=1)[:, :num_positives]
        precision[start : start + step] = (hits / (np.sort(ranks, axis=1) + 1)).mean(axis=1)
    return precision


def _row(
    number: int, wells: Floats, negatives: Floats, null: NDArray[np.float64] | None
) -> dict[str, object]:
    n = len(wells)
    if null is None:
        nan = float("nan")
        return {
            "group": number, "num_wells": n, "mean_average_precision": nan, "random": nan,
            "p_value": nan, "reason": "too_few_wells",
        }  # fmt: skip
    others = ~np.eye(n, dtype=bool)
    positive = (wells @ wells.T)[others].reshape(n, n - 1)
    value = float(average_precision(positive, wells @ negatives.T).mean())
    p = (int((null >= value - 1e-12).sum()) + 1) / (len(null) + 1)
    return {
        "group": number, "num_wells": n, "mean_average_precision": value,
        "random": float(null.mean()), "p_value": p, "reason": "",
    }  # fmt: skip


def random_activity(
    num_groups: int, *, num_null: int, p_value: float, num_random: int, seed: int
) -> tuple[float, float]:
    """Mean and sd, over draws, of the share of groups active when all rankings are random."""
    rng = generator(seed, "benchmarks", "activity", "random")
    shares = [
        float((false_discovery_control(draw / (num_null + 1)) < p_value).mean())
        for draw in rng.integers(1, num_null + 2, (num_random, num_groups))
    ]
    return float(np.mean(shares)), float(np.std(shares))


def _corrected(table: pd.DataFrame, p_value: float) -> pd.DataFrame:
    table["corrected_p_value"] = np.nan
    tested = table["p_value"].notna().to_numpy()
    if tested.any():
        p = table.loc[tested, "p_value"].to_numpy(np.float64)
        table.loc[tested, "corrected_p_value"] = false_discovery_control(p)
    table["is_active"] = table["corrected_p_value"] < p_value
    return table
