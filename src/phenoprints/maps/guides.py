"""Do the guides of a gene agree, and which of them stand apart."""

# G guides · K components · N genes

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.maps.aggregation import Floats, group_sums, unit_rows

OUTLIER_QUANTILE = 0.95
"""A guide must agree with its gene better than this share of guides agrees with foreign genes."""

MIN_AGREEING_GUIDES = 2
"""A guide is an outlier only where at least so many others of its gene agree."""

MAX_GUIDES = 2000
"""Guides that are compared with all foreign genes; where there are more, so many are drawn."""


def guide_concordance(table: pd.DataFrame, vectors: Floats) -> pd.DataFrame:
    """One row per guide: how well it agrees with the other guides of its gene.

    Parameters
    ----------
    table, vectors
        Guides of one cell type and background: columns name, gene; vectors (G, K).

    Returns
    -------
    Columns gene, guide, num_guides, cosine_to_others, threshold, is_outlier. `cosine_to_others` is
    the cosine with the mean direction of the gene's other guides, NaN for a gene with one guide.
    `threshold` is the 95 % quantile of the cosines of all guides with the mean directions of all
    other genes. An outlier does not exceed it while at least two other guides of its gene do.
    """
    unit = unit_rows(np.asarray(vectors, np.float64))
    genes, code = np.unique(table["gene"].to_numpy(dtype=str), return_inverse=True)
    sums = group_sums(unit, code, len(genes))
    counts = np.bincount(code, minlength=len(genes))
    others = np.where(counts[code, None] > 1, sums[code] - unit, np.nan)
    own = np.einsum("gk,gk->g", unit, unit_rows(others))
    threshold = _foreign_quantile(unit, unit_rows(sums), code)
    agrees = own > threshold
    num_agreeing = np.bincount(code, weights=agrees, minlength=len(genes))
    is_outlier = ~agrees & np.isfinite(own) & (num_agreeing[code] >= MIN_AGREEING_GUIDES)
    return pd.DataFrame(
        {
            "gene": genes[code],
            "guide": table["name"].to_numpy(dtype=object),
            "num_guides": counts[code].astype(np.int32),
            "cosine_to_others": own,
            "threshold": threshold,
            "is_outlier": is_outlier,
        }
    )


def _foreign_quantile(unit: Floats, genes: Floats, code: NDArray[np.integer]) -> float:
    if len(genes) < 2:
        return float("nan")
    if len(unit) > MAX_GUIDES:
        rng = generator(0, "maps", "guides", len(unit))
        chosen = np.sort(rng.permutation(len(unit))[:MAX_GUIDES])
        unit, code = unit[chosen], code[chosen]
    cosines = unit.astype(np.float32) @ genes.T.astype(np.float32)
    cosines[np.arange(len(unit)), code] = np.nan
    return float(np.nanquantile(cosines, OUTLIER_QUANTILE))
