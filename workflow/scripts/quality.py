"""Write the quality table of one screen."""

import pandas as pd

from phenoprints.foundations.provenance import write_provenance
from phenoprints.quality import QUALITY, not_assessed

wells = pd.read_parquet(snakemake.input.wells, columns=["well_id"])
sites = pd.read_parquet(snakemake.input.sites, columns=["well_id", "site"])
table = not_assessed(wells, sites)
QUALITY.write(snakemake.output.table, table)
write_provenance(
    snakemake.output.table,
    "quality",
    settings=snakemake.params.settings,
    inputs=[snakemake.input.wells, snakemake.input.sites],
    rows={"wells": len(wells), "sites": len(sites), "out": len(table)},
)
