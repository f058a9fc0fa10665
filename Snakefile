# Phenoprints: from raw Cell Painting screens to curated training sets, encoders, maps and reports.
from snakemake.utils import min_version

min_version("9.20")


container: "docker://condaforge/miniforge3:25.3.0-3"


include: "workflow/rules/configuration.smk"
include: "workflow/rules/paths.smk"
include: "workflow/rules/screens.smk"
include: "workflow/rules/quality.smk"
include: "workflow/rules/embeddings.smk"
include: "workflow/rules/alignment.smk"
include: "workflow/rules/consistency.smk"
include: "workflow/rules/curation.smk"
include: "workflow/rules/maps.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/reports.smk"


rule all:
    """Everything: screens, curation, encoders, maps, benchmarks and reports."""
    default_target: True
    input:
        rules.curate.input,
        rules.map.input,
        rules.benchmark.input,
        rules.report.input,
    localrule: True
