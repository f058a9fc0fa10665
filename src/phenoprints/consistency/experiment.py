"""The consistency test of one experiment: whether the wells of a condition look the same."""

# N wells · T tested conditions · n wells of a condition

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.consistency import kernels
from phenoprints.consistency.design import Design
from phenoprints.consistency.nulls import null_counts
from phenoprints.consistency.p_values import NullCounts
from phenoprints.consistency.pool import Pool
from phenoprints.consistency.sample import Sample
from phenoprints.consistency.settings import (
    ANY_WELLS,
    NEGATIVE_CONTROLS,
    PLATE_MATCHED,
    STRATA,
    ConsistencySettings,
)
from phenoprints.consistency.shared import Comparison, Streams
from phenoprints.foundations.randomness import generator

REASONS = (
    "too_few_wells",
    "too_few_conditions",
    "too_few_sets",
    "too_few_controls",
    "zero_vector",
    "not_finite",
)


def experiment_consistency(
    x: ArrayLike,
    condition: ArrayLike,
    design: Design | None = None,
    *,
    null_model: str = PLATE_MATCHED,
    num_null: int = 10_000,
    p_value_formula: str = "max-1",
    threshold: float = 0.01,
    seed: int = 0,
) -> pd.DataFrame:
    """Test how consistent each condition's wells are, against random sets of wells.

    The statistic of n wells is the mean of all n² cosines between them, diagonal included, which
    equals ``|Σ u_i|²/n²`` with ``u = x/|x|``. The p-value is the share of null sets whose statistic
    is at least as large; ties count. Where at most `num_null` null sets exist they are all visited,
    each with the probability that the draw gives it, and p = (b + 1)/(M + 1), or b/M under a null
    that can draw the condition itself.

    Parameters
    ----------
    x : (N, D) float
        Aligned embeddings of one experiment, wells in rows. Under ``negative-controls`` they must
        come from a transformation that was fitted without these controls.
    condition : (N,)
        Condition of each well; a missing value (None, NaN) is a well that is only drawn from.
    design : Design, optional
        The experiment's name, well ids, groups, plates and controls, as far as they matter. Wells
        with a condition and a missing group are tested but never drawn: pseudo-conditions of
        controls are tested against null sets of treatments in this way.
    null_model : str
        ``plate-matched``: n wells, as many on each plate as the condition has; its own wells as
        often as random sets of wells hold them, the others of different groups. ``experiment``: n
        wells of n different groups. ``layout-matched``: as plate-matched, with the condition's
        numbers of wells per plate and distance from the edge. ``any-wells``:
        any n wells. ``negative-controls``: n wells among the controls.
    num_null : int
        Null sets K.
    p_value_formula : str
        ``max-1``: max(b, 1)/K. ``plus-1``: (b + 1)/(K + 1).
    threshold : float
        p-value that a test must be able to reach: with fewer than 1/threshold plate-matched or
        layout-matched sets a condition is not tested.
    seed : int
        Key of the random stream, together with the experiment's name.

    Returns
    -------
    DataFrame
        condition, num_wells, statistic, p_value, reason, num_sets, smallest_p; a row per
        condition, sorted. p_value is NaN exactly where reason is one of ``too_few_wells`` (one
        well), ``too_few_conditions`` (no null set exists; ``too_few_controls`` under
        negative-controls), ``too_few_sets`` (fewer than 1/threshold exist), ``zero_vector`` or
        ``not_finite``. num_sets is the number of null sets that exist, exact up to num_null and at
        most 1e15; smallest_p is the smallest p-value that the test can give. Both are NaN where a
        condition has no null.

    Raises
    ------
    DataError
        When arrays differ in length, x is not a matrix, or an array that the null needs is absent.

    Notes
    -----
    ViTally Consistent (2024), section 3.1, appendix A.3, equations 2 and 3. Conditions share their
    draws, so p-values of one experiment are not independent of each other.

    Examples
    --------
    >>> x = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    >>> table = experiment_consistency(x, ["a", "a", "b", "b"], null_model="experiment")
    >>> table["statistic"].round(3).tolist()
    [1.0, 0.854]
    """
    given = {
        "null_model": null_model, "num_null": num_null, "p_value_formula": p_value_formula
    }  # fmt: skip
    settings = ConsistencySettings.from_section(given)
    design = design or Design()
    sample = Sample.of(x, condition, design, null_model)
    measured = measure(
        sample, settings, lambda key: generator(seed, "consistency", design.name, key)
    )
    return result_table(sample, measured, settings, threshold)


