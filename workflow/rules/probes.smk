# Which block of an encoder knows most biology: linear probes, split by unseen experiments.


rule probe:
    """Probe the blocks of every encoder and choose where each is trimmed."""
    input:
        INPUTS.paths_for("probe_chosen", "encoder", INPUTS.probed_encoders()),
    localrule: True


rule split_task:
    """Decide which wells of a task train, choose the block and test."""
    input:
        wells=INPUTS.for_screens_of_task("screen_wells"),
        conditions=INPUTS.for_screens_of_task("screen_conditions"),
        quality=INPUTS.for_screens_of_task("quality"),
        stale=INPUTS.stale_mark("split_task"),
    output:
        split="<probe_split>",
    log:
        "<logs>/split_task/{task}.log",
    benchmark:
        "<benchmarks>/split_task/{task}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=30,
    params:
        **PARAMS.of("split_task"),
    message:
        "probes: splitting the wells of {wildcards.task}"
    script:
        "../scripts/probes_split.py"


rule probe_blocks:
    """Fit a linear probe to every block of one encoder for one task."""
    input:
        split="<probe_split>",
        blocks=INPUTS.blocks_of_task,
        stale=INPUTS.stale_mark("probe_blocks"),
    output:
        accuracies="<probe_accuracies>",
        confusions="<probe_confusions>",
    log:
        "<logs>/probe_blocks/{task}.{encoder}.log",
    benchmark:
        "<benchmarks>/probe_blocks/{task}.{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of(INPUTS.plan.probed_encoders),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(16000),
        runtime=240,
        gpu=int(config["probes"]["device"] == "cuda"),
    params:
        **PARAMS.of("probe_blocks"),
    message:
        "probes: {wildcards.task} in the blocks of {wildcards.encoder}"
    script:
        "../scripts/probes.py"


rule choose_block:
    """Choose the block after which one encoder is trimmed."""
    input:
        accuracies=INPUTS.accuracies,
        encoder="<encoder>",
        stale=INPUTS.stale_mark("choose_block"),
    output:
        chosen="<probe_chosen>",
    log:
        "<logs>/choose_block/{encoder}.log",
    benchmark:
        "<benchmarks>/choose_block/{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of(INPUTS.plan.probed_encoders),
    localrule: True
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(1000),
        runtime=10,
    params:
        **PARAMS.of("choose_block"),
    message:
        "probes: choosing a block of {wildcards.encoder}"
    script:
        "../scripts/probes_choose.py"
