"""Write the pages of one run."""

import sys

from phenoprints.foundations.jobs import logged
from phenoprints.reports import build

with logged(snakemake.log):
    report = build(snakemake.params.run_folder, snakemake.params.config)
    sys.stderr.write("\n".join(report.lines) + "\n")
