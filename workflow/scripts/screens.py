"""Read one screen and write its tables, notes and provenance."""

from pathlib import Path

from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.screens.reading import read
from phenoprints.screens.storing import problems_written, write_screen

with logged(snakemake), problems_written(Path(snakemake.log[0]).with_suffix(".problems.txt")):
    settings = dict(snakemake.params.settings)
    screen = read(settings, name=snakemake.wildcards.screen, seed=snakemake.params.seed)
    for output in write_screen(screen, Path(snakemake.output.wells).parent):
        write_provenance(
            output,
            "screens",
            settings=settings,
            inputs=screen.inputs,
            rows={"out": screen.notes["counts"]["wells"]},
            seeds={"seed": snakemake.params.seed},
            notes=screen.notes,
        )
