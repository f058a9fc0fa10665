# What an encoder sees in every well. Each pair of screen and encoder comes from exactly one rule.


rule embed:
    """Compute or collect what every encoder sees in every well."""
    input:
        of_pairs("<embeddings>", PLAN.pairs),
    localrule: True


rule precomputed_embeddings:
    """Put vectors that others computed under the wells of a screen."""
    input:
        wells="<screen_wells>",
        profiles=profiles_of,
    output:
        failures="<embedding_failures>",
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
        mem_mb=8000,
        runtime=60,
    params:
        version=STAGE_VERSIONS["embeddings"],
        settings=lookup(dpath="encoders/{encoder}", within=config),
        columns=lambda wildcards: config["screens"][wildcards.screen].get("columns", {}),
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
        mem_mb=8000,
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
