"""A finished or unfinished run: its tables, embeddings and maps, by name.

>>> import phenoprints as pp
>>> run = pp.open_run("results/demo")  # doctest: +SKIP
>>> run.phenoprints("phenoprints")  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from phenoprints.configuration import Plan, plan, thaw
from phenoprints.configuration.layout import artefact
from phenoprints.foundations.errors import MissingInputError
from phenoprints.foundations.provenance import artefact_path
from phenoprints.wells import CONDITIONS, WELLS, Screen

if TYPE_CHECKING:
    from anndata import AnnData

    from phenoprints.alignment import AlignedEmbeddings
    from phenoprints.embeddings import EmbeddingReader
    from phenoprints.maps import PerturbationMap


def open_run(folder: str | Path) -> Run:
    """Open the folder of a run, given by its path or by its name below `results/`.

    Raises
    ------
    MissingInputError
        There is no such folder, or it holds no `config.json`.
    """
    for place in (Path(folder), Path("results") / folder):
        if (place / "config.json").is_file():
            return Run(place, thaw(place / "config.json"))
    raise MissingInputError(
        f"{folder}: no run found; expected a folder with config.json, or the name of one below "
        "results/.\n  To fix: run snakemake first, or correct the path."
    )


@dataclass(frozen=True)
class Run:
    """The folder of a run and its resolved configuration.

    Methods read one artefact each. An artefact that does not exist raises MissingInputError with
    the name of the target that makes it; an unknown screen, encoder or manifest is named together
    with those that the run has.
    """

    folder: Path
    config: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, screens={list(self.screens)})"

    @cached_property
    def plan(self) -> Plan:
        """The jobs that the configuration asks for."""
        return plan(self.config)

    @property
    def screens(self) -> tuple[str, ...]:
        """The names of the screens."""
        return tuple(self.plan.screens)

    @property
    def encoders(self) -> tuple[str, ...]:
        """The names of the encoders, trimmed ones included."""
        return tuple(self.plan.encoders)

    @property
    def manifests(self) -> tuple[str, ...]:
        """The names of the manifests."""
        return tuple(self.plan.manifests)

    def path(self, kind: str, **names: str) -> Path:
        """Return the path of an artefact; `kind` is a key of `configuration.layout.LAYOUT`."""
        return artefact(self.folder, kind, **names)

    def screen(self, screen: str) -> Screen:
        """Open the tables of a screen, to be read by experiment or whole, with its quality."""
        wells = self._existing("screen_wells", "screens", screen=screen)
        quality = self.path("quality", screen=screen)
        return Screen(wells.parent, quality if quality.is_file() else None)

    def wells(self, screen: str) -> pd.DataFrame:
        """Return the wells table of a screen (contract WELLS)."""
        return WELLS.read(self._existing("screen_wells", "screens", screen=screen))

    def conditions(self, screen: str) -> pd.DataFrame:
        """Return the conditions table of a screen (contract CONDITIONS)."""
        return CONDITIONS.read(self._existing("screen_conditions", "screens", screen=screen))

    def quality(self, screen: str) -> pd.DataFrame:
        """Return the verdict, reasons and metrics of every site and well of a screen."""
        return self._table("quality", "quality", screen=screen)

    def embeddings(self, screen: str, encoder: str) -> EmbeddingReader:
        """Open the embeddings of a screen before alignment; nothing is read yet."""
        from phenoprints.embeddings import open_embeddings

        return open_embeddings(
            artefact_path(self._existing("embeddings", "embed", screen=screen, encoder=encoder))
        )

    def aligned(self, screen: str, encoder: str) -> AlignedEmbeddings:
        """Open the embeddings of a screen, aligned as they are read."""
        from phenoprints.alignment import open_aligned

        fitted = self._existing("alignment", "align", screen=screen, encoder=encoder)
        return open_aligned(self.embeddings(screen, encoder), artefact_path(fitted))

    def anndata(self, screen: str, encoder: str, *, aligned: bool = False) -> AnnData:
        """Return the vectors of all wells of a screen with their metadata as one AnnData."""
        from phenoprints.embeddings.anndata_export import to_anndata

        open_vectors = self.aligned if aligned else self.embeddings
        reader = open_vectors(screen, encoder)
        return to_anndata(reader, self.wells(screen), self.conditions(screen))

    def consistency(self, screen: str, encoder: str) -> pd.DataFrame:
        """Return the test of every condition, gene and control set in every experiment."""
        return self._table("consistency", "consistency", screen=screen, encoder=encoder)

    def phenoprints(self, manifest: str) -> pd.DataFrame:
        """Return the combined p-values and the verdict of every condition of a manifest."""
        return self._table("phenoprints", "curate", manifest=manifest)

    def genes(self, manifest: str) -> pd.DataFrame:
        """Return the combined p-values and the verdict of every gene of a manifest."""
        return self._table("genes", "curate", manifest=manifest)

    def funnel(self, manifest: str) -> dict[str, Any]:
        """Return the counts of every step of the curation, with expected and measured rates."""
        path = self._existing("funnel", "curate", manifest=manifest)
        figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return figures

    def manifest(self, manifest: str) -> pd.DataFrame:
        """Return the wells that a manifest keeps."""
        path = artefact_path(self._existing("manifest", "curate", manifest=manifest))
        return pd.concat(map(pd.read_parquet, sorted(path.glob("part-*.parquet"))))

    def map(self, screen: str, encoder: str) -> PerturbationMap:
        """Open the map of a screen: one vector per perturbation at every level."""
        from phenoprints.maps import open_map

        path = self._existing("map", "map", screen=screen, encoder=encoder)
        return open_map(artefact_path(path))

    def benchmarks(self, screen: str, encoder: str) -> pd.DataFrame:
        """Return every benchmark value of a screen and encoder, with its random baseline."""
        return self._table("benchmark_table", "benchmark", screen=screen, encoder=encoder)

    def _table(self, kind: str, target: str, **names: str) -> pd.DataFrame:
        return pd.read_parquet(self._existing(kind, target, **names))

    def _existing(self, kind: str, target: str, **names: str) -> Path:
        for role, name in names.items():
            known = getattr(self, f"{role}s")
            if name not in known:
                raise MissingInputError(
                    f'{self.folder}: no {role} is called "{name}". Expected one of '
                    f"{', '.join(known)}."
                )
        path = self.path(kind, **names)
        if not path.exists():
            raise MissingInputError(
                f"{path}: not made yet.\n  To fix: run snakemake {target} with this configuration."
            )
        return path
