"""Place one screen on the frozen reference, and find what its conditions resemble."""

from pathlib import Path

from phenoprints.embeddings import open_embeddings
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_table
from phenoprints.foundations.script_logging import logged
from phenoprints.matches import MATCHES, MatchSettings, match, open_reference
from phenoprints.wells import Screen

with logged(snakemake):
    paths, params, output = snakemake.input, snakemake.params, snakemake.output
    screen = Screen.open(Path(paths.wells).parent, paths.quality)
    reference = open_reference(params.settings["reference"])
    result = match(
        reference,
        screen.wells(),
        open_embeddings(artefact_path(paths.embeddings)),
        screen.conditions,
        settings=MatchSettings.from_section(params.settings),
        is_usable=screen.usable(),
        seed=params.seed,
    )
    publish_table(output.fits, result.fits)
    publish_table(output.map, reference.places())
    MATCHES.write(output.table, result.table)
    for path in (output.fits, output.map, output.table):
        write_provenance(
            path,
            "matches",
            settings=params.settings,
            inputs=list(paths),
            rows={"in": len(screen.wells()), "out": len(result.table)},
            seeds={"seed": params.seed},
            notes=result.attributes,
        )
