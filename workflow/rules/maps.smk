# One vector per perturbation: one job per screen and encoder that is evaluated.


rule map:
    """Build the maps of perturbations, with neighbours, guides and doses."""
    input:
        INPUTS.paths_for_pairs("map", INPUTS.plan.evaluated_pairs),
    localrule: True


rule build_map:
    """Turn the aligned wells of one screen into one vector per perturbation."""
    input:
        wells="<screen_wells>",
        conditions="<screen_conditions>",
        quality="<quality>",
        embeddings="<embeddings>",
        alignment="<alignment>",
        stale=INPUTS.stale_mark("build_map"),
    output:
        provenance="<map>",
    log:
        "<logs>/build_map/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/build_map/{screen}.{encoder}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=60,
    params:
        **PARAMS.of("build_map"),
    message:
        "maps: {wildcards.screen} as {wildcards.encoder} sees it"
    script:
        "../scripts/maps.py"
