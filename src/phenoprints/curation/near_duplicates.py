"""Find wells whose embeddings repeat those of another well of the screen."""

# N wells · D features · M principal components of the search

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import is_kept
from phenoprints.wells import EmbeddingsReader, experiment_rows, read_checked, single_condition

Floats = NDArray[np.float32]

SAMPLE_WELLS = 20_000
"""Wells from which the principal components of the search are computed."""

MAX_SHARE = 0.01
"""Share of the 5th percentile of replicates' distances that near duplicates never exceed: where
distances hardly vary, as in many dimensions, deviations alone would not keep them apart."""

SEARCH_COMPONENTS = 16
"""Components in which candidates are searched: distances there never exceed the true ones."""

MIN_REPLICATES = 20
"""Wells with a replicate in their experiment that the threshold needs."""

MAX_PAIRS = 20_000_000
"""Candidate pairs that are compared at most (320 MB)."""

COUNTED_WELLS = 5_000
"""Wells whose candidate pairs are counted beforehand."""

IDENTICAL = 1e-6
"""Squared distance of unit vectors below which float32 vectors count as identical."""


@dataclass(frozen=True)
class NearDuplicates:
    """Near duplicates of one screen.

    Attributes
    ----------
    table
        A row per well that repeats another: `well_id`, `same_as` (the well that stays: of each
        group the smallest well_id) and `cosine` to its nearest well of the group.
    cosine
        The threshold that was applied.
    num_replicates
        Wells with a replicate that the threshold comes from; below `MIN_REPLICATES` only identical
        vectors are found.
    """

    table: pd.DataFrame
    cosine: float
    num_replicates: int


def near_duplicates(
    wells: pd.DataFrame, reader: EmbeddingsReader, *, width: float = 8.0
) -> NearDuplicates:
    """Find groups of wells whose unaligned embeddings are nearer than replicates ever are.

    The threshold comes from the screen itself. For every well the distance 1 - cosine to its
    nearest replicate (same condition, same experiment) is computed; with the median m and the
    median absolute deviation s of their logarithms, wells nearer than exp(m - `width` · 1.4826 · s)
    are near duplicates, but never those farther than a hundredth of the 5th percentile. All pairs
    of the screen are compared: those that are near in a few principal components, which include
    every pair below the threshold, in full.

    Parameters
    ----------
    wells
        The wells table, in the order of the reader's rows.
    reader
        Embeddings before alignment, which would hide copies in other experiments.
    width
        Robust standard deviations below the median; above 0. Larger values find fewer.

    Returns
    -------
    NearDuplicates
        Wells with NaN or zero vectors take no part. Memory grows with `SEARCH_COMPONENTS` numbers
        per well, and one experiment's vectors.

    Raises
    ------
    DataError
        The reader's rows are not those of the wells.
    """
    distances = _replicate_distances(wells, reader)
    limit = _limit(distances, width)
    pairs = _candidates(wells, reader, limit)
    first, second, distance = _verified(wells, reader, pairs, limit)
    return NearDuplicates(_groups(wells, first, second, distance), 1.0 - limit, len(distances))


def _limit(distances: NDArray[np.float64], width: float) -> float:
    """Return the largest distance of a near duplicate, from those of replicates."""
    least = IDENTICAL / 2
    if len(distances) < MIN_REPLICATES:
        return least
    logs = np.log(np.maximum(distances, least))
    middle = np.median(logs)
    spread = 1.4826 * np.median(np.abs(logs - middle))
    usual = MAX_SHARE * np.quantile(distances, 0.05)
    return max(least, min(float(np.exp(middle - width * spread)), float(usual)))


def _unit_vectors(
    wells: pd.DataFrame, reader: EmbeddingsReader
) -> Iterator[tuple[NDArray[np.intp], Floats]]:
    """Yield rows of the wells table and their unit vectors, experiment by experiment."""
    for experiment, rows in experiment_rows(wells).items():
        x = read_checked(reader, experiment, len(rows))
        length = np.linalg.norm(x, axis=1, keepdims=True)
        usable = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
        yield rows[usable], (x[usable] / length[usable]).astype(np.float32)


def _replicate_distances(wells: pd.DataFrame, reader: EmbeddingsReader) -> NDArray[np.float64]:
    """Return 1 - cosine of each well to its nearest replicate in its experiment."""
    condition = single_condition(wells["conditions"])
    found = []
    for rows, x in _unit_vectors(wells, reader):
        code = condition[rows]
        order = np.argsort(code, kind="stable")
        starts = np.flatnonzero(np.diff(code[order], prepend=-2))
        for group in np.split(order, starts[1:]):
            if len(group) > 1 and code[group[0]] >= 0:
                distance = 1.0 - x[group].astype(np.float64) @ x[group].T.astype(np.float64)
                np.fill_diagonal(distance, np.inf)
                found.append(distance.min(axis=1))
    return np.concatenate(found) if found else np.empty(0)


