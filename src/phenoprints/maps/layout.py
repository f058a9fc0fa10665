"""Where a perturbation stands on paper: two dimensions, and an order for the heat map."""

# G perturbations · K components

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import pdist

from phenoprints.maps.aggregation import Floats, unit_rows
from phenoprints.maps.neighbours import contexts

MAX_CLUSTERED = 2000
"""Perturbations that a clustered heat map can hold: the order takes G² memory."""

MIN_TSNE = 10
"""Fewer perturbations than this are laid out by PCA in any case."""


def clustered_order(vectors: Floats) -> NDArray[np.intp]:
    """Return the order (G,) of rows that puts similar ones side by side.

    Average linkage on cosine distances with optimal leaf ordering (Bar-Joseph 2001).
    """
    if len(vectors) < 3:
        return np.arange(len(vectors))
    distances = np.clip(pdist(unit_rows(np.asarray(vectors, np.float64)), "cosine"), 0, None)
    tree = linkage(distances, method="average", optimal_ordering=True)
    order: NDArray[np.intp] = leaves_list(tree).astype(np.intp)
    return order


def two_dimensions(vectors: Floats, *, how: str = "pca", seed: int = 0) -> NDArray[np.float64]:
    """Coordinates (G, 2): the first two principal components, or t-SNE started from them.

    Each component's largest coordinate is positive. t-SNE runs on cosine distances.
    """
    x = np.asarray(vectors, np.float64)
    x = x - x.mean(axis=0)
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    flat = np.zeros((len(x), 2))
    width = min(2, len(values))
    flat[:, :width] = left[:, :width] * values[:width]
    largest = flat[np.argmax(np.abs(flat), axis=0), [0, 1]]
    flat *= np.where(largest < 0, -1.0, 1.0)
    if how == "tsne" and len(x) >= MIN_TSNE:
        return _tsne(vectors, flat, seed)
    return flat


def _tsne(vectors: Floats, start: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    scale = max(float(start[:, 0].std()), np.finfo(float).tiny)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    model = TSNE(
        2, perplexity=perplexity, metric="cosine", init=start / scale * 1e-4, random_state=seed
    )
    flat: NDArray[np.float64] = model.fit_transform(unit_rows(np.asarray(vectors, np.float32)))
    return flat.astype(np.float64)


def layout_table(
    table: pd.DataFrame, vectors: Floats, *, how: str = "pca", seed: int = 0
) -> pd.DataFrame:
    """Columns level, name, kind, cell_type, background, x, y, position.

    `position` counts from 0 in the order of the clustered heat map of its level, cell type and
    background; -1 where there are more than 2,000 perturbations.
    """
    columns = ["level", "name", "kind", "cell_type", "background"]
    parts = []
    for _, rows in contexts(table, vectors):
        part = table.iloc[rows][columns].reset_index(drop=True)
        part[["x", "y"]] = two_dimensions(vectors[rows], how=how, seed=seed)
        part["position"] = np.int32(-1)
        if len(rows) <= MAX_CLUSTERED:
            order = clustered_order(vectors[rows])
            part.loc[order, "position"] = np.arange(len(rows), dtype=np.int32)
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
