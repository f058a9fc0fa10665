"""What benchmarks of one screen and encoder work on, and the rows that they give."""

# G perturbations · K components

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import CrossFittedReader
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.maps import PerturbationMap
from phenoprints.wells import EmbeddingsReader, describe_wells

Row = dict[str, Any]
NAN = float("nan")


@dataclass
class BenchmarkInputs:
    """All that benchmarks of one screen and encoder may need.

    `settings` is the configuration's section `benchmarks`. `pairs` (source to table), `clusters`,
    `truth` and `arms` (gene to chromosome arm) are None or empty where they are not at hand.
    `uncorrected` reads the embeddings aligned without chromosome-arm correction. `seen` is one of
    none, screen, experiments.
    """

    wells: pd.DataFrame
    conditions: pd.DataFrame
    reader: CrossFittedReader
    built: PerturbationMap
    is_usable: NDArray[np.bool_]
    settings: Mapping[str, Any]
    encoder: str
    seen: str = "none"
    seed: int = 0
    pairs: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    clusters: Mapping[str, frozenset[str]] | None = None
    cluster_source: str = "corum"
    truth: pd.DataFrame | None = None
    arms: Mapping[str, str] | None = None
    uncorrected: EmbeddingsReader | None = None

    def described(self) -> pd.DataFrame:
        """Describe the perturbation of each well."""
        return describe_wells(self.wells, self.conditions)

    def main_level(self) -> PerturbationMap:
        """Return the map at the level that has names of biology: genes, else
        compounds, else any.
        """
        for level in dict.fromkeys(["gene", "compound", "condition", *self.built.table["level"]]):
            part = self.built.level(level)
            if len(part.table):
                return part
        raise NotRunError("no perturbation of the map has a vector")


class NotRunError(PhenoprintsError):
    """A benchmark has nothing to work on; the message becomes the reason of its row."""


def contexts_of(part: PerturbationMap) -> Iterator[tuple[str, PerturbationMap]]:
    """Yield parts of a map of one kind, cell type and background, named; "" where there is one."""
    keys = ["kind", "cell_type", "background"]
    indices = part.table.groupby(keys, sort=True).indices
    for key, rows in sorted(indices.items()):
        name = " ".join(word for word in map(str, key) if word) if len(indices) > 1 else ""  # type: ignore[call-overload]
        table = part.table.iloc[rows].reset_index(drop=True)
        yield name, PerturbationMap(table, part.vectors[rows], part.attributes)


def in_each_context(
    inputs: BenchmarkInputs,
    benchmark: Callable[[BenchmarkInputs, PerturbationMap], Iterator[Row]],
) -> Iterator[Row]:
    """Yield rows of a benchmark of the main level, context by context; one that fails says why."""
    for context, part in contexts_of(inputs.main_level()):
        try:
            rows = list(benchmark(inputs, part))
        except PhenoprintsError as error:
            rows = [{"metric": "", "reason": one_line(error)}]
        yield from ({"context": context, **row} for row in rows)


def one_line(error: Exception) -> str:
    """Return the message of an error without its line breaks."""
    return " ".join(str(error).split())
