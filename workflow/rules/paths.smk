# Every path of the workflow stands here, once. Folders (Zarr groups, encoders, maps) are never
# outputs of a rule: the provenance file beside them is, and it is written last.
pathvars:
    run_dir=f"results/{config['run']}",
    logs="<run_dir>/logs",
    benchmarks="<run_dir>/durations",
    screen_wells="<run_dir>/screens/{screen}/wells.parquet",
    screen_sites="<run_dir>/screens/{screen}/sites.parquet",
    screen_conditions="<run_dir>/screens/{screen}/conditions.parquet",
    screen_notes="<run_dir>/screens/{screen}/notes.json",
    quality="<run_dir>/quality/{screen}.parquet",
    embeddings="<run_dir>/embeddings/{screen}/{encoder}.provenance.json",
    embedding_failures="<run_dir>/embeddings/{screen}/{encoder}.failures.parquet",
    blocks="<run_dir>/blocks/{screen}/{encoder}.provenance.json",
    alignment="<run_dir>/alignment/{screen}/{encoder}.provenance.json",
    consistency="<run_dir>/consistency/{screen}/{encoder}.parquet",
    phenoprints="<run_dir>/curation/{manifest}/phenoprints.parquet",
    genes="<run_dir>/curation/{manifest}/genes.parquet",
    funnel="<run_dir>/curation/{manifest}/funnel.json",
    reasons="<run_dir>/curation/{manifest}/reasons.provenance.json",
    manifest="<run_dir>/curation/{manifest}/manifest.provenance.json",
    encoder="<run_dir>/encoders/{encoder}.provenance.json",
    probe_split="<run_dir>/probes/{task}/split.parquet",
    probe_accuracies="<run_dir>/probes/{task}/accuracies/{encoder}.parquet",
    probe_chosen="<run_dir>/probes/chosen/{encoder}.json",
    map="<run_dir>/maps/{screen}/{encoder}.provenance.json",
    benchmark_table="<run_dir>/benchmarks/{screen}/{encoder}.parquet",
    report_index="<run_dir>/reports/index.html",


def of_pairs(path, pairs):
    """The paths of one kind of artefact, such as "<embeddings>", for pairs of screen and encoder."""
    pattern = workflow.pathvars.apply(path)
    return [pattern.format(screen=screen, encoder=encoder) for screen, encoder in pairs]


def of_names(path, wildcard, names):
    """The paths of one kind of artefact for the values of one wildcard."""
    pattern = workflow.pathvars.apply(path)
    return [pattern.replace("{" + wildcard + "}", name) for name in names]


def encoders_of(pairs):
    """A wildcard constraint that admits the encoders of these pairs."""
    return one_of({encoder for _, encoder in pairs})
