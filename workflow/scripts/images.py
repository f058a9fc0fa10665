"""Make the images of one screen ready: packed into a store, or windows for 16-bit images."""

from pathlib import Path

from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.freshness.image_files import image_states, image_version, record_images
from phenoprints.screens.preparing import local_image_files, prepare_images

with logged(snakemake):
    settings = dict(snakemake.params.settings)
    folder, screen = Path(snakemake.output.images).parent, snakemake.wildcards.screen
    root, files = local_image_files(folder, settings)
    states, version = image_states(root, files), image_version(folder.parents[1], screen)
    done = prepare_images(
        folder,
        settings,
        name=screen,
        seed=snakemake.params.seed,
        threads=snakemake.threads,
        version=version,
    )
    if files:
        record_images(folder.parents[1], screen, root, states, version)
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
