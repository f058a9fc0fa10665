"""A training set in memory: its wells, their sites, and what there is to learn from them."""

# W wells · S sites

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.foundations.fingerprints import canonical_json
from phenoprints.foundations.randomness import is_kept
from phenoprints.training.columns import Names, Texts
from phenoprints.training.sampling import Sites
from phenoprints.training.tables import (
    NO_CONDITION,
    SEPARATOR,
    SITE_COLUMNS,
    WELL_COLUMNS,
    SiteRows,
    Wells,
    check_distinct,
    pieces,
    read_sites,
    read_wells,
)

NO_CLASS = -1
"""Class of a well that a classifier does not learn from."""


@dataclass(frozen=True)
class Corpus:
    """The wells that a network learns from.

    Attributes
    ----------
    well_ids
        (W,) uint64, ascending: the result does not depend on the order of the tables.
    experiments, screens
        (W,) names.
    conditions
        (W,) the well's first condition, negative without one.
    classes
        (W,) number of the class of each well, NO_CLASS where it has none.
    class_names
        Names of the classes.
    sites, locators
        The images of the wells; (S,) where each is found.
    channel_sets, channel_set_of
        The distinct tuples of channel names, and (W,) which of them each well has.
    """

    well_ids: NDArray[np.uint64]
    experiments: Names
    screens: Names
    conditions: NDArray[np.int32]
    classes: NDArray[np.int64]
    class_names: tuple[str, ...]
    sites: Sites
    locators: Texts
    channel_sets: tuple[tuple[str, ...], ...]
    channel_set_of: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.well_ids)

    def fingerprint(self) -> str:
        """The sha256 of what decides training: wells, classes, sites, channels."""
        digest = hashlib.sha256(canonical_json([list(names) for names in self.channel_sets]))
        digest.update(self.well_ids.data)
        for values in (self.classes, self.sites.heights, self.sites.widths):
            digest.update(values.astype(np.int64).data)
        digest.update(self.locators.keys().data)
        return digest.hexdigest()

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of all channels, those of the first set first; each has a number, its place."""
        return tuple(dict.fromkeys(name for names in self.channel_sets for name in names))

    def channel_numbers(self, well: int) -> tuple[int, ...]:
        """Numbers of the channels of a well (row): a channel has one decoder in all screens."""
        numbers = {name: number for number, name in enumerate(self.channels)}
        return tuple(numbers[name] for name in self.channels_of(well))

    def channels_of(self, well: int) -> tuple[str, ...]:
        """Names of the channels of a well (row)."""
        return self.channel_sets[self.channel_set_of[well]]

    def num_bytes(self) -> int:
        """Bytes of all images when decoded."""
        num_channels = np.array([len(names) for names in self.channel_sets])[self.channel_set_of]
        per_site = np.repeat(num_channels, np.diff(self.sites.first))
        return int((self.sites.heights.astype(np.int64) * self.sites.widths * per_site).sum())

    def groups(self, wells: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The wells by channel set: only crops of the same channels can share a batch."""
        sets = self.channel_set_of[wells]
        return [wells[sets == number] for number in np.unique(sets)]

    def by_experiment(self, wells: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The wells by experiment."""
        return self.experiments.groups(wells)

    def condition_weights(self) -> NDArray[np.float64]:
        """(W,) weights under which every condition is drawn equally often."""
        _, inverse, counts = np.unique(self.conditions, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / counts[inverse], dtype=np.float64)

    def split(
        self, fraction: float, experiments: Sequence[str], seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to learn from and rows kept aside.

        Whole experiments are kept aside where they are named, else a share of the wells by a hash
        of the well. Wells without a class are left out of a corpus that has classes.
        """
        usable = self.classes != NO_CLASS if self.class_names else np.ones(len(self), np.bool_)
        if experiments:
            aside = self.experiments.is_in(experiments)
        elif fraction > 0:
            aside = is_kept(seed, self.well_ids, fraction)
        else:
            aside = np.zeros(len(self), dtype=np.bool_)
        return np.flatnonzero(usable & ~aside), np.flatnonzero(usable & aside)


def build_corpus(
    wells: pd.DataFrame, sites: pd.DataFrame, *, labels: pd.Series | None = None
) -> Corpus:
    """The training set of some wells and their sites.

    Parameters
    ----------
    wells
        well_id, screen, experiment, conditions (list, or null).
    sites
        well_id, site, locator, height, width, channels; sites of other wells are ignored.
    labels
        A name per condition_id, for classifiers: a well with exactly one condition gets that
        condition's class, any other none. Where NO_CONDITION has a name too, that is the class of
        unperturbed wells.

    Raises
    ------
    DataError
        No well is left, or wells have no site.
    """
    found = read_wells(pieces(wells, WELL_COLUMNS))
    return assemble(found, read_sites(found, ((p, None) for p in pieces(sites, SITE_COLUMNS))),
                    labels=labels)  # fmt: skip


def assemble(wells: Wells, sites: SiteRows, *, labels: pd.Series | None = None) -> Corpus:
    """The training set of wells and all of their sites; errors as in `build_corpus`."""
    if not len(wells):
        raise DataError("The training set has no wells. To fix: look at the manifest's funnel.")
    check_distinct(wells)
    first = np.searchsorted(sites.wells, np.arange(len(wells) + 1))
    raise_problems(_without_sites(wells, first), DataError)
    classes, names = _classes(wells, labels)
    return Corpus(
        well_ids=wells.ids,
        experiments=wells.experiments,
        screens=wells.screens,
        conditions=wells.conditions,
        classes=classes,
        class_names=names,
        sites=Sites(first=first, heights=sites.heights, widths=sites.widths),
        locators=sites.locators,
        channel_sets=tuple(tuple(str(n).split(SEPARATOR)) for n in sites.channels.names),
        channel_set_of=sites.channels.codes[first[:-1]],
    )


def _without_sites(wells: Wells, first: NDArray[np.int64]) -> list[Problem]:
    missing = wells.ids[np.diff(first) == 0]
    fix = "make the screen again, or drop these wells from the manifest"
    return [
        Problem("training set", f"well {well} has no site", "one or more", fix) for well in missing
    ]


def _classes(wells: Wells, labels: pd.Series | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class of each well by the name of its only condition or of none, and the classes' names."""
    classes = np.full(len(wells), NO_CLASS, dtype=np.int64)
    if labels is None:
        return classes, ()
    is_unperturbed = (wells.conditions == NO_CONDITION) & (NO_CONDITION in labels.index)
    single = np.flatnonzero((wells.num_conditions == 1) | is_unperturbed)
    conditions, codes = np.unique(wells.conditions[single], return_inverse=True)
    named = labels[labels.notna() & (labels != "")].astype(str).reindex(conditions)
    distinct = sorted(set(named.dropna()))
    numbers = pd.Categorical(named, categories=distinct).codes.astype(np.int64)
    classes[single] = numbers[codes]
    return classes, tuple(distinct)
