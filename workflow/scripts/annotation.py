"""Download one table of known biology into the cache."""

import sys
from pathlib import Path

from phenoprints.annotation import download, source_named
from phenoprints.foundations.script_logging import logged

with logged(snakemake):
    name = snakemake.params.names[snakemake.wildcards.annotation]
    sys.stderr.write(f"{source_named(name).terms}\n")
    download(name, Path(snakemake.output.table).parent)
