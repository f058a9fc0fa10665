"""Test which conditions of one screen look the same every time, as one encoder sees them."""

import sys
from pathlib import Path

from phenoprints.alignment import open_aligned
from phenoprints.consistency import ConsistencySettings, repeated_vectors, screen_consistency
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.embeddings import open_embeddings
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.wells import Screen, failed_wells

with logged(snakemake):
    paths, params = snakemake.input, snakemake.params
    screen = Screen.open(Path(paths.wells).parent, paths.quality)
    wells = screen.wells()
    embeddings = open_embeddings(artefact_path(paths.embeddings))
    copies = repeated_vectors(wells, embeddings)
    table = screen_consistency(
        wells,
        screen.conditions,
        open_aligned(embeddings, artefact_path(paths.alignment)),
        settings=ConsistencySettings.from_section(params.settings, params.limits),
        failing=[*failed_wells(screen.verdicts()), *copies["well_id"]],
        threshold=params.threshold,
        seed=params.seed,
        workers=snakemake.threads,
    )
    sys.stderr.writelines(
        f"well {copy.well_id} has the same vector as well {copy.same_as}, which counts alone\n"
        for copy in copies.itertuples()
    )
    CONSISTENCY.write(snakemake.output.table, table)
    write_provenance(
        snakemake.output.table,
        "consistency",
        settings={
            "consistency": params.settings,
            "limits": params.limits,
            "threshold": params.threshold,
        },
        inputs=list(paths),
        rows={"in": len(wells), "out": len(table)},
        seeds={"seed": params.seed},
        notes={"repeated_vectors": len(copies)},
    )
