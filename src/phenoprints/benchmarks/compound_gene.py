"""Do compounds look like the knock-out of their targets: average precision over measured pairs."""

# S draws · P positives · M negatives · C compounds (or genes)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.maps import unit_rows

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class CompoundGeneSettings:
    """Which pairs are positive and how negatives are drawn.

    A pair measured at or below `active_nm` is positive; above that and up to `inactive_nm` it is
    left out. Negatives are drawn without replacement from the other partners in the truth table:
    max(`negatives_per_positive` · positives, `min_negatives`) of them, in `num_seeds` draws.
    """

    active_nm: float = 1000.0
    inactive_nm: float = 10000.0
    negatives_per_positive: int = 2
    min_negatives: int = 20
    num_seeds: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Query:
    """One compound (or gene) with the partners that it is asked for."""

    name: str
    positives: NDArray[np.intp]
    negatives: NDArray[np.intp]
    """Draws (S, M) of partners."""


def compound_gene_precision(
    scores: Mapping[str, pd.DataFrame],
    truth: pd.DataFrame,
    settings: CompoundGeneSettings | None = None,
    *,
    by: str = "compound",
) -> pd.DataFrame:
    """Average precision and AUC of finding known partners by score, with a random baseline.

    Parameters
    ----------
    scores
        Name of a score (a concentration, or `max`) to a table of `abs(cosine)`: compounds as rows,
        genes as columns.
    truth
        Columns treatment, gene_symbol, nM_value. Of several measurements of a pair the lowest
        counts.
    by
        `compound` asks each compound for its genes, `gene` each gene for its compounds.

    Returns
    -------
    One row per score: columns score, by, average_precision and auc with `_sd`, `random_` and `_z`
    companions, num_queries, num_skipped_no_positive, num_skipped_small_pool. Within one draw the
    mean over queries is taken; values are the mean and the standard deviation over draws. Ties
    give the expected average precision over their orders. Compounds whose score is NaN (not
    tested at a concentration) are left out of that score.

    The random stream is keyed by (seed, name of the query), and pools are sorted, so that neither
    order nor other queries matter. Source: ViTally Consistent, section 6; EFAAR_benchmarking.
    """
    settings = settings or CompoundGeneSettings()
    table = truth.rename(columns={"treatment": "compound", "gene_symbol": "gene"})
    other = "gene" if by == "compound" else "compound"
    rows = []
    for name, given in scores.items():
        score = given if by == "compound" else given.T
        score = score.sort_index(axis=0).sort_index(axis=1)
        score = score.loc[score.notna().any(axis=1), score.notna().any(axis=0)]
        queries, skipped = _queries(score, table, (by, other), settings)
        rows.append({"score": name, "by": by, **_evaluate(score, queries, settings), **skipped})
    return pd.DataFrame(rows)


def compound_gene_scores(
    compounds: pd.DataFrame, compound_vectors: Floats, genes: list[str], gene_vectors: Floats
) -> dict[str, pd.DataFrame]:
    """`abs(cosine)` of compounds with genes: per concentration ("0.1") and their maximum ("max").

    `compounds` has the columns perturbation and concentration_um.
    """
    unit, targets = unit_rows(compound_vectors), unit_rows(gene_vectors)
    cosines = np.abs(unit @ targets.T).astype(np.float64)
    whole = pd.DataFrame(cosines, columns=genes)
    names = compounds["perturbation"].to_numpy(dtype=str)
    dose = compounds["concentration_um"].to_numpy(np.float64)
    scores = {
        f"{um:g}": whole[dose == um].set_axis(names[dose == um], axis=0)
        for um in np.unique(dose[np.isfinite(dose)])
    }
    scores["max"] = whole.groupby(names).max()
    return scores


def _queries(
    score: pd.DataFrame,
    truth: pd.DataFrame,
    columns: tuple[str, str],
    settings: CompoundGeneSettings,
) -> tuple[list[Query], dict[str, int]]:
    own, partner = columns
    known = truth[truth[own].isin(score.index) & truth[partner].isin(score.columns)]
    lowest = known.groupby([own, partner])["nM_value"].min().reset_index()
    everyone = np.sort(score.columns.get_indexer(pd.Index(lowest[partner].unique())))
    queries, no_positive, small_pool = [], 0, 0
    for name, measured in lowest.groupby(own, sort=True):
        index = score.columns.get_indexer(pd.Index(measured[partner]))
        potency = measured["nM_value"].to_numpy()
        positives = np.sort(index[potency <= settings.active_nm])
        excluded = index[potency <= settings.inactive_nm]
        pool = np.setdiff1d(everyone, excluded)
        size = max(settings.negatives_per_positive * len(positives), settings.min_negatives)
        no_positive += len(positives) == 0
        small_pool += len(positives) > 0 and len(pool) < size
        if len(positives) and len(pool) >= size:
            negatives = _draw(pool, size, settings, str(name))
            queries.append(Query(str(name), positives, negatives))
    skipped = {"num_skipped_no_positive": no_positive, "num_skipped_small_pool": small_pool}
    return queries, skipped


