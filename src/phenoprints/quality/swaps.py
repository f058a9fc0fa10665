"""Find exchanged channels: the image fits its controls better with two of them swapped."""

# S sites · C channels · F features · P pairs of channels

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

FEATURE_FLOORS = {
    "power_log_log_slope": 0.10, "log_percentile_50": 0.10, "log_percentile_99": 0.15,
    "log_sharpness": 0.15,
}  # fmt: skip
"""Features of a channel that tell it from the others, and the least that they vary by."""

CORRELATION_FLOOR = 0.05
MAX_TERM = 36.0
"""A single squared difference, in spreads, counts at most so much."""

MIN_GAIN = 20.0
"""A swap must lower the sum of squared differences by this much, …"""

MAX_SHARE = 0.66
"""… and below this share of what it is without."""

Floats = NDArray[np.float64]
Parts = tuple[Floats, Floats]


def swapped_pairs(values: Parts, usual: Parts, spread: Parts) -> NDArray[np.int64]:
    """The pair of channels that seem exchanged in each site (S,), by its place in triu; else -1.

    Parameters
    ----------
    values, usual, spread
        Each the features of channels (S, C, F) and the correlations of pairs of channels (S, P) in
        the order of triu: those of the site, of its controls, and how much they vary between all
        sites. NaN count nothing.
    """
    num_sites, num_channels, _ = values[0].shape
    pairs = list(combinations(range(num_channels), 2))
    best = np.full(num_sites, -1)
    if not pairs:
        return best
    same = np.arange(num_channels)
    without = _distance(values, usual, spread, same)
    distances = np.stack(
        [_distance(values, usual, spread, _exchanged(same, a, b)) for a, b in pairs]
    )
    at = np.argmin(distances, axis=0)
    least = np.take_along_axis(distances, at[None], axis=0)[0]
    is_swapped = (without - least > MIN_GAIN) & (least < MAX_SHARE * without)
    best[is_swapped] = at[is_swapped]
    return best


def _exchanged(order: NDArray[np.int64], a: int, b: int) -> NDArray[np.int64]:
    changed = order.copy()
    changed[[a, b]] = changed[[b, a]]
    return changed


def _distance(values: Parts, usual: Parts, spread: Parts, order: NDArray[np.int64]) -> Floats:
    """The sum (S,) of squared differences, in spreads, with the channels in another order."""
    num_channels = len(order)
    index = np.zeros((num_channels, num_channels), np.int64)
    upper = np.triu_indices(num_channels, 1)
    index[upper] = np.arange(len(upper[0]))
    index += index.T
    correlations = values[1][:, index[order[upper[0]], order[upper[1]]]]
    terms = np.concatenate(
        [
            (((values[0][:, order] - usual[0]) / spread[0]) ** 2).reshape(len(values[0]), -1),
            ((correlations - usual[1]) / spread[1]) ** 2,
        ],
        axis=1,
    )
    total: Floats = np.where(np.isfinite(terms), np.minimum(terms, MAX_TERM), 0.0).sum(axis=1)
    return total
