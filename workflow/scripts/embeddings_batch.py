"""Embed one batch of a screen's units, with one encoder or several together."""

import pandas as pd
import torch

from phenoprints.embeddings.embedding_job import JobFiles, compute_jobs, open_job
from phenoprints.embeddings.units import Stores, batch_of, unit_groups, unit_tasks
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_json
from phenoprints.foundations.script_logging import logged

with logged(snakemake):
    paths, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    inference = snakemake.config["inference"]
    # The other threads read images; that of the networks stays one, and with it the bytes.
    torch.set_num_threads(max(1, snakemake.threads - inference["num_workers"]))
    batch, num_batches = int(names.batch), int(names.num_batches)
    jobs = [
        open_job(
            JobFiles(paths.wells, paths.sites, paths.quality, paths.images, encoder),
            Stores.at(**{kind: artefact_path(path) for kind, path in params.stores[name].items()}),
            params.settings[name],
            name=f"{names.screen} by {name}",
            device=inference["device"],
            job=batch,
        )
        for name, encoder in zip(params.settings, paths.encoders, strict=True)
    ]
    groups = unit_groups([unit_tasks(pd.read_parquet(path)) for path in paths.plans])
    chosen = batch_of(groups, batch, num_batches)
    done = compute_jobs(jobs, chosen, num_workers=inference["num_workers"])
    publish_json(snakemake.output.done, done)
    encoders = [artefact_path(path) for path in paths.encoders]
    write_provenance(
        snakemake.output.done,
        "embeddings",
        settings=params.settings,
        inputs=[paths.wells, paths.sites, paths.quality, paths.images, *encoders, *paths.plans],
        rows={"wells": jobs[0].num_wells},
        notes={"units": sum(map(len, chosen))},
    )
