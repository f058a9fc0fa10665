"""The Methods paragraph: sentences for exactly the stages that ran, and their BibTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

from phenoprints import __version__
from phenoprints.freshness import version_text, versions_of_stages
from phenoprints.reports import numbers
from phenoprints.reports.runs import Run
from phenoprints.wells import WHOLE_WELL

ALIGNMENTS = {
    "tvn": "typical variation normalisation [@ando2017]",
    "pca-center-scale": "a PCA on control wells, then centre-scaling on each batch's controls",
    "center-scale": "centre-scaling on each batch's controls",
    "none": "no batch correction",
}
NULL_MODELS = {
    "plate-matched": "wells of as many different conditions, equally many on each plate",
    "experiment": "wells of as many different conditions of the same experiment",
    "any-wells": "perturbed wells of the same experiment",
    "negative-controls": "negative-control wells of the same experiment",
    "layout-matched": "wells at the same plates and distances from the edge",
}


def methods(run: Run) -> str:
    """Return the paragraph, with citation keys in brackets; stages without results have no
    sentence.
    """
    return " ".join(sentence for write in SENTENCES if (sentence := write(run)))


def bibliography(text: str) -> str:
    """Return the BibTeX entries that a text cites, by key."""
    keys = sorted(set(re.findall(r"@([a-z]+\d{4})", text)))
    return "\n".join(_entries()[key] for key in keys)


def _any(run: Run, kind: str, wanted: Any) -> bool:
    return any(run.has(kind, **names) for names in wanted)


def _pairs(items: Any) -> list[dict[str, str]]:
    return [{"screen": screen, "encoder": encoder} for screen, encoder in items]


def _by_screen(run: Run, section: str, write: Callable[[Mapping[str, Any]], str]) -> str:
    """Return the text of a section: once if all screens agree, otherwise one per screen."""
    told: dict[str, list[str]] = {}
    for name in run.plan.screens:
        settings = run.config["screens"][name].get(section) or run.config.get(section) or {}
        told.setdefault(write(settings), []).append(name)
    if len(told) == 1:
        return next(iter(told))
    return "; ".join(f"{text} ({', '.join(names)})" for text, names in told.items())


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
    judged, failed, wells = [], 0, 0
    for name in run.plan.screens:
        table = run.table("quality", ["site", "verdict"], screen=name)
        if table is not None and (table["verdict"] != "not assessed").any():
            whole = table[table["site"] == WHOLE_WELL]
            judged.append(name)
            wells += len(whole)
            failed += int((whole["verdict"] == "fail").sum())
    if not judged:
        return ""
    rules = _by_screen(run, "quality", _quality_rules)
    return (
        f"Every image was measured and compared with the control wells of its own plate; {rules}. "
        f"{failed:,} of {numbers.plural(wells, 'well')} failed and were left out of every later "
        "step."
    )


def _quality_rules(settings: Mapping[str, Any]) -> str:
    get = settings.get
    return (
        f"metrics of focus, intensity and illumination beyond {get('max_robust_z', 6):g} robust "
        f"standard deviations, more than {get('max_saturated_percent', 1):g} % of saturated "
        f"pixels, fewer than {get('min_nuclei', 3)} nuclei, or more than "
        f"{100 * get('max_dead_fraction', 0.5):g} % of condensed nuclei failed a site, and wells "
        f"with fewer than {100 * get('min_good_sites', 0.5):g} % of good sites failed"
    )


def _embeddings(run: Run) -> str:
    there = [
        (screen, encoder)
        for screen, encoder in run.plan.pairs
        if run.has("embeddings", screen=screen, encoder=encoder)
    ]
    kinds = {encoder: _kind_of(run, encoder) for _, encoder in there}
    networks = [encoder for encoder, kind in kinds.items() if kind not in PLAIN_KINDS]
    parts = []
    if networks:
        crop = sorted({int(run.config["screens"][s].get("crop_px") or 0) for s, _ in there} - {0})
        size = f" of {' or '.join(map(str, crop))} px" if crop else ""
        parts.append(
            f"Images were cut into crops{size}, each channel of a crop was brought to mean 0 and "
            "variance 1, and a well's vector is the mean of what the network gives for the crops "
            f"of its good sites ({', '.join(networks)})"
        )
    if profiles := [encoder for encoder, kind in kinds.items() if kind == "precomputed"]:
        parts.append(f"Profiles were taken as published ({', '.join(profiles)})")
    if "random" in kinds.values():
        parts.append("Normal random vectors serve as a baseline")
    return f"{'. '.join(parts)}." if parts else ""


PLAIN_KINDS = ("precomputed", "random")


def _kind_of(run: Run, encoder: str) -> str:
    settings = run.config["encoders"].get(encoder.removesuffix(".trimmed")) or {}
    return str(settings.get("kind", ""))


def _alignment(run: Run) -> str:
    if not _any(run, "alignment", _pairs(run.plan.aligned_pairs)):
        return ""
    return f"Embeddings were aligned across batches by {_by_screen(run, 'alignment', _aligned)}."


def _aligned(settings: Mapping[str, Any]) -> str:
    method = str(settings.get("method", "tvn"))
    text = ALIGNMENTS.get(method, method)
    if settings.get("tvn_variant", "current") != "current" and method == "tvn":
        text += f" in the form of {str(settings['tvn_variant']).replace('-', ' ').upper()}"
    if method != "none":
        batch = str(settings.get("batch", "experiment"))
        controls = str(settings.get("controls", "auto"))
        whose = "" if controls == "auto" else f"{controls.replace('_', ' ')} "
        text += f", a batch being one {batch} with at least {settings.get('min_controls', 4)} "
        text += f"{whose}controls"
    if settings.get("remove_position", "none") != "none":
        text += ", after which row and column effects were removed by median polish"
    if settings.get("chromosome_arms") is True:
        text += ", and gene vectors were corrected for the bias of chromosome arms [@lazar2024]"
    return text


def _consistency(run: Run) -> str:
    if not _any(run, "consistency", _pairs(run.plan.judged_pairs)):
        return ""
    return _by_screen(run, "consistency", _tested)


def _tested(settings: Mapping[str, Any]) -> str:
    null_model = str(settings.get("null_model", ""))
    null = NULL_MODELS.get(null_model, null_model)
    number = int(settings.get("num_null", 10_000))
    p = {
        "plus-1": "(1 + the sets that agree as well)/(1 + all sets)",
        "max-1": f"the share of sets that agree as well, at least 1/{number:,}",
    }.get(str(settings.get("p_value_formula", "max-1")), "")
    scope = {"across-experiments": " over all experiments together"}
    where = scope.get(str(settings.get("scope")), " within each experiment")
    clip = settings.get("p_value_clip")
    return (
        f"For every condition the mean cosine over all pairs of its replicate wells{where} was "
        f"compared with {number:,} random sets of {null} [@kenyon2024]; p is {p}"
        f"{'' if clip is None else f', clipped at {clip:g}'}."
    )


def _curation(run: Run) -> str:
    names = [name for name in run.plan.manifests if run.has("funnel", manifest=name)]
    return " ".join(_manifest(name, run.config["manifests"][name]) for name in names)


def _manifest(name: str, manifest: Mapping[str, Any]) -> str:
    least = [
        f"at least {manifest[key]} {noun}"
        for key, noun in (("min_experiments", "experiments"), ("min_wells", "wells"))
        if isinstance(manifest.get(key), int)
    ]
    keep = manifest.get("sampling_fractions") or {}
    shares = ", ".join(f"{100 * v:g} % of {k.replace('_', ' ')} wells" for k, v in keep.items())
    text = (
        f"For manifest {name} wells were kept that pass quality control, that have a known "
        f"perturbation{f', and whose condition has {chr(32).join(least)}' if least else ''}"
        f"{f'; {shares} were kept' if shares else ''} [@kenyon2024]."
    ).replace("experiments at least", "experiments and at least")
    if not manifest["judges"]:
        return text
    rule = "p-values were combined over experiments by Cauchy's method [@liu2020]"
    if manifest["combine"] == "any-experiment":
        rule = "the smallest p-value of any experiment counted"
    judges = manifest["judges"]
    who = f"any of {len(judges)} encoders ({', '.join(judges)})" if judges[1:] else judges[0]
    unit = manifest["judge_by"]
    unit = "gene (or a condition without one)" if unit == "gene" else unit
    return (
        f"{text} Of these, {rule} and a {unit} was kept when p < "
        f"{manifest['p_value']} for {who}; q-values are those of Benjamini and Hochberg "
        "[@benjamini1995]."
    )


def _training(run: Run) -> str:
    names = [name for name in run.plan.trained_encoders if run.has("encoder", encoder=name)]
    if not names:
        return ""
    return f"Encoders were trained: {'; '.join(_trained(run, name) for name in names)}."


def _trained(run: Run, name: str) -> str:
    kinds = {
        "mae": "masked autoencoder [@kraus2024]",
        "weakly-supervised": "classifier of perturbations",
        "dino": "DINOv2 network",
    }  # fmt: skip
    encoder = run.config["encoders"][name]
    source = encoder.get("manifest") or encoder.get("screen")
    what = kinds.get(encoder["kind"], encoder["kind"])
    training = encoder.get("training") or {}
    done = (run.document("encoder", encoder=name) or {}).get("rows") or {}
    steps = f"{done['steps']:,} steps of " if done.get("steps") else ""
    facts = [f"{steps}{training['batch_size']:,} crops"] if "batch_size" in training else []
    if "optimizer" in training:
        facts.append(f"{training['optimizer']} at {training.get('learning_rate', 0):g}")
    if encoder["kind"] == "mae" and "mask_fraction" in training:
        facts.append(f"{100 * training['mask_fraction']:g} % masked")
    said = f" ({', '.join(facts)})" if facts else ""
    return f"{name}, a {what} of architecture {encoder['architecture']}, on {source}{said}"


def _probes(run: Run) -> str:
    tasks = [
        task
        for task in run.config["evaluation"]["probes"]
        if any(run.has("probe_accuracies", task=task, encoder=e) for e in run.plan.probed_encoders)
    ]
    if not tasks:
        return ""
    settings = run.config.get("probes") or {}
    how = {
        "paper": "blocks were chosen on the test experiments, as in the paper",
        "one-standard-error": "the earliest block within one standard error of the best was chosen",
    }.get(str(settings.get("block_selection")), "blocks were chosen on validation experiments")
    return (
        f"Linear probes ({', '.join(tasks)}), balanced logistic regressions with an L2 penalty "
        f"(C = {settings.get('inverse_penalty', 1.0):g}, at most {settings.get('max_iter', 2000)} "
        "iterations) [@pedregosa2011], were fitted on the standardised features of every block, "
        f"split by experiment; {how} and balanced accuracy is that of test experiments "
        "[@kenyon2024]."
    )


def _maps(run: Run) -> str:
    if not _any(run, "map", _pairs(run.plan.evaluated_pairs)):
        return ""
    settings = run.config.get("maps") or {}
    how = str(settings.get("aggregate", "spherical-mean")).replace("-", " ")
    origin = "around the controls" if settings.get("centre_on", "controls") == "controls" else ""
    return f"A map holds one vector per perturbation: the {how} of its wells {origin} [@celik2024]."


def _benchmarks(run: Run) -> str:
    if not _any(run, "benchmark_table", _pairs(run.plan.evaluated_pairs)):
        return ""
    settings = run.config.get("benchmarks") or {}
    names = run.config["evaluation"]["benchmarks"]
    parts = [BENCHMARKS.get(name, lambda _, name=name: name)(settings) for name in names]
    return (
        f"Maps were evaluated by {'; '.join(parts)} [@celik2024; @kenyon2024]; z is (value − "
        "random)/√(sd² + sd of random²), and shares are given with Wilson intervals "
        "[@wilson1927]."
    )


def _relationships(settings: Mapping[str, Any]) -> str:
    own = settings.get("relationships") or {}
    low, high = own.get("thresholds", (0.05, 0.95))
    sources = ", ".join(own.get("sources", ()))
    return (
        f"recall of known relationships ({sources}) among pairs whose cosine lies below the "
        f"{100 * low:g}th or above the {100 * high:g}th percentile of "
        f"{str(own.get('null_model', 'all-pairs')).replace('-', ' ')}"
    )


def _which_controls(settings: Mapping[str, Any]) -> str:
    if settings.get("controls") == "as-fitted":
        return " that the alignment was fitted on"
    return " under alignments fitted without them, the unbiased form plate by plate"


def _of_which_plates(settings: Mapping[str, Any]) -> str:
    return "of all plates" if settings.get("negatives") == "pooled" else "of the same plate"


BENCHMARKS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "relationships": _relationships,
    "replicates": lambda _: (
        "replicate consistency (Kolmogorov-Smirnov and Cramér-von Mises statistics of cosines of "
        "the same against different perturbations in pairs of replicate experiments)"
    ),
    "magnitude": lambda settings: (
        "the energy distance of perturbations from at most "
        f"{(settings.get('magnitude') or {}).get('max_controls', 1000):,} controls"
        f"{_which_controls(settings.get('magnitude') or {})} [@szekely2013]"
    ),
    "compound-gene": lambda settings: (
        "average precision of compounds finding their genes by absolute cosine, over "
        f"{(settings.get('compound_gene') or {}).get('num_seeds', 100)} draws of other genes"
    ),
    "mechanism": lambda _: "mechanism of the nearest neighbour",
    "activity": lambda settings: (
        "mean average precision of replicates against controls "
        + _of_which_plates(settings.get("activity") or {})
        + ", tested by exchanging wells with controls of their plates"
    ),
    "clusters": lambda _: "separation of known clusters",
    "enrichment": lambda _: "hypergeometric enrichment of neighbours",
    "proximity-bias": lambda _: "proximity bias of genes of one chromosome arm [@lazar2024]",
}
"""What is said of each benchmark, from the settings of all."""


def _software(run: Run) -> str:
    """Versions of what computed, once anything has."""
    if not any(run.has("screen_wells", screen=name) for name in run.plan.screens):
        return ""
    versions = {"phenoprints": {__version__: [""]}} | versions_of_stages(run.folder)
    named = [f"{name} {version_text(versions[name])}" for name in SOFTWARE if name in versions]
    own = f"Phenoprints {version_text(versions['phenoprints'])}"
    return f"Software: {', '.join([own, *named])}; seed {run.config['seed']}."


SOFTWARE = ("numpy", "scipy", "scikit-learn", "torch")


SENTENCES: tuple[Callable[[Run], str], ...] = (
    _screens, _quality, _training, _embeddings, _alignment, _consistency, _curation, _probes,
    _maps, _benchmarks, _software,
)  # fmt: skip
"""One function per stage, in the order of the journey."""


@cache
def _entries() -> dict[str, str]:
    path = resources.files("phenoprints.reports") / "citations.bib"
    entries = path.read_text(encoding="utf-8").strip().split("\n")
    return {re.match(r"@\w+\{(\w+),", entry).group(1): entry for entry in entries}  # type: ignore[union-attr]
