"""Gather from files what the benchmarks of one screen and encoder need."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from phenoprints.alignment import (
    Alignment,
    arms_of_loci,
    load_alignment,
)
from phenoprints.annotation.tables import read_clusters, read_pairs, read_table, read_truth
from phenoprints.benchmarks.inputs import BenchmarkInputs
from phenoprints.embeddings import open_embeddings
from phenoprints.foundations.provenance import artefact_path
from phenoprints.maps import MapSettings, open_map, perturbation_map
from phenoprints.wells import EmbeddingsReader, Screen


@dataclass(frozen=True)
class SomeExperiments:
    """A reader that shows some experiments of another."""

    source: EmbeddingsReader
    experiments: list[str]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Those of the whole."""
        return self.source.attributes

    def read(self, experiment: str) -> NDArray[np.float32]:
        """Return the vectors of one experiment."""
        return self.source.read(experiment)


def seen_by(
    experiments: Collection[str], *, learned_from_screen: bool, hold_out: Collection[str]
) -> str:
    """Return what the encoder was trained on: none, screen or experiments.

    `none` of the screen, the `screen` (other experiments of it), or these `experiments`, where at
    least one of them was not held out.
    """
    if not learned_from_screen:
        return "none"
    return "screen" if set(experiments) <= set(hold_out) else "experiments"


def load_inputs(
    paths: Mapping[str, str],
    tables: Mapping[str, str],
    settings: Mapping[str, Any],
    *,
    encoder: str,
    learned_from_screen: bool = False,
    hold_out: Collection[str] = (),
    seed: int = 0,
) -> BenchmarkInputs:
    """Return the inputs of `run_benchmarks` from the workflow's files.

    Parameters
    ----------
    paths
        wells, conditions and quality tables; provenance files of embeddings, alignment and map.
        Beside the wells a screen may have tables of its own: `relationships` and `compound_genes`.
    tables
        Name to path of known biology: sources of relationships, corum-clusters, compound-gene,
        gene-loci; what is absent is not at hand.
    settings
        The configuration's section `benchmarks`, whole.
    """
    screen = Screen.open(Path(paths["wells"]).parent, paths["quality"])
    wells, conditions, usable = screen.wells(), screen.conditions, screen.usable()
    alignment = load_alignment(artefact_path(paths["alignment"]))
    embeddings: EmbeddingsReader = open_embeddings(artefact_path(paths["embeddings"]))
    built = open_map(artefact_path(paths["map"]))
    if settings["experiments"] == "held-out" and hold_out:
        chosen = wells["experiment"].isin(hold_out).to_numpy()
        wells, usable = wells[chosen].reset_index(drop=True), usable[chosen]
        embeddings = SomeExperiments(embeddings, sorted(wells["experiment"].unique()))
        built = perturbation_map(
            wells, conditions, alignment.of(embeddings),
            MapSettings.stored(built.attributes["settings"]), is_usable=usable,
        )  # fmt: skip
    experiments = wells["experiment"].unique()
    beside = Path(paths["wells"]).parent
    cluster_source, clusters = _clusters(tables, settings, beside, built.table)
    return BenchmarkInputs(
        wells=wells,
        conditions=conditions,
        reader=alignment.of(embeddings),
        built=built,
        is_usable=usable,
        settings=settings,
        encoder=encoder,
        seen=seen_by(experiments, learned_from_screen=learned_from_screen, hold_out=hold_out),
        seed=seed,
        pairs=_pairs(tables, settings, beside, built.table),
        clusters=clusters,
        cluster_source=cluster_source,
        truth=_truth(tables, beside),
        arms=arms_of_loci(read_table(tables["gene-loci"])) if "gene-loci" in tables else None,
        uncorrected=_without_arms(alignment).of(embeddings),
    )


def _without_arms(alignment: Alignment) -> Alignment:
    return alignment.with_arms({}, {"arms": {}})


def _pairs(
    tables: Mapping[str, str],
    settings: Mapping[str, Any],
    screen_folder: Path,
    built: pd.DataFrame,
) -> dict[str, pd.DataFrame]:
    wanted = settings["relationships"]["sources"]
    pairs = {source: read_pairs(tables[source]) for source in wanted if source in tables}
    for name, path in settings["relationships"]["files"].items():
        pairs[name] = read_pairs(path, min_score=settings["relationships"]["min_score"])
    if "screen" in wanted:
        own = screen_folder / "relationships.parquet"
        column = settings["mechanism"]["annotation"]
        if own.exists():
            pairs["screen"] = read_pairs(own)[["entity1", "entity2"]]
        elif column in built.columns:
            pairs["screen"] = pairs_of_annotation(built, column)
    return {
        source: table.drop(columns="source", errors="ignore") for source, table in pairs.items()
    }


def _clusters(
    tables: Mapping[str, str],
    settings: Mapping[str, Any],
    screen_folder: Path,
    built: pd.DataFrame,
) -> tuple[str, Mapping[str, frozenset[str]] | None]:
    """Where the known groups come from, and the groups; None where they are not at hand."""
    source, own = settings["clusters"]["source"], screen_folder / "relationships.parquet"
    if source in ("auto", "screen") and own.exists():
        return "screen", groups_of_pairs(read_pairs(own))
    if source in ("auto", "corum") and "corum-clusters" in tables:
        return "corum", read_clusters(tables["corum-clusters"])
    if source == "auto" and settings["mechanism"]["annotation"] in built.columns:
        return "annotation", None
    return source, None


def _truth(tables: Mapping[str, str], screen_folder: Path) -> pd.DataFrame | None:
    own = screen_folder / "compound_genes.parquet"
    if "compound-gene" in tables:
        return read_truth(tables["compound-gene"])
    return read_truth(own) if own.exists() else None


def groups_of_pairs(pairs: pd.DataFrame) -> dict[str, frozenset[str]]:
    """Return the connected groups of known pairs, each named after its first member."""
    names, code = np.unique(pairs[["entity1", "entity2"]].to_numpy(dtype=str), return_inverse=True)
    first, second = code.reshape(-1, 2).T
    edges = sparse.coo_array((np.ones(len(first)), (first, second)), shape=(len(names),) * 2)
    _, group = connected_components(edges, directed=False)
    members = pd.Series(names).groupby(group)
    return {str(own.min()): frozenset(own) for _, own in members}


def pairs_of_annotation(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Pairs of perturbations of one level that share a value of an annotation ("" is none).

    The level is that of the main map: genes where there are any, else compounds.
    """
    for level in ("gene", "compound", "condition"):
        rows = table[(table["level"] == level) & (table[column] != "")]
        if len(rows):
            break
    named = rows[["name", column]].drop_duplicates()
    both = named.merge(named, on=column, suffixes=("1", "2"))
    both = both[both["name1"] < both["name2"]]
    return both.rename(columns={"name1": "entity1", "name2": "entity2"})[["entity1", "entity2"]]
