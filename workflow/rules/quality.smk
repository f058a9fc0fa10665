# Screens with images are measured in batches of their sites, and judged when all are measured, since
# a site is compared with the controls of its plate.


rule quality:
    """Assess the images of every screen: metrics, verdicts and the reasons for them."""
    input:
        INPUTS.paths_for("quality", "screen", INPUTS.plan.screens),
        INPUTS.paths_for("quality_plates", "screen", INPUTS.plan.screens_with_images),
        INPUTS.paths_for("quality_rules", "screen", INPUTS.plan.screens_with_images),
    localrule: True


rule quality_without_images:
    """Say of every well of a screen without images that its quality is not assessed."""
    input:
        wells="<screen_wells>",
        sites="<screen_sites>",
        stale=INPUTS.stale_mark("quality_without_images"),
    output:
        table="<quality>",
    log:
        "<logs>/quality_without_images/{screen}.log",
    benchmark:
        "<benchmarks>/quality_without_images/{screen}.tsv"
    wildcard_constraints:
        screen=one_of(set(INPUTS.plan.screens) - set(INPUTS.plan.screens_with_images)),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(2000),
        runtime=60,
    params:
        **PARAMS.of("quality_without_images"),
    message:
        "quality: {wildcards.screen} has no images to assess"
    script:
        "../scripts/quality_without_images.py"


rule measure_quality:
    """Measure the images of one batch of a screen's sites."""
    input:
        wells="<screen_wells>",
        sites="<screen_sites>",
        images="<screen_images>",
        unreadable="<screen_unreadable>",
        stale=INPUTS.stale_mark("measure_quality"),
    output:
        metrics="<quality_metrics>",
    log:
        "<logs>/measure_quality/{screen}.{batch}.log",
    benchmark:
        "<benchmarks>/measure_quality/{screen}.{batch}.tsv"
    wildcard_constraints:
        screen=one_of(INPUTS.plan.screens_with_images),
        batch=r"\d+",
    conda:
        "../../envs/core.yaml"
    threads: RESOURCES.quality_threads
    resources:
        mem_mb=memory_mb(6000),
        runtime=1440,
        cpus_per_task=RESOURCES.quality_threads,
    params:
        **PARAMS.of("measure_quality"),
    message:
        "quality: measuring batch {wildcards.batch} of {wildcards.screen}"
    script:
        "../scripts/quality_metrics.py"


rule assess_quality:
    """Say which sites and wells of a screen can be trusted, and how its plates did."""
    input:
        wells="<screen_wells>",
        metrics=INPUTS.quality_batches,
        stale=INPUTS.stale_mark("assess_quality"),
    output:
        table="<quality>",
        plates="<quality_plates>",
        replicates="<quality_replicates>",
        rules="<quality_rules>",
    log:
        "<logs>/assess_quality/{screen}.log",
    benchmark:
        "<benchmarks>/assess_quality/{screen}.tsv"
    wildcard_constraints:
        screen=one_of(INPUTS.plan.screens_with_images),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(8000),
        runtime=120,
    params:
        **PARAMS.of("assess_quality"),
    message:
        "quality: judging the images of {wildcards.screen}"
    script:
        "../scripts/quality.py"
