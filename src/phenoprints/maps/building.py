"""Build the map of a screen, one experiment in memory at a time."""

# N wells · K components · G perturbations

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import ConfigurationError, DataError
from phenoprints.foundations.progress import Progress
from phenoprints.maps.aggregation import (
    aggregate,
    finish_means,
    group_medians,
    group_sums,
    unit_rows,
)
from phenoprints.maps.perturbations import (
    GENETIC_KINDS,
    Groups,
    annotation_columns,
    group_wells,
)
from phenoprints.maps.settings import MapSettings
from phenoprints.wells import (
    EmbeddingsReader,
    check_well_ids,
    control_wells,
    describe_wells,
    experiment_rows,
    read_checked,
)


@dataclass
class PerturbationMap:
    """One vector per perturbation: `table` (G rows) beside `vectors` (G, K) float32.

    `attributes` say how the map was made: settings, origin, its length, wells used and left out.
    """

    table: pd.DataFrame
    vectors: NDArray[np.float32]
    attributes: dict[str, Any] = field(default_factory=dict)

    def level(self, level: str) -> PerturbationMap:
        """Return the rows of one level, without those that have no vector."""
        finite = np.isfinite(self.vectors).all(axis=1)
        rows = np.flatnonzero((self.table["level"] == level).to_numpy() & finite)
        return PerturbationMap(
            self.table.iloc[rows].reset_index(drop=True), self.vectors[rows], self.attributes
        )


def perturbation_map(
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    reader: EmbeddingsReader,
    settings: MapSettings | None = None,
    *,
    is_usable: NDArray[np.bool_] | None = None,
) -> PerturbationMap:
    """Return the map of a screen at every level that it has.

    Parameters
    ----------
    wells, conditions
        Tables of the screen; wells sorted by experiment, plate, well.
    reader
        Aligned embeddings (`phenoprints.alignment.open_aligned`).
    is_usable
        One entry per well: False where quality says `fail`.

    Only wells with a single condition count; negative controls and unperturbed wells give the
    origin and are not on the map. The mean of the control wells is taken off every well: after an
    alignment on the same controls it is 0 already, and `attributes["origin_length"]`, in units of
    the median length of a control well, is the check of that.
    """
    settings = settings or MapSettings()
    described = describe_wells(wells, conditions)
    usable = np.ones(len(wells), dtype=bool) if is_usable is None else is_usable
    vectors = Vectors(wells, reader)
    origin, about = find_origin(wells, described, vectors, settings, usable)
    groups = _groups(described, conditions, settings)
    parts = aggregate_groups(vectors, groups, origin, usable, how=settings.aggregate)
    if settings.guides_first and {"gene", "guide"} <= groups.keys():
        parts["gene"] = _genes_from_guides(groups, parts["guide"], settings.aggregate)
    table = pd.concat([group.table for group in groups.values()], ignore_index=True)
    built = np.concatenate([parts[level] for level in groups]).astype(np.float32)
    built[table["num_usable"].to_numpy() < settings.min_wells] = np.nan
    return PerturbationMap(
        table,
        built,
        {
            "settings": settings.plain(),
            **about,
            "num_wells": len(wells),
            "num_single_condition_wells": int((described["condition_id"] >= 0).sum()),
            "num_failed_quality": int((~usable).sum()),
        },
    )


def _groups(
    described: pd.DataFrame, conditions: pd.DataFrame, settings: MapSettings
) -> dict[str, Groups]:
    annotations = tuple(annotation_columns(conditions))
    levels: list[str] = list(settings.levels)
    groups = {level: group_wells(described, level, annotations) for level in levels}
    groups = {level: group for level, group in groups.items() if len(group.table)}
    if not groups:
        raise DataError("maps: no well has a single condition, so there is no map.")
    return groups


