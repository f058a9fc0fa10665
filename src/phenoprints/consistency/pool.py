"""The wells that null sets are drawn from, by stratum and group, and how many sets exist."""

# n wells of a set · stratum: what null sets copy, such as the plate

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from phenoprints.consistency.drawing import PoolArrays

CAP = 1e15
"""Counts of possible sets stop here; only their order of magnitude matters above the threshold."""


@dataclass(frozen=True)
class Pool:
    """Groups of wells inside strata, of which a null set takes at most one well per group.

    An entry is a group inside a stratum. Stratum s owns the entries strata[s]:strata[s + 1]; entry
    e belongs to groups[e] and owns rows[offsets[e]:offsets[e + 1]]. Entries are sorted by stratum,
    then by group; rows keep their order inside an entry.

    A *composition* is the ascending array of the strata of a set's wells, (n,).
    """

    strata: NDArray[np.int64]
    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, group: NDArray[np.int64], stratum: NDArray[np.int64]) -> Pool:
        """Build the pool of the rows with group >= 0; strata are coded from 0."""
        rows = np.flatnonzero(group >= 0)
        rows = rows[np.lexsort((group[rows], stratum[rows]))]
        is_first = np.ones(len(rows), dtype=np.bool_)
        is_first[1:] = (np.diff(group[rows]) != 0) | (np.diff(stratum[rows]) != 0)
        starts = np.flatnonzero(is_first)
        num_strata = int(stratum.max(initial=-1)) + 1
        strata = np.searchsorted(stratum[rows[starts]], np.arange(num_strata + 1))
        offsets = np.append(starts, len(rows)).astype(np.int64)
        return cls(strata.astype(np.int64), group[rows[starts]], rows.astype(np.int64), offsets)

    @cached_property
    def num_groups(self) -> int:
        """Number of groups over all strata: the size of the largest possible set."""
        return len(np.unique(self.groups))

    @cached_property
    def num_entries(self) -> NDArray[np.int64]:
        """Number of groups in each stratum."""
        return np.diff(self.strata)

    @cached_property
    def num_wells(self) -> NDArray[np.int64]:
        """Number of wells in each stratum."""
        return np.diff(self.offsets[self.strata])

    @cached_property
    def arrays(self) -> PoolArrays:
        """The entries and rows for the compiled loops."""
        return PoolArrays(self.strata, self.groups, self.rows, self.offsets)

    def group_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the group of some rows, -1 outside of the pool."""
        known = self._group_of_row
        return np.where(rows < len(known) - 1, known[np.minimum(rows, len(known) - 1)], -1)

    @cached_property
    def _group_of_row(self) -> NDArray[np.int64]:
        result = np.full(self.rows.max(initial=-1) + 2, -1, dtype=np.int64)
        result[self.rows] = np.repeat(self.groups, np.diff(self.offsets))
        return result

    def offsets_in(self, stratum: int) -> NDArray[np.int64]:
        """Return the offsets of one stratum's entries, for draws from this stratum alone."""
        return self.offsets[self.strata[stratum] : self.strata[stratum + 1] + 1]

    def are_crossed(self, strata: NDArray[np.int64]) -> bool:
        """Return whether all of some strata have the same groups."""
        first, *others = (self.groups[self.strata[s] : self.strata[s + 1]] for s in strata)
        return all(np.array_equal(first, other) for other in others)

    def crossed_share(self, composition: NDArray[np.int64]) -> float:
        """Return the share of independent draws with distinct groups, in crossed strata.

        With G groups in every stratum: G!/(G - n)! over the product of G!/(G - n_s)!.
        """
        needed = np.unique(composition, return_counts=True)[1]
        log_free = np.log(self.num_entries[composition[0]] - np.arange(len(composition)))
        log_valid = log_free.sum() - sum(log_free[:n].sum() for n in needed)
        return float(np.exp(log_valid))

    def distinct_share(self, composition: NDArray[np.int64]) -> float:
        """Return the share of independent slots whose groups differ within each stratum."""
        strata, needed = np.unique(composition, return_counts=True)
        shares = [
            np.prod(1.0 - np.arange(n) / self.num_entries[s])
            for s, n in zip(strata, needed, strict=True)
        ]
        return float(np.prod(shares))

    def can_hold(self, composition: NDArray[np.int64]) -> bool:
        """Return whether every stratum, and all together, have as many groups as a set needs."""
        needed = np.bincount(composition, minlength=len(self.num_entries))
        is_enough = bool((needed <= self.num_entries).all())
        return is_enough and len(composition) <= self.num_groups

    def in_order(self, composition: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the strata of a set, scarcest first, which avoids dead ends of draws."""
        return composition[np.lexsort((composition, self.num_entries[composition]))]

    def at_most(self, composition: NDArray[np.int64]) -> float:
        """Count sets without regard to groups that lie in several strata, exact up to CAP.

        This is the number of sets where the composition has one stratum or where no group lies in
        two of its strata, else an upper bound: the product over strata of the elementary symmetric
        polynomials of the numbers of wells per group.
        """
        strata, needed = np.unique(composition, return_counts=True)
        counts = [self._choices(int(s))[n] for s, n in zip(strata, needed, strict=True)]
        return min(float(np.prod(counts)), CAP)

    def at_least(self, composition: NDArray[np.int64]) -> int:
        """Return a lower bound of the number of sets, from the numbers of groups alone."""
        slots = self.in_order(composition)
        free = np.maximum(self.num_entries[slots] - np.arange(len(slots)), 0)
        orders = [factorial(int(count)) for count in np.unique(slots, return_counts=True)[1]]
        bound: int = prod(free.tolist()) // prod(orders)
        return bound

    def _choices(self, stratum: int) -> NDArray[np.float64]:
        if stratum not in self._known_choices:
            sizes = np.diff(self.offsets_in(stratum))
            self._known_choices[stratum] = elementary_symmetric(sizes)
        return self._known_choices[stratum]

    @cached_property
    def _known_choices(self) -> dict[int, NDArray[np.float64]]:
        return {}


def elementary_symmetric(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how many sets of 0, 1, …, G wells take at most one well of each of G groups.

    `sizes` is the number of wells per group, (G,). Values above CAP are CAP.
    """
    counts = np.zeros(len(sizes) + 1)
    counts[0] = 1.0
    for size in sizes:
        counts[1:] = np.minimum(counts[1:] + counts[:-1] * size, CAP)
    return counts
