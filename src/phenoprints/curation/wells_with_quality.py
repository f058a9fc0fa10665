"""What the funnel joins to the wells of a screen: the manifest's conditions, flags and locators."""

# W wells of a piece · S their sites · F rows of the quality table that say "fail"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from phenoprints.curation.encoding import SITES_OF_WELL
from phenoprints.curation.parts import split_by_experiment
from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.wells import SITES, WELLS, WHOLE_WELL

QUALITY_COLUMNS = ("well_id", "site", "verdict")
SHAPE = {"height_px": "height", "width_px": "width", "num_channels": "channels"}
"""What is unusual about an image, by the name of its declaration: a column of the sites table."""


@dataclass
class ImageSizes:
    """How often each height, width and number of channels occurs, by modality."""

    counts: pd.Series = field(
        default_factory=lambda: pd.Series(
            [], index=pd.MultiIndex.from_arrays([[], [], []]), dtype=np.int64
        )
    )

    def add(self, wells: pa.Table, sites: pa.Table) -> None:
        """Count the sites of some wells."""
        if not len(sites):
            return
        shapes = shapes_of(sites)
        modality = _modalities(wells, _rows_of(sites, wells))
        for name in SHAPE:
            found = shapes[name].groupby(modality).value_counts()
            found.index = pd.MultiIndex.from_tuples([(m, name, v) for m, v in found.index])
            self.counts = self.counts.add(found, fill_value=0)

    def usual(self, declared: Mapping[str, int | None]) -> pd.DataFrame:
        """By modality the shape that its images should have: declared, else the most frequent.

        Of equally frequent values the smallest.
        """
        order = self.counts.sort_index().sort_values(ascending=False, kind="stable")
        best = order.reset_index().drop_duplicates(["level_0", "level_1"])
        usual = best.pivot(index="level_0", columns="level_1", values="level_2")
        return usual.assign(**{k: v for k, v in declared.items() if v is not None})


def shapes_of(sites: pa.Table) -> pd.DataFrame:
    """height_px, width_px and num_channels of every site."""
    columns = {name: sites[column] for name, column in SHAPE.items()}
    columns["num_channels"] = pc.list_value_length(sites["channels"])
    return pd.DataFrame({name: column.to_numpy() for name, column in columns.items()})


@dataclass(frozen=True)
class QualityAndSites:
    """What other stages know of some wells: their sites and what failed.

    `sites` is None where the screen has no images at all; `usual` is that of Shapes. A table of
    sites without locators decides as well, but makes no manifest.
    """

    quality: pa.Table | None = None
    sites: pa.Table | None = None
    usual: pd.DataFrame | None = None


def wells_with_quality(
    wells: pa.Table, new_ids: NDArray[np.int32], facts: QualityAndSites
) -> pa.Table:
    """Return the wells with the manifest's condition ids, flags and their good sites.

    Parameters
    ----------
    wells
        Rows of the wells table, in its order.
    new_ids
        The manifest's condition_id of each of the screen's own.
    facts
        Rows of the other tables for these wells; those of other wells are left out.
    """
    at = wells.column_names.index("conditions")
    table = wells.set_column(at, "conditions", renumber(wells["conditions"], new_ids))
    failed = _Failed.of(wells, facts.quality)
    flags = {"is_failing": failed.wells}
    if facts.sites is not None:
        row = _rows_of(facts.sites, wells)
        flags |= _image_flags(wells, row, facts)
    for name, values in flags.items():
        table = table.append_column(name, pa.array(values))
    if facts.sites is None:
        return table.append_column("locators", pa.array([[]] * len(wells), pa.list_(pa.string())))
    if "locator" not in facts.sites.column_names:
        return table
    offsets, good = _good_sites(len(wells), row, facts.sites, failed)
    locators = pa.ListArray.from_arrays(offsets, one_chunk(good["locator"]))
    table = table.append_column("locators", locators)
    return table.append_column(SITES_OF_WELL, pa.ListArray.from_arrays(offsets, _structs(good)))


def screen_parts(
    wells: pd.DataFrame,
    new_ids: NDArray[np.int32],
    *,
    quality: pd.DataFrame | None = None,
    sites: pd.DataFrame | None = None,
    geometry: Mapping[str, int | None] | None = None,
) -> list[pa.Table]:
    """Return the wells of one screen in memory as parts, for TableParts.

    Parameters
    ----------
    wells, quality, sites
        Tables of their contracts. Without sites no well can have unusual or missing images.
    new_ids
        The manifest's condition_id of each of the screen's own.
    geometry
        Declared height_px, width_px and num_channels; where None, the most frequent of a modality.
    """
    complete = WELLS.completed(wells)[WELLS.schema.names]
    table = pa.Table.from_pandas(complete, WELLS.schema, preserve_index=False)
    table = table.replace_schema_metadata(None)
    facts = QualityAndSites(None if quality is None else _arrow(quality, QUALITY_COLUMNS))
    if sites is not None and len(sites):
        images = _arrow(sites, SITES.schema.names)
        shapes = ImageSizes()
        shapes.add(table, images)
        facts = QualityAndSites(facts.quality, images, shapes.usual(geometry or {}))
    return list(split_by_experiment(wells_with_quality(table, new_ids, facts)))


