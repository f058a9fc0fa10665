# How encoders learn, and where those come from that do not. Checkpoints lie beside the encoder's
# folder and are no outputs, so that a failed or stopped job goes on where it was.


rule train:
    """Train every encoder, and make ready those that are not trained here."""
    input:
        INPUTS.paths_for("encoder", "encoder", INPUTS.plan.networks),
    localrule: True


rule train_encoder:
    """Train one encoder on a manifest or on a screen."""
    input:
        unpack(INPUTS.training_inputs),
        stale=INPUTS.stale_mark("train_encoder"),
    output:
        "<encoder>",
    log:
        "<logs>/train_encoder/{encoder}.log",
    benchmark:
        "<benchmarks>/train_encoder/{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of(INPUTS.plan.trained_encoders),
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.training_threads
    resources:
        mem_mb=memory_mb(RESOURCES.training_memory_mb),
        runtime=RESOURCES.training_minutes,
        cpus_per_task=RESOURCES.training_threads,
        gpu=RESOURCES.training_gpus,
        nodes=RESOURCES.training_nodes,
        tasks=RESOURCES.training_nodes,
        tasks_per_gpu=0,
        mpi=RESOURCES.training_launcher,
    params:
        **PARAMS.of("train_encoder"),
    message:
        "training: {wildcards.encoder}"
    script:
        "../scripts/training.py"


rule make_encoder:
    """Put an encoder that is not trained here into a folder: untrained, or with given weights."""
    input:
        unpack(INPUTS.encoder_sources),
        stale=INPUTS.stale_mark("make_encoder"),
    output:
        "<encoder>",
    log:
        "<logs>/make_encoder/{encoder}.log",
    benchmark:
        "<benchmarks>/make_encoder/{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of(INPUTS.plan.plain_encoders),
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(8000),
        runtime=60,
    params:
        **PARAMS.of("make_encoder"),
    message:
        "training: making {wildcards.encoder}"
    script:
        "../scripts/encoders_made.py"


rule trim_encoder:
    """End an encoder after the block that the probes chose."""
    input:
        encoder=INPUTS.for_base_encoder("encoder"),
        chosen=INPUTS.for_base_encoder("probe_chosen"),
        stale=INPUTS.stale_mark("trim_encoder"),
    output:
        "<encoder>",
    log:
        "<logs>/trim_encoder/{encoder}.log",
    benchmark:
        "<benchmarks>/trim_encoder/{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of(INPUTS.plan.trimmed_encoders),
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(16000),
        runtime=30,
    params:
        **PARAMS.of("trim_encoder"),
    message:
        "training: trimming {wildcards.encoder}"
    script:
        "../scripts/encoders_trimmed.py"
