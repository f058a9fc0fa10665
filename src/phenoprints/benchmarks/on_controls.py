"""Benchmarks of wells against controls: magnitude and activity."""

# N wells · K components

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.benchmarks.activity import (
    MAX_WELLS,
    mean_average_precisions,
    phenotypic_activity,
    random_activity,
)
from phenoprints.benchmarks.inputs import NAN, BenchmarkInputs, NotRunError, Row
from phenoprints.benchmarks.magnitude import energy_distances, magnitude_summary
from phenoprints.benchmarks.matched_energy import cross_fitted_energy, matched_energy
from phenoprints.foundations.randomness import generator, hash_uint64
from phenoprints.maps.building import Vectors
from phenoprints.maps.control_sets import Comparison, comparisons, relabelled, some_groups, strata
from phenoprints.maps.perturbations import group_wells
from phenoprints.maps.summaries import alignment_controls, sample_controls

MAX_RANDOM_GROUPS = 500
"""Perturbations of the random baselines, at most."""

QUANTILES = (5, 25, 50, 75, 95)
"""Percentiles of the energy distances that the table keeps, as energy_distance_p5 and so on."""


def _folds(inputs: BenchmarkInputs, code: NDArray[np.int64]) -> Iterator[Comparison]:
    """Return the groups' wells beside each fold of the controls."""
    return comparisons(
        inputs.wells, inputs.reader, code, stratum=strata(inputs.wells), is_usable=inputs.is_usable
    )


def _first_fold(inputs: BenchmarkInputs, code: NDArray[np.int64], benchmark: str) -> Comparison:
    """Return the first fold with at most 500 of its groups, from which labels are permuted."""
    rng = generator(inputs.seed, "benchmarks", benchmark, "groups")
    first = next(islice(_folds(inputs, code), 1))
    return some_groups(first, np.sort(rng.permutation(first.num_groups)[:MAX_RANDOM_GROUPS]))


def magnitude_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Energy distances from the controls, as V- and U-statistic, per level, and their spread."""
    described, found = inputs.described(), False
    for level in ("gene", "concentration", "condition"):
        groups = group_wells(described, level)
        if groups.table.empty or (level == "condition" and found):
            continue
        found = True
        code = np.where(inputs.is_usable, groups.code, -1)
        settings = inputs.settings["magnitude"]
        measure = _as_fitted if settings["controls"] == "as-fitted" else _cross_fitted
        yield from _magnitude_of(level, settings["min_wells"], *measure(inputs, code))


def _magnitude_of(
    level: str, least: int, ours: pd.DataFrame, random: pd.DataFrame, chance: NDArray[np.float64]
) -> Iterator[Row]:
    """Yield the rows of one level; `chance` are means of the U-statistic without effect."""
    for metric in ("energy_distance", "unbiased"):
        value, sd, n = magnitude_summary(ours[metric].tolist())
        baseline, baseline_sd, _ = magnitude_summary(random[metric].tolist())
        yield {
            "source": level, "metric": metric, "value": value, "sd": sd, "n": n,
            "random": baseline, "random_sd": baseline_sd,
            "significance": significance(value, chance) if metric == "unbiased" else NAN,
            "reason": "" if n else f"no perturbation has {least} wells on plates with controls",
        }  # fmt: skip
    yield from _quantile_rows(level, ours["energy_distance"], random["energy_distance"])


def _as_fitted(
    inputs: BenchmarkInputs, code: NDArray[np.int64]
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.float64]]:
    """Energy distances from the controls that the alignment was fitted on, as published ones."""
    settings = inputs.settings["magnitude"]
    controls = control_vectors(inputs, settings["max_controls"])
    x = Vectors(inputs.wells, inputs.reader).rows(code >= 0)
    ours = energy_distances(x, code[code >= 0], controls, min_wells=settings["min_wells"])
    random = _random_magnitude(code[code >= 0], controls.shape, settings["min_wells"], inputs.seed)
    return ours, random, np.zeros(0)


def _cross_fitted(
    inputs: BenchmarkInputs, code: NDArray[np.int64]
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.float64]]:
    """Energy distances from held-out controls, and the mean U-statistic of permuted labels."""
    settings, seed = inputs.settings["magnitude"], inputs.seed
    min_wells = settings["min_wells"]
    ours = cross_fitted_energy(
        _folds(inputs, code), min_wells=min_wells, max_controls=settings["max_controls"], seed=seed
    )
    first = _first_fold(inputs, code, "magnitude")
    shape = (min(int(first.is_control.sum()), settings["max_controls"]), first.vectors.shape[1])
    random = _random_magnitude(code[code >= 0], shape, min_wells, seed)
    chance = [
        matched_energy(drawn, min_wells=min_wells, seed=seed)
        for drawn in _permuted(first, inputs, "magnitude")
    ]
    return ours, random, _means(chance)


def _permuted(first: Comparison, inputs: BenchmarkInputs, benchmark: str) -> Iterator[Comparison]:
    """Yield the comparison with labels permuted within plates, once per draw of the random
    baseline.
    """
    rng = generator(inputs.seed, "benchmarks", benchmark, "labels")
    for _ in range(inputs.settings["num_random"]):
        yield relabelled(first, rng)


def _means(draws: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean of the finite values of each draw; draws without any are left out."""
    return np.array([d[np.isfinite(d)].mean() for d in draws if np.isfinite(d).any()])


