"""Params of the rules of the workflow: all that a job's results depend on beside its inputs.

Rules take them from here, and so does the check whether an artefact was made with the present
configuration (`phenoprints.freshness`). Values are plain data, or functions of the wildcards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from phenoprints.configuration.input_files import image_state
from phenoprints.configuration.inputs import Inputs
from phenoprints.configuration.layout import expand
from phenoprints.configuration.planning import image_settings, screen_seed, screen_settings
from phenoprints.foundations.versions import STAGE_VERSIONS

Params = dict[str, Any]
SPLIT_SETTINGS = (
    "split", "block_selection", "validation_fraction", "test_fraction", "max_wells_per_class"
)  # fmt: skip
PROBE_SETTINGS = ("max_iter", "tol", "sensitivity_tol", "inverse_penalty", "device")
INHERITED = {
    "embeddings_and_blocks": "embeddings",
    "gather_embeddings_and_blocks": "gather_embeddings",
}
"""Rules that have the params of another one."""


class JobParams:
    """Params of every rule, for one resolved configuration and its inputs."""

    def __init__(self, config: Mapping[str, Any], inputs: Inputs | None = None) -> None:
        self.config = config
        self.inputs = inputs or Inputs(config, expand=lambda text: expand(text, config["run"]))
        groups = (self._screens, self._embeddings, self._judging, self._learning, self._results)
        self._rules: dict[str, tuple[str, Params]] = {}
        for group in groups:
            self._rules.update(group())

    @property
    def rules(self) -> list[str]:
        """Names of the rules that have params here, sorted."""
        return sorted([*self._rules, *INHERITED])

    def rule_named(self, name: str) -> str:
        """Return the rule that has the params of a rule of that name; "" for none.

        A workflow that uses this one as a module may put a prefix before the names of rules.
        """
        fitting = [rule for rule in self.rules if f"_{name}".endswith(f"_{rule}")]
        rule = max(fitting, key=len, default="")
        return INHERITED.get(rule, rule)

    def of(self, rule: str) -> Params:
        """Return the params of a rule; functions take the wildcards."""
        stage, params = self._rules[rule]
        return {"version": STAGE_VERSIONS[stage], **params}

    def evaluated(self, rule: str, wildcards: Mapping[str, str]) -> Params:
        """Return the params of one job as plain data.

        Raises
        ------
        KeyError
            The rule is unknown, or the configuration has no item that a wildcard names.
        """
        names = SimpleNamespace(**wildcards)
        return {k: v(names) if callable(v) else v for k, v in self.of(rule).items()}

    def _section(self, section: str, wildcard: str, *keys: str) -> Callable[[Any], Any]:
        def value(wildcards: Any) -> Any:
            found = self.config[section][getattr(wildcards, wildcard)]
            for key in keys:
                found = found[key]
            return found

        return value

    def _screens(self) -> dict[str, tuple[str, Params]]:
        seed = {"seed": lambda w: screen_seed(self.config, w.screen)}
        tables = {"settings": lambda w: screen_settings(self.config, w.screen)}
        images = {"settings": lambda w: image_settings(self.config, w.screen)}
        files = {"images": lambda w: image_state(self.config["screens"][w.screen])}
        quality = self._section("screens", "screen", "quality")
        return {
            "read_screen": ("screens", {**seed, **tables, **files}),
            "prepare_images": ("screens", {**seed, **images, **files}),
            "quality_without_images": ("quality", {}),
            "measure_quality": (
                "quality",
                {
                    **files,
                    "num_batches": self._section("screens", "screen", "quality", "num_jobs"),
                    "nucleus_channel": self._section(
                        "screens", "screen", "quality", "nucleus_channel"
                    ),
                },
            ),
            "assess_quality": ("quality", {"settings": quality, "seed": self.config["seed"]}),
        }

    def _embeddings(self) -> dict[str, tuple[str, Params]]:
        inputs, stored_as = self.inputs, self.config["inference"]["stored_as"]
        encoder = {"settings": self._section("encoders", "encoder"), "stored_as": stored_as}
        computed = {
            "seed": self.config["seed"],
            "settings": inputs.embedding_settings,
            "stores": inputs.stores,
        }
        limit = self._section("screens", "screen", "max_failed_fraction")
        given = {"screen": inputs.table_settings, "max_failed_fraction": limit}
        params = {
            "precomputed_embeddings": {**encoder, **given},
            "random_embeddings": {**encoder, "seed": self.config["seed"]},
            "embeddings": {**computed, "phases": ["plan", "compute", "gather"]},
            "plan_embeddings": {**computed, "phases": ["plan"]},
            "gather_embeddings": {**computed, "phases": ["gather"]},
            "embedding_batch": {
                "settings": inputs.for_each_encoder(inputs.embedding_settings),
                "stores": inputs.for_each_encoder(inputs.stores),
            },
        }
        return {rule: ("embeddings", own) for rule, own in params.items()}

    def _judging(self) -> dict[str, tuple[str, Params]]:
        seed, inputs = {"seed": self.config["seed"]}, self.inputs
        alignment = self._section("screens", "screen", "alignment")
        tests = {
            "settings": self._section("screens", "screen", "consistency"),
            "limits": self._section("screens", "screen", "limits"),
            "threshold": inputs.threshold,
        }
        curation = {
            "settings": self._section("manifests", "manifest"),
            "tests": inputs.section_of_screens("consistency"),
            "geometry": inputs.declared_image_sizes,
        }
        fit = {"settings": alignment, "is_precomputed": inputs.is_precomputed}
        return {
            "fit_alignment": ("alignment", fit),
            "consistency_tests": ("consistency", {**tests, **seed}),
            "curate_manifest": ("curation", {**curation, **seed}),
        }

    def _learning(self) -> dict[str, tuple[str, Params]]:
        seed, settings = {"seed": self.config["seed"]}, self.inputs.probe_settings
        encoder = {"settings": self._section("encoders", "encoder"), **seed}
        task = {"task": lambda w: self.config["probes"]["tasks"][w.task]}
        chosen = {"settings": settings("block_selection", "trim_tasks")}
        return {
            "train_encoder": ("training", encoder),
            "make_encoder": ("training", encoder),
            "trim_encoder": ("training", {}),
            "split_task": ("probes", {**task, "settings": settings(*SPLIT_SETTINGS), **seed}),
            "probe_blocks": ("probes", {"settings": settings(*PROBE_SETTINGS)}),
            "choose_block": ("probes", chosen),
        }

    def _results(self) -> dict[str, tuple[str, Params]]:
        seed, inputs = {"seed": self.config["seed"]}, self.inputs
        networks = inputs.evaluated_networks()
        benchmarks = {
            "names": sorted(self.config["evaluation"]["benchmarks"]),
            "settings": self._section("screens", "screen", "benchmarks"),
            "tables": inputs.known_biology_names,
            "learned_from_screen": inputs.has_learned_from,
            "hold_out": inputs.held_out_experiments,
        }
        compared = {
            "screens": [screen for screen, _ in inputs.plan.evaluated_pairs],
            "encoders": networks,
            "trimmed": inputs.trimmed_by_probes(),
            "blocks": {name: inputs.encoder_settings(name)["block"] for name in networks},
        }
        pages = {"config": dict(self.config), "run_folder": lambda _: inputs.expand("<run_dir>")}
        maps = {"settings": self._section("screens", "screen", "maps")}
        studies = {"settings": self._section("studies", "study")}
        return {
            "build_map": ("maps", {**maps, **seed}),
            "match_screen": ("matches", {"settings": self.config.get("match"), **seed}),
            "run_benchmarks": ("benchmarks", {**benchmarks, **seed}),
            "compare_encoders": ("benchmarks", compared),
            "write_reports": ("reports", pages),
            "study_seed": ("training", studies),
            "study_page": ("reports", studies),
        }
