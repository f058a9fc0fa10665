"""The reference of every key, written from the models.

`python -m phenoprints.configuration.reference [config/README.md]` prints it or writes the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from phenoprints.configuration.json_schema import alternatives, node_of, resolved_node, schema
from phenoprints.configuration.models.base import Section
from phenoprints.configuration.models.benchmarks import Benchmarks
from phenoprints.configuration.models.curation import Manifest, Task
from phenoprints.configuration.models.encoders import NetworkKeys, TrainedKeys
from phenoprints.configuration.models.screens import Column, ImageKeys, Join, ScreenKeys, TableKeys
from phenoprints.configuration.presets import PRESETS, preset
from phenoprints.configuration.recipes import RECIPES
from phenoprints.configuration.references import CURATION_OPTIONS
from phenoprints.foundations.publishing import publish_text

HEAD = """# Configuration

A run is described by one YAML file: `snakemake --configfile mine.yaml -- all`. Single values can be
replaced on the command line: `--config run=second seed=1`. Four dictionaries (screens, encoders,
manifests, evaluation) say what exists, and the workflow follows from them; the other sections set
how each stage works. An unknown key is an error. Examples are in `config/examples/`.

Names match `^[a-z0-9][a-z0-9-]*$`. Paths of a screen lie below its `root`, which is relative to
the working directory. A screen may hold its own `quality`, `alignment`, `consistency`, `maps` and
`benchmarks`, and an encoder its own `training`: keys given there replace those of the section.

Settings of training are laid over one another in this order: defaults, the encoder's `recipe`, the
section `training`, the encoder's own `training`.

Settings that have a new name are still read by their old one, with a warning that gives the new
name; both at once are an error.

This page is generated from the models in `phenoprints.configuration.models`
(`python -m phenoprints.configuration.reference config/README.md`), as is `config/schema.yaml`.
"""


def reference() -> str:
    """Return the text of `config/README.md`."""
    parts = [HEAD, *_top(), *_screens(), *_encoders(), *_sections(), *_presets(), *_recipes()]
    return "\n".join(parts)


def _top() -> Iterator[str]:
    yield "## Top level\n"
    yield _table(schema())


def _screens() -> Iterator[str]:
    yield "## screens\n\nKeys of every screen:\n"
    yield _table(node_of(ScreenKeys))
    yield "Keys of screens whose metadata is a table (profiles-table, harmony, yokogawa,"
    yield "imagexpress, files, ome-zarr):\n"
    yield _table(node_of(TableKeys))
    yield "A property in `columns`, written as a mapping:\n"
    yield _table(node_of(Column))
    yield "An entry of `join`:\n"
    yield _table(node_of(Join))
    yield "Keys of harmony, yokogawa, imagexpress, files and ome-zarr:\n"
    yield _table(node_of(ImageKeys))
    screens = schema()["properties"]["screens"]["additionalProperties"]
    yield from _variants("source", screens, (ScreenKeys, TableKeys, ImageKeys))


def _encoders() -> Iterator[str]:
    yield "## encoders\n\nKeys of encoders with a network:\n"
    yield _table(node_of(NetworkKeys))
    yield "Keys of encoders that are trained (mae, weakly-supervised, dino):\n"
    own = set(TrainedKeys.model_fields) - set(NetworkKeys.model_fields)
    yield _table(node_of(TrainedKeys), only=own)
    encoders = schema()["properties"]["encoders"]["additionalProperties"]
    yield from _variants("kind", encoders, (NetworkKeys, TrainedKeys))


def _variants(
    word: str, node: Mapping[str, Any], bases: tuple[type[Section], ...]
) -> Iterator[str]:
    shared = {word, *(key for base in bases for key in base.model_fields)}
    for name, branch in alternatives(node).items():
        own = set(branch["properties"]) - shared
        yield f"### {word}: {name}\n\n{branch['description']}\n"
        if own:
            yield _table(branch, only=own)


def _sections() -> Iterator[str]:
    manifest = node_of(Manifest)
    yield f"## manifests\n\n{manifest['description']}\n"
    yield _table(manifest)
    for name, part in schema()["properties"].items():
        node = resolved_node(part)
        if "properties" in node:
            yield f"## {name}\n\n{node['description']}\n"
            yield _table(node)
            if name == "probes":
                yield "A task:\n"
                yield _table(node_of(Task))


def _presets() -> Iterator[str]:
    yield "## Presets\n\nWhat a condition must reach in step 3, and where it is tested.\n"
    yield "| preset | kind | experiments | wells | tested |\n|---|---|---|---|---|"
    for name in PRESETS:
        limits = preset(name)
        for kind, of in limits.items():
            alike = [other for other in limits if limits[other] == of]
            if kind == alike[0]:
                words = [
                    name,
                    ", ".join(alike),
                    of["min_experiments"],
                    of["min_wells"],
                    of["scope"],
                ]
                yield f"| {' | '.join(map(str, words))} |"
    yield ""


def _recipes() -> Iterator[str]:
    yield "## Recipes\n\nWhat each recipe sets in `training`.\n"
    yield "| recipe | settings |\n|---|---|"
    for name, settings in RECIPES.items():
        text = ", ".join(f"`{key}: {_text(value)}`" for key, value in sorted(settings.items()))
        yield f"| {name} | {text or 'the defaults'} |"
    yield ""


def _table(node: Mapping[str, Any], only: Collection[str] | None = None) -> str:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for key, part in node["properties"].items():
        if only is None or key in only:
            rows.extend(_rows(key, resolved_node(part), key in node.get("required", ())))
    return "\n".join(rows) + "\n"


def _rows(key: str, node: Mapping[str, Any], is_required: bool) -> Iterator[str]:
    default = "required" if is_required else _default(node)
    yield f"| `{key}` | {_values(node)} | {default} | {node.get('description', '')} |"
    if key in ("sampling_fractions", *CURATION_OPTIONS) or key in Benchmarks.model_fields:
        for name, part in _properties(node).items():
            yield from _rows(f"{key}.{name}", resolved_node(part), False)


def _properties(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keys of a mapping, also of one that may be null."""
    parts = [resolved_node(part) for part in node.get("oneOf", [])]
    found: Mapping[str, Any] = next(
        (part["properties"] for part in [node, *parts] if "properties" in part), {}
    )
    return found


def _default(node: Mapping[str, Any]) -> str:
    if "default" not in node:
        return ""
    value = node["default"]
    return "" if value in ({}, []) and value is not False else f"`{_text(value)}`"


def _values(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{_text(word)}`" for word in node["enum"])
    words = {"string": "text", "object": "mapping", "array": "list", "boolean": "true, false"}
    names = [words.get(name, name) for name in _types(node)]
    bounds = [
        f"{sign} {_text(node[key])}"
        for key, sign in {
            "minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"
        }.items()
        if key in node
    ]  # fmt: skip
    return " ".join([" or ".join(names), ", ".join(bounds)]).strip()


def _types(node: Mapping[str, Any]) -> list[str]:
    parts = [resolved_node(part) for part in node.get("oneOf", [])]
    if parts:
        names = dict.fromkeys(name for part in parts for name in _types(part))
        return [name for name in names if name != "integer" or "number" not in names]
    types = node.get("type", "string")
    return [types] if isinstance(types, str) else list(types)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        publish_text(sys.argv[1], reference())
    else:
        sys.stdout.write(reference())