def _arrow(table: pd.DataFrame, columns: Sequence[str]) -> pa.Table:
    return pa.Table.from_pandas(table[list(columns)], preserve_index=False)


def renumber(conditions: pa.ChunkedArray, new_ids: NDArray[np.int32]) -> pa.Array:
    """Return the lists with every id replaced by new_ids[id]; a null list stays null."""
    lists = one_chunk(conditions)
    old = lists.values.to_numpy()
    raise_problems(
        [Problem("wells", f"condition_id {i} is not in the conditions table", "a known condition")
         for i in np.unique(old[(old < 0) | (old >= len(new_ids))])],
        TableError,
    )  # fmt: skip
    return pa.ListArray.from_arrays(
        lists.offsets, pa.array(new_ids[old], pa.int32()), mask=lists.is_null()
    )


def _rows_of(table: pa.Table, wells: pa.Table) -> NDArray[np.int64]:
    """Return the row in `wells` of each row's well, -1 where it is not there."""
    index = pd.Index(wells["well_id"].to_numpy())
    rows: NDArray[np.int64] = index.get_indexer(pd.Index(table["well_id"].to_numpy()))
    return rows.astype(np.int64, copy=False)


@dataclass(frozen=True)
class _Failed:
    """Which wells failed as a whole, (W,), and the keys of sites that failed, (F,)."""

    wells: NDArray[np.bool_]
    sites: NDArray[np.int64]

    @classmethod
    def of(cls, wells: pa.Table, quality: pa.Table | None) -> _Failed:
        is_failing = np.zeros(len(wells), dtype=np.bool_)
        if quality is None:
            return cls(is_failing, np.empty(0, dtype=np.int64))
        rows = quality.filter(pc.equal(quality["verdict"], "fail"))
        row, site = _rows_of(rows, wells), rows["site"].to_numpy()
        is_failing[row[(row >= 0) & (site == WHOLE_WELL)]] = True
        return cls(is_failing, _site_keys(row, site))


def _site_keys(row: NDArray[np.int64], site: NDArray[np.int32]) -> NDArray[np.int64]:
    """One number for a well's row and a site."""
    return (row << 32) + site


def _image_flags(
    wells: pa.Table, row: NDArray[np.int64], facts: QualityAndSites
) -> dict[str, NDArray[np.bool_]]:
    assert facts.sites is not None
    assert facts.usual is not None
    is_unusual, has_images = np.zeros((2, len(wells)), dtype=np.bool_)
    has_images[row[row >= 0]] = True
    shapes = shapes_of(facts.sites)
    usual = facts.usual.reindex(_modalities(wells, row))[shapes.columns]
    differs = (shapes.to_numpy() != usual.to_numpy()).any(axis=1)
    is_unusual[row[differs & (row >= 0)]] = True
    return {"is_unusual": is_unusual, "has_no_images": ~has_images}


def _modalities(wells: pa.Table, row: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return the modality of the well of each site; "" where the well is not there."""
    names = np.append(wells["modality"].to_numpy(zero_copy_only=False).astype(object), "")
    return names[row]


def _good_sites(
    num_wells: int, row: NDArray[np.int64], sites: pa.Table, failed: _Failed
) -> tuple[pa.Array, pa.Table]:
    """Return offsets by well, and its sites that did not fail, in order of well and site."""
    site = sites["site"].to_numpy()
    good = np.flatnonzero((row >= 0) & ~np.isin(_site_keys(row, site), failed.sites))
    order = good[np.lexsort((site[good], row[good]))]
    counts = np.bincount(row[order], minlength=num_wells)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.array(offsets), sites.take(pa.array(order))


def _structs(sites: pa.Table) -> pa.StructArray:
    names = [name for name in SITES.schema.names if name != "well_id"]
    return pa.StructArray.from_arrays([one_chunk(sites[name]) for name in names], names=names)


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return the column as one array."""
    wells_with_quality = column.combine_chunks()
    return (
        wells_with_quality
        if isinstance(wells_with_quality, pa.Array)
        else pa.concat_arrays(wells_with_quality.chunks)
    )
