# What an encoder sees in every well. Each pair of screen and encoder comes from exactly one rule.


rule embed:
    """Compute or collect what every encoder sees in every well."""
    input:
        of_pairs("<embeddings>", PLAN.pairs),
        of_pairs("<embedding_failures>", PLAN.pairs),
    localrule: True


rule precomputed_embeddings:
    """Put vectors that others computed under the wells of a screen."""
    input:
        wells="<screen_wells>",
        profiles=profiles_of,
        row_tables=row_tables_of,
    output:
        failures="<embedding_failures>",
        nearness="<embedding_nearness>",
        provenance="<embeddings>",
    log:
        "<logs>/precomputed_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/precomputed_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_of(PLAN.precomputed_pairs),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=60,
    params:
        version=STAGE_VERSIONS["embeddings"],
        settings=lookup(dpath="encoders/{encoder}", within=config),
        columns=named_columns,
        max_failed_fraction=lookup(dpath="screens/{screen}/max_failed_fraction", within=config),
        stored_as=lookup(dpath="inference/stored_as", within=config),
    message:
        "embeddings: matching the vectors of {wildcards.encoder} with {wildcards.screen}"
    script:
        "../scripts/embeddings_precomputed.py"


rule random_embeddings:
    """Draw a random vector for every well of a screen."""
    input:
        wells="<screen_wells>",
    output:
        failures="<embedding_failures>",
        nearness="<embedding_nearness>",
        provenance="<embeddings>",
    log:
        "<logs>/random_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/random_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_of(PLAN.random_pairs),
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(8000),
        runtime=60,
    params:
        version=STAGE_VERSIONS["embeddings"],
        settings=lookup(dpath="encoders/{encoder}", within=config),
        seed=config["seed"],
        stored_as=lookup(dpath="inference/stored_as", within=config),
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
    output:
        **CROPS,
        failures="<embedding_failures>",
        nearness="<embedding_nearness>",
        throughput="<embedding_throughput>",
        provenance="<embeddings>",
    log:
        "<logs>/embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_computed(jobs="one", blocks=False),
    conda:
        "../../envs/train.yaml"
    threads: inference_threads
    resources:
        mem_mb=memory_mb(8000),
        runtime=1440,
        cpus_per_task=inference_threads,
        gpu=num_gpus,
    params:
        version=STAGE_VERSIONS["embeddings"],
        seed=config["seed"],
        settings=embedding_settings,
        stores=stores_of,
        phases=["plan", "compute", "gather"],
    message:
        "embeddings: {wildcards.encoder} looks at {wildcards.screen}"
    script:
        "../scripts/embeddings.py"


use rule embeddings as embeddings_and_blocks with:
    output:
        **CROPS,
        failures="<embedding_failures>",
        nearness="<embedding_nearness>",
        throughput="<embedding_throughput>",
        blocks="<blocks>",
        provenance="<embeddings>",
    log:
        "<logs>/embeddings_and_blocks/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/embeddings_and_blocks/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_computed(jobs="one", blocks=True),


rule plan_embeddings:
    """Cut one screen into units of work for one encoder."""
    input:
        wells="<screen_wells>",
        sites="<screen_sites>",
        conditions="<screen_conditions>",
        images="<screen_images>",
        quality="<quality>",
        encoder="<encoder>",
    output:
        plan="<embedding_plan>",
    log:
        "<logs>/plan_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/plan_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_computed(jobs="many"),
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(16000),
        runtime=120,
        gpu=0,
    params:
        version=STAGE_VERSIONS["embeddings"],
        seed=config["seed"],
        settings=embedding_settings,
        stores=stores_of,
        phases=["plan"],
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
        encoders=encoders_of_job,
        plans=plans_of,
    output:
        done="<embedding_batch>",
    log:
        "<logs>/embedding_batch/{screen}.{encoder}.{batch}-of-{num_batches}.log",
    benchmark:
        "<benchmarks>/embedding_batch/{screen}.{encoder}.{batch}-of-{num_batches}.tsv"
    wildcard_constraints:
        encoder=encoders_computed(jobs="many"),
        batch=r"\d+",
        num_batches=r"\d+",
    conda:
        "../../envs/train.yaml"
    threads: 1 + config["inference"]["num_workers"]
    resources:
        mem_mb=memory_mb(16000),
        runtime=2880,
        gpu=num_gpus,
    params:
        version=STAGE_VERSIONS["embeddings"],
        settings=lambda wildcards: of_companions(wildcards, embedding_settings),
        stores=lambda wildcards: of_companions(wildcards, stores_of),
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
        batches=batches_of,
    output:
        **CROPS,
        failures="<embedding_failures>",
        nearness="<embedding_nearness>",
        throughput="<embedding_throughput>",
        provenance="<embeddings>",
    log:
        "<logs>/gather_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/gather_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_computed(jobs="many", blocks=False),
    params:
        version=STAGE_VERSIONS["embeddings"],
        seed=config["seed"],
        settings=embedding_settings,
        stores=stores_of,
        phases=["gather"],
    message:
        "embeddings: gathering what {wildcards.encoder} saw in {wildcards.screen}"


use rule gather_embeddings as gather_embeddings_and_blocks with:
    output:
        **CROPS,
        failures="<embedding_failures>",
        nearness="<embedding_nearness>",
        throughput="<embedding_throughput>",
        blocks="<blocks>",
        provenance="<embeddings>",
    log:
        "<logs>/gather_embeddings_and_blocks/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/gather_embeddings_and_blocks/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_computed(jobs="many", blocks=True),
