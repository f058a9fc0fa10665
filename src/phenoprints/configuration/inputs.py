"""What the rules of the workflow ask for: inputs, params and wildcard constraints of one run.

Methods that take `wildcards` are input or params functions of Snakemake. They return path strings
and plain data, and read the configuration and the plan, never a table. Missing files are reported
by the job, with instructions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, TypeVar, cast

from phenoprints import annotation
from phenoprints.configuration.input_files import listed
from phenoprints.configuration.layout import REPORT_PAGES
from phenoprints.configuration.paths import READ_BY_SNAKEMAKE
from phenoprints.configuration.planning import (
    Pair,
    Plan,
    plan,
    screens_seen,
    shared_jobs,
    threshold_of,
)
from phenoprints.configuration.references import (
    STATISTICS_KINDS,
    TRIMMED,
    base_encoder,
    encoders_of_options,
)
from phenoprints.foundations.errors import ConfigurationError
from phenoprints.foundations.finding import find

Paths = list[str]
_Value = TypeVar("_Value")


class Wildcards(Protocol):
    """The wildcards of a job, by name."""

    def __getattr__(self, name: str) -> str:
        """Return the value of a wildcard."""


InputFunction = Callable[[Wildcards], Paths]

INFERENCE_SETTINGS = (
    "batch_size", "precision", "stored_as", "unit_wells", "keep_blocks", "keep_crops", "max_kept_gb"
)  # fmt: skip
CROP_SETTINGS = ("crop_px", "exclude_border_crops", "overlap_px", "max_failed_fraction")


def one_of(names: Iterable[str]) -> str:
    """Return a wildcard constraint that admits these names and no other."""
    # Names have no capitals, so that nothing is called NONE.
    return "|".join(name.replace(".", r"\.") for name in sorted(names)) or "NONE"


def encoders_of(pairs: Iterable[Pair]) -> str:
    """Return a wildcard constraint that admits the encoders of pairs of screen and encoder."""
    return one_of({encoder for _, encoder in pairs})


def check_path_characters(paths: Paths) -> Paths:
    """Return the paths of files that were found.

    Raises
    ------
    ConfigurationError
        A name has characters that Snakemake would read as a wildcard.
    """
    odd = [path for path in paths if READ_BY_SNAKEMAKE.search(path)]
    if odd:
        raise ConfigurationError(
            f"{odd[0]!r}: Snakemake reads {{ }} < > in the name of a file as its own.\n"
            "  To fix: rename the file, or name the others alone."
        )
    return paths


def metadata_file(path: str) -> str:
    """Return the file that describes a Zarr folder, which changes with it; else the path itself."""
    files = [os.path.join(path, name) for name in ("zarr.json", ".zarray")]  # noqa: PTH118
    return next((file for file in files if os.path.isfile(file)), path)  # noqa: PTH113


STALE_MARKS = "stale"
"""The folder of a run with the marks of jobs whose results are stale."""


def stale_mark_path(run_folder: str, rule: str, wildcards: Mapping[str, str]) -> str:
    """Return the path of the mark that makes a job run again, below the folder of its run."""
    values = ",".join(f"{name}={value}" for name, value in sorted(wildcards.items()))
    return f"{run_folder}/{STALE_MARKS}/{rule}/{values or 'all'}"


def label_of_page(wildcards: Any) -> dict[str, str]:
    """Return the label in Snakemake's report of a page, or of a table that has its own file."""
    if "table" in wildcards.keys():  # noqa: SIM118
        return {"table": wildcards.table}
    page = wildcards.page
    return {"page": REPORT_PAGES.get(page, page.replace("-", " ").capitalize())}


