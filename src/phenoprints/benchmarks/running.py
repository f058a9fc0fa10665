"""Run the configured benchmarks of one screen and encoder into one tidy table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from phenoprints.benchmarks.compound_gene import z_score
from phenoprints.benchmarks.inputs import NAN, BenchmarkInputs, Row, one_line
from phenoprints.benchmarks.on_controls import activity_rows, magnitude_rows
from phenoprints.benchmarks.on_maps import (
    cluster_rows,
    enrichment_rows,
    mechanism_rows,
    proximity_bias_rows,
    relationship_rows,
)
from phenoprints.benchmarks.on_wells import compound_gene_rows, replicate_rows
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.progress import Progress


def run_benchmarks(names: Sequence[str], inputs: BenchmarkInputs) -> pd.DataFrame:
    """One row per metric of every named benchmark, in the columns of the contract BENCHMARKS.

    A benchmark that cannot run on this screen (nothing annotated, too few perturbations, a table
    that is not at hand) has one row without value, with the reason.
    """
    rows: list[Row] = []
    for name in Progress("benchmarks", len(names)).each(sorted(names)):
        try:
            own = list(BENCHMARK_FUNCTIONS[name](inputs))
        except PhenoprintsError as error:
            own = [{"metric": "", "reason": one_line(error)}]
        rows += [{"benchmark": name, **row} for row in own]
    defaults: Row = {"source": "", "context": "", "value": NAN, "sd": NAN, "n": 0}
    defaults |= {"random": NAN, "random_sd": NAN, "reason": ""}
    table = pd.DataFrame([{**defaults, **row} for row in rows])
    table["encoder"], table["seen"] = inputs.encoder, inputs.seen
    table["block"] = str(inputs.reader.attributes.get("block", ""))
    spreads = table[["sd", "random_sd"]].fillna(0.0)
    table["z"] = [
        z_score(value, sd, random, random_sd)
        for value, sd, random, random_sd in zip(
            table["value"], spreads["sd"], table["random"], spreads["random_sd"], strict=True
        )
    ]
    table["significance"] = _significance(table)
    return table


def _significance(table: pd.DataFrame) -> pd.Series:
    """Return the benchmark's own significance, else (value - random)/random_sd; NaN for SD 0.

    Random baselines other than those of magnitude and activity are draws of the value itself.
    """
    spread = table["random_sd"].where(table["random_sd"] > 0)
    of_draws = (table["value"] - table["random"]) / spread
    if "significance" not in table:
        return of_draws
    gives_its_own = table["benchmark"].isin(["activity", "magnitude"])
    return table["significance"].where(gives_its_own, of_draws)


BENCHMARK_FUNCTIONS: dict[str, Callable[[BenchmarkInputs], Iterator[Row]]] = {
    "relationships": relationship_rows,
    "replicates": replicate_rows,
    "magnitude": magnitude_rows,
    "compound-gene": compound_gene_rows,
    "mechanism": mechanism_rows,
    "activity": activity_rows,
    "clusters": cluster_rows,
    "enrichment": enrichment_rows,
    "proximity-bias": proximity_bias_rows,
}
"""Every benchmark by the name that the configuration uses."""
