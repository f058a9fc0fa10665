"""The Methods paragraph: sentences for exactly the stages that ran, and their BibTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from phenoprints import __version__
from phenoprints.reports import numbers
from phenoprints.reports.runs import Run

ALIGNMENTS = {
    "tvn": "typical variation normalisation [@ando2017]",
    "pca-center-scale": "a PCA on control wells, then centre-scaling on each batch's controls",
    "center-scale": "centre-scaling on each batch's controls",
    "none": "no batch correction",
}
NULLS = {
    "distinct-conditions": "wells of as many different conditions of the same experiment",
    "any-wells": "perturbed wells of the same experiment",
    "negative-controls": "negative-control wells of the same experiment",
    "layout-matched": "wells at the same plates and distances from the edge",
}


def methods(run: Run) -> str:
    """The paragraph, with citation keys in brackets; stages without results have no sentence."""
    return " ".join(sentence for write in SENTENCES if (sentence := write(run)))


def bibliography(text: str) -> str:
    """The BibTeX entries that a text cites, by key."""
    keys = sorted(set(re.findall(r"@([a-z]+\d{4})", text)))
    return "\n".join(_entries()[key] for key in keys)


def _any(run: Run, kind: str, wanted: Any) -> bool:
    return any(run.has(kind, **names) for names in wanted)


def _pairs(items: Any) -> list[dict[str, str]]:
    return [{"screen": screen, "encoder": encoder} for screen, encoder in items]


def _settings(run: Run, section: str) -> Mapping[str, Any]:
    section_settings: Mapping[str, Any] = run.config.get(section) or {}
    return section_settings


def _screens(run: Run) -> str:
    names = [name for name in run.plan.screens if run.has("screen_wells", screen=name)]
    if not names:
        return ""
    tables = [run.table("screen_wells", ["experiment"], screen=name) for name in names]
    wells = sum(len(table) for table in tables if table is not None)
    experiments = sum(table["experiment"].nunique() for table in tables if table is not None)
    return (
        f"{numbers.plural(wells, 'well')} in {numbers.plural(experiments, 'experiment')} of "
        f"{numbers.plural(len(names), 'screen')} ({', '.join(names)}) were processed with "
        f"Phenoprints {__version__} as a Snakemake workflow [@molder2021]."
    )


def _quality(run: Run) -> str:
    for name in run.plan.screens:
        table = run.table("quality", ["verdict"], screen=name)
        if table is not None and (table["verdict"] != "not assessed").any():
            return "Wells whose images failed quality control were left out of every later step."
    return ""


def _alignment(run: Run) -> str:
    if not _any(run, "alignment", _pairs(run.plan.pairs)):
        return ""
    settings = _settings(run, "alignment")
    method = ALIGNMENTS.get(str(settings.get("method", "tvn")), str(settings.get("method")))
    extra = ""
    if settings.get("remove_position", "none") != "none":
        extra = ", after which row and column effects were removed by median polish"
    return f"Embeddings were aligned across batches by {method}{extra}."


def _consistency(run: Run) -> str:
    if not _any(run, "consistency", _pairs(run.plan.judged_pairs)):
        return ""
    settings = _settings(run, "consistency")
    null = NULLS.get(str(settings.get("null", "")), str(settings.get("null", "")))
    return (
        "For every condition the mean cosine over all pairs of its replicate wells was compared "
        f"with {int(settings.get('num_null', 10_000)):,} random sets of {null} [@kenyon2024]."
    )


def _curation(run: Run) -> str:
    names = [name for name in run.plan.manifests if run.has("funnel", manifest=name)]
    judged = [name for name in names if run.config["manifests"][name]["judges"]]
    if not names:
        return ""
    text = (
        "Wells were filtered by quality, known perturbation and number of replicates, and "
        "controls were under-sampled [@kenyon2024]."
    )
    for name in judged:
        manifest = run.config["manifests"][name]
        rule = "p-values were combined over experiments by Cauchy's method [@liu2020]"
        if manifest["combine"] == "any-experiment":
            rule = "the smallest p-value of any experiment counted"
        text += (
            f" For manifest {name}, {rule} and a {manifest['judge_by']} was kept when p < "
            f"{manifest['p_value']} for any of "
            f"{numbers.plural(len(manifest['judges']), 'encoder')} "
            f"({', '.join(manifest['judges'])})."
        )
    return text


def _training(run: Run) -> str:
    names = [name for name in run.plan.trained_encoders if run.has("encoder", encoder=name)]
    if not names:
        return ""
    kinds = {
        "mae": "masked autoencoder [@kraus2024]",
        "weakly-supervised": "classifier of perturbations",
        "dino": "DINOv2 network",
    }  # fmt: skip
    parts = []
    for name in names:
        encoder = run.config["encoders"][name]
        source = encoder.get("manifest") or encoder.get("screen")
        what = kinds.get(encoder["kind"], encoder["kind"])
        parts.append(f"{name}, a {what} of architecture {encoder['architecture']}, on {source}")
    return f"Encoders were trained: {'; '.join(parts)}."


def _probes(run: Run) -> str:
    tasks = [
        task
        for task in run.config["evaluation"]["probes"]
        if any(run.has("probe_accuracies", task=task, encoder=e) for e in run.plan.probed_encoders)
    ]
    if not tasks:
        return ""
    return (
        f"Linear probes ({', '.join(tasks)}) were fitted on the features of every block, split by "
        "experiment; blocks were chosen on validation and reported on test experiments "
        "[@kenyon2024]."
    )


def _maps(run: Run) -> str:
    if not _any(run, "map", _pairs(run.plan.evaluated_pairs)):
        return ""
    how = str(_settings(run, "maps").get("aggregate", "spherical-mean")).replace("-", " ")
    return (
        f"A map holds one vector per perturbation: the {how} of its wells around the controls "
        "[@celik2024]."
    )


def _benchmarks(run: Run) -> str:
    if not _any(run, "benchmark_table", _pairs(run.plan.evaluated_pairs)):
        return ""
    names = ", ".join(name.replace("-", " ") for name in run.config["evaluation"]["benchmarks"])
    return (
        f"Maps were evaluated by {names} [@celik2024; @kenyon2024]; shares are given with Wilson "
        "intervals [@wilson1927]."
    )


SENTENCES: tuple[Callable[[Run], str], ...] = (
    _screens, _quality, _alignment, _consistency, _curation, _training, _probes, _maps, _benchmarks,
)  # fmt: skip
"""One function per stage, in the order of the journey."""


@cache
def _entries() -> dict[str, str]:
    path = resources.files("phenoprints.reports") / "citations.bib"
    entries = path.read_text(encoding="utf-8").strip().split("\n")
    return {re.match(r"@\w+\{(\w+),", entry).group(1): entry for entry in entries}  # type: ignore[union-attr]
