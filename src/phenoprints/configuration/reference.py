"""The reference of every key, written from the schema.

`python -m phenoprints.configuration.reference [config/README.md]` prints it or writes the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from phenoprints.configuration.presets import PRESETS, preset
from phenoprints.configuration.recipes import RECIPES
from phenoprints.configuration.validation import resolved_node, schema
from phenoprints.foundations.publishing import publish_text

HEAD = """# Configuration

A run is described by one YAML file: `snakemake --configfile mine.yaml -- all`. Single values can be
replaced on the command line: `--config run=second seed=1`. Four dictionaries (screens, encoders,
manifests, evaluation) say what exists, and the workflow follows from them; the other sections set
how each stage works. An unknown key is an error. Examples stand in `config/examples/`.

Names match `^[a-z0-9][a-z0-9-]*$`. Paths of a screen lie below its `root`, which is relative to
the working directory. A screen may hold its own `quality`, `alignment`, `consistency`, `maps` and
`benchmarks`, and an encoder its own `training`: keys given there replace those of the section.

Settings of training are laid over one another in this order: defaults, the encoder's `recipe`, the
section `training`, the encoder's own `training`.

Settings that have a new name are still read by their old one, with a warning that gives the new
name; both at once are an error.

This page is generated from `config/schema.yaml` (`python -m phenoprints.configuration.reference`).
"""


def reference() -> str:
    """The text of `config/README.md`."""
    parts = [HEAD, *_top(), *_screens(), *_encoders(), *_sections(), *_presets(), *_recipes()]
    return "\n".join(parts)


def _top() -> Iterator[str]:
    yield "## Top level\n"
    yield _table(schema()["properties"])


def _screens() -> Iterator[str]:
    definitions = schema()["$defs"]
    yield "## screens\n\nKeys of every screen:\n"
    yield _table(definitions["screen-common"])
    yield "Keys of screens whose metadata is a table (profiles-table, harmony, yokogawa,"
    yield "imagexpress, ome-zarr):\n"
    yield _table(definitions["screen-table"])
    yield "A property in `columns`, written as a mapping:\n"
    yield _table(definitions["column"]["properties"])
    yield "An entry of `join`:\n"
    yield _table(definitions["join"]["properties"])
    yield "Keys of harmony, yokogawa, imagexpress and ome-zarr:\n"
    yield _table(definitions["screen-images"])
    shared = {
        key for name in ("common", "table", "images") for key in definitions[f"screen-{name}"]
    }
    yield from _variants("source", schema()["$defs"]["screen"], shared)


def _encoders() -> Iterator[str]:
    definitions = schema()["$defs"]
    yield "## encoders\n\nKeys of encoders with a network:\n"
    yield _table(definitions["encoder-network"])
    yield "Keys of encoders that are trained (mae, weakly-supervised, dino):\n"
    yield _table(definitions["encoder-trained"])
    shared = {key for name in ("network", "trained") for key in definitions[f"encoder-{name}"]}
    yield from _variants("kind", definitions["encoder"], shared)


def _variants(word: str, node: Mapping[str, Any], shared: set[str]) -> Iterator[str]:
    for part in node["allOf"]:
        name = part["if"]["properties"][word]["const"]
        branch = resolved_node(part["then"])
        own = {k: v for k, v in branch["properties"].items() if k not in {word, *shared}}
        yield f"### {word}: {name}\n\n{branch['description']}\n"
        if own:
            yield _table(own, required=branch["required"])


def _sections() -> Iterator[str]:
    definitions = schema()["$defs"]
    manifest = definitions["manifest"]
    yield f"## manifests\n\n{manifest['description']}\n"
    yield _table(manifest["properties"], required=manifest["required"])
    for name, part in schema()["properties"].items():
        node = resolved_node(part)
        if "properties" in node:
            yield f"## {name}\n\n{node['description']}\n"
            yield _table(node["properties"])
            if name == "probes":
                yield "A task:\n"
                yield _table(definitions["task"]["properties"])


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


def _table(properties: Mapping[str, Any], required: Any = ()) -> str:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for key, part in properties.items():
        rows.extend(_rows(key, resolved_node(part), key in required))
    return "\n".join(rows) + "\n"


def _rows(key: str, node: Mapping[str, Any], is_required: bool) -> Iterator[str]:
    default = "required" if is_required else _default(node)
    yield f"| `{key}` | {_values(node)} | {default} | {node.get('description', '')} |"
    inner = node.get("properties", {})
    if key in ("sampling_fractions", *(k for k, v in _benchmarks().items() if v == node)):
        for name, part in inner.items():
            yield from _rows(f"{key}.{name}", resolved_node(part), False)


def _benchmarks() -> dict[str, Any]:
    properties = schema()["$defs"]["benchmarks"]["properties"]
    return {key: resolved_node(part) for key, part in properties.items()}


def _default(node: Mapping[str, Any]) -> str:
    if "default" not in node:
        return ""
    value = node["default"]
    return "" if value in ({}, []) and value is not False else f"`{_text(value)}`"


def _values(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{_text(word)}`" for word in node["enum"])
    types = node.get("type", "text")
    words = {"string": "text", "object": "mapping", "array": "list", "boolean": "true, false"}
    names = [words.get(name, name) for name in ([types] if isinstance(types, str) else types)]
    bounds = [
        f"{sign} {_text(node[key])}"
        for key, sign in {
            "minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"
        }.items()
        if key in node
    ]  # fmt: skip
    return " ".join([" or ".join(names), ", ".join(bounds)]).strip()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        publish_text(sys.argv[1], reference())
    else:
        sys.stdout.write(reference())
