"""`phenoprints export-crate RUN`: the run as a Workflow Run RO-Crate, from its provenance files.

Profile: https://w3id.org/ro/wfrun/provenance/0.5 (Leo et al. 2024,
doi:10.1371/journal.pone.0309210).
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from phenoprints import __version__
from phenoprints.cli.runs import (
    base_folder,
    checked_provenance,
    provenance_files,
    run_folder,
    short,
)
from phenoprints.cli.terminal import count
from phenoprints.foundations.errors import MissingInputError
from phenoprints.foundations.provenance import artefact_path
from phenoprints.foundations.publishing import publish_json

CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    "https://w3id.org/ro/terms/workflow-run/context",
]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
WORKFLOW = "workflow/Snakefile"
SNAKEMAKE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
Entity = dict[str, Any]


def run(arguments: argparse.Namespace) -> int:
    """Write `ro-crate-metadata.json` into the run's folder, with a copy of the workflow's files."""
    folder = run_folder(arguments.run)
    base = base_folder(folder)
    snakefile = base / "Snakefile"
    if not snakefile.is_file():
        raise MissingInputError(f"{snakefile}: the workflow that made the run is not there.")
    _copy_workflow(base, folder)
    entities = crate(folder, arguments.license)
    publish_json(folder / "ro-crate-metadata.json", {"@context": CONTEXT, "@graph": entities})
    files = sum(1 for entity in entities if "sha256" in entity)
    print(f"{folder / 'ro-crate-metadata.json'}: written, {count(files)} artefacts and inputs.")
    return 0


def crate(folder: Path, licence: str) -> list[Entity]:
    """Return entities of a run's crate, sorted by id; no path outside the run's folder is named."""
    steps = [_Step(path, folder) for path in provenance_files(folder)]
    if not steps:
        raise MissingInputError(f"{folder}: there is no provenance file; the run has not begun.")
    times = [step.time for step in steps]
    entities = [*_root(folder, steps, licence, max(times)), *_workflow(folder, steps)]
    entities += _actions(folder, steps, min(times), max(times))
    unique = {entity["@id"]: entity for entity in entities}
    return [unique[key] for key in sorted(unique)]


def _copy_workflow(base: Path, folder: Path) -> None:
    target = folder / WORKFLOW
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(base / "Snakefile", target)
    for rules in sorted((base / "workflow/rules").glob("*.smk")):
        (target.parent / "rules").mkdir(exist_ok=True)
        shutil.copyfile(rules, target.parent / "rules" / rules.name)


class _Step:
    """One artefact with its provenance, as the action that made it."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.artefact = artefact_path(path)
        self.provenance = checked_provenance(self.artefact)
        self.stage = self.provenance["stage"]
        self.time = datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()
        self._folder, self._base = folder.absolute(), base_folder(folder)
        self.id = _id(self.artefact, self._folder)

    def output(self) -> Entity:
        kind = "Dataset" if self.artefact.is_dir() else "File"
        return {
            "@id": self.id,
            "@type": kind,
            "name": self.id.rstrip("/"),
            "sha256": self.provenance["sha256"],
        }

    def inputs(self) -> Iterator[Entity]:
        for name, digest in sorted(self.provenance["inputs"].items()):
            path = (self._base / name).absolute()
            if path.is_relative_to(self._folder):
                yield {"@id": _id(_without_suffix(path), self._folder)}
            else:
                yield {
                    "@id": f"#input-{short(digest)}",
                    "@type": "CreativeWork",
                    "name": path.name,
                    "sha256": digest,
                }

    def action(self) -> Entity:
        return {
            "@id": f"#make-{self.id.rstrip('/')}",
            "@type": "CreateAction",
            "name": f"{self.stage}: {self.id.rstrip('/')}",
            "instrument": {"@id": f"#stage-{self.stage}"},
            "object": _refs(entity["@id"] for entity in self.inputs()),
            "result": {"@id": self.id},
            "endTime": self.time,
            "description": f"seeds {json.dumps(self.provenance['seeds'], sort_keys=True)}, "
            f"settings {self.provenance.get('settings_sha256', '')}",
        }


def _refs(ids: Iterable[str]) -> Any:
    """Return references to entities; a single one without a list, as RO-Crate recommends."""
    found = [{"@id": each} for each in dict.fromkeys(ids)]
    return found[0] if len(found) == 1 else found


def _id(path: Path, folder: Path) -> str:
    relative = path.absolute().relative_to(folder).as_posix()
    return f"{relative}/" if path.is_dir() else relative


def _without_suffix(path: Path) -> Path:
    return artefact_path(path) if path.name.endswith(".provenance.json") else path


