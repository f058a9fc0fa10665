# What remains when batch effects are removed, and the tables of known biology that later rules use.
from phenoprints import annotation

ANNOTATION = {key: config["annotation"][key] for key in ("folder", "cache", "offline")}


def annotation_path(name):
    """The file of a table of known biology, as a list: empty where it cannot be had."""
    path = annotation.path_of(name, **ANNOTATION)
    return [path] if path else []


def loci_of(wildcards):
    """The table of gene loci: asked for by `true`, taken by `auto` where the folder has it."""
    wanted = config["screens"][wildcards.screen]["alignment"]["chromosome_arms"]
    if wanted is True:
        return annotation_path("gene-loci")
    if wanted == "auto" and ANNOTATION["folder"]:
        path = annotation.path_of(
            "gene-loci", folder=ANNOTATION["folder"], offline=True
        )
        return [path] if path else []
    return []


def expression_of(wildcards):
    """The table of gene expression that the screen's alignment names."""
    path = config["screens"][wildcards.screen]["alignment"]["arm_expression"]
    return [path] if path else []


rule align:
    """Remove batch effects from every screen as every encoder sees it."""
    input:
        of_pairs("<alignment>", PLAN.pairs),
    localrule: True


rule download_annotation:
    """Download one table of known biology into the cache and check it."""
    output:
        table=f"{os.path.expanduser(ANNOTATION['cache'])}/{{annotation}}",
    log:
        "<logs>/download_annotation/{annotation}.log",
    benchmark:
        "<benchmarks>/download_annotation/{annotation}.tsv"
    wildcard_constraints:
        annotation=one_of(
            source.cached_name
            for source in annotation.CATALOGUE.values()
            if source.sha256
        ),
    localrule: True
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        names={
            source.cached_name: name
            for name, source in sorted(annotation.CATALOGUE.items())
            if source.sha256
        },
    message:
        "annotation: downloading {wildcards.annotation}"
    script:
        "../scripts/annotation.py"


rule fit_alignment:
    """Fit the affine map of every batch of one screen on its controls."""
    input:
        wells="<screen_wells>",
        conditions="<screen_conditions>",
        quality="<quality>",
        embeddings="<embeddings>",
        loci=loci_of,
        expression=expression_of,
    output:
        provenance="<alignment>",
    log:
        "<logs>/fit_alignment/{screen}.{encoder}.log",
    benchmark:
        "<benchmarks>/fit_alignment/{screen}.{encoder}.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        version=STAGE_VERSIONS["alignment"],
        settings=lookup(dpath="screens/{screen}/alignment", within=config),
        is_precomputed=lambda wildcards: (wildcards.screen, wildcards.encoder)
        in PLAN.precomputed_pairs,
    message:
        "alignment: {wildcards.screen} as {wildcards.encoder} sees it"
    script:
        "../scripts/alignment.py"