def _draw(
    pool: NDArray[np.intp], size: int, settings: CompoundGeneSettings, name: str
) -> NDArray[np.intp]:
    """Draws (S, size) from the pool, each without replacement."""
    rng = generator(settings.seed, "benchmarks", "compound-gene", name)
    keys = rng.random((settings.num_seeds, len(pool)), dtype=np.float32)
    chosen = np.argpartition(keys, size - 1, axis=1)[:, :size]
    return pool[np.sort(chosen, axis=1)]


def _evaluate(
    score: pd.DataFrame, queries: list[Query], settings: CompoundGeneSettings
) -> dict[str, float | int]:
    values = score.to_numpy()
    results = {"model": _mean_over_queries(_scored(values, score.index, queries))}
    results["random"] = _mean_over_queries(_at_random(queries, settings))
    row: dict[str, float | int] = {"num_queries": len(queries)}
    for column, metric in enumerate(("average_precision", "auc")):
        (mean, sd), (random, random_sd) = (
            (float(draws[:, column].mean()), float(draws[:, column].std()))
            for draws in (results["model"], results["random"])
        )
        row |= {
            metric: mean,
            f"{metric}_sd": sd,
            f"{metric}_random": random,
            f"{metric}_random_sd": random_sd,
            f"{metric}_z": z_score(mean, sd, random, random_sd),
        }
    return row


def _scored(
    values: NDArray[np.float64], names: pd.Index[str], queries: list[Query]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    rows = names.get_indexer(pd.Index([query.name for query in queries]))
    for row, query in zip(rows, queries, strict=True):
        positive = np.broadcast_to(
            values[row, query.positives], (len(query.negatives), len(query.positives))
        )
        yield positive, values[row][query.negatives]


def _at_random(
    queries: list[Query], settings: CompoundGeneSettings
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    for query in queries:
        rng = generator(settings.seed, "benchmarks", "compound-gene-random", query.name)
        num_draws, num_negatives = query.negatives.shape
        yield rng.random((num_draws, len(query.positives))), rng.random((num_draws, num_negatives))


def _mean_over_queries(
    scored: Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> NDArray[np.float64]:
    """Mean average precision and AUC of each draw (S, 2); NaN without queries."""
    parts = [
        np.stack([average_precision(positive, negative), auc(positive, negative)], axis=1)
        for positive, negative in scored
    ]
    return np.mean(parts, axis=0) if parts else np.full((1, 2), np.nan)


def average_precision(
    positive: NDArray[np.float64], negative: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the average precision (S,) of scores of positives (S, P) among negatives (S, M).

    Ties give the expectation over all orders of the tied items: with p positives and k items above
    a tie of t items, r of them positive, the positives of the tie add
    (r/t)·[(p+1)·H + (r-1)/(t-1)·(t - (k+1)·H)], H = Σ 1/(k+j) over j = 1 … t. In absence of ties
    this is scikit-learn's average_precision_score.
    """
    above_p = (positive[:, None, :] > positive[:, :, None]).sum(axis=2)
    tied_p = (positive[:, None, :] == positive[:, :, None]).sum(axis=2)
    above_n = (negative[:, None, :] > positive[:, :, None]).sum(axis=2)
    tied_n = (negative[:, None, :] == positive[:, :, None]).sum(axis=2)
    k, t = above_p + above_n, tied_p + tied_n
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, k.max() + t.max() + 1))])
    between = harmonic[k + t] - harmonic[k]
    spread = np.where(t > 1, (tied_p - 1) / np.maximum(t - 1, 1), 0)
    total = ((above_p + 1) * between + spread * (t - (k + 1) * between)) / t
    mean: NDArray[np.float64] = total.mean(axis=1)
    return mean


def auc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under the ROC curve (S,); ties count a half."""
    above = (positive[:, :, None] > negative[:, None, :]).mean(axis=(1, 2))
    tied = (positive[:, :, None] == negative[:, None, :]).mean(axis=(1, 2))
    area: NDArray[np.float64] = above + tied / 2
    return area


def z_score(value: float, spread: float, random: float, random_spread: float) -> float:
    """(value - random) / sqrt(spread² + random_spread²); NaN where both spreads are 0.

    With standard deviations over seeds for average precision and median absolute deviations for
    the energy distance this is the z of the paper's Table 3.
    """
    total = float(np.hypot(spread, random_spread))
    return (value - random) / total if total > 0 else float("nan")
