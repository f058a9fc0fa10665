"""Download one table of known biology into the cache."""

from pathlib import Path

from phenoprints.annotation import download
from phenoprints.foundations.jobs import logged

with logged(snakemake.log):
    name = snakemake.params.names[snakemake.wildcards.annotation]
    download(name, Path(snakemake.output.table).parent)
