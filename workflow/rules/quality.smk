rule quality:
    """Assess the images of every screen: metrics, verdicts and the reasons for them."""
    input:
        of_names("<quality>", "screen", PLAN.screens),
    localrule: True


rule assess_quality:
    """Measure the images of one screen and say which sites and wells can be trusted."""
    input:
        wells="<screen_wells>",
        sites="<screen_sites>",
    output:
        table="<quality>",
    log:
        "<logs>/assess_quality/{screen}.log",
    benchmark:
        "<benchmarks>/assess_quality/{screen}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(2000),
        runtime=60,
    params:
        version=STAGE_VERSIONS["quality"],
        settings=lookup(dpath="screens/{screen}/quality", within=config),
    message:
        "quality: measuring the images of {wildcards.screen}"
    script:
        "../scripts/quality.py"
