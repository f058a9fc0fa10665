"""Train one encoder; killed or stopped, the next start goes on from its newest checkpoint."""

import logging
import sys
from pathlib import Path

from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.training.job import TrainingJob, launch_job

with logged(snakemake):
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    paths, settings = snakemake.input, snakemake.params.settings
    names = [path.split("/")[-2] for path in paths.images]
    folder = artefact_path(snakemake.output[0])
    manifest, start = paths.get("manifest"), paths.get("start_from")
    job = TrainingJob(
        settings=settings,
        folder=str(folder),
        images=dict(zip(names, paths.images, strict=True)),
        manifest=str(artefact_path(manifest[0])) if manifest else None,
        conditions=paths.conditions[0],
        screen=None if manifest else str(Path(paths.wells[0]).parent),
        quality=None if manifest else paths.quality[0],
        start_from=str(artefact_path(start[0])) if start else None,
        seed=snakemake.params.seed,
    )
    rows = launch_job(job)
    write_provenance(
        folder,
        "training",
        settings=settings,
        inputs=list(paths),
        rows=rows,
        seeds={"seed": snakemake.params.seed},
    )
