"""Find exchanged channels: the image fits its controls better with two of them swapped."""

# S sites · C channels · F features of a channel · P pairs of channels · K contrasts of a pair

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

FEATURE_FLOORS = {
    "power_log_log_slope": 0.10, "log_sharpness": 0.15, "log_level_50": 0.10, "log_level_99": 0.15,
}  # fmt: skip
"""Features of a channel that tell it from the others, and the least that they vary by."""

NUM_SHAPES = 2
"""The first features say nothing of intensity, and neither do correlations."""

CORRELATION_FLOOR = 0.05
CONTRAST_FLOOR = 0.04
MAX_TERM = 36.0
"""A single squared difference, in spreads, counts at most so much."""

MIN_GAIN = 20.0
"""A swap must lower the sum of squared differences by this much, …"""

MAX_SHARE = 0.66
"""… and below this share of what it is without."""

MIN_CONTRAST_GAIN = 60.0
MAX_CONTRAST_SHARE = 0.2
"""The same for contrasts alone, which phenotypes can turn round more easily."""

Floats = NDArray[np.float64]
Parts = tuple[Floats, Floats]


def pair_contrasts(features: Floats, correlations: Floats) -> Floats:
    """How two channels of an image differ (S, P, K): what an exchange of them would negate.

    Differences within an image leave out what a phenotype does to both channels, such as fewer
    cells. K counts the F features and the C - 2 correlations with each other channel.

    Parameters
    ----------
    features
        (S, C, F) of each channel.
    correlations
        (S, P) between channels, in the order of triu.
    """
    num_channels = features.shape[1]
    index = np.zeros((num_channels, num_channels), np.int64)
    upper = np.triu_indices(num_channels, 1)
    index[upper] = np.arange(len(upper[0]))
    index += index.T
    contrasts = []
    for a, b in combinations(range(num_channels), 2):
        others = [c for c in range(num_channels) if c not in (a, b)]
        to_others = correlations[:, index[a, others]] - correlations[:, index[b, others]]
        contrasts.append(np.concatenate([features[:, a] - features[:, b], to_others], axis=1))
    return np.stack(contrasts, axis=1)


def least_spreads(num_channels: int) -> Floats:
    """Return the least spread (K,) of each contrast."""
    return np.array([*FEATURE_FLOORS.values(), *[CONTRAST_FLOOR] * (num_channels - 2)])


def exchanged_pairs(values: Parts, usual: Parts, spread: Parts) -> NDArray[np.int64]:
    """Find the pair of channels that seem exchanged in each site (S,), as triu index; else -1.

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
    """Return the sum (S,) of squared differences, in spreads, with the channels in
    another order.
    """
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


def mirrored_pairs(contrasts: Floats, usual: Floats, spread: Floats) -> NDArray[np.int64]:
    """Find the pair of channels that seem exchanged in each site (S,), as triu index; else -1.

    Exchanging two channels negates their contrasts. A swap is believed when the negated contrasts
    are clearly nearer to the usual ones; not by intensities alone, since a compound may shine.

    Parameters
    ----------
    contrasts, usual, spread
        (S, P, K) those of the site, of its controls, and how much they vary between all sites.
        NaN count nothing.
    """
    num_sites, num_pairs, _ = contrasts.shape
    if num_pairs == 0:
        return np.full(num_sites, -1)
    without, swapped = (_terms(sign * contrasts, usual, spread) for sign in (1.0, -1.0))
    is_shape = np.ones(contrasts.shape[2], np.bool_)
    is_shape[NUM_SHAPES : len(FEATURE_FLOORS)] = False
    gain = (without - swapped).sum(axis=2)
    is_swapped = (gain > MIN_CONTRAST_GAIN) & (
        swapped.sum(axis=2) < MAX_CONTRAST_SHARE * without.sum(axis=2)
    )
    is_swapped &= (without - swapped)[:, :, is_shape].sum(axis=2) > 0
    best = np.argmax(np.where(is_swapped, gain, -np.inf), axis=1)
    return np.where(is_swapped.any(axis=1), best, -1)


def _terms(contrasts: Floats, usual: Floats, spread: Floats) -> Floats:
    """Squared differences from the usual in spreads, at most MAX_TERM each, 0 where unknown."""
    terms = ((contrasts - usual) / spread) ** 2
    known: Floats = np.where(np.isfinite(terms), np.minimum(terms, MAX_TERM), 0.0)
    return known
