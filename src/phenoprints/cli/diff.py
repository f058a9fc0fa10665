"""`phenoprints diff MANIFEST MANIFEST`: what changed between two curations, by step and reason."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from phenoprints.cli.curation_diff import KEPT, Transition, transitions
from phenoprints.cli.runs import checked_provenance
from phenoprints.cli.terminal import count, table
from phenoprints.foundations.errors import MissingInputError, Problem, raise_problems

KEY = ("perturbation", "kind", "gene", "guide", "concentration_um", "cell_type", "background")
MAX_NAMED = 10


def run(arguments: argparse.Namespace) -> int:
    """Print wells, conditions and settings that differ; always 0, since a change is no fault."""
    first, second = manifest_folder(arguments.first), manifest_folder(arguments.second)
    print(f"{first}  →  {second}\n")
    for line in differences(first, second):
        print(line)
    return 0


def manifest_folder(path: str) -> Path:
    """Return the folder of a curation, given itself or by the folder `manifest` in it."""
    folder = Path(path)
    folder = folder.parent if folder.name == "manifest" else folder
    names = ("manifest", "reasons", "phenoprints.parquet")
    raise_problems(
        [
            Problem(str(folder / name), "is not there", fix="give a finished results/…/curation/…")
            for name in names
            if not (folder / name).exists()
        ],
        MissingInputError,
    )
    return folder


def differences(first: Path, second: Path) -> Iterator[str]:
    """Yield the lines of all differences between two curations."""
    yield from _well_lines(transitions(first, second))
    yield ""
    yield from _condition_lines(_phenoprints(first), _phenoprints(second))
    yield ""
    yield from _setting_lines(_settings(first), _settings(second))


def _well_lines(found: list[Transition]) -> Iterator[str]:
    before = sum(each.wells for each in found if each.before == KEPT)
    after = sum(each.wells for each in found if each.after == KEPT)
    changed = sorted((t for t in found if t.before != t.after), key=lambda t: (-t.wells, t))
    yield f"Wells to learn from: {count(before)} → {count(after)}"
    if not changed:
        yield "  every well has the same fate"
    yield table([(f"{t.before} → {t.after}", count(t.wells)) for t in changed])


def _phenoprints(folder: Path) -> set[tuple[Any, ...]]:
    """Return the conditions with a phenoprint, by what they are: numbers may differ between
    curations.
    """
    import pandas as pd

    conditions = pd.read_parquet(folder / "phenoprints.parquet")
    keys = conditions.loc[conditions["has_phenoprint"], list(KEY)].astype(object)
    return set(keys.where(keys.notna(), None).itertuples(index=False, name=None))


def _condition_lines(first: set[tuple[Any, ...]], second: set[tuple[Any, ...]]) -> Iterator[str]:
    yield f"Conditions with a phenoprint: {count(len(first))} → {count(len(second))}"
    for word, keys in (("gained", second - first), ("lost", first - second)):
        if keys:
            names = sorted(_condition_name(key) for key in keys)
            more = f" and {count(len(names) - MAX_NAMED)} more" if len(names) > MAX_NAMED else ""
            yield f"  {word} {count(len(names))}: {', '.join(names[:MAX_NAMED])}{more}"


def _condition_name(key: tuple[Any, ...]) -> str:
    facts = dict(zip(KEY, key, strict=True))
    concentration = facts["concentration_um"]
    dose = "" if concentration is None else f"{concentration:g} µM"
    parts = [facts["perturbation"], facts["guide"], dose, facts["cell_type"], facts["background"]]
    return " ".join(dict.fromkeys(str(part) for part in parts if part))


def _settings(folder: Path) -> dict[str, str]:
    """Every setting of a curation by its dotted key, as JSON."""
    flat: dict[str, str] = {}

    def walk(value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            for name, part in value.items():
                walk(part, f"{key}.{name}" if key else str(name))
        else:
            flat[key] = json.dumps(value, ensure_ascii=False)

    provenance = checked_provenance(folder / "manifest")
    walk(provenance["settings"], "")
    walk(provenance["seeds"], "")
    return flat


def _setting_lines(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[str]:
    keys = [key for key in sorted({*first, *second}) if first.get(key) != second.get(key)]
    yield "Settings that differ:" if keys else "The settings are the same."
    for key in keys:
        yield f"  {key}: {first.get(key, 'absent')} → {second.get(key, 'absent')}"
