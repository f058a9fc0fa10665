rule screens:
    """Read the wells, sites and conditions of every screen and check them."""
    input:
        expand(workflow.pathvars.apply("<screen_notes>"), screen=PLAN.screens),
    localrule: True


rule read_screen:
    """Turn the metadata of one screen into validated tables."""
    output:
        wells="<screen_wells>",
        sites="<screen_sites>",
        conditions="<screen_conditions>",
        notes="<screen_notes>",
    params:
        version=STAGE_VERSIONS["screens"],
        settings=lambda wildcards: configuration.screen_settings(config, wildcards.screen),
    log:
        "<logs>/read_screen/{screen}.log",
    benchmark:
        "<benchmarks>/read_screen/{screen}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    message:
        "screens: reading {wildcards.screen}"
    conda:
        "../../envs/core.yaml"
    script:
        "../scripts/screens.py"
