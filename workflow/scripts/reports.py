"""Write the pages of one run."""

import sys
from pathlib import Path

from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.reports import build

with logged(snakemake):
    report = build(snakemake.params.run_folder, snakemake.params.config)
    sys.stderr.write("\n".join(report.lines) + "\n")
    write_provenance(
        Path(snakemake.output.summary).parent,
        "reports",
        settings=snakemake.params.config["reports"],
        inputs=sorted(set(snakemake.input)),
        notes={"findings_sha256": report.findings_sha256},
    )
