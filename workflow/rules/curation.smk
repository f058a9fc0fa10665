# Which wells are worth learning from: one job per manifest.


rule curate:
    """Curate every manifest: phenoprints, the funnel, and the wells worth learning from."""
    input:
        INPUTS.paths_for("manifest", "manifest", INPUTS.plan.manifests),
        INPUTS.paths_for("reasons", "manifest", INPUTS.plan.manifests),
        INPUTS.paths_for("phenoprints", "manifest", INPUTS.plan.manifests),
        INPUTS.paths_for("genes", "manifest", INPUTS.plan.manifests),
        INPUTS.paths_for("funnel", "manifest", INPUTS.plan.manifests),
    localrule: True


rule curate_manifest:
    """Judge conditions and genes, and let the wells of all screens through the funnel."""
    input:
        wells=INPUTS.for_screens_of_manifest("screen_wells"),
        sites=INPUTS.for_screens_of_manifest("screen_sites"),
        conditions=INPUTS.for_screens_of_manifest("screen_conditions"),
        quality=INPUTS.for_screens_of_manifest("quality"),
        consistency=INPUTS.tests_of_manifest,
        embeddings=INPUTS.vectors_of_manifest("embeddings"),
        alignment=INPUTS.vectors_of_manifest("alignment"),
        stale=INPUTS.stale_mark("curate_manifest"),
    output:
        phenoprints="<phenoprints>",
        genes="<genes>",
        funnel="<funnel>",
        reasons="<reasons>",
        manifest="<manifest>",
    log:
        "<logs>/curate_manifest/{manifest}.log",
    benchmark:
        "<benchmarks>/curate_manifest/{manifest}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=120,
    params:
        **PARAMS.of("curate_manifest"),
    message:
        "curation: {wildcards.manifest}"
    script:
        "../scripts/curation.py"
