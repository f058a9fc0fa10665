"""Write the folder of an encoder that is not trained here."""

import pandas as pd

from phenoprints import models
from phenoprints.foundations.jobs import logged
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.screens.images import open_images
from phenoprints.training.making import make_encoder, show_openphenom, training_record

with logged(snakemake.log):
    settings, seed = snakemake.params.settings, snakemake.params.seed
    channel_sets = set()
    for path in snakemake.input.get("sites", []):
        channels = pd.read_parquet(path, columns=["channels"])["channels"]
        channel_sets |= {tuple(names) for names in channels}
    encoder = make_encoder(settings, channel_sets=channel_sets, seed=seed)
    folder = artefact_path(snakemake.output[0])
    models.save(folder, encoder, training=training_record(settings))
    shown = (snakemake.input.get(name, []) for name in ("wells", "sites", "images"))
    for wells, sites, images in zip(*shown, strict=False):
        of_wells = pd.read_parquet(wells, columns=["well_id", "experiment"])
        table = pd.read_parquet(sites).merge(of_wells, on="well_id")
        show_openphenom(folder, settings["weights"], table, open_images(images))
    write_provenance(
        folder,
        "training",
        settings=settings,
        inputs=list(snakemake.input),
        seeds={"seed": seed},
    )
