# Phenoprints: from raw Cell Painting screens to curated training sets, encoders, maps and reports.
from snakemake.utils import min_version

min_version("9.20")


container: "docker://condaforge/miniforge3:25.3.0-3"


include: "workflow/rules/configuration.smk"
include: "workflow/rules/paths.smk"
include: "workflow/rules/screens.smk"
include: "workflow/rules/quality.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/embeddings.smk"
include: "workflow/rules/alignment.smk"
include: "workflow/rules/consistency.smk"
include: "workflow/rules/curation.smk"
include: "workflow/rules/probes.smk"
include: "workflow/rules/maps.smk"
include: "workflow/rules/matches.smk"
include: "workflow/rules/benchmarks.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/reports.smk"


onsuccess:
    print(success_message(INPUTS.expand), file=sys.stderr)


onerror:
    print(failure_message(INPUTS.expand, STARTED), file=sys.stderr)


# After the rules: pathvars that hold wildcards are filled in only when a rule is complete, and
# constraints that are given earlier pass them by.
wildcard_constraints:
    screen=one_of(INPUTS.plan.screens),
    encoder=one_of(INPUTS.plan.encoders),
    manifest=one_of(INPUTS.plan.manifests),
    task=one_of(INPUTS.plan.tasks),


rule all:
    """Everything: screens, curation, encoders, maps, benchmarks and reports."""
    default_target: True
    input:
        rules.screens.input,
        rules.quality.input,
        rules.embed.input,
        rules.align.input,
        rules.consistency.input,
        rules.curate.input,
        rules.train.input,
        rules.probe.input,
        rules.map.input,
        rules.match.input,
        rules.benchmark.input,
        rules.report.input,
    localrule: True
