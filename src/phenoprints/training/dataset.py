"""The training set: wells and their sites as numbers, from a manifest, a screen or tables."""

# n rows · W wells · S sites

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from phenoprints.foundations.columns import Names, NamesBuilder, Texts, joined
from phenoprints.foundations.errors import DataError, MissingInputError, Problem, raise_problems
from phenoprints.foundations.fingerprints import canonical_json
from phenoprints.foundations.parquet import TableReader
from phenoprints.foundations.randomness import is_kept
from phenoprints.training.sampling import Sites
from phenoprints.wells import SITES, Screen, num_conditions
from phenoprints.wells.conditions import first_condition

Labels = Literal["perturbation", "gene", "condition"]
BATCH_ROWS = 262_144
"""Rows of a table that are in memory at a time."""

NO_CLASS = -1
"""Class of a well that a classifier does not learn from."""

NO_CONDITION = -1
"""Condition of an unperturbed well."""

UNKNOWN_CONDITION = -2
"""Condition of a well whose perturbation is unknown."""

SEPARATOR = "\x1f"
"""Between the names of channels; no name of a channel contains it."""

CONDITION_KEY = ("perturbation", "concentration_um", "cell_type", "background")
"""Columns that make a condition, without what follows from its perturbation."""

CONDITION_COLUMNS = ("condition_id", "gene", *CONDITION_KEY)
"""Columns of a conditions table that name classes."""

WELL_SCHEMA = pa.schema(
    [("well_id", pa.uint64()), ("screen", pa.string()), ("experiment", pa.string()),
     ("conditions", pa.list_(pa.int32())), ("role", pa.string())]
)  # fmt: skip


@dataclass(frozen=True)
class Wells:
    """Wells in ascending order of their ids.

    `conditions` is the first one of each well, NO_CONDITION without and UNKNOWN_CONDITION where it
    is not known, `num_conditions` how many it has.
    """

    ids: NDArray[np.uint64]
    screens: Names
    experiments: Names
    conditions: NDArray[np.int32]
    num_conditions: NDArray[np.int32]
    roles: Names

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Wells:
        """Select wells by row."""
        return Wells(
            self.ids[rows],
            self.screens.take(rows),
            self.experiments.take(rows),
            self.conditions[rows],
            self.num_conditions[rows],
            self.roles.take(rows),
        )


def read_wells(tables: Iterable[pa.Table]) -> Wells:
    """Return the wells of tables with WELL_SCHEMA's columns, in ascending order of their ids."""
    screens, experiments, roles = NamesBuilder(), NamesBuilder(), NamesBuilder()
    ids: list[NDArray[np.uint64]] = []
    firsts: list[NDArray[np.int32]] = []
    counts: list[NDArray[np.int32]] = []
    for table in tables:
        ids.append(table["well_id"].to_numpy())
        screens.add(table["screen"])
        experiments.add(table["experiment"])
        roles.add(table["role"])
        first = first_condition(table["conditions"])
        first[table["conditions"].is_null().to_numpy()] = UNKNOWN_CONDITION
        firsts.append(first)
        counts.append(num_conditions(table["conditions"]))
    whole = Wells(
        joined(ids, np.uint64),
        screens.finish(),
        experiments.finish(),
        joined(firsts, np.int32),
        joined(counts, np.int32),
        roles.finish(),
    )
    return whole.take(np.argsort(whole.ids, kind="stable"))


@dataclass(frozen=True)
class SiteRows:
    """The sites of wells, by well and then by number: `wells` are rows of the wells."""

    wells: NDArray[np.int64]
    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    channels: Names
    locators: Texts

    def __len__(self) -> int:
        return len(self.wells)


def read_sites(wells: Wells, tables: Iterable[pa.Table]) -> SiteRows:
    """Return the sites of these wells from tables of the contract SITES; others are ignored."""
    channels = NamesBuilder()
    rows: list[NDArray[np.int64]] = []
    numbers: list[NDArray[np.int32]] = []
    sides: list[NDArray[np.int32]] = []
    locators: list[pa.Array] = []
    for table in tables:
        piece, row = _of_wells(wells, table)
        rows.append(row)
        numbers.append(piece["site"].to_numpy())
        sides.append(np.stack([piece["height"].to_numpy(), piece["width"].to_numpy()], axis=1))
        channels.add(pc.binary_join(piece["channels"], SEPARATOR))
        locators += piece["locator"].chunks
    wells_of_site = joined(rows, np.int64)
    order = np.lexsort((joined(numbers, np.int32), wells_of_site))
    both = np.concatenate([np.empty((0, 2), np.int32), *sides])[order]
    return SiteRows(
        wells_of_site[order],
        np.ascontiguousarray(both[:, 0]),
        np.ascontiguousarray(both[:, 1]),
        channels.finish().take(order),
        Texts(locators, order),
    )


