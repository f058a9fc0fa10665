"""Write the quality table of a screen without images."""

from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.quality import QUALITY, not_assessed
from phenoprints.wells.contracts import SITES, WELLS

with logged(snakemake):
    wells = WELLS.read(snakemake.input.wells, ["well_id"])
    sites = SITES.read(snakemake.input.sites, ["well_id", "site"])
    table = not_assessed(wells, sites)
    QUALITY.write(snakemake.output.table, table)
    write_provenance(
        snakemake.output.table,
        "quality",
        settings={},
        inputs=[snakemake.input.wells, snakemake.input.sites],
        rows={"wells": len(wells), "sites": len(sites), "out": len(table)},
    )
