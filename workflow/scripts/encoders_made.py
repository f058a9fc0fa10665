"""Write the folder of an encoder that is not trained here."""

from pathlib import Path

from phenoprints import models
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.screens.images import open_images
from phenoprints.screens.preparing import keyed_sites
from phenoprints.training.untrained import make_encoder, show_openphenom, training_record
from phenoprints.wells import SITES

with logged(snakemake):
    settings, seed = snakemake.params.settings, snakemake.params.seed
    channel_sets = set()
    for path in snakemake.input.get("sites", []):
        channel_sets |= {tuple(names) for names in SITES.read(path, ["channels"])["channels"]}
    encoder = make_encoder(settings, channel_sets=channel_sets, seed=seed)
    folder = artefact_path(snakemake.output[0])
    models.save(folder, encoder, training=training_record(settings))
    for images in snakemake.input.get("images", []):
        table = keyed_sites(Path(images).parent)
        show_openphenom(folder, settings["weights"], table, open_images(images))
    write_provenance(
        folder,
        "training",
        settings=settings,
        inputs=list(snakemake.input),
        seeds={"seed": seed},
    )
