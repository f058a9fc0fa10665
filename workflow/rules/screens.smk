rule screens:
    """Read the wells, sites and conditions of every screen and check them."""
    input:
        of_names("<screen_notes>", "screen", PLAN.screens),
    localrule: True


rule read_screen:
    """Turn the metadata of one screen into validated tables."""
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
        mem_mb=4000,
        runtime=60,
    params:
        version=STAGE_VERSIONS["screens"],
        settings=lambda wildcards: configuration.screen_settings(
            config, wildcards.screen
        ),
    message:
        "screens: reading {wildcards.screen}"
    script:
        "../scripts/screens.py"
