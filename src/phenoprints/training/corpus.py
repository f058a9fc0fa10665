"""A training set in memory: its wells, their sites, and what there is to learn from them."""

# W wells · S sites

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.foundations.fingerprints import canonical_json
from phenoprints.foundations.randomness import is_kept
from phenoprints.training.sampling import Sites

NO_CLASS = -1
"""Class of a well that a classifier does not learn from."""
SEPARATOR = "\x1f"
"""Between the names of channels; no name of a channel holds it."""


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
        digest = hashlib.sha256(canonical_json([list(names) for names in self.channel_sets]))
        for values in (self.well_ids, self.classes, self.sites.heights, self.sites.widths):
            digest.update(np.ascontiguousarray(values).data)
        digest.update("\n".join(self.locators).encode())
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
    conditions, lengths = _first_conditions(wells["conditions"])
    classes, names = _classes(conditions, lengths, labels)
    return Corpus(
        well_ids=well_ids,
        experiments=wells["experiment"].to_numpy(str),
        screens=wells["screen"].to_numpy(str),
        conditions=conditions,
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
    # Few distinct sets among many wells: compare their texts, then split the distinct ones.
    joined = pd.Series([SEPARATOR.join(map(str, channels)) for channels in first], dtype="string")
    codes, distinct = pd.factorize(joined, sort=True)
    assert len(codes) == len(well_ids)
    return tuple(tuple(str(text).split(SEPARATOR)) for text in distinct), codes.astype(np.int64)


def _classes(
    first: NDArray[np.int64], lengths: NDArray[np.int64], labels: pd.Series | None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class of each well with exactly one condition that has a name, and the classes' names."""
    if labels is None:
        return np.full(len(first), NO_CLASS, dtype=np.int64), ()
    named = labels[labels.notna() & (labels != "")].astype(str)
    of_well = named.reindex(np.where(lengths == 1, first, NO_CLASS))
    distinct = sorted(set(of_well.dropna()))
    numbers = pd.Categorical(of_well, categories=distinct).codes
    return numbers.astype(np.int64), tuple(distinct)


def _first_conditions(
    conditions: pd.Series,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first condition of each well, NO_CLASS without one, and how many it has."""
    lists = pa.array(conditions, pa.list_(pa.int64()), from_pandas=True)
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    lengths = lengths.astype(np.int64)
    flat = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    first = np.full(len(lists), NO_CLASS, dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    first[lengths > 0] = flat[starts[lengths > 0]]
    return first, lengths
