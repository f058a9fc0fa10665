# What an encoder sees in every well. Each pair of screen and encoder comes from exactly one rule.


rule embed:
    """Compute or collect what every encoder sees in every well."""
    input:
        INPUTS.paths_for_pairs("embeddings", INPUTS.plan.pairs),
        INPUTS.paths_for_pairs("embedding_failures", INPUTS.plan.pairs),
    localrule: True


rule precomputed_embeddings:
    """Put vectors that others computed under the wells of a screen."""
    input:
        wells="<screen_wells>",
        profiles=INPUTS.profiles,
        row_tables=INPUTS.row_tables,
        stale=INPUTS.stale_mark("precomputed_embeddings"),
    output:
        failures="<embedding_failures>",
        replicate_similarity="<embedding_replicate_similarity>",
        provenance="<embeddings>",
    log:
        "<logs>/precomputed_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/precomputed_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_of(INPUTS.plan.precomputed_pairs),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=60,
    params:
        **PARAMS.of("precomputed_embeddings"),
    message:
        "embeddings: matching the vectors of {wildcards.encoder} with {wildcards.screen}"
    script:
        "../scripts/embeddings_precomputed.py"


rule random_embeddings:
    """Draw a random vector for every well of a screen."""
    input:
        wells="<screen_wells>",
        stale=INPUTS.stale_mark("random_embeddings"),
    output:
        failures="<embedding_failures>",
        replicate_similarity="<embedding_replicate_similarity>",
        provenance="<embeddings>",
    log:
        "<logs>/random_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/random_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_of(INPUTS.plan.random_pairs),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(8000),
        runtime=60,
    params:
        **PARAMS.of("random_embeddings"),
    message:
        "embeddings: drawing random vectors for {wildcards.screen}"
    script:
        "../scripts/embeddings_random.py"


# A network looks at images. Encoders of one job do everything in it; for the others a plan is made
# once, batches of its units are computed, and gathered. The features of every block of probed
# encoders come out of the same pass. What is done stays done: each unit has its own marker.
CROPS = {"crops": "<crops>"} if config["inference"]["keep_crops"] else {}


rule embeddings:
    """Compute what one encoder sees in one screen."""
    input:
        wells="<screen_wells>",
        sites="<screen_sites>",
        conditions="<screen_conditions>",
        images="<screen_images>",
        quality="<quality>",
        encoder="<encoder>",
        stale=INPUTS.stale_mark("embeddings"),
    output:
        **CROPS,
        failures="<embedding_failures>",
        replicate_similarity="<embedding_replicate_similarity>",
        throughput="<embedding_throughput>",
        provenance="<embeddings>",
    log:
        "<logs>/embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=INPUTS.computed_encoders(jobs="one", blocks=False),
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.inference_threads
    resources:
        mem_mb=memory_mb(8000),
        runtime=1440,
        cpus_per_task=RESOURCES.inference_threads,
        gpu=RESOURCES.inference_gpus,
    params:
        **PARAMS.of("embeddings"),
    message:
        "embeddings: {wildcards.encoder} looks at {wildcards.screen}"
    script:
        "../scripts/embeddings.py"


use rule embeddings as embeddings_and_blocks with:
    output:
        **CROPS,
        failures="<embedding_failures>",
        replicate_similarity="<embedding_replicate_similarity>",
        throughput="<embedding_throughput>",
        blocks="<blocks>",
        provenance="<embeddings>",
    log:
        "<logs>/embeddings_and_blocks/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/embeddings_and_blocks/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=INPUTS.computed_encoders(jobs="one", blocks=True),


rule plan_embeddings:
    """Cut one screen into units of work for one encoder."""
    input:
        wells="<screen_wells>",
        sites="<screen_sites>",
        conditions="<screen_conditions>",
        images="<screen_images>",
        quality="<quality>",
        encoder="<encoder>",
        stale=INPUTS.stale_mark("plan_embeddings"),
    output:
        plan="<embedding_plan>",
    log:
        "<logs>/plan_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/plan_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=INPUTS.computed_encoders(jobs="many"),
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(16000),
        runtime=120,
        gpu=0,
    params:
        **PARAMS.of("plan_embeddings"),
    message:
        "embeddings: planning how {wildcards.encoder} looks at {wildcards.screen}"
    script:
        "../scripts/embeddings.py"


rule embedding_batch:
    """Compute a batch of units, for one encoder or for several that look at the same images."""
    input:
        wells="<screen_wells>",
        sites="<screen_sites>",
        images="<screen_images>",
        quality="<quality>",
        encoders=INPUTS.encoder_folders,
        plans=INPUTS.embedding_plans,
        stale=INPUTS.stale_mark("embedding_batch"),
    output:
        done="<embedding_batch>",
    log:
        "<logs>/embedding_batch/{screen}.{encoder}.{batch}-of-{num_batches}.log",
    benchmark:
        "<benchmarks>/embedding_batch/{screen}.{encoder}.{batch}-of-{num_batches}.tsv"
    wildcard_constraints:
        encoder=INPUTS.computed_encoders(jobs="many"),
        batch=r"\d+",
        num_batches=r"\d+",
    conda:
        "../../envs/train.yaml"
    threads: RESOURCES.inference_threads
    resources:
        mem_mb=memory_mb(16000),
        runtime=2880,
        gpu=RESOURCES.inference_gpus,
    params:
        **PARAMS.of("embedding_batch"),
    message:
        "embeddings: {wildcards.encoder} looks at {wildcards.screen}, batch {wildcards.batch} of {wildcards.num_batches}"
    script:
        "../scripts/embeddings_batch.py"


use rule plan_embeddings as gather_embeddings with:
    input:
        wells="<screen_wells>",
        sites="<screen_sites>",
        conditions="<screen_conditions>",
        images="<screen_images>",
        quality="<quality>",
        encoder="<encoder>",
        plan="<embedding_plan>",
        batches=INPUTS.embedding_batches,
        stale=INPUTS.stale_mark("gather_embeddings"),
    output:
        **CROPS,
        failures="<embedding_failures>",
        replicate_similarity="<embedding_replicate_similarity>",
        throughput="<embedding_throughput>",
        provenance="<embeddings>",
    log:
        "<logs>/gather_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/gather_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=INPUTS.computed_encoders(jobs="many", blocks=False),
    params:
        **PARAMS.of("gather_embeddings"),
    message:
        "embeddings: gathering what {wildcards.encoder} saw in {wildcards.screen}"


use rule gather_embeddings as gather_embeddings_and_blocks with:
    output:
        **CROPS,
        failures="<embedding_failures>",
        replicate_similarity="<embedding_replicate_similarity>",
        throughput="<embedding_throughput>",
        blocks="<blocks>",
        provenance="<embeddings>",
    log:
        "<logs>/gather_embeddings_and_blocks/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/gather_embeddings_and_blocks/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=INPUTS.computed_encoders(jobs="many", blocks=True),
