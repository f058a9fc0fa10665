"""Measure the images of one batch of a screen's sites."""

import pandas as pd

from phenoprints.configuration.models.stages import Workers
from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.publishing import publish_table
from phenoprints.foundations.script_logging import logged
from phenoprints.foundations.workers import worker_pool
from phenoprints.quality import SITES_PER_WORKER, batch_of, measure_sites
from phenoprints.screens.images import open_images
from phenoprints.wells.contracts import SITES, WELLS

with logged(snakemake):
    files, params = snakemake.input, snakemake.params
    wells = WELLS.read(files.wells, ["well_id", "experiment"])
    sites = batch_of(
        SITES.read(files.sites), int(snakemake.wildcards.batch), params.num_batches
    ).merge(wells, on="well_id", how="left")
    known_bad = pd.read_parquet(files.unreadable)
    num_workers = min(snakemake.threads, 1 + len(sites) // SITES_PER_WORKER)
    with worker_pool(num_workers, Workers(**snakemake.config["workers"])) as spread:
        metrics = measure_sites(
            open_images(files.images),
            sites,
            nucleus_channel=params.nucleus_channel,
            unreadable=known_bad,
            spread=spread,
        )
    publish_table(snakemake.output.metrics, metrics)
    write_provenance(
        snakemake.output.metrics,
        "quality",
        settings={"nucleus_channel": params.nucleus_channel, "num_batches": params.num_batches},
        inputs=list(files),
        rows={"sites": len(sites), "unreadable": int((metrics["unreadable"] != "").sum())},
    )