def _candidates(wells: pd.DataFrame, reader: EmbeddingsReader, limit: float) -> NDArray[np.int64]:
    """Return all pairs of rows (P, 2) of which the projections are near enough."""
    axes = _axes(wells, reader)
    rows, points = [], []
    for index, x in _unit_vectors(wells, reader):
        rows.append(index)
        points.append(x @ axes)
    if not rows:
        return np.empty((0, 2), np.int64)
    # A little more than sqrt(2 · limit): float32 projections are rounded.
    radius = np.sqrt(2.0 * limit) * (1 + 1e-3) + 1e-5
    tree = cKDTree(np.concatenate(points))
    _refuse_too_many(tree, radius)
    pairs: NDArray[np.int64] = np.concatenate(rows)[tree.query_pairs(radius, output_type="ndarray")]
    return pairs


def _refuse_too_many(tree: cKDTree, radius: float) -> None:
    """Raise DataError where the embeddings cannot separate wells, before memory runs out."""
    step = max(1, tree.n // COUNTED_WELLS)
    some = cKDTree(tree.data[::step])
    num_pairs = (int(some.count_neighbors(tree, radius)) - some.n) * step // 2
    if num_pairs > MAX_PAIRS:
        raise DataError(
            f"near duplicates: {num_pairs:,} pairs of wells are nearer than replicates ever are. "
            f"Expected at most {MAX_PAIRS:,}.\n  To fix: choose an encoder whose embeddings "
            "separate wells (manifests.<name>.duplicates.encoder)."
        )


def _axes(wells: pd.DataFrame, reader: EmbeddingsReader) -> Floats:
    """Return the leading principal axes (D, M) of a sample of unit vectors."""
    share = min(1.0, SAMPLE_WELLS / max(1, len(wells)))
    sampled = is_kept(0, wells["well_id"].to_numpy(np.uint64), share)
    parts = [x[sampled[rows]] for rows, x in _unit_vectors(wells, reader)]
    x = np.concatenate(parts).astype(np.float64)
    centred = x - x.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return vectors[:, ::-1][:, :SEARCH_COMPONENTS].astype(np.float32)


def _verified(
    wells: pd.DataFrame, reader: EmbeddingsReader, pairs: NDArray[np.int64], limit: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs whose distance 1 - cosine is at most `limit`, and that distance."""
    needed = np.unique(pairs)
    vectors: Floats | None = None
    for rows, x in _unit_vectors(wells, reader):
        here = np.searchsorted(needed, rows)
        wanted = (
            (here < len(needed)) & (needed[np.minimum(here, len(needed) - 1)] == rows)
            if len(needed)
            else np.zeros(len(rows), bool)
        )
        if vectors is None:
            vectors = np.empty((len(needed), x.shape[1]), np.float32)
        vectors[here[wanted]] = x[wanted]
    if vectors is None or not len(pairs):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    a, b = np.searchsorted(needed, pairs.T)
    distance = np.empty(len(pairs))
    for start in range(0, len(pairs), 1 << 16):
        part = slice(start, start + (1 << 16))
        gap = vectors[a[part]].astype(np.float64) - vectors[b[part]]
        distance[part] = 0.5 * np.einsum("nd,nd->n", gap, gap)
    near = distance <= limit
    return pairs[near, 0], pairs[near, 1], distance[near]


def _groups(
    wells: pd.DataFrame,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    distance: NDArray[np.float64],
) -> pd.DataFrame:
    """Tabulate the wells of connected pairs but for the smallest id of each group."""
    rows, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    a, b = np.split(codes, 2)
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(rows), len(rows)))
    _, group = connected_components(graph, directed=False)
    ids = wells["well_id"].to_numpy(np.uint64)[rows]
    nearest = np.full(len(rows), np.inf)
    np.minimum.at(nearest, a, distance)
    np.minimum.at(nearest, b, distance)
    table = pd.DataFrame({"well_id": ids, "group": group, "cosine": 1.0 - nearest})
    table["same_as"] = table.groupby("group")["well_id"].transform("min")
    repeats = table[table["same_as"] != table["well_id"]].sort_values("well_id")
    return repeats[["well_id", "same_as", "cosine"]].reset_index(drop=True)
