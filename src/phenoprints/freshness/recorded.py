"""The artefacts of a run as their provenance records them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phenoprints.configuration.job_params import JobParams
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.provenance import artefact_path, read_provenance
from phenoprints.foundations.running_job import plain

DEPTH = 4
"""Folders between a run and the provenance of an artefact, as in probes/task/accuracies/mae."""


@dataclass(frozen=True)
class Recorded:
    """One artefact with what its provenance says; `rule` is "" where no job is recorded."""

    artefact: Path
    provenance: Mapping[str, Any]

    @property
    def rule(self) -> str:
        """The rule that made it."""
        return str(self._job.get("rule", ""))

    @property
    def wildcards(self) -> dict[str, str]:
        """The wildcards of the job that made it."""
        return dict(self._job.get("wildcards", {}))

    @property
    def params(self) -> Mapping[str, Any]:
        """The params of the job that made it."""
        found: Mapping[str, Any] = self._job.get("params", {})
        return found

    @property
    def inputs(self) -> Mapping[str, str]:
        """The recorded sha256 of every input, by path."""
        found = self.provenance.get("inputs")
        return found if isinstance(found, Mapping) else {}

    def expected_params(self, params: JobParams) -> dict[str, Any] | None:
        """Return the params that its job would have now; None where nothing is known of it."""
        rule = params.rule_named(self.rule)
        if not rule:
            return None
        try:
            found: dict[str, Any] = plain(params.evaluated(rule, self.wildcards))
        except (KeyError, AttributeError, TypeError):  # no longer a part of the configuration
            return None
        return found

    @property
    def _job(self) -> Mapping[str, Any]:
        found = self.provenance.get("job")
        return found if isinstance(found, Mapping) else {}


def recorded_artefacts(run: Path) -> Iterator[Recorded]:
    """Yield every artefact of a run whose provenance can be read, sorted by path."""
    found = {
        path for depth in range(DEPTH) for path in run.glob("*/" * depth + "*.provenance.json")
    }
    for path in sorted(found):
        try:
            yield Recorded(artefact_path(path), read_provenance(artefact_path(path)))
        except (PhenoprintsError, OSError):
            continue


SECTIONS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "assess_quality": (("settings", ("screens", "{screen}", "quality")),),
    "fit_alignment": (("settings", ("screens", "{screen}", "alignment")),),
    "consistency_tests": (
        ("settings", ("screens", "{screen}", "consistency")),
        ("limits", ("screens", "{screen}", "limits")),
    ),
    "curate_manifest": (("settings", ("manifests", "{manifest}")),),
    "train_encoder": (("settings", ("encoders", "{encoder}")),),
    "make_encoder": (("settings", ("encoders", "{encoder}")),),
    "build_map": (("settings", ("screens", "{screen}", "maps")),),
    "run_benchmarks": (("settings", ("screens", "{screen}", "benchmarks")),),
}
"""The section of the configuration that a param of a rule is."""


def settings_as_made(config: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """Return the configuration with the settings that the artefacts of the run were made with.

    Sections of stages that have not run stay as they are. Where several artefacts of one section
    were made with different settings, those of the last one by path are given.
    """
    made = copy.deepcopy(dict(config))
    for each in recorded_artefacts(run):
        for param, path in SECTIONS.get(each.rule, ()):
            keys = [key.format(**each.wildcards) for key in path]
            place: Any = made
            for key in keys[:-1]:
                place = place.get(key, {}) if isinstance(place, Mapping) else {}
            if isinstance(place, dict) and keys[-1] in place and param in each.params:
                place[keys[-1]] = each.params[param]
    return made


def versions_of_stages(run: Path) -> dict[str, dict[str, list[str]]]:
    """Return the stages, sorted, that each version of phenoprints and of a library was used in.

    By name of the software, then by version.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for each in recorded_artefacts(run):
        code, libraries = each.provenance.get("code"), each.provenance.get("libraries")
        used = dict(libraries) if isinstance(libraries, Mapping) else {}
        if isinstance(code, Mapping):
            used["phenoprints"] = code.get("version", "")
        for name, version in used.items():
            stages = found.setdefault(str(name), {}).setdefault(str(version), set())
            stages.add(str(each.provenance.get("stage", "")))
    return {
        name: {version: sorted(stages) for version, stages in sorted(versions.items())}
        for name, versions in sorted(found.items())
    }


def version_text(versions: Mapping[str, Sequence[str]]) -> str:
    """Return the versions of one software: one alone, or each with the stages that used it."""
    if len(versions) == 1:
        return next(iter(versions))
    return ", ".join(f"{version} ({', '.join(stages)})" for version, stages in versions.items())
