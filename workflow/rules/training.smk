# How encoders learn, and where those come from that do not. Checkpoints lie beside the encoder's
# folder and are no outputs, so that a failed or stopped job goes on where it was.


rule train:
    """Train every encoder, and make ready those that are not trained here."""
    input:
        of_names("<encoder>", "encoder", PLAN.networks),
    localrule: True


rule train_encoder:
    """Train one encoder on a manifest or on a screen."""
    input:
        unpack(learned_from),
    output:
        "<encoder>",
    log:
        "<logs>/train_encoder/{encoder}.log",
    benchmark:
        "<benchmarks>/train_encoder/{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of(PLAN.trained_encoders),
    conda:
        "../../envs/train.yaml"
    threads: lambda wildcards: threads_of(training_of(wildcards))
    resources:
        mem_mb=memory_mb(memory_of_training),
        runtime=lambda wildcards: int(60 * training_of(wildcards)["hours"]) + 15,
        cpus_per_task=lambda wildcards: threads_of(training_of(wildcards)),
        gpu=lambda wildcards: gpus_of(training_of(wildcards)),
        nodes=lambda wildcards: training_of(wildcards)["nodes"],
        tasks=lambda wildcards: training_of(wildcards)["nodes"],
        tasks_per_gpu=0,
        mpi=lambda wildcards: launcher_of(training_of(wildcards)),
    params:
        version=STAGE_VERSIONS["training"],
        settings=lookup(dpath="encoders/{encoder}", within=config),
        seed=config["seed"],
    message:
        "training: {wildcards.encoder}"
    script:
        "../scripts/training.py"


rule make_encoder:
    """Put an encoder that is not trained here into a folder: untrained, or with given weights."""
    input:
        unpack(made_from),
    output:
        "<encoder>",
    log:
        "<logs>/make_encoder/{encoder}.log",
    benchmark:
        "<benchmarks>/make_encoder/{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of(PLAN.plain_encoders),
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(8000),
        runtime=60,
    params:
        version=STAGE_VERSIONS["training"],
        settings=lookup(dpath="encoders/{encoder}", within=config),
        seed=config["seed"],
    message:
        "training: making {wildcards.encoder}"
    script:
        "../scripts/encoders_made.py"


rule trim_encoder:
    """End an encoder after the block that the probes chose."""
    input:
        encoder=lambda wildcards: of_base("<encoder>", wildcards),
        chosen=lambda wildcards: of_base("<probe_chosen>", wildcards),
    output:
        "<encoder>",
    log:
        "<logs>/trim_encoder/{encoder}.log",
    benchmark:
        "<benchmarks>/trim_encoder/{encoder}.tsv"
    wildcard_constraints:
        encoder=one_of(PLAN.trimmed_encoders),
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(16000),
        runtime=30,
    params:
        version=STAGE_VERSIONS["training"],
    message:
        "training: trimming {wildcards.encoder}"
    script:
        "../scripts/encoders_trimmed.py"
