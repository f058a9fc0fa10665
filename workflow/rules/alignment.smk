# What remains when batch effects are removed, and the tables of known biology that later rules use.


rule align:
    """Remove batch effects from every screen as every encoder sees it."""
    input:
        INPUTS.paths_for_pairs("alignment", INPUTS.plan.aligned_pairs),
    localrule: True


rule download_annotation:
    """Download one table of known biology into the cache and check it."""
    output:
        table=f"{INPUTS.annotation_folder()}/{{annotation}}",
    log:
        "<logs>/download_annotation/{annotation}.log",
    benchmark:
        "<benchmarks>/download_annotation/{annotation}.tsv"
    wildcard_constraints:
        annotation=one_of(source.cached_name for source in annotation.CATALOGUE.values()),
    localrule: True
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(500),
        runtime=10,
    params:
        names={source.cached_name: name for name, source in sorted(annotation.CATALOGUE.items())},
    message:
        "annotation: downloading {wildcards.annotation}"
    script:
        "../scripts/annotation.py"


rule fit_alignment:
    """Fit the affine map of every batch of one screen on its controls."""
    input:
        wells="<screen_wells>",
        conditions="<screen_conditions>",
        quality="<quality>",
        embeddings="<embeddings>",
        loci=INPUTS.loci,
        expression=INPUTS.expression,
        stale=INPUTS.stale_mark("fit_alignment"),
    output:
        provenance="<alignment>",
    log:
        "<logs>/fit_alignment/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/fit_alignment/{screen}.{encoder}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=120,
    params:
        **PARAMS.of("fit_alignment"),
    message:
        "alignment: {wildcards.screen} as {wildcards.encoder} sees it"
    script:
        "../scripts/alignment.py"
