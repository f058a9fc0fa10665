"""A training set in memory: its wells, their sites, and what there is to learn from them."""

# W wells · S sites

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.foundations.fingerprints import fingerprint
from phenoprints.foundations.randomness import is_kept
from phenoprints.training.sampling import Sites

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
        (W,) strings.
    conditions
        (W,) the well's first condition, NO_CLASS without one.
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
    experiments: NDArray[np.str_]
    screens: NDArray[np.str_]
    conditions: NDArray[np.int64]
    classes: NDArray[np.int64]
    class_names: tuple[str, ...]
    sites: Sites
    locators: Sequence[str]
    channel_sets: tuple[tuple[str, ...], ...]
    channel_set_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.well_ids)

    def fingerprint(self) -> str:
        """The sha256 of what decides training: wells, classes, sites, channels."""
        return fingerprint(
            [
                [str(w) for w in self.well_ids],
                self.classes.tolist(),
                list(self.locators),
                self.sites.heights.tolist(),
                self.sites.widths.tolist(),
                [list(names) for names in self.channel_sets],
            ]
        )

    def channels_of(self, well: int) -> tuple[str, ...]:
        """Names of the channels of a well (row)."""
        return self.channel_sets[self.channel_set_of[well]]

    def num_bytes(self) -> int:
        """Bytes of all images when decoded."""
        num_channels = np.array([len(names) for names in self.channel_sets])[self.channel_set_of]
        per_site = np.repeat(num_channels, np.diff(self.sites.first))
        return int((self.sites.heights * self.sites.widths * per_site).sum())

    def groups(self, wells: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The wells by channel set: only crops of the same channels can share a batch."""
        sets = self.channel_set_of[wells]
        return [wells[sets == number] for number in np.unique(sets)]

    def by_experiment(self, wells: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The wells by experiment."""
        experiments = self.experiments[wells]
        return [wells[experiments == name] for name in np.unique(experiments)]

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
            aside = np.isin(self.experiments, list(experiments))
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
        condition's class, any other none.

    Raises
    ------
    DataError
        No well is left, or wells have no site.
    """
    if wells.empty:
        raise DataError("The training set has no wells. To fix: look at the manifest's funnel.")
    wells = wells.sort_values("well_id", kind="stable", ignore_index=True)
    sites = sites[sites["well_id"].isin(wells["well_id"])]
    sites = sites.sort_values(["well_id", "site"], kind="stable", ignore_index=True)
    raise_problems(_without_sites(wells, sites), DataError)
    well_ids = wells["well_id"].to_numpy(np.uint64)
    site_wells = sites["well_id"].to_numpy(np.uint64)
    channel_sets, channel_set_of = _channel_sets(sites, well_ids)
    lists = [() if c is None or isinstance(c, float) else tuple(c) for c in wells["conditions"]]
    classes, names = _classes(lists, labels)
    return Corpus(
        well_ids=well_ids,
        experiments=wells["experiment"].to_numpy(str),
        screens=wells["screen"].to_numpy(str),
        conditions=np.array([c[0] if c else NO_CLASS for c in lists], dtype=np.int64),
        classes=classes,
        class_names=names,
        sites=Sites(
            first=np.append(np.searchsorted(site_wells, well_ids), len(sites)),
            heights=sites["height"].to_numpy(np.int64),
            widths=sites["width"].to_numpy(np.int64),
        ),
        locators=sites["locator"].tolist(),
        channel_sets=channel_sets,
        channel_set_of=channel_set_of,
    )


def _without_sites(wells: pd.DataFrame, sites: pd.DataFrame) -> list[Problem]:
    missing = wells.loc[~wells["well_id"].isin(sites["well_id"]), "well_id"]
    fix = "make the screen again, or drop these wells from the manifest"
    return [
        Problem("training set", f"well {well} has no site", "one or more", fix) for well in missing
    ]


def _channel_sets(
    sites: pd.DataFrame, well_ids: NDArray[np.uint64]
) -> tuple[tuple[tuple[str, ...], ...], NDArray[np.int64]]:
    first = sites.drop_duplicates("well_id")["channels"]
    names = [tuple(map(str, channels)) for channels in first]
    distinct = tuple(sorted(set(names)))
    numbers = {channels: i for i, channels in enumerate(distinct)}
    assert len(names) == len(well_ids)
    return distinct, np.array([numbers[n] for n in names], dtype=np.int64)


def _classes(
    lists: Sequence[tuple[int, ...]], labels: pd.Series | None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if labels is None:
        return np.full(len(lists), NO_CLASS, dtype=np.int64), ()
    named = labels[labels.notna() & (labels != "")]
    name_of = dict(zip(named.index.to_numpy(np.int64).tolist(), map(str, named), strict=True))
    names = [name_of.get(int(c[0])) if len(c) == 1 else None for c in lists]
    distinct = tuple(sorted({n for n in names if n is not None}))
    numbers = {name: i for i, name in enumerate(distinct)}
    return np.array([numbers.get(n or "", NO_CLASS) for n in names], dtype=np.int64), distinct
