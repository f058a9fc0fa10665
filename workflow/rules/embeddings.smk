# What an encoder sees in every well. Each pair of screen and encoder comes from exactly one rule.
from glob import glob


def profiles_of(wildcards):
    """The tables of a precomputed encoder: its own below the screen's root, else the screen's."""
    screen = config["screens"][wildcards.screen]
    profiles = config["encoders"][wildcards.encoder]["profiles"]
    if isinstance(profiles, dict):
        profiles = profiles.get(wildcards.screen)
    patterns = profiles or screen.get("wells") or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    paths = [os.path.join(screen["root"], pattern) for pattern in patterns]
    return [found for path in paths for found in sorted(glob(path)) or [path]]


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
    params:
        version=STAGE_VERSIONS["embeddings"],
        settings=lookup(dpath="encoders/{encoder}", within=config),
        columns=lambda wildcards: config["screens"][wildcards.screen].get("columns", {}),
        max_failed_fraction=lookup(dpath="screens/{screen}/max_failed_fraction", within=config),
        stored_as=lookup(dpath="inference/stored_as", within=config),
    log:
        "<logs>/precomputed_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/precomputed_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_of(PLAN.precomputed),
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    message:
        "embeddings: matching the vectors of {wildcards.encoder} with {wildcards.screen}"
    conda:
        "../../envs/core.yaml"
    script:
        "../scripts/embeddings_precomputed.py"


rule random_embeddings:
    """Draw a random vector for every well of a screen."""
    input:
        wells="<screen_wells>",
    output:
        failures="<embedding_failures>",
        provenance="<embeddings>",
    params:
        version=STAGE_VERSIONS["embeddings"],
        settings=lookup(dpath="encoders/{encoder}", within=config),
        seed=config["seed"],
        stored_as=lookup(dpath="inference/stored_as", within=config),
    log:
        "<logs>/random_embeddings/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/random_embeddings/{screen}.{encoder}.tsv"
    wildcard_constraints:
        encoder=encoders_of(PLAN.random),
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    message:
        "embeddings: drawing random vectors for {wildcards.screen}"
    conda:
        "../../envs/core.yaml"
    script:
        "../scripts/embeddings_random.py"
