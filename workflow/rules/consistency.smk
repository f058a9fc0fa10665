# Which conditions look the same every time: one job per screen and encoder.


rule consistency_tests:
    """Permutation tests of every condition, gene and control position, per experiment."""
    input:
        wells="<screen_wells>",
        conditions="<screen_conditions>",
        quality="<quality>",
        embeddings="<embeddings>",
        alignment="<alignment>",
        stale=INPUTS.stale_mark("consistency_tests"),
    output:
        table="<consistency>",
        provenance="<consistency>.provenance.json",
    log:
        "<logs>/consistency/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/consistency/{screen}.{encoder}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=60,
    params:
        **PARAMS.of("consistency_tests"),
    message:
        "consistency: {wildcards.screen} as {wildcards.encoder} sees it"
    script:
        "../scripts/consistency.py"


rule consistency:
    """Test which conditions look the same every time."""
    input:
        INPUTS.paths_for_pairs("consistency", INPUTS.plan.judged_pairs),
    localrule: True
