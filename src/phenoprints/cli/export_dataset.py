"""`phenoprints export-dataset RUN MANIFEST`: a manifest as a folder for others."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from phenoprints.cli.exporting import new_folder, refuse_stale
from phenoprints.cli.runs import run_folder
from phenoprints.foundations.provenance import artefact_path
from phenoprints.runs import open_run
from phenoprints.sharing import DatasetFacts, write_dataset

HOME = "https://github.com/phenoprints/phenoprints"
KINDS = ("manifest", "phenoprints", "genes", "funnel", "reasons")


def run(arguments: argparse.Namespace) -> int:
    """Write the folder and print what is in it."""
    found, manifest = open_run(run_folder(arguments.run)), arguments.manifest
    found.funnel(manifest)  # names an unknown manifest, or the target that makes it
    paths = [found.path(kind, manifest=manifest) for kind in KINDS]
    refuse_stale(found.folder, [_artefact(path) for path in paths])
    name = arguments.name or f"{found.config['run']}-{manifest}"
    made = datetime.fromtimestamp(int(paths[0].stat().st_mtime), UTC)
    facts = DatasetFacts(
        name=name, licence=arguments.license, creator=arguments.creator,
        date=arguments.date or made.date().isoformat(),
        cite=arguments.cite or f"{arguments.creator}: {name}, curated with Phenoprints.",
        url=arguments.url or HOME,
    )  # fmt: skip
    target = Path(arguments.output)
    with new_folder(target) as folder:
        counts = write_dataset(found, manifest, folder, facts, has_images=arguments.images)
    print(f"{target}: " + ", ".join(f"{number:,} {what}" for what, number in counts.items()))
    return 0


def _artefact(path: Path) -> Path:
    return artefact_path(path) if path.name.endswith(".provenance.json") else path
