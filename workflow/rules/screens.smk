rule screens:
    """Read the wells, sites and conditions of every screen and check them."""
    input:
        INPUTS.paths_for("screen_wells", "screen", INPUTS.plan.screens),
        INPUTS.paths_for("screen_sites", "screen", INPUTS.plan.screens),
        INPUTS.paths_for("screen_conditions", "screen", INPUTS.plan.screens),
        INPUTS.paths_for("screen_notes", "screen", INPUTS.plan.screens),
        INPUTS.paths_for("screen_images", "screen", INPUTS.plan.screens_with_images),
    localrule: True


rule read_screen:
    """Turn the metadata of one screen into validated tables."""
    input:
        INPUTS.screen_tables,
        stale=INPUTS.stale_mark("read_screen"),
    output:
        wells="<screen_wells>",
        sites="<screen_sites>",
        conditions="<screen_conditions>",
        notes="<screen_notes>",
    log:
        "<logs>/read_screen/{screen}.log",
    benchmark:
        "<benchmarks>/read_screen/{screen}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=60,
    params:
        **PARAMS.of("read_screen"),
    message:
        "screens: reading {wildcards.screen}"
    script:
        "../scripts/screens.py"


rule prepare_images:
    """Pack the images of one screen into its store, or measure windows where they have 16 bits."""
    input:
        sites="<screen_sites>",
        notes="<screen_notes>",
        stale=INPUTS.stale_mark("prepare_images"),
    output:
        images="<screen_images>",
        unreadable="<screen_unreadable>",
    log:
        "<logs>/prepare_images/{screen}.log",
    benchmark:
        "<benchmarks>/prepare_images/{screen}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 4
    resources:
        mem_mb=memory_mb(8000),
        runtime=1440,
        cpus_per_task=4,
    params:
        **PARAMS.of("prepare_images"),
    message:
        "screens: preparing the images of {wildcards.screen}"
    script:
        "../scripts/images.py"
