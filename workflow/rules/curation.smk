# Which wells are worth learning from: one job per manifest.


rule curate:
    """Curate every manifest: phenoprints, the funnel, and the wells worth learning from."""
    input:
        of_names("<manifest>", "manifest", PLAN.manifests),
        of_names("<reasons>", "manifest", PLAN.manifests),
        of_names("<phenoprints>", "manifest", PLAN.manifests),
        of_names("<genes>", "manifest", PLAN.manifests),
        of_names("<funnel>", "manifest", PLAN.manifests),
    localrule: True


rule curate_manifest:
    """Judge conditions and genes, and let the wells of all screens through the funnel."""
    input:
        wells=of_manifest("<screen_wells>"),
        sites=of_manifest("<screen_sites>"),
        conditions=of_manifest("<screen_conditions>"),
        quality=of_manifest("<quality>"),
        consistency=tests_of_manifest,
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
        version=STAGE_VERSIONS["curation"],
        settings=lookup(dpath="manifests/{manifest}", within=config),
        tests=section_of_screens("consistency"),
        geometry=geometry_of_screens,
        seed=config["seed"],
    message:
        "curation: {wildcards.manifest}"
    script:
        "../scripts/curation.py"
