"""Which crop stands where: a pure function of the seed and the crop's number."""

# n crops of a batch · W wells

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator, hash_uint64

NUM_ROUNDS = 4
"""Rounds of the Feistel network; four make a pseudo-random permutation (Luby & Rackoff 1988)."""


def permuted(positions: NDArray[np.int64], num_items: int, key: int) -> NDArray[np.int64]:
    """Return the items at `positions` of a pseudo-random order of 0 … num_items - 1.

    Nothing is held in memory: a Feistel network over the next even power of two, walked until
    the item lies in range. Distinct positions give distinct items.

    Source: Black & Rogaway 2002, doi:10.1007/3-540-45760-7_9 (cycle-walking cipher).
    """
    half_bits = max((max(num_items - 1, 1).bit_length() + 1) // 2, 1)
    items = positions.astype(np.uint64)
    outside = np.ones(items.shape, dtype=np.bool_)
    while outside.any():
        items[outside] = _feistel(items[outside], half_bits, key)
        outside = items >= np.uint64(num_items)
    return items.astype(np.int64)


def _feistel(items: NDArray[np.uint64], half_bits: int, key: int) -> NDArray[np.uint64]:
    shift, low = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = items >> shift, items & low
    for number in range(NUM_ROUNDS):
        mixed = hash_uint64(key + number, right) & low
        left, right = right, left ^ mixed
    return (left << shift) | right


@dataclass(frozen=True)
class Crops:
    """Where the crops of a batch are taken, one row per crop.

    Attributes
    ----------
    wells, sites
        Row of the well in the training set; row of its site in the table of sites.
    tops, lefts
        First row and column of the crop in the image, in pixels.
    flips
        (n, 2) whether to flip up-down and left-right.
    keys
        64 random bits per crop, from which its mask follows.
    """

    wells: NDArray[np.int64]
    sites: NDArray[np.int64]
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]
    flips: NDArray[np.bool_]
    keys: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.wells)

    def part(self, chosen: slice) -> Crops:
        """Select a slice of the crops."""
        return Crops(
            self.wells[chosen],
            self.sites[chosen],
            self.tops[chosen],
            self.lefts[chosen],
            self.flips[chosen],
            self.keys[chosen],
        )


@dataclass(frozen=True)
class Sites:
    """The images of a training set: well w has the sites `first[w]` … `first[w + 1] - 1`.

    `heights` and `widths` are in pixels, one per site.
    """

    first: NDArray[np.int64]
    heights: NDArray[np.integer]
    widths: NDArray[np.integer]


class CropSampler:
    """Draws crop number g, for any g, without what came before it.

    Parameters
    ----------
    sites
        The images of each well.
    crop_px
        Side of a crop. Every image must be at least as large.
    seed
        Of the order and of the crops.
    groups
        Wells (rows) that may share a batch; by default all. A batch holds one group, chosen with
        probability proportional to its size.
    weights
        Relative weight of each well, drawn with replacement; None visits every well of the group
        once per epoch.
    crops_per_visit
        Successive crops that come from the same well.
    """

    def __init__(
        self,
        sites: Sites,
        crop_px: int,
        seed: int,
        *,
        groups: list[NDArray[np.int64]] | None = None,
        weights: NDArray[np.float64] | None = None,
        crops_per_visit: int = 1,
        flips: bool = True,
    ) -> None:
        self.sites, self.crop_px, self.seed, self.flips = sites, crop_px, seed, flips
        num_wells = len(sites.first) - 1
        self.groups = groups or [np.arange(num_wells, dtype=np.int64)]
        self.crops_per_visit = crops_per_visit
        self._key = int(generator(seed, "training", "crops").integers(2**62))
        self._edges = np.cumsum([len(group) for group in self.groups])
        self._cumulated = None if weights is None else [np.cumsum(weights[g]) for g in self.groups]

    def batch(self, step: int, batch_size: int) -> Crops:
        """Return the crops of a step, in order; the same for any number of processes that share
        them.
        """
        numbers = np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64)
        return self.crops(numbers, int(self.groups_of(np.array([step]))[0]))

    def crops(self, numbers: NDArray[np.int64], group: int = 0) -> Crops:
        """Return the crops with these global numbers, from the wells of one group."""
        keys = hash_uint64(self._key, numbers.astype(np.uint64))
        wells = self._wells(numbers, group, keys)
        first, last = self.sites.first[wells], self.sites.first[wells + 1]
        sites = first + _below(hash_uint64(1, keys), last - first)
        bits = hash_uint64(4, keys)
        flips = np.stack([bits & np.uint64(1), bits & np.uint64(2)], axis=1) > 0
        return Crops(
            wells=wells,
            sites=sites,
            tops=_below(hash_uint64(2, keys), self.sites.heights[sites] - self.crop_px + 1),
            lefts=_below(hash_uint64(3, keys), self.sites.widths[sites] - self.crop_px + 1),
            flips=flips & self.flips,
            keys=hash_uint64(5, keys).astype(np.int64),
        )

    def groups_of(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the group whose wells each step samples crops from."""
        if len(self.groups) == 1:
            return np.zeros(len(steps), dtype=np.int64)
        draws = _below(hash_uint64(self._key + 1, steps.astype(np.uint64)), self._edges[-1:])
        return np.searchsorted(self._edges, draws, side="right").astype(np.int64)

    def _wells(
        self, numbers: NDArray[np.int64], group: int, keys: NDArray[np.uint64]
    ) -> NDArray[np.int64]:
        members = self.groups[group]
        if self._cumulated is not None:
            cumulated = self._cumulated[group]
            uniform = (hash_uint64(6, keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53
            chosen = np.searchsorted(cumulated, uniform * cumulated[-1], side="right")
            drawn: NDArray[np.int64] = members[np.minimum(chosen, len(members) - 1)]
            return drawn
        visits = numbers // self.crops_per_visit
        epochs, positions = np.divmod(visits, len(members))
        chosen = np.empty(len(numbers), dtype=np.int64)
        for epoch in np.unique(epochs):
            mine = epochs == epoch
            key = int(generator(self.seed, "training", "order", int(epoch), group).integers(2**62))
            chosen[mine] = permuted(positions[mine], len(members), key)
        visited: NDArray[np.int64] = members[chosen]
        return visited


def _below(draws: NDArray[np.uint64], limits: NDArray[np.integer]) -> NDArray[np.int64]:
    """Uniform integers below `limits`; the bias of the remainder is below 2⁻⁴⁰ here."""
    return (draws % limits.astype(np.uint64)).astype(np.int64)
