# How good the maps are: one job per screen and encoder computes all configured benchmarks.


rule benchmark:
    """Measure how good every map is, beside random baselines."""
    input:
        of_pairs("<benchmark_table>", PLAN.evaluated_pairs),
    localrule: True


rule run_benchmarks:
    """Run the configured benchmarks of one screen and encoder into one tidy table."""
    input:
        wells="<screen_wells>",
        conditions="<screen_conditions>",
        quality="<quality>",
        embeddings="<embeddings>",
        alignment="<alignment>",
        map="<map>",
        tables=lambda wildcards: list(known_biology(wildcards).values()),
        pairs=known_pairs_of,
    output:
        table="<benchmark_table>",
    log:
        "<logs>/run_benchmarks/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/run_benchmarks/{screen}.{encoder}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(6000),
        runtime=120,
    params:
        version=STAGE_VERSIONS["benchmarks"],
        names=sorted(config["evaluation"]["benchmarks"]),
        settings=lookup(dpath="screens/{screen}/benchmarks", within=config),
        tables=lambda wildcards: list(known_biology(wildcards)),
        learned_from_screen=has_learned_from,
        hold_out=lambda wildcards: sorted(manifest_of(wildcards.encoder).get("hold_out", [])),
        seed=config["seed"],
    message:
        "benchmarks: {wildcards.screen} as {wildcards.encoder} sees it"
    script:
        "../scripts/benchmarks.py"