def _of_wells(wells: Wells, table: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the rows of a table whose well is one of these, and which."""
    ids = table["well_id"].to_numpy()
    if not len(wells):
        return table.slice(0, 0), np.empty(0, np.int64)
    row = np.minimum(np.searchsorted(wells.ids, ids), len(wells) - 1)
    found = wells.ids[row] == ids
    return table.filter(pa.array(found)), row[found]


def _check_distinct(wells: Wells) -> None:
    """Raise DataError where a well is in the tables twice."""
    twice = np.unique(wells.ids[1:][wells.ids[1:] == wells.ids[:-1]])
    if len(twice):
        named = ", ".join(map(str, twice[:5]))
        raise DataError(
            f"training set: {len(twice)} wells are in it more than once, such as {named}. "
            "To fix: curate the manifest again."
        )


@dataclass(frozen=True)
class Corpus:
    """The wells that a network learns from.

    Attributes
    ----------
    well_ids
        (W,) uint64, ascending: the result does not depend on the order of the tables.
    experiments, screens, roles
        (W,) names; a role may be empty.
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
    roles: Names
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
        """Return the sha256 of what decides training: wells, classes, sites, channels."""
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
        """Return the wells by channel set: only crops of the same channels can share a batch."""
        sets = self.channel_set_of[wells]
        return [wells[sets == number] for number in np.unique(sets)]

    def by_experiment(self, wells: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the wells by experiment."""
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
    """Return the training set of some wells and their sites.

    Parameters
    ----------
    wells
        well_id, screen, experiment, conditions (list, or null), and where known role.
    sites
        well_id, site, locator, height, width, channels; sites of other wells are ignored.
    labels
        A name per condition_id, for classifiers: a well with exactly one condition gets that
        condition's class, any other none. Where NO_CONDITION has a name too, that is the class of
        unperturbed wells.

    Raises
    ------
    DataError
        No well is left, a well is there twice, or wells have no site.
    """
    wells = wells if "role" in wells else wells.assign(role="")
    own = pa.Table.from_pandas(wells[WELL_SCHEMA.names], WELL_SCHEMA, preserve_index=False)
    images = pa.Table.from_pandas(sites[SITES.schema.names], SITES.schema, preserve_index=False)
    found = read_wells([own])
    return _assemble(found, read_sites(found, [images]), labels=labels)


def corpus_of_manifest(
    folder: str | Path,
    conditions: pd.DataFrame,
    *,
    labels: Labels | None = None,
    classify_unperturbed: bool = False,
) -> Corpus:
    """Return the training set of a manifest: its wells and their sites, from its folder alone.

    Files are read in pieces: what stays in memory are a few numbers and the locator of each site.

    Parameters
    ----------
    folder
        Holds part-*.parquet (wells) and sites-*.parquet.
    conditions
        The conditions in the manifest's numbering (phenoprints.parquet beside the folder).
    labels
        What classifiers tell apart; None for masked autoencoders.
    classify_unperturbed
        Whether unperturbed wells are a class of their own, else they have none.
    """
    parts, images = _files(folder, "part"), _files(folder, "sites")
    if len(parts) != len(images):
        raise DataError(
            f"{folder}: {len(parts)} parts of wells and {len(images)} of sites; expected as many. "
            "To fix: curate again (snakemake curate)."
        )
    wells = read_wells(_tables(parts, WELL_SCHEMA))
    sites = read_sites(wells, _tables(images, SITES.schema))
    return _assemble(wells, sites, labels=_names(conditions, labels, classify_unperturbed))


def _files(folder: str | Path, kind: str) -> list[Path]:
    files = sorted(Path(folder).glob(f"{kind}-*.parquet"))
    if not files:
        raise MissingInputError(
            f"{folder}: no {kind}-*.parquet, so this is not the folder of a manifest with its "
            "sites.\n  To fix: curate again (snakemake curate); manifests of version 0.1 and of "
            "screens without images have no sites."
        )
    return files


def _tables(files: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    for file in files:
        for table in TableReader(file, schema.names).batches(BATCH_ROWS):
            yield table.cast(schema)


def corpus_of_screen(
    screen: Screen, *, labels: Labels | None = None, classify_unperturbed: bool = False
) -> Corpus:
    """Return the training set of a stored screen: every well and site that passes quality.

    Labels are as in `corpus_of_manifest`; wells without a usable site are left out.
    """
    every = read_wells(_tables([screen.folder / "wells.parquet"], WELL_SCHEMA))
    found = read_sites(every, screen.site_batches(BATCH_ROWS, usable=True))
    seen, rows = np.unique(found.wells, return_inverse=True)
    return _assemble(
        every.take(seen),
        replace(found, wells=rows),
        labels=_names(screen.conditions, labels, classify_unperturbed),
    )


def _names(
    conditions: pd.DataFrame, labels: Labels | None, classify_unperturbed: bool
) -> pd.Series | None:
    """Return a name per condition_id; a condition without a gene is called by its perturbation."""
    if labels is None:
        return None
    if labels == "condition":
        columns: Sequence[str] = CONDITION_KEY
        names = conditions[list(columns)].astype(str).agg("/".join, axis=1)
    elif labels == "gene":
        gene = conditions["gene"].fillna("")
        names = gene.where(gene != "", conditions["perturbation"])
    else:
        names = conditions["perturbation"]
    found = dict(zip(conditions["condition_id"], names, strict=True))
    unperturbed = {NO_CONDITION: "unperturbed"} if classify_unperturbed else {}
    return pd.Series(found | unperturbed, dtype=object)


def _assemble(wells: Wells, sites: SiteRows, *, labels: pd.Series | None = None) -> Corpus:
    """Return the training set of wells and all of their sites; errors as in `build_corpus`."""
    if not len(wells):
        raise DataError("The training set has no wells. To fix: look at the manifest's funnel.")
    _check_distinct(wells)
    first = np.searchsorted(sites.wells, np.arange(len(wells) + 1))
    raise_problems(_without_sites(wells, first), DataError)
    classes, names = _classes(wells, labels)
    return Corpus(
        well_ids=wells.ids,
        experiments=wells.experiments,
        screens=wells.screens,
        roles=wells.roles,
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
