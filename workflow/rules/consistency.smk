# Which conditions look the same every time: one job per screen and encoder.


rule consistency_tests:
    """Permutation tests of every condition, gene and control position, per experiment."""
    input:
        wells="<screen_wells>",
        conditions="<screen_conditions>",
        quality="<quality>",
        embeddings="<embeddings>",
        alignment="<alignment>",
    output:
        table="<consistency>",
        provenance="<consistency>.provenance.json",
    params:
        version=STAGE_VERSIONS["consistency"],
        settings=lookup(dpath="screens/{screen}/consistency", within=config),
        limits=lookup(dpath="screens/{screen}/limits", within=config),
        seed=config["seed"],
    log:
        "<logs>/consistency/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/consistency/{screen}.{encoder}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    message:
        "consistency: {wildcards.screen} as {wildcards.encoder} sees it"
    conda:
        "../../envs/core.yaml"
    script:
        "../scripts/consistency.py"


rule consistency:
    """Test which conditions look the same every time."""
    input:
        [
            f"results/{config['run']}/consistency/{screen}/{encoder}.parquet"
            for screen, encoder in PLAN.judged_pairs
        ],
    localrule: True
