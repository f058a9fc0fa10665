"""Measure the images of one batch of a screen's sites."""

import pandas as pd

from phenoprints.foundations.jobs import logged
from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.publishing import publish_table
from phenoprints.quality import batch_of, measure_sites
from phenoprints.screens.contracts import SITES, WELLS
from phenoprints.screens.images import open_images

with logged(snakemake.log):
    files, params = snakemake.input, snakemake.params
    wells = WELLS.read(files.wells, ["well_id", "experiment"])
    sites = batch_of(
        SITES.read(files.sites), int(snakemake.wildcards.batch), params.num_batches
    ).merge(wells, on="well_id", how="left")
    known_bad = pd.read_parquet(files.unreadable)
    metrics = measure_sites(
        open_images(files.images),
        sites,
        nucleus_channel=params.nucleus_channel,
        num_workers=snakemake.threads,
        unreadable=known_bad,
    )
    publish_table(snakemake.output.metrics, metrics)
    write_provenance(
        snakemake.output.metrics,
        "quality",
        settings={"nucleus_channel": params.nucleus_channel, "num_batches": params.num_batches},
        inputs=list(files),
        rows={"sites": len(sites), "unreadable": int((metrics["unreadable"] != "").sum())},
    )
