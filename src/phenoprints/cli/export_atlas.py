"""`phenoprints export-atlas RUN`: the maps of a run as a folder that a browser opens from disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from phenoprints.cli.exporting import new_folder, refuse_stale
from phenoprints.cli.runs import run_folder
from phenoprints.foundations.provenance import artefact_path
from phenoprints.runs import open_run
from phenoprints.sharing.atlas import maps_of, write_atlas


def run(arguments: argparse.Namespace) -> int:
    """Write the folder and print what is in it and what to open."""
    found, target = open_run(run_folder(arguments.run)), Path(arguments.output)
    pairs = maps_of(found, arguments.screen, arguments.encoder)
    maps = [found.path("map", screen=screen, encoder=encoder) for screen, encoder in pairs]
    refuse_stale(found.folder, [artefact_path(path) for path in maps])
    with new_folder(target) as folder:
        counts = write_atlas(found, pairs, folder, num_images=arguments.images)
    print(f"{target}: " + ", ".join(f"{number:,} {what}" for what, number in counts.items()))
    print(f"Open {target / 'index.html'}")
    return 0
