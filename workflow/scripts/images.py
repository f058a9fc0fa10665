"""Make the images of one screen ready: packed into a store, or windows for 16-bit images."""

from pathlib import Path

from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.screens.preparing import prepare_images

with logged(snakemake):
    settings = dict(snakemake.params.settings)
    done = prepare_images(
        Path(snakemake.output.images).parent,
        settings,
        name=snakemake.wildcards.screen,
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
    for output in snakemake.output:
        write_provenance(
            output,
            "screens",
            settings=settings,
            inputs=[snakemake.input.sites],
            rows={key: done[key] for key in ("sites", "packed", "unreadable")},
            seeds={"seed": snakemake.params.seed},
            notes={"windows": done["windows"]},
        )
