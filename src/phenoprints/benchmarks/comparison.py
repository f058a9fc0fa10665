"""What many encoders together say: do probes foretell benchmarks, and does training pay."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.stats import linregress, spearmanr

from phenoprints.benchmarks.contracts import BY_PROBES, BY_TRAINING
from phenoprints.benchmarks.published import published_correlations, published_training
from phenoprints.foundations.tables import Contract

MIN_ENCODERS = 3
"""Fewer encoders have no rank correlation and no line worth printing."""

MEASURE = ["screen", "benchmark", "source", "context", "metric"]
"""What names a measure over encoders; where a table lacks one of these it has just one."""

TRIMMED = ".trimmed"
PROBE = "probe"
"""The benchmark under which the accuracies of probes stand beside the cost of training."""


def probes_and_benchmarks(accuracies: pd.DataFrame, benchmarks: pd.DataFrame) -> pd.DataFrame:
    """Spearman correlation, over encoders, of probe accuracies with each benchmark (Figure 4).

    Parameters
    ----------
    accuracies
        Columns task, encoder, balanced_accuracy: one row per task and encoder.
    benchmarks
        Rows of benchmark tables: benchmark, metric, encoder, value and, where they differ, screen,
        source and context.

    Returns
    -------
    Columns task, those that name the measure, spearman, num_encoders; NaN below three encoders or
    where one side does not vary. Ties get mean ranks.
    """
    rows = []
    for task, probe in accuracies.groupby("task", sort=True):
        accuracy = probe.groupby("encoder")["balanced_accuracy"].mean()
        for key, value in _measures(benchmarks):
            both = pd.concat([accuracy, value], axis=1).dropna().to_numpy()
            rows.append([task, *key, _spearman(both), len(both)])
    columns = ["task", *_keys(benchmarks), "spearman", "num_encoders"]
    return pd.DataFrame(rows, columns=columns)


def training_pays(benchmarks: pd.DataFrame, flops: pd.Series) -> pd.DataFrame:
    """Return the line of each benchmark against log10 of the training FLOPs of encoders (Figure 9).

    Parameters
    ----------
    benchmarks
        As for `probes_and_benchmarks`.
    flops
        Training FLOPs by encoder; encoders without (or with 0) are left out.

    Returns
    -------
    The columns that name the measure, slope (per decade), intercept, r_squared, num_encoders; NaN
    below three encoders.
    """
    known = flops[flops > 0]
    rows = []
    for key, value in _measures(benchmarks):
        both = pd.concat([np.log10(known), value], axis=1, join="inner").dropna().to_numpy()
        slope = intercept = r_squared = float("nan")
        if len(both) >= MIN_ENCODERS and np.ptp(both[:, 0]) > 0:
            line = linregress(both[:, 0], both[:, 1])
            slope, intercept, r_squared = line.slope, line.intercept, line.rvalue**2
        rows.append([*key, slope, intercept, r_squared, len(both)])
    columns = [*_keys(benchmarks), "slope", "intercept", "r_squared", "num_encoders"]
    return pd.DataFrame(rows, columns=columns)


def accuracies_of_encoders(
    accuracies: pd.DataFrame,
    trimmed: Mapping[str, int],
    blocks: Mapping[str, int | None] | None = None,
) -> pd.DataFrame:
    """Return each encoder's probe accuracy at the block it ends with, averaged over runs.

    Parameters
    ----------
    accuracies
        Tables of the probes: task, encoder, block, balanced_accuracy, a row per block and run.
    trimmed
        The block after which `<encoder>.trimmed` ends, by encoder.
    blocks
        The configured block of an encoder's embeddings; None, and no entry, is the last.
    """
    rows = []
    for (task, encoder), own in accuracies.groupby(["task", "encoder"], sort=True):
        of_block = own.groupby("block")["balanced_accuracy"].mean()
        ends = {str(encoder): (blocks or {}).get(str(encoder)) or int(of_block.index.max())}
        if encoder in trimmed:
            ends[f"{encoder}{TRIMMED}"] = trimmed[str(encoder)]
        rows += [(task, name, of_block.get(block)) for name, block in ends.items()]
    return pd.DataFrame(rows, columns=["task", "encoder", "balanced_accuracy"])


def probes_table(accuracies: pd.DataFrame, benchmarks: pd.DataFrame) -> pd.DataFrame:
    """Tabulate task, measure and encoder, with their correlation over encoders.

    Correlations that the paper gives stand below, marked `is_published`, without encoders.
    """
    values = _by_encoder(benchmarks)
    rows = accuracies.dropna().merge(values, on="encoder")
    lines = probes_and_benchmarks(accuracies, benchmarks)
    table = rows.merge(lines, on=["task", *_keys(benchmarks)])
    return _with_published(BY_PROBES, table, published_correlations())


def training_table(
    benchmarks: pd.DataFrame, flops: pd.Series, accuracies: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Tabulate measures of encoders with a known training cost, with the line through them.

    The paper's encoders stand below, marked `is_published`, with a line of their own. `accuracies`
    (task, encoder, balanced_accuracy) are measures too, with the benchmark "probe" and the task as
    source: the probe panels of Figure 9.
    """
    published = published_training()
    known = published.set_index("encoder")["training_flops"]
    theirs = _points(published, known[~known.index.duplicated()])
    if accuracies is not None and len(accuracies):
        probes = accuracies.rename(columns={"task": "source", "balanced_accuracy": "value"})
        probes = probes.assign(benchmark=PROBE, screen="", context="", metric="balanced_accuracy")
        benchmarks = pd.concat([benchmarks, probes], ignore_index=True)
    return _with_published(BY_TRAINING, _points(benchmarks, flops), theirs)


