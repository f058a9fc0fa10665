# How good the maps are: one job per screen and encoder computes all configured benchmarks, and one
# compares the encoders.


rule benchmark:
    """Measure how good every map is, beside random baselines."""
    input:
        of_pairs("<benchmark_table>", PLAN.evaluated_pairs),
        ["<by_probes>", "<by_training>"] if PLAN.evaluated_pairs else [],
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


rule compare_encoders:
    """Set every encoder's benchmarks beside its probes and what its training has cost."""
    input:
        tables=of_pairs("<benchmark_table>", PLAN.evaluated_pairs),
        accuracies=accuracies_of_evaluated(),
        chosen=of_names("<probe_chosen>", "encoder", trimmed_by_probes()),
        encoders=of_names("<encoder>", "encoder", networks_evaluated()),
    output:
        by_probes="<by_probes>",
        by_training="<by_training>",
    log:
        "<logs>/compare_encoders.log",
    benchmark:
        "<benchmarks>/compare_encoders.tsv"
    localrule: True
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(1000),
        runtime=10,
    params:
        version=STAGE_VERSIONS["benchmarks"],
        screens=[screen for screen, _ in PLAN.evaluated_pairs],
        encoders=networks_evaluated(),
        trimmed=trimmed_by_probes(),
        blocks={encoder: settings_of_encoder(encoder)["block"] for encoder in networks_evaluated()},
    message:
        "benchmarks: comparing encoders"
    script:
        "../scripts/encoders_compared.py"