def result_table(
    sample: Sample, measured: Measured, settings: ConsistencySettings, threshold: float
) -> pd.DataFrame:
    """Return the table of results, a row per condition; see experiment_consistency."""
    counts, reason = measured.counts, measured.reason.copy()
    is_control_null = settings.null_model == NEGATIVE_CONTROLS
    without = "too_few_controls" if is_control_null else "too_few_conditions"
    reason[(reason == "") & ~counts.has_null] = without
    if settings.null_model in STRATA:
        reason[(reason == "") & (counts.num_effective * threshold < 1)] = "too_few_sets"
    p_value = counts.p_values(settings.p_value_formula)
    p_value[reason != ""] = np.nan
    return pd.DataFrame(
        {
            "condition": sample.names,
            "num_wells": sample.num_wells,
            "statistic": measured.statistic,
            "p_value": p_value,
            "reason": reason,
            "num_sets": np.where(counts.has_null, counts.num_sets, np.nan),
            "smallest_p": counts.smallest(settings.p_value_formula),
        }
    )


class Measured(NamedTuple):
    """By condition: the statistic, why its own wells allow no test ("" where they do), its null."""

    statistic: NDArray[np.float64]
    reason: NDArray[np.object_]
    counts: NullCounts


def measure(sample: Sample, settings: ConsistencySettings, streams: Streams) -> Measured:
    """Measure every condition, and compare it with its null sets."""
    rows, offsets = sample.members()
    statistic = kernels.group_statistics(
        sample.vectors.x, sample.vectors.inverse_norm, rows, offsets
    )
    reason = _reasons(sample, rows, np.diff(offsets))
    statistic[(reason == "not_finite") | (reason == "zero_vector")] = np.nan
    alike = _by_composition(sample, rows, offsets, reason)
    is_matched = settings.null_model in STRATA
    tests = [
        Comparison(composition, statistic[codes], np.array(own) if is_matched else None)
        for composition, codes, own in alike
    ]
    pool = Pool.of(sample.group, sample.stratum)
    counts = null_counts(sample.vectors, pool, tests, settings.num_null, streams)
    in_pool = np.bincount(sample.condition[rows], sample.group[rows] >= 0, len(sample.names))
    may_draw_itself = (in_pool == np.diff(offsets)) & (settings.null_model == ANY_WELLS)
    codes = [codes for _, codes, _ in alike]
    return Measured(statistic, reason, NullCounts.of(counts, codes, may_draw_itself))


def _by_composition(
    sample: Sample,
    rows: NDArray[np.int64],
    offsets: NDArray[np.int64],
    reason: NDArray[np.object_],
) -> list[tuple[NDArray[np.int64], list[int], list[NDArray[np.int64]]]]:
    """Return the compositions of the testable conditions, with the conditions of each.

    They come with their rows by stratum, those outside of the pool last; conditions of one
    composition have as many of these in every stratum.
    """
    alike: dict[bytes, tuple[NDArray[np.int64], list[int], list[NDArray[np.int64]]]] = {}
    for code in np.flatnonzero(reason == ""):
        own = rows[offsets[code] : offsets[code + 1]]
        is_outside = sample.group[own] < 0
        own = own[np.lexsort((is_outside, sample.stratum[own]))]
        composition = sample.stratum[own]
        key = composition.tobytes() + np.sort(2 * composition + (sample.group[own] < 0)).tobytes()
        _, codes, members = alike.setdefault(key, (composition, [], []))
        codes.append(int(code))
        members.append(own)
    return list(alike.values())


def _reasons(
    sample: Sample, rows: NDArray[np.int64], num_wells: NDArray[np.int64]
) -> NDArray[np.object_]:
    """Return why a condition's own wells do not allow a test; "" where they do."""
    reason = np.full(len(num_wells), "", dtype=object)
    reason[num_wells < 2] = "too_few_wells"
    inverse_norm = sample.vectors.inverse_norm[rows]
    reason[sample.condition[rows[np.isinf(inverse_norm)]]] = "zero_vector"
    reason[sample.condition[rows[np.isnan(inverse_norm)]]] = "not_finite"
    return reason