def find_origin(
    wells: pd.DataFrame,
    described: pd.DataFrame,
    vectors: Vectors,
    settings: MapSettings,
    is_usable: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return the point (K,) that is taken off every well, and what to say about it."""
    if settings.centre_on == "none":
        return np.zeros(vectors.num_components()), {"origin_length": 0.0, "num_origin_wells": 0}
    mask = origin_wells(wells, described, vectors.reader, settings, is_usable)
    origin, length = _mean_of(vectors, mask)
    return origin, {"origin_length": length, "num_origin_wells": int(mask.sum())}


def origin_wells(
    wells: pd.DataFrame,
    described: pd.DataFrame,
    reader: EmbeddingsReader,
    settings: MapSettings,
    is_usable: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return a mask of the wells whose mean is the origin of the map."""
    alignment = reader.attributes.get("alignment", {})
    if settings.centre_on == "controls":
        return control_wells(wells, alignment.get("controls", "auto"), is_usable)[0]
    if alignment.get("arms"):
        raise ConfigurationError(
            "maps.centre_on: non-targeting guides cannot be the origin after chromosome-arm "
            "correction, which has already removed the effect of cutting.\n"
            "  To fix: set maps.centre_on: controls, or alignment.chromosome_arms: false."
        )
    mask: NDArray[np.bool_] = (
        (described["role"] == "negative_control") & described["kind"].isin(GENETIC_KINDS)
    ).to_numpy() & is_usable
    if not mask.any():
        raise DataError(
            "maps.centre_on: the screen has no usable non-targeting guide (a negative control with "
            "a genetic condition).\n  To fix: set maps.centre_on: controls."
        )
    return mask


class Vectors:
    """The aligned vectors of a screen, experiment by experiment with the rows of their wells."""

    def __init__(self, wells: pd.DataFrame, reader: EmbeddingsReader) -> None:
        check_well_ids(wells, reader)
        self._rows = experiment_rows(wells)
        self.reader = reader

    def __iter__(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        for name, index in self._rows.items():
            yield index, read_checked(self.reader, name, len(index))

    def counted(self, name: str) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """As by iteration, telling how far it is."""
        return Progress("experiments", len(self._rows), name=name).each(self)

    def num_components(self) -> int:
        """Return the width of the vectors."""
        return int(next(iter(self))[1].shape[1])

    def rows(self, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the vectors of the chosen wells, in the order of the wells table."""
        parts = [(index[chosen[index]], y[chosen[index]]) for index, y in self]
        order = np.argsort(np.concatenate([index for index, _ in parts]))
        stacked: NDArray[np.float32] = np.concatenate([y for _, y in parts])[order]
        return stacked


def _mean_of(vectors: Vectors, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Return the mean of the masked wells, and its length over their median length."""
    total: NDArray[np.float64] | None = None
    count, lengths = 0, [np.zeros(0)]
    for index, y in vectors.counted("finding the origin"):
        chosen = y[mask[index] & np.isfinite(y).all(axis=1)].astype(np.float64)
        part = chosen.sum(axis=0)
        total = part if total is None else total + part
        count += len(chosen)
        lengths.append(np.linalg.norm(chosen, axis=1))
    if total is None or not count:
        raise DataError("maps: no control well has a usable embedding, so there is no origin.")
    origin = total / count
    typical = float(np.median(np.concatenate(lengths)))
    return origin, float(np.linalg.norm(origin)) / typical if typical > 0 else 0.0


def aggregate_groups(
    vectors: Vectors,
    groups: dict[str, Groups],
    origin: NDArray[np.float64],
    is_usable: NDArray[np.bool_],
    *,
    how: str,
) -> dict[str, NDArray[np.float64]]:
    """One vector per group of every level; the groups' tables get a column `num_usable`."""
    if how == "median":
        return _medians(vectors, groups, origin, is_usable)
    sums = {level: np.zeros((len(g.table), len(origin))) for level, g in groups.items()}
    counts = {level: np.zeros(len(g.table), np.int64) for level, g in groups.items()}
    for index, y in vectors.counted("aggregating"):
        centred = y - origin.astype(y.dtype)
        if how == "spherical-mean":
            centred = unit_rows(centred)
        usable = is_usable[index] & np.isfinite(centred).all(axis=1)
        centred[~usable] = 0
        for level, group in groups.items():
            code = np.where(usable, group.code[index], -1)
            present, local = np.unique(code[code >= 0], return_inverse=True)
            narrow = np.full(len(code), -1)
            narrow[code >= 0] = local
            sums[level][present] += group_sums(centred, narrow, len(present))
            counts[level][present] += np.bincount(local, minlength=len(present))
    for level, group in groups.items():
        group.table["num_usable"] = counts[level].astype(np.int32)
    return {level: finish_means(sums[level], counts[level], how=how) for level in groups}


def _medians(
    vectors: Vectors,
    groups: dict[str, Groups],
    origin: NDArray[np.float64],
    is_usable: NDArray[np.bool_],
) -> dict[str, NDArray[np.float64]]:
    """Medians need a group's wells at once: the aligned wells lie in a temporary file meanwhile."""
    with TemporaryFile() as spool:
        parts = []
        for index, y in vectors.counted("reading"):
            centred = y - origin.astype(np.float32)
            centred.tofile(spool)
            parts.append((index, is_usable[index] & np.isfinite(centred).all(axis=1)))
        spool.flush()
        rows, usable = (np.concatenate(column) for column in zip(*parts, strict=True))
        x = np.memmap(spool, np.float32, "r", shape=(len(rows), len(origin)))
        medians = {}
        for level, group in groups.items():
            code, size = np.where(usable, group.code[rows], -1), len(group.table)
            counts = np.bincount(code[code >= 0], minlength=size)
            group.table["num_usable"] = counts.astype(np.int32)
            medians[level] = group_medians(x, code, size)
        return medians


def _genes_from_guides(
    groups: dict[str, Groups], guides: NDArray[np.float64], how: str
) -> NDArray[np.float64]:
    keys = ["kind", "cell_type", "background", "gene"]
    genes = pd.MultiIndex.from_frame(groups["gene"].table[keys])
    code = genes.get_indexer(pd.MultiIndex.from_frame(groups["guide"].table[keys]))
    return aggregate(guides, code, len(genes), how=how)
