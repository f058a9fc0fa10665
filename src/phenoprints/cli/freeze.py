"""`phenoprints freeze RUN SCREEN ENCODER -o FOLDER`: a map as a reference for new screens."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phenoprints import annotation
from phenoprints.alignment import arms_of_loci, load_alignment
from phenoprints.annotation.tables import read_table
from phenoprints.cli.runs import base_folder, checked_provenance, run_folder
from phenoprints.cli.verify import verified_artefact
from phenoprints.configuration.references import base_encoder
from phenoprints.foundations.errors import DataError, MissingInputError
from phenoprints.foundations.provenance import artefact_path, provenance_path
from phenoprints.maps import read_map_table
from phenoprints.matches import freeze_reference, save_reference
from phenoprints.matches.reference import check_license
from phenoprints.runs import Run, open_run

MADE_FROM = ("screen_wells", "screen_conditions", "quality", "embeddings", "alignment", "map")
SETTINGS = {"alignment": "alignment", "map": "maps"}
"""Artefacts whose settings are compared with those of the configuration, by their section."""


def run(arguments: argparse.Namespace) -> int:
    """Write the reference and print where it is."""
    check_license(arguments.license)
    if Path(arguments.output).exists():
        raise DataError(
            f"{arguments.output}: exists, and a published reference never changes.\n"
            "  To fix: choose another folder, or remove this one."
        )
    opened = open_run(run_folder(arguments.run))
    screen, encoder = arguments.screen, arguments.encoder
    refuse_stale(opened, screen, encoder)
    stored = opened.screen(screen)
    alignment = load_alignment(
        artefact_path(opened.path("alignment", screen=screen, encoder=encoder))
    )
    folder = artefact_path(opened.path("map", screen=screen, encoder=encoder))
    kind = opened.config["encoders"][base_encoder(encoder)]["kind"]
    reference = freeze_reference(
        stored.wells(),
        stored.conditions,
        opened.embeddings(screen, encoder),
        alignment,
        opened.map(screen, encoder),
        about={
            "name": arguments.name or f"{opened.config['run']}/{screen}/{encoder}",
            "license": arguments.license,
            "is_precomputed": kind == "precomputed",
        },
        layout=read_map_table(folder, "layout"),
        arms=_arms(opened.config) if alignment.attributes.get("arms") else None,
        is_usable=stored.usable(),
    )
    save_reference(reference, arguments.output)
    print(f"{arguments.output}: {len(reference.map.table):,} vectors of {reference.about['name']}")
    return 0


def refuse_stale(opened: Run, screen: str, encoder: str) -> None:
    """Refuse a map that is unfinished, damaged, or not made from what the run holds now.

    Raises
    ------
    MissingInputError
        Something that the map is made from does not exist; the target that makes it is named.
    DataError
        An artefact, one of its inputs or its settings has changed since.
    """
    opened.embeddings(screen, encoder), opened.aligned(screen, encoder), opened.map(screen, encoder)
    base = base_folder(opened.folder)
    names = {"screen": screen, "encoder": encoder}
    for kind in MADE_FROM:
        path = opened.path(kind, **names)
        artefact = artefact_path(path) if path.name.endswith(".provenance.json") else path
        for finding in verified_artefact(provenance_path(artefact), opened.folder, base):
            raise DataError(f"the run is stale or damaged.\n  {finding}")
        section = SETTINGS.get(kind)
        settings = checked_provenance(artefact)["settings"]
        if section and settings != opened.config["screens"][screen][section]:
            raise DataError(
                f"{artefact} was made with other settings than the configuration has now.\n"
                f"  To fix: run snakemake {'align' if kind == 'alignment' else 'map'} again."
            )


def _arms(config: Mapping[str, Any]) -> dict[str, str]:
    options = {key: config["annotation"][key] for key in ("folder", "cache", "offline")}
    path = annotation.path_of("gene-loci", **options)
    if path is None or not Path(path).is_file():
        raise MissingInputError(
            "the alignment corrects chromosome arms, and the table of gene loci that names "
            "them is not there.\n  To fix: set annotation.folder, or allow downloads."
        )
    return arms_of_loci(read_table(path))
