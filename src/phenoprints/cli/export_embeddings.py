"""`phenoprints export-embeddings RUN SCREEN ENCODER`: vectors in the forms of other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.cli.exporting import refuse_existing
from phenoprints.cli.runs import run_folder
from phenoprints.configuration.layout import artefact
from phenoprints.embeddings import EmbeddingReader, open_embeddings
from phenoprints.embeddings.anndata_export import to_anndata, write_anndata
from phenoprints.embeddings.exports import to_profiles, write_gallery
from phenoprints.foundations.errors import MissingInputError
from phenoprints.foundations.publishing import publish_table
from phenoprints.wells import CONDITIONS, WELLS, EmbeddingsReader, check_reader


def run(arguments: argparse.Namespace) -> int:
    """Write the export and print where it is."""
    folder = run_folder(arguments.run)
    screen, encoder = arguments.screen, arguments.encoder
    target = Path(arguments.output or f"{screen}.{encoder}{ENDINGS[arguments.to]}")
    refuse_existing(target)
    wells = WELLS.read(artefact(folder, "screen_wells", screen=screen))
    conditions = CONDITIONS.read(artefact(folder, "screen_conditions", screen=screen))
    if arguments.to == "gallery":
        files = gallery(folder, screen, encoder, wells, target)
        print(f"{target}: {len(files):,} files")
        return 0
    reader = opened(folder, screen, encoder, is_aligned=arguments.aligned)
    if arguments.to == "anndata":
        data = to_anndata(reader, wells, conditions, licence=arguments.license)
        write_anndata(target, data)
        without = len(wells) - len(data)
    else:
        publish_table(target, to_profiles(reader, wells, conditions))
        without = 0
    left_out = f" ({without:,} without a vector left out)" if without else ""
    print(f"{target}: {len(wells) - without:,} wells{left_out}")
    return 0


ENDINGS = {"anndata": ".h5ad", "profiles": ".parquet", "gallery": "/workspace_dl"}


def opened(folder: Path, screen: str, encoder: str, *, is_aligned: bool) -> EmbeddingsReader:
    """Return the embeddings of a pair in a run, or the same as the run aligned them."""
    embeddings = open_embeddings(folder / "embeddings" / screen / encoder)
    if not is_aligned:
        return embeddings
    from phenoprints.alignment import open_aligned

    return open_aligned(embeddings, folder / "alignment" / screen / encoder)


def gallery(
    folder: Path, screen: str, encoder: str, wells: pd.DataFrame, target: Path
) -> list[Path]:
    """Return the Gallery's layout, from the vectors of crops that the run kept."""
    store = folder / "crops" / screen / encoder
    if not store.exists():
        raise MissingInputError(
            f"{store}: the run kept no vectors of crops, which the Gallery's layout holds.\n"
            "  To fix: set inference.keep_crops: true and run the target `embed` again."
        )
    reader = open_embeddings(store)
    check_reader(wells, reader)
    numbers, places, rows = reader.attributes["sites"], [], []
    for experiment, group in wells.groupby("experiment", sort=False):
        for row, (plate, well) in enumerate(zip(group["plate"], group["well"], strict=True)):
            places += [(str(experiment), plate, well, number) for number in numbers]
            rows += [(str(experiment), row, slot) for slot in range(len(numbers))]
    crops = _Crops(reader)
    kept = [i for i, (name, row, slot) in enumerate(rows) if crops.is_there(name, row, slot)]
    return write_gallery(
        target, encoder, wells, sites=[places[i] for i in kept],
        vectors=lambda index: crops.of(*rows[kept[index]]),
    )  # fmt: skip


class _Crops:
    """Vectors of crops by experiment, well and site; one experiment is in memory at a time."""

    def __init__(self, reader: EmbeddingReader) -> None:
        self.reader = reader
        self.name = ""
        self.values: NDArray[np.float32] = np.empty((0, 0, 0, 0), np.float32)

    def of(self, experiment: str, row: int, slot: int) -> NDArray[np.float32]:
        """Return the vectors (K, D) of the crops of one site."""
        if experiment != self.name:
            self.name, self.values = experiment, self.reader.read(experiment)
        crops: NDArray[np.float32] = self.values[row, slot]
        return crops

    def is_there(self, experiment: str, row: int, slot: int) -> bool:
        """Whether the well has this site."""
        return bool(np.isfinite(self.of(experiment, row, slot)).all())