def significance(value: float, chance: NDArray[np.float64]) -> float:
    """How many standard deviations a value is above what it is by chance; NaN without draws."""
    spread = float(chance.std(ddof=1)) if len(chance) > 1 else 0.0
    return (value - float(chance.mean())) / spread if spread > 0 else NAN


def _quantile_rows(level: str, ours: pd.Series, random: pd.Series) -> Iterator[Row]:
    """How the energy distances of perturbations spread, beside those of normal vectors."""
    if not (n := int(ours.notna().sum())):
        return
    for percent in QUANTILES:
        yield {
            "source": level, "metric": f"energy_distance_p{percent}", "n": n,
            "value": ours.quantile(percent / 100), "random": random.quantile(percent / 100),
        }  # fmt: skip


def _random_magnitude(
    code: NDArray[np.integer], shape: tuple[int, ...], min_wells: int, seed: int
) -> pd.DataFrame:
    """Energy distances of normal vectors, for at most 500 groups of the numbers of wells given."""
    rng = generator(seed, "benchmarks", "magnitude", "random")
    groups = np.sort(rng.permutation(int(code.max()) + 1)[:MAX_RANDOM_GROUPS])
    own = np.searchsorted(groups, code[np.isin(code, groups)])
    noise = rng.standard_normal((len(own), shape[1]), dtype=np.float32)
    controls = rng.standard_normal(shape, dtype=np.float32)
    return energy_distances(noise, own, controls, min_wells=min_wells)


def activity_rows(inputs: BenchmarkInputs) -> Iterator[Row]:
    """Mean average precision against controls, and the share of active conditions."""
    settings = inputs.settings["activity"]
    groups = group_wells(inputs.described(), "condition")
    if groups.table.empty:
        raise NotRunError("no well has a single condition")
    code = _at_most(MAX_WELLS, np.where(inputs.is_usable, groups.code, -1), inputs)
    result = phenotypic_activity(_folds(inputs, code), **settings, seed=inputs.seed)
    ranked = result.dropna(subset=["mean_average_precision"])
    tested = ranked[ranked["reason"] == ""]
    first = _first_fold(inputs, code, "activity")
    chance = _means(
        [
            mean_average_precisions(drawn, settings["negatives"])
            for drawn in _permuted(first, inputs, "activity")
        ]
    )
    value = ranked["mean_average_precision"].mean()
    yield {
        "metric": "mean_average_precision", "value": value,
        "sd": ranked["mean_average_precision"].std(ddof=0), "n": len(ranked),
        "random": ranked["random"].mean(), "random_sd": ranked["random"].std(ddof=0),
        "significance": significance(value, chance), "reason": _why(result, ranked),
    }  # fmt: skip
    random, random_sd = random_activity(
        max(len(tested), 1), num_null=settings["num_null"], p_value=settings["p_value"],
        num_random=inputs.settings["num_random"], seed=inputs.seed,
    )  # fmt: skip
    yield {
        "metric": "fraction_active", "value": tested["is_active"].mean() if len(tested) else NAN,
        "n": len(tested), "random": random, "random_sd": random_sd,
        "reason": _why(result, tested),
    }  # fmt: skip


REASONS = {
    "too_few_wells": "have fewer than two usable wells",
    "no_controls": "have fewer than two wells on plates with controls",
    "too_few_sets": "have too few controls on their plates for any result to be significant",
}


def _why(result: pd.DataFrame, counted: pd.DataFrame) -> str:
    """Why no condition is counted, by number of conditions."""
    if len(counted):
        return ""
    number = result["reason"].value_counts()
    told = [f"{number[name]} {words}" for name, words in REASONS.items() if name in number]
    return f"of {len(result)} conditions, {', '.join(told)}"


def _at_most(most: int, code: NDArray[np.int64], inputs: BenchmarkInputs) -> NDArray[np.int64]:
    """Return groups (N,) with at most so many wells each, drawn by a hash of (seed, well_id)."""
    keys = hash_uint64(inputs.seed, inputs.wells["well_id"].to_numpy(np.uint64))
    order = np.lexsort((keys, code))
    rank = np.empty(len(code), np.int64)
    rank[order] = np.arange(len(code)) - np.searchsorted(code[order], code[order])
    return np.where(rank < most, code, -1)


def control_vectors(inputs: BenchmarkInputs, max_controls: int) -> NDArray[np.float32]:
    """At most `max_controls` vectors of the wells that the alignment was fitted on."""
    mask = alignment_controls(inputs.wells, inputs.reader, inputs.is_usable)
    sample = sample_controls(inputs.wells, mask, max_controls=max_controls, seed=inputs.seed)
    return Vectors(inputs.wells, inputs.reader).rows(sample)
