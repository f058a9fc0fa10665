"""Judge the measured sites, wells and plates of one screen."""

import pandas as pd

from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.foundations.script_logging import logged
from phenoprints.quality import (
    QUALITY,
    QualitySettings,
    assess_screen,
    catalogue,
    replicate_correlations,
)
from phenoprints.wells import WELLS, WHOLE_WELL

with logged(snakemake):
    files, out = snakemake.input, snakemake.output
    settings = QualitySettings.from_section(snakemake.params.settings)
    wells = WELLS.read(files.wells)
    metrics = pd.concat([pd.read_parquet(path) for path in files.metrics], ignore_index=True)
    table, plates = assess_screen(metrics, wells, settings)
    QUALITY.write(out.table, table)
    publish_table(out.plates, plates)
    publish_json(out.rules, catalogue(settings))
    alike = replicate_correlations(table, wells, seed=snakemake.params.seed)
    publish_table(out.replicates, alike)
    whole = table[table["site"] == WHOLE_WELL]
    rows = {
        "wells": len(wells),
        "sites": len(metrics),
        "failing_wells": int((whole["verdict"] == "fail").sum()),
        "failing_plate_checks": int((plates["verdict"] == "fail").sum()),
    }
    for output in (out.table, out.plates, out.replicates, out.rules):
        write_provenance(
            output,
            "quality",
            settings=dict(snakemake.params.settings),
            inputs=[files.wells, *files.metrics],
            rows=rows,
            seeds={"seed": snakemake.params.seed},
        )
