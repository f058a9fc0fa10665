# Encoders of several training sets over several seeds, on simulated screens, compared in pairs. No part
# of `all`: a study asks about the method, not about the screens of a run.
STUDIES = sorted(config["studies"])


rule study:
    """Run every study of the configuration and write its page."""
    input:
        [f"results/{config['run']}/studies/{name}/index.html" for name in STUDIES],
    localrule: True


rule study_seed:
    """Train and score every arm of a study at one seed."""
    input:
        stale=INPUTS.stale_mark("study_seed"),
    output:
        "<study_scores>",
    log:
        "<logs>/study_seed/{study}.{seed}.log",
    benchmark:
        "<benchmarks>/study_seed/{study}.{seed}.tsv"
    wildcard_constraints:
        study=one_of(STUDIES),
        seed=r"\d+",
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(6000),
        runtime=1440,
    params:
        **PARAMS.of("study_seed"),
    message:
        "studies: {wildcards.study}, seed {wildcards.seed}"
    script:
        "../scripts/study_seed.py"


rule study_page:
    """Compare the arms of a study in pairs over its seeds."""
    input:
        scores=lambda wildcards: [
            f"results/{config['run']}/studies/{wildcards.study}/scores/{seed}.parquet"
            for seed in config["studies"][wildcards.study]["seeds"]
        ],
        stale=INPUTS.stale_mark("study_page"),
    output:
        effects="<study_effects>",
        page="<study_page>",
    log:
        "<logs>/study_page/{study}.log",
    benchmark:
        "<benchmarks>/study_page/{study}.tsv"
    wildcard_constraints:
        study=one_of(STUDIES),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(2000),
        runtime=30,
    params:
        **PARAMS.of("study_page"),
    message:
        "studies: comparing the arms of {wildcards.study}"
    script:
        "../scripts/study_page.py"
