"""Where every artefact of a run is stored: the one table of paths below the run's folder.

The workflow, the reports, the command line and `phenoprints.open_run` all read it. Folders (Zarr
groups, encoders, maps) are named by the provenance file beside them, which is written last.
"""

from __future__ import annotations

import re
from pathlib import Path

LAYOUT = {
    "logs": "logs",
    "benchmarks": "durations",
    "screen_wells": "screens/{screen}/wells.parquet",
    "screen_sites": "screens/{screen}/sites.parquet",
    "screen_conditions": "screens/{screen}/conditions.parquet",
    "screen_notes": "screens/{screen}/notes.json",
    "screen_images": "screens/{screen}/images.json",
    "screen_unreadable": "screens/{screen}/unreadable.parquet",
    "quality": "quality/{screen}.parquet",
    "quality_metrics": "quality/{screen}.metrics/{batch}.parquet",
    "quality_plates": "quality/{screen}.plates.parquet",
    "quality_replicates": "quality/{screen}.replicates.parquet",
    "quality_rules": "quality/{screen}.rules.json",
    "embeddings": "embeddings/{screen}/{encoder}.provenance.json",
    "embedding_failures": "embeddings/{screen}/{encoder}.failures.parquet",
    "embedding_replicate_similarity": "embeddings/{screen}/{encoder}.replicate_similarity.parquet",
    "embedding_throughput": "embeddings/{screen}/{encoder}.throughput.json",
    "embedding_plan": "embeddings/{screen}/{encoder}.plan.parquet",
    "embedding_batch": "embeddings/{screen}/{encoder}.batches/{batch}-of-{num_batches}.json",
    "crops": "crops/{screen}/{encoder}.provenance.json",
    "blocks": "blocks/{screen}/{encoder}.provenance.json",
    "alignment": "alignment/{screen}/{encoder}.provenance.json",
    "consistency": "consistency/{screen}/{encoder}.parquet",
    "phenoprints": "curation/{manifest}/phenoprints.parquet",
    "genes": "curation/{manifest}/genes.parquet",
    "funnel": "curation/{manifest}/funnel.json",
    "reasons": "curation/{manifest}/reasons.provenance.json",
    "manifest": "curation/{manifest}/manifest.provenance.json",
    "encoder": "encoders/{encoder}.provenance.json",
    "probe_split": "probes/{task}/split.parquet",
    "probe_accuracies": "probes/{task}/accuracies/{encoder}.parquet",
    "probe_confusions": "probes/{task}/confusions/{encoder}.parquet",
    "probe_chosen": "probes/chosen/{encoder}.json",
    "map": "maps/{screen}/{encoder}.provenance.json",
    "matches": "matches/{screen}/{encoder}.parquet",
    "match_fits": "matches/{screen}/{encoder}.fits.parquet",
    "match_map": "matches/{screen}/{encoder}.reference.parquet",
    "benchmark_table": "benchmarks/{screen}/{encoder}.parquet",
    "by_probes": "benchmarks/by_probes.parquet",
    "by_training": "benchmarks/by_training.parquet",
    "study_scores": "studies/{study}/scores/{seed}.parquet",
    "study_effects": "studies/{study}/effects.parquet",
    "study_page": "studies/{study}/index.html",
    "reports": "reports",
    "report_index": "reports/index.html",
    "report_summary": "reports/summary.json",
    "report_verdicts": "reports/verdicts.json",
    "report_provenance": "reports.provenance.json",
}
"""Path templates below `results/<run>/`, by kind of artefact; names in braces are wildcards."""

REPORT_PAGES = {
    "index": "Overview",
    "screens": "Screens",
    "quality": "Quality",
    "embeddings": "Embeddings",
    "alignment": "Alignment",
    "consistency": "Consistency",
    "curation": "Curation",
    "training": "Training",
    "probes": "Probes",
    "maps": "Maps",
    "benchmarks": "Benchmarks",
}
"""Pages of a report that every run has, below its folder, and their titles."""


def artefact(run_folder: str | Path, kind: str, **names: str) -> Path:
    """Return the path of an artefact below the folder of a run.

    Parameters
    ----------
    run_folder
        The folder of the run, usually `results/<run>`.
    kind
        A key of `LAYOUT`.
    names
        A value for every wildcard of the template, such as ``screen="demo"``.

    Raises
    ------
    KeyError
        An unknown kind, or a wildcard without a value.

    Examples
    --------
    >>> artefact("results/demo", "quality", screen="a").as_posix()
    'results/demo/quality/a.parquet'
    """
    return Path(run_folder) / LAYOUT[kind].format(**names)


def expand(text: str, run: str) -> str:
    """Fill in path variables, as Snakemake does for the rules of a run."""
    variables = pathvars(run)
    while found := re.search(r"<(\w+)>", text):
        text = text.replace(found[0], variables[found[1]])
    return text


def pathvars(run: str) -> dict[str, str]:
    """Return Snakemake's path variables of a run: every template below `results/<run>`."""
    below = {kind: f"<run_dir>/{template}" for kind, template in LAYOUT.items()}
    return {"run_dir": f"results/{run}", **below}
