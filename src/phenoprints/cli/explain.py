"""`phenoprints explain FILE`: the chain of provenance back to the inputs, or forward."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from phenoprints.cli.runs import (
    SUFFIX,
    base_folder,
    change_of,
    checked_provenance,
    provenance_files,
    run_of,
    short,
)
from phenoprints.foundations.errors import MissingInputError
from phenoprints.foundations.fingerprints import content_sha256
from phenoprints.foundations.provenance import artefact_path, provenance_path

MAX_SETTING_CHARACTERS = 88


def run(arguments: argparse.Namespace) -> int:
    """Print the chain; the file must have a provenance or have been used as an input."""
    path = Path(arguments.file.rstrip("/"))
    artefact = artefact_path(path) if path.name.endswith(SUFFIX) else holding_artefact(path)
    if arguments.forward:
        for line in forward(artefact):
            print(line)
        return 0
    if not provenance_path(artefact).exists():
        where = f"{provenance_path(artefact)} is not there"
        raise MissingInputError(f"{artefact}: it has no provenance ({where}).")
    for line in back(artefact, with_settings=arguments.settings):
        print(line)
    return 0


def holding_artefact(path: Path) -> Path:
    """Return the artefact that a path is, or lies in: a page of the reports, a chunk of a store."""
    absolute = path.absolute()
    for place in (absolute, *absolute.parents):
        if place.name and provenance_path(place).exists():
            return place
    return path


def back(artefact: Path, *, with_settings: bool = False) -> Iterator[str]:
    """Yield the lines of the chain from an artefact back to the inputs, each artefact told once."""
    base = base_folder(run_of(artefact))
    yield from _chain(artefact.absolute(), base, "", set(), with_settings)


def forward(artefact: Path) -> Iterator[str]:
    """Yield the lines of all that was made from an artefact, directly or through others."""
    folder = run_of(artefact)
    if folder.parent.name != "results":  # an input: it may serve every run
        folder = Path("results")
    base = base_folder(folder)
    users: dict[Path, list[Path]] = {}
    for path in provenance_files(folder):
        for name in checked_provenance(artefact_path(path))["inputs"]:
            source = _artefact(base / name)
            users.setdefault(source, []).append(artefact_path(path))
    yield from _users(artefact.absolute(), base, "", users, set())


def _users(
    artefact: Path, base: Path, indent: str, users: Mapping[Path, list[Path]], told: set[Path]
) -> Iterator[str]:
    yield f"{indent}{_name(artefact, base)}{' (see above)' if artefact in told else ''}"
    if artefact in told:
        return
    told.add(artefact)
    for user in sorted({user.absolute() for user in users.get(artefact, [])}):
        yield from _users(user, base, indent + "  ", users, told)


def _chain(
    artefact: Path, base: Path, indent: str, told: set[Path], with_settings: bool
) -> Iterator[str]:
    name = _name(artefact, base)
    told.add(artefact)
    if not provenance_path(artefact).exists():
        is_there = artefact.is_file() or artefact.is_dir()
        digest = short(content_sha256(artefact)) if is_there else "unknown, for it is gone"
        yield f"{indent}{name}  input, sha256 {digest}"
        return
    provenance = checked_provenance(artefact)
    yield f"{indent}{name}  {provenance['stage']} (version {provenance['stage_version']})"
    inner = indent + "  "
    yield from (inner + line for line in _facts(provenance, with_settings))
    again = []
    for source, recorded in sorted(provenance["inputs"].items()):
        if change := change_of(base / source, str(recorded)):
            yield f"{inner}! made from {source} with sha256 {short(str(recorded))}, {change}"
        path = _artefact(base / source)
        if path in told:
            again.append(_name(path, base))
        else:
            yield from _chain(path, base, inner, told, with_settings)
    if again:
        yield f"{inner}and from {', '.join(again)} (see above)"


def _facts(provenance: Mapping[str, Any], with_settings: bool) -> Iterator[str]:
    code = provenance["code"]
    commit = f", commit {code['commit'][:12]}" if code["commit"] else ""
    yield f"sha256 {short(provenance['sha256'])}, phenoprints {code['version']}{commit}"
    threads = provenance.get("threads")
    seeds = _pairs(provenance.get("seeds", {})) or "none"
    settings = short(provenance["settings_sha256"])
    yield f"seeds: {seeds}; threads: {threads or 'not set'}; settings {settings}"
    if rows := _pairs(provenance.get("rows", {})):
        yield f"rows: {rows}"
    if with_settings:
        yield from (f"- {line}" for line in _settings(provenance.get("settings", {}), ""))


def _settings(settings: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f"{prefix}{key}.")
        else:
            text = json.dumps(value, ensure_ascii=False)
            cut = "…" if len(text) > MAX_SETTING_CHARACTERS else ""
            yield f"{prefix}{key}: {text[:MAX_SETTING_CHARACTERS]}{cut}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(values.items()))


def _artefact(path: Path) -> Path:
    """Return the artefact that a recorded input stands for: itself, or that of a
    provenance file.
    """
    return artefact_path(path) if path.name.endswith(SUFFIX) else path


def _name(path: Path, base: Path) -> str:
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