def _root(folder: Path, steps: list[_Step], licence: str, published: str) -> Iterator[Entity]:
    yield {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": [
            {"@id": "https://w3id.org/ro/crate/1.1"},
            {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
        ],
    }
    parts = [*(step.id for step in steps), WORKFLOW]
    parts += ["config.json"] if (folder / "config.json").is_file() else []
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Phenoprints run {folder.absolute().name}",
        "description": "Curated training sets, encoders, embeddings and maps of Cell Painting "
        "screens, with the provenance of every artefact.",
        "datePublished": published,
        "license": {"@id": licence} if licence.startswith("http") else licence,
        "conformsTo": _refs(profile for profile in PROFILES),
        "hasPart": _refs(part for part in sorted(set(parts))),
        "mainEntity": {"@id": WORKFLOW},
        "mentions": [{"@id": "#run"}, *({"@id": f"#make-{s.id.rstrip('/')}"} for s in steps)],
    }
    for profile, name in PROFILES.items():
        version = profile.rsplit("/", 1)[1]
        yield {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
    if licence.startswith("http"):
        yield {"@id": licence, "@type": "CreativeWork", "name": licence.rsplit("/", 1)[1]}


def _workflow(folder: Path, steps: list[_Step]) -> Iterator[Entity]:
    versions = {step.stage: step.provenance["stage_version"] for step in steps}
    stages = sorted(versions)
    yield {
        "@id": WORKFLOW,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "Phenoprints",
        "version": __version__,
        "programmingLanguage": {"@id": SNAKEMAKE},
        "hasPart": _refs(f"#stage-{stage}" for stage in stages),
        "step": _refs(f"#step-{stage}" for stage in stages),
        "input": [{"@id": "#parameter-configuration"}],
        "output": [{"@id": "#parameter-results"}],
    }
    yield {
        "@id": SNAKEMAKE,
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "identifier": {"@id": "https://snakemake.github.io"},
        "url": {"@id": "https://snakemake.github.io"},
    }
    yield _parameter("configuration", "File", ["config.json"])
    yield _parameter("results", "Dataset", [])
    if (folder / "config.json").is_file():
        configuration = {
            "@id": "config.json",
            "@type": "File",
            "encodingFormat": "application/json",
        }
        example = {"exampleOfWork": {"@id": "#parameter-configuration"}}
        yield {**configuration, **example, "name": "The resolved configuration of the run"}
    for position, stage in enumerate(stages):
        yield {
            "@id": f"#stage-{stage}",
            "@type": "SoftwareApplication",
            "name": f"phenoprints.{stage}",
            "softwareVersion": f"{__version__}, stage version {versions[stage]}",
        }
        yield {
            "@id": f"#step-{stage}",
            "@type": "HowToStep",
            "position": str(position),
            "workExample": {"@id": f"#stage-{stage}"},
        }


def _parameter(name: str, kind: str, examples: list[str]) -> Entity:
    entity: Entity = {
        "@id": f"#parameter-{name}",
        "@type": "FormalParameter",
        "additionalType": kind,
        "name": name,
        "conformsTo": {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"},
    }
    if examples:
        entity["workExample"] = _refs(examples)
    return entity


def _actions(folder: Path, steps: list[_Step], start: str, end: str) -> Iterator[Entity]:
    has_configuration = (folder / "config.json").is_file()
    yield {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Run {folder.absolute().name}",
        "instrument": {"@id": WORKFLOW},
        "description": "Everything that the run has made so far.",
        "object": _refs(["config.json"] if has_configuration else []),
        "result": _refs(step.id for step in steps),
        "startTime": start,
        "endTime": end,
    }
    engine = {"@id": "#snakemake", "@type": "SoftwareApplication", "name": "Snakemake"}
    yield {**engine, "softwareVersion": _version("snakemake")}
    yield {
        "@id": "#orchestration",
        "@type": "OrganizeAction",
        "name": "Snakemake",
        "instrument": {"@id": "#snakemake"},
        "object": _refs(f"#control-{stage}" for stage in sorted({s.stage for s in steps})),
        "result": {"@id": "#run"},
    }
    made: dict[str, list[str]] = {}
    for step in steps:
        yield from (entity for entity in step.inputs() if "@type" in entity)
        yield step.output()
        yield step.action()
        made.setdefault(step.stage, []).append(step.action()["@id"])
    for stage, actions in made.items():
        yield {
            "@id": f"#control-{stage}",
            "@type": "ControlAction",
            "name": f"orchestrate {stage}",
            "instrument": {"@id": f"#step-{stage}"},
            "object": _refs(actions),
        }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
