"""From a manifest, or a whole screen, to the training set that a network learns from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, MissingInputError
from phenoprints.foundations.randomness import hash_uint64
from phenoprints.training.columns import joined, pair_keys
from phenoprints.training.corpus import Corpus, assemble
from phenoprints.training.tables import (
    NO_CONDITION,
    SITE_COLUMNS,
    WELL_COLUMNS,
    Table,
    pieces,
    read_sites,
    read_wells,
)

Labels = Literal["perturbation", "gene", "condition"]
CONDITION_KEY = ("perturbation", "concentration_um", "cell_type", "background")
"""What makes a condition, without what follows from its perturbation."""


def parts_of(folder: str | Path) -> list[Path]:
    """The parts of a manifest; MissingInputError when the folder holds none."""
    parts = sorted(Path(folder).glob("part-*.parquet"))
    if not parts:
        raise MissingInputError(f"{folder}: no part of a manifest lies there. Curate it first.")
    return parts


def corpus_of_manifest(
    parts: Sequence[Table],
    sites: Mapping[str, Table],
    conditions: pd.DataFrame,
    *,
    labels: Labels | None = None,
    classify_unperturbed: bool = False,
) -> Corpus:
    """The training set of a manifest: its wells and those of their sites that it names.

    Files are read in pieces: what stays in memory are a few numbers and the locator of each site.

    Parameters
    ----------
    parts
        Tables of wells with the columns well_id, screen, experiment, conditions and locators, or
        the paths of such (`parts_of`).
    sites
        By screen, the table of its sites (or its path): sizes and channels.
    conditions
        The conditions in the manifest's numbering.
    labels
        What classifiers tell apart; None for masked autoencoders.
    classify_unperturbed
        Whether unperturbed wells are a class of their own, else they have none.
    """
    named: list[NDArray[np.uint64]] = []
    wells = read_wells(_noted(parts, named))
    keys = np.sort(joined(named, np.uint64))
    found = read_sites(
        wells,
        (
            (piece, lambda rows: _is_named(rows, keys))
            for table in sites.values()
            for piece in pieces(table, SITE_COLUMNS)
        ),
    )
    if len(found) != len(keys):
        raise DataError(
            f"training set: the manifest names {len(keys)} sites, the tables of sites have "
            f"{len(found)} of them. To fix: curate again after the screens were read again."
        )
    return assemble(wells, found, labels=_names(conditions, labels, classify_unperturbed))


def _noted(parts: Sequence[Table], named: list[NDArray[np.uint64]]) -> Iterator[pa.Table]:
    """The pieces of a manifest; on the way the sites that they name are noted, as keys."""
    for part in parts:
        for piece in pieces(part, [*WELL_COLUMNS, "locators"]):
            for lists, ids in zip(piece["locators"].chunks, piece["well_id"].chunks, strict=True):
                flat = pc.list_flatten(lists)
                owners = pc.take(ids, pc.list_parent_indices(lists)).to_numpy()
                valid = pc.is_valid(flat)
                named.append(pair_keys(owners[valid.to_numpy(zero_copy_only=False)],
                                       flat.filter(valid)))  # fmt: skip
            yield piece


def _is_named(rows: pa.Table, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(rows) or not len(keys):
        return np.zeros(len(rows), dtype=np.bool_)
    locators = rows["locator"].combine_chunks()
    own = pair_keys(rows["well_id"].to_numpy(), locators)
    nearest = keys[np.minimum(np.searchsorted(keys, own), len(keys) - 1)]
    return np.asarray(nearest == own, dtype=np.bool_)


def corpus_of_screen(
    wells: Table,
    sites: Table,
    conditions: pd.DataFrame,
    quality: Table,
    *,
    labels: Labels | None = None,
    classify_unperturbed: bool = False,
) -> Corpus:
    """The training set of a whole screen: every well and site that has not failed quality.

    Tables, or the paths of such, which are then read in pieces; labels as for a manifest.
    """
    failed = _failed(quality)
    every = read_wells(pieces(wells, WELL_COLUMNS))
    of_good = every.take(np.flatnonzero(~np.isin(every.ids, failed[failed["site"] == -1].index)))
    keys = np.sort(_site_keys(failed.index.to_numpy(), failed["site"].to_numpy()))

    def passes(rows: pa.Table) -> NDArray[np.bool_]:
        own = _site_keys(rows["well_id"].to_numpy(), rows["site"].to_numpy())
        return ~np.isin(own, keys)

    good = read_sites(of_good, ((piece, passes) for piece in pieces(sites, SITE_COLUMNS)))
    seen, rows = np.unique(good.wells, return_inverse=True)
    return assemble(
        of_good.take(seen),
        replace(good, wells=rows),
        labels=_names(conditions, labels, classify_unperturbed),
    )


def _failed(quality: Table) -> pd.DataFrame:
    """The numbers of failed sites by well id; -1 where the well failed."""
    columns = ["well_id", "site", "verdict"]
    parts = [p.filter(pc.equal(p["verdict"], "fail")) for p in pieces(quality, columns)]
    found: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return found.set_index("well_id")


def _site_keys(ids: NDArray[np.uint64], numbers: NDArray[np.int32]) -> NDArray[np.uint64]:
    """64 bits for each pair of a well and a site's number."""
    return hash_uint64(0, ids.astype(np.uint64)) + numbers.astype(np.int64).astype(np.uint64)


def _names(
    conditions: pd.DataFrame, labels: Labels | None, classify_unperturbed: bool
) -> pd.Series | None:
    """A name per condition_id; a condition without a gene is called by its perturbation."""
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
