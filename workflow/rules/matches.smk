# What new screens resemble: one job per screen that is placed on the frozen reference.


rule match:
    """Place new screens on the frozen reference, and find what their conditions resemble."""
    input:
        INPUTS.paths_for_pairs("matches", INPUTS.plan.matched_pairs),
    localrule: True


rule match_screen:
    """Align one screen under the reference's shared part, and compare it with the map."""
    input:
        wells="<screen_wells>",
        conditions="<screen_conditions>",
        quality="<quality>",
        embeddings="<embeddings>",
        reference=INPUTS.reference,
        stale=INPUTS.stale_mark("match_screen"),
    output:
        table="<matches>",
        fits="<match_fits>",
        map="<match_map>",
    log:
        "<logs>/match_screen/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/match_screen/{screen}.{encoder}.tsv"
    wildcard_constraints:
        screen=one_of(name for name, _ in INPUTS.plan.matched_pairs),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=60,
    params:
        **PARAMS.of("match_screen"),
    message:
        "matches: {wildcards.screen} as {wildcards.encoder} sees it"
    script:
        "../scripts/matches.py"
