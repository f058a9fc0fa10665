# How good the maps are: one job per screen and encoder computes all configured benchmarks, and one
# compares the encoders.


rule benchmark:
    """Measure how good every map is, beside random baselines."""
    input:
        INPUTS.paths_for_pairs("benchmark_table", INPUTS.plan.evaluated_pairs),
        ["<by_probes>", "<by_training>"] if INPUTS.plan.evaluated_pairs else [],
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
        tables=INPUTS.known_biology_files,
        pairs=INPUTS.known_pairs,
        stale=INPUTS.stale_mark("run_benchmarks"),
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
        **PARAMS.of("run_benchmarks"),
    message:
        "benchmarks: {wildcards.screen} as {wildcards.encoder} sees it"
    script:
        "../scripts/benchmarks.py"


rule compare_encoders:
    """Set every encoder's benchmarks beside its probes and what its training has cost."""
    input:
        tables=INPUTS.paths_for_pairs("benchmark_table", INPUTS.plan.evaluated_pairs),
        accuracies=INPUTS.accuracies_of_evaluated(),
        chosen=INPUTS.paths_for("probe_chosen", "encoder", INPUTS.trimmed_by_probes()),
        encoders=INPUTS.paths_for("encoder", "encoder", INPUTS.evaluated_networks()),
        stale=INPUTS.stale_mark("compare_encoders"),
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
        **PARAMS.of("compare_encoders"),
    message:
        "benchmarks: comparing encoders"
    script:
        "../scripts/encoders_compared.py"