def _points(benchmarks: pd.DataFrame, flops: pd.Series) -> pd.DataFrame:
    trained = flops[flops > 0].rename("training_flops").rename_axis("encoder").reset_index()
    rows = _by_encoder(benchmarks).merge(trained, on="encoder")
    return rows.merge(training_pays(benchmarks, flops), on=_keys(benchmarks))


def _with_published(
    contract: Contract, ours: pd.DataFrame, published: pd.DataFrame
) -> pd.DataFrame:
    """Ours above the published rows, in the contract's columns and types."""
    parts = [ours.assign(is_published=False), published.assign(is_published=True)]
    both = pd.concat([part for part in parts if len(part)], ignore_index=True)
    both = both.reindex(columns=contract.schema.names)
    texts = both.columns.intersection([*MEASURE, "encoder", "task"])
    both[texts] = both[texts].astype(object).where(both[texts].notna(), "")
    both["num_encoders"] = both["num_encoders"].fillna(0)
    table: pd.DataFrame = contract.conform(both).to_pandas()
    return table


def _by_encoder(benchmarks: pd.DataFrame) -> pd.DataFrame:
    keys = [*_keys(benchmarks), "encoder"]
    known = benchmarks.dropna(subset=["value"])
    means: pd.DataFrame = known.groupby(keys, sort=True)["value"].mean().reset_index()
    return means


def _keys(benchmarks: pd.DataFrame) -> list[str]:
    return [key for key in MEASURE if key in benchmarks.columns]


def _measures(benchmarks: pd.DataFrame) -> Iterator[tuple[tuple[Hashable, ...], pd.Series]]:
    """Yield the name of each measure, and its values by encoder."""
    for key, results in benchmarks.groupby(_keys(benchmarks), sort=True):
        yield key, results.groupby("encoder")["value"].mean()


def _spearman(both: np.ndarray) -> float:
    if len(both) < MIN_ENCODERS or (np.ptp(both, axis=0) == 0).any():
        return float("nan")
    return float(spearmanr(both[:, 0], both[:, 1]).statistic)