class Inputs:
    """Inputs and params of all rules, for one resolved configuration.

    Parameters
    ----------
    config
        The resolved configuration.
    expand
        Fills in path variables, as Snakemake's `workflow.pathvars.apply` does: `<quality>` becomes
        `results/demo/quality/{screen}.parquet`.
    """

    def __init__(self, config: Mapping[str, Any], expand: Callable[[str], str]) -> None:
        self.config, self.expand = config, expand
        self.plan: Plan = plan(config)

    # Paths

    def paths_for(self, kind: str, wildcard: str, names: Iterable[str]) -> Paths:
        """Return the paths of one kind of artefact for the values of one wildcard."""
        template = self.expand(f"<{kind}>")
        return [template.format(**{wildcard: name}) for name in names]

    def paths_for_pairs(self, kind: str, pairs: Iterable[Pair]) -> Paths:
        """Return the paths of one kind of artefact for pairs of screen and encoder."""
        template = self.expand(f"<{kind}>")
        return [template.format(screen=screen, encoder=encoder) for screen, encoder in pairs]

    def stale_mark(self, rule: str) -> InputFunction:
        """Return an input function: the mark of a job, where its results were ever stale."""

        def marks(wildcards: Wildcards) -> Paths:
            names = dict(cast("Any", wildcards).items())
            path = stale_mark_path(self.expand("<run_dir>"), rule, names)
            return [path] if os.path.isfile(path) else []  # noqa: PTH113

        return marks

    def for_screens_of_manifest(self, kind: str) -> InputFunction:
        """Return an input function: a path per screen of the manifest, in their order."""
        return lambda wildcards: self.paths_for(
            kind, "screen", self.config["manifests"][wildcards.manifest]["screens"]
        )

    def for_screens_of_task(self, kind: str) -> InputFunction:
        """Return an input function: a path per screen of the task, in their order."""
        return lambda wildcards: self.paths_for(kind, "screen", self._task_screens(wildcards.task))

    def for_base_encoder(self, kind: str) -> InputFunction:
        """Return an input function: the artefact of the encoder that a trimmed one comes from."""
        return lambda wildcards: self.paths_for(kind, "encoder", [base_encoder(wildcards.encoder)])

    # Screens and quality

    def screen_tables(self, wildcards: Wildcards) -> Paths:
        """Return the existing tables that a screen is read from, so that an edit reads it again."""
        screen = self.config["screens"][wildcards.screen]
        named = [screen.get("wells"), *(join["table"] for join in screen.get("join", []))]
        named += [screen.get(key) for key in ("barcode_platemap", "metadata", "load_data")]
        paths = find(screen["root"], [path for entry in named for path in listed(entry or [])])
        paths += [table for path in paths if path.is_dir() for table in find(path, "*.csv*")]
        found = {os.path.normpath(path) for path in paths if path.is_file()}
        return check_path_characters(sorted(found))

    def quality_batches(self, wildcards: Wildcards) -> Paths:
        """Return the tables of metrics of a screen's sites, one for each of its measuring jobs."""
        num_jobs = self.config["screens"][wildcards.screen]["quality"]["num_jobs"]
        template = self.expand("<quality_metrics>")
        return [template.format(screen=wildcards.screen, batch=n) for n in range(num_jobs)]

    # Precomputed embeddings

    def profiles(self, wildcards: Wildcards) -> Paths:
        """Return the tables of a precomputed encoder: its own, else those of the screen."""
        screen = self.config["screens"][wildcards.screen]
        if screen["source"] == "planned":  # nothing of it is there yet
            return []
        own = self._of_screen("profiles", wildcards)
        return [metadata_file(path) for path in self._below(screen, own or screen.get("wells"))]

    def row_tables(self, wildcards: Wildcards) -> Paths:
        """Return the tables that name the wells of a precomputed encoder's arrays."""
        screen = self.config["screens"][wildcards.screen]
        return self._below(screen, self._of_screen("row_tables", wildcards))

    def table_settings(self, wildcards: Wildcards) -> Mapping[str, Any]:
        """Return the settings of a screen that its tables of vectors are read by."""
        screen = self.config["screens"][wildcards.screen]
        names = ("join", "missing_values", "table_format")
        columns = screen.get("columns", {})  # of simulated screens: their number
        return {
            "columns": columns if isinstance(columns, Mapping) else {},
            **{name: screen[name] for name in names if name in screen},
        }

    def _of_screen(self, key: str, wildcards: Wildcards) -> Any:
        named = self.config["encoders"][wildcards.encoder][key]
        return named.get(wildcards.screen) if isinstance(named, Mapping) else named

    def _below(self, screen: Mapping[str, Any], patterns: Any) -> Paths:
        root, names = screen["root"], listed(patterns or [])
        found = [path for name in names for path in find(root, name) or [Path(root) / name]]
        return check_path_characters([os.path.normpath(path) for path in found])

    # Computed embeddings

    @cached_property
    def shared_jobs(self) -> Mapping[Pair, tuple[str, ...]]:
        """The encoders that read a screen in the same jobs, by pair; empty where none do."""
        is_asked = self.config["inference"]["share_image_reads"]
        return shared_jobs(self.config, self.plan) if is_asked else {}

    def encoders_of_job(self, wildcards: Wildcards) -> tuple[str, ...]:
        """Return the encoders that read a screen in the same jobs as this one, itself included."""
        return self.shared_jobs.get((wildcards.screen, wildcards.encoder), (wildcards.encoder,))

    def for_each_encoder(
        self, function: Callable[[Wildcards], _Value]
    ) -> Callable[[Wildcards], dict[str, _Value]]:
        """Return a params function: name to value of `function` for every encoder of a job."""

        def values(wildcards: Wildcards) -> dict[str, _Value]:
            names = self.encoders_of_job(wildcards)
            pairs = [SimpleNamespace(screen=wildcards.screen, encoder=name) for name in names]
            return {pair.encoder: function(cast("Wildcards", pair)) for pair in pairs}

        return values

    def encoder_folders(self, wildcards: Wildcards) -> Paths:
        """Return the encoders of a job."""
        return self.paths_for("encoder", "encoder", self.encoders_of_job(wildcards))

    def embedding_plans(self, wildcards: Wildcards) -> Paths:
        """Return the plans of the encoders of a job."""
        pairs = [(wildcards.screen, name) for name in self.encoders_of_job(wildcards)]
        return self.paths_for_pairs("embedding_plan", pairs)

    def embedding_batches(self, wildcards: Wildcards) -> Paths:
        """Return what the jobs of a pair write; they have the name of the first encoder."""
        names = self.encoders_of_job(wildcards)
        number = max(self.encoder_settings(name)["num_jobs"] for name in names)
        template = self.expand("<embedding_batch>")
        fixed = {"screen": wildcards.screen, "encoder": names[0], "num_batches": number}
        return [template.format(batch=batch, **fixed) for batch in range(number)]

    def computed_encoders(self, *, jobs: str, blocks: bool | None = None) -> str:
        """Return a wildcard constraint for networks.

        Parameters
        ----------
        jobs
            `one` or `many` jobs for each screen.
        blocks
            Whether the features of every block are kept; None admits both.
        """
        names = {name for _, name in (*self.plan.block_pairs, *self.plan.computed_pairs)}
        shared = {name for (_, name), group in self.shared_jobs.items() if len(group) > 1}
        return one_of(
            name
            for name in names
            if blocks in (None, self.keeps_blocks(name))
            and (self.encoder_settings(name)["num_jobs"] > 1 or name in shared) == (jobs == "many")
        )

    def keeps_blocks(self, encoder: str) -> bool:
        """Whether the features of every block of an encoder are kept."""
        return self.config["inference"]["keep_blocks"] or self._is_probed(encoder)

    def stores(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the provenance of what a pair computes: embeddings, kept blocks and crops."""
        kinds = ["embeddings"]
        kinds += ["blocks"] if self.keeps_blocks(wildcards.encoder) else []
        kinds += ["crops"] if self.config["inference"]["keep_crops"] else []
        pair = [(wildcards.screen, wildcards.encoder)]
        return {kind: self.paths_for_pairs(kind, pair)[0] for kind in kinds}

    def embedding_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the settings that embeddings of a pair depend on."""
        encoder = self.encoder_settings(wildcards.encoder)
        screen, inference = self.config["screens"][wildcards.screen], self.config["inference"]
        return {
            **{name: inference[name] for name in INFERENCE_SETTINGS},
            **{name: screen[name] for name in CROP_SETTINGS},
            "resize": encoder["resize"],
            # A trimmed encoder ends where the probes say.
            "block": None if wildcards.encoder.endswith(TRIMMED) else encoder["block"],
            "adapt_batch_norm": encoder["adapt_batch_norm"],
            "tasks": self._tasks_of(wildcards),
            "max_wells_per_class": self.config["probes"]["max_wells_per_class"],
        }

    def encoder_settings(self, name: str) -> Mapping[str, Any]:
        """Return the settings of an encoder; a trimmed one has those of its base encoder."""
        settings: Mapping[str, Any] = self.config["encoders"][base_encoder(name)]
        return settings

    def _is_probed(self, encoder: str) -> bool:
        return any(encoder == name for _, name in self.plan.block_pairs)

    def _tasks_of(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the probe tasks that the blocks of a pair are used for, by name."""
        if not self._is_probed(wildcards.encoder):
            return {}
        tasks = self.config["probes"]["tasks"]
        return {n: tasks[n] for n, screen in self.plan.task_screens if screen == wildcards.screen}

    # Matches

    def reference(self, wildcards: Wildcards) -> Paths:  # noqa: ARG002
        """Return the index of the reference, which holds the sha256 of its files."""
        folder = self.config.get("match", {}).get("reference")
        return [os.path.normpath(Path(folder) / "reference.json")] if folder else []

    # Tables of known biology

    @cached_property
    def annotation_options(self) -> dict[str, Any]:
        """Where tables of known biology are looked for: folder, cache, offline."""
        return {key: self.config["annotation"][key] for key in ("folder", "cache", "offline")}

    def annotation_folder(self) -> str:
        """Return the folder that tables are downloaded into."""
        return str(Path(self.annotation_options["cache"]).expanduser())

    def loci(self, wildcards: Wildcards) -> Paths:
        """Return the table of gene loci, where arms are corrected and it can be had."""
        wanted = self.config["screens"][wildcards.screen]["alignment"]["chromosome_arms"]
        if wanted is True:
            path = annotation.path_of("gene-loci", **self.annotation_options)
        elif wanted == "auto" and (folder := self.annotation_options["folder"]):
            path = annotation.path_of("gene-loci", folder=folder, offline=True)
        else:
            return []
        return [path] if path else []

    def expression(self, wildcards: Wildcards) -> Paths:
        """Return the table of gene expression that the alignment of the screen names."""
        path = self.config["screens"][wildcards.screen]["alignment"]["arm_expression"]
        return [path] if path else []

    def known_biology(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the tables that the benchmarks of a screen use, by name, where they can be had.

        A simulated screen, whose genes are invented, has its own tables beside it.
        """
        screen = self.config["screens"][wildcards.screen]
        asked = set(self.config["evaluation"]["benchmarks"])
        truth = screen["benchmarks"]["compound_gene"]["truth"]
        given = {"compound-gene": truth} if truth and "compound-gene" in asked else {}
        if screen["source"] == "simulated":
            return given
        options = self.annotation_options
        names = _known_tables(screen["benchmarks"], asked - set(given))
        found = {name: annotation.path_of(name, **options) for name in names}
        if "relationships" in asked and "gene-loci" not in found:  # used if present, not downloaded
            found["gene-loci"] = annotation.path_of("gene-loci", **{**options, "offline": True})
        return {name: path for name, path in {**found, **given}.items() if path}

    def known_biology_files(self, wildcards: Wildcards) -> Paths:
        """Return the paths of `known_biology`."""
        return list(self.known_biology(wildcards).values())

    def known_biology_names(self, wildcards: Wildcards) -> list[str]:
        """Return the names of `known_biology`."""
        return list(self.known_biology(wildcards))

    def known_pairs(self, wildcards: Wildcards) -> Paths:
        """Return the tables of known pairs that the user gave."""
        settings = self.config["screens"][wildcards.screen]["benchmarks"]["relationships"]
        return sorted(settings["files"].values())

    # Curation and benchmarks

    def threshold(self, wildcards: Wildcards) -> float:
        """Return the p-value that tests of a screen must be able to reach."""
        return threshold_of(self.config, wildcards.screen)

    def tests_of_manifest(self, wildcards: Wildcards) -> Paths:
        """Return the consistency tables of a manifest: by judge, and for each judge by screen."""
        manifest = self.config["manifests"][wildcards.manifest]
        pairs = [(s, judge) for judge in manifest["judges"] for s in manifest["screens"]]
        return self.paths_for_pairs("consistency", pairs)

    def vectors_of_manifest(self, kind: str) -> Callable[[Wildcards], Paths]:
        """Return an input function: paths of the vectors that options of a manifest compare.

        By option (`duplicates`, `balance`, `confounders`), and for each option by screen.
        """

        def paths(wildcards: Wildcards) -> Paths:
            manifest = self.config["manifests"][wildcards.manifest]
            names = encoders_of_options(manifest).values()
            pairs = [(screen, name) for name in names for screen in manifest["screens"]]
            return self.paths_for_pairs(kind, pairs)

        return paths

    def section_of_screens(self, name: str) -> Callable[[Wildcards], dict[str, Any]]:
        """Return a params function: one section of every screen of the manifest."""
        return lambda wildcards: {
            screen: self.config["screens"][screen][name]
            for screen in sorted(self.config["manifests"][wildcards.manifest]["screens"])
        }

    def declared_image_sizes(self, wildcards: Wildcards) -> dict[str, dict[str, int | None]]:
        """Return what every screen of the manifest declares about the size of its images."""
        return {
            name: {key: self.config["screens"][name].get(key) for key in ("height_px", "width_px")}
            for name in sorted(self.config["manifests"][wildcards.manifest]["screens"])
        }

    def has_learned_from(self, wildcards: Wildcards) -> bool:
        """Whether the encoder has learned from the images of the screen."""
        return wildcards.screen in screens_seen(self.config, wildcards.encoder)

    def is_precomputed(self, wildcards: Wildcards) -> bool:
        """Whether the vectors of a pair are read from tables."""
        return (wildcards.screen, wildcards.encoder) in self.plan.precomputed_pairs

    def held_out_experiments(self, wildcards: Wildcards) -> list[str]:
        """Return the experiments that the manifest of an encoder holds out."""
        name = self.encoder_settings(wildcards.encoder).get("manifest")
        return sorted(self.config["manifests"].get(name, {}).get("hold_out", []))

    def evaluated_networks(self) -> list[str]:
        """Return the encoders with weights that are evaluated on any screen, sorted."""
        return sorted({name for _, name in self.plan.evaluated_pairs} & set(self.plan.networks))

    def trimmed_by_probes(self) -> list[str]:
        """Return the encoders whose trimmed forms are evaluated, sorted."""
        return [base_encoder(n) for n in self.evaluated_networks() if n.endswith(TRIMMED)]

    # Training

    def training_inputs(self, wildcards: Wildcards) -> dict[str, Paths]:
        """Return what a training job reads: images, and a manifest or a screen with quality."""
        encoder = self.config["encoders"][wildcards.encoder]
        manifest = encoder.get("manifest")
        screens = self.config["manifests"][manifest]["screens"] if manifest else [encoder["screen"]]
        kinds = {"images": "screen_images"}
        if not manifest:
            kinds |= {name: f"screen_{name}" for name in ("wells", "sites", "conditions")}
            kinds |= {"quality": "quality"}
        inputs = {name: self.paths_for(kind, "screen", screens) for name, kind in kinds.items()}
        if manifest:
            inputs["manifest"] = self.paths_for("manifest", "manifest", [manifest])
            inputs["conditions"] = self.paths_for("phenoprints", "manifest", [manifest])
        if encoder.get("start_from"):
            inputs["start_from"] = self.paths_for("encoder", "encoder", [encoder["start_from"]])
        return inputs

    def encoder_sources(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return what an encoder that is not trained is made from: weights, or its screens."""
        encoder = self.config["encoders"][wildcards.encoder]
        screens = sorted({s for s, n in self.plan.computed_pairs if n == wildcards.encoder})
        if encoder["kind"] == "openphenom":  # and the first screen, to show reconstructions of
            kinds = {"wells": "screen_wells", "sites": "screen_sites", "images": "screen_images"}
            shown = {k: self.paths_for(kind, "screen", screens[:1]) for k, kind in kinds.items()}
            return {"weights": encoder["weights"], **shown}
        if encoder["kind"] not in ("untrained", *STATISTICS_KINDS):
            return {"weights": encoder["weights"]} if encoder.get("weights") else {}
        return {} if encoder["num_channels"] else {
            "sites": self.paths_for("screen_sites", "screen", screens)
        }  # fmt: skip

    # Probes

    @cached_property
    def probed_pairs(self) -> list[tuple[str, str]]:
        """Pairs (task, encoder) that are probed: the encoder sees every screen of the task."""
        blocks = set(self.plan.block_pairs)
        return [
            (task, encoder)
            for encoder in self.plan.probed_encoders
            for task in self.plan.tasks
            if (screens := self._task_screens(task))
            and all((screen, encoder) in blocks for screen in screens)
        ]

    def probed_encoders(self) -> list[str]:
        """Return the encoders that are probed, sorted."""
        return sorted({encoder for _, encoder in self.probed_pairs})

    def blocks_of_task(self, wildcards: Wildcards) -> Paths:
        """Return the features of every block of an encoder on the screens of a task."""
        pairs = [(screen, wildcards.encoder) for screen in self._task_screens(wildcards.task)]
        return self.paths_for_pairs("blocks", pairs)

    def accuracies(self, wildcards: Wildcards) -> Paths:
        """Return the accuracies of an encoder in all tasks that it is probed for."""
        return self._accuracies({wildcards.encoder})

    def accuracies_of_evaluated(self) -> Paths:
        """Return the probe accuracies of the encoders that are evaluated, whole or trimmed."""
        return self._accuracies({base_encoder(name) for name in self.evaluated_networks()})

    def probe_settings(self, *keys: str) -> dict[str, Any]:
        """Return some settings of probes."""
        return {key: self.config["probes"][key] for key in keys}

    def _accuracies(self, encoders: set[str]) -> Paths:
        template = self.expand("<probe_accuracies>")
        pairs = [(task, encoder) for task, encoder in self.probed_pairs if encoder in encoders]
        return [template.format(task=task, encoder=encoder) for task, encoder in pairs]

    def _task_screens(self, task: str) -> Sequence[str]:
        screens: Sequence[str] = self.config["probes"]["tasks"][task]["screens"]
        return screens


def _known_tables(settings: Mapping[str, Any], asked: set[str]) -> list[str]:
    """Return the names of the tables of known biology that benchmarks ask for, sorted."""
    sources = settings["relationships"]["sources"]
    groups = settings["clusters"]["source"]
    names: set[str] = set()
    if "relationships" in asked:
        names |= set(sources) & set(annotation.CATALOGUE)
    # CORUM's complexes are for non-commercial use and must be asked for.
    if asked & {"clusters", "enrichment"} and (
        groups == "corum" or (groups == "auto" and "corum" in sources)
    ):
        names.add("corum-clusters")
    if "proximity-bias" in asked:
        names.add("gene-loci")
    if "compound-gene" in asked:
        names.add("compound-gene")
    return sorted(names)
