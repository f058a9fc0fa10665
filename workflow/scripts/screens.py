"""Read one screen and write its tables, notes and provenance."""

import sys
from pathlib import Path

from phenoprints.foundations.errors import MAX_SHOWN, PhenoprintsError
from phenoprints.foundations.provenance import write_provenance
from phenoprints.screens import read
from phenoprints.screens.storing import write_problems, write_screen

log = Path(snakemake.log[0])
try:
    screen = read(snakemake.params.settings, name=snakemake.wildcards.screen)
except PhenoprintsError as error:
    message = str(error)
    if len(error.problems) > MAX_SHOWN:
        write_problems(error, log.with_suffix(".problems.txt"))
        message += f"\nAll of them stand in {log.with_suffix('.problems.txt')}."
    log.write_text(message + "\n", encoding="utf-8")
    sys.exit(message)

write_screen(screen, Path(snakemake.output.wells).parent)
log.write_text("\n".join(screen.notes["warnings"]) + "\n", encoding="utf-8")
for output in snakemake.output:
    write_provenance(
        output,
        "screens",
        settings=dict(snakemake.params.settings),
        inputs=screen.inputs,
        rows={"out": screen.notes["counts"]["wells"]},
        notes=screen.notes,
    )
