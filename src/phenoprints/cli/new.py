"""`phenoprints new SOURCE`: a commented configuration, written from the schema."""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from phenoprints.configuration import load
from phenoprints.configuration.json_schema import alternatives, resolved_node, schema
from phenoprints.configuration.validation import nearest
from phenoprints.foundations.errors import ConfigurationError
from phenoprints.foundations.publishing import publish_text

WIDTH = 92
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
SECTIONS = ("quality", "inference", "alignment", "consistency", "maps", "reports")
IMAGE_KEYS = (
    "modality", "crop_px", "exclude_border_crops", "height_px", "width_px", "channel_names",
    "window_percentiles", "pack", "pack_compression", "pack_chunk_px", "max_failed_fraction",
)  # fmt: skip
_PLACEHOLDERS: dict[str, Any] = {
    "wells": "wells.csv",
    "root": "data/my-screen",
    "experiments": 10,
    "load_data": '"load_data_csv/**/*.parquet"',
    "num_wells": 100_000,
    "pattern": r"'(?P<plate>.+)_(?P<well>[A-P]\d+)_s(?P<site>\d+)_(?P<channel>w\d)\.tif'",
}
_COLUMNS = """\
    # Experiment, plate and well are found where their columns have usual names, such as batch,
    # plate, well, Metadata_Batch, Metadata_Plate, Metadata_Well; name others below.
    columns:                          # property of a well: name of the column that holds it
      perturbation: compound
      concentration_um: concentration
      kind: {value: compound}         # crispr, sirna, orf, compound or other
    # Words of the perturbation's column that are controls; all others are treatments. Where another
    # column holds the roles, name it above (role: {column: type}).
    roles: {DMSO: negative_control}
"""
_PROFILES = """\
encoders:
  profiles: {{kind: precomputed, screens: [{name}]}}   # all numeric columns of the wells' table

manifests:
  phenoprints: {{screens: [{name}], judges: [profiles]}}

evaluation:
  screens: [{name}]
  encoders: [profiles]
"""
_IMAGES = """\
encoders:
  untrained: {{kind: untrained, architecture: {small}}}
  everything-mae: {{kind: mae, architecture: {small}, manifest: everything, recipe: {recipe}}}
  phenoprints-mae: {{kind: mae, architecture: {small}, manifest: phenoprints, recipe: {recipe}}}

manifests:
  everything: {{screens: [{name}]}}                                  # steps 1 to 4 of the funnel
  phenoprints: {{screens: [{name}], judges: [everything-mae]}}       # and step 5

evaluation:
  screens: [{name}]
  encoders: [untrained, everything-mae, phenoprints-mae]
"""


def run(arguments: argparse.Namespace) -> int:
    """Print or write the configuration; an existing file is never overwritten."""
    text = new_configuration(arguments.source, arguments.name)
    if arguments.output is None:
        sys.stdout.write(text)
        return 0
    if Path(arguments.output).exists():
        raise ConfigurationError(f"{arguments.output}: this file is there already; name another.")
    publish_text(arguments.output, text)
    load(arguments.output)
    print(f"{arguments.output}: written. Next: phenoprints check {arguments.output}")
    return 0


def new_configuration(source: str, name: str) -> str:
    """Return a configuration for one screen of a source, with every key explained; it loads as it
    is.
    """
    sources = list(_sources())
    if source not in sources:
        hint = nearest(source, sources) or f"; expected one of {', '.join(sources)}"
        raise ConfigurationError(f'"{source}" is no source of screens{hint}')
    has_images = source != "profiles-table"
    small = {"simulated": "vit-tiny"}.get(source, "ca-vit-s16")
    recipe = {"simulated": "demo"}.get(source, "openphenom")
    rest = (_IMAGES if has_images else _PROFILES).format(name=name, small=small, recipe=recipe)
    head = f"# Made by `phenoprints new {source}`; `#` before a key: the default stands.\n"
    screen = "\n".join(_screen(source))
    return f"{head}run: {name}\n\nscreens:\n  {name}:\n{screen}\n\n{rest}\n" + "\n".join(
        _sections()
    )


def _sources() -> dict[str, dict[str, Any]]:
    return alternatives(schema()["properties"]["screens"]["additionalProperties"])


def _screen(source: str) -> Iterator[str]:
    node = _sources()[source]
    yield f"    source: {source}   # {node['description']}"
    has_table = "join" in node["properties"]
    skipped = (*(IMAGE_KEYS if source == "profiles-table" else ()), "roles")
    skipped += ("columns",) if has_table else ()
    wanted = {*node["required"], "wells", "load_data"}
    required = [key for key in node["properties"] if key in wanted]
    for key, part in node["properties"].items():
        if key in ("source", *skipped):
            continue
        described = resolved_node(part)
        if key in required:
            yield from _comment(described, "    ")
            yield f"    {key}: {_PLACEHOLDERS[key]}"
        else:
            yield from _commented(key, described, "    ")
    if has_table:
        yield _COLUMNS.rstrip()


def _sections() -> Iterator[str]:
    yield "# Settings of the stages; config/README.md has those that are not shown here."
    for name in SECTIONS:
        node = resolved_node(schema()["properties"][name])
        yield f"# {name}:   # {node['description']}"
        for key, part in node["properties"].items():
            described = resolved_node(part)
            if "properties" not in described:
                yield f"#   {key}: {_text(described.get('default'))}"


def _commented(key: str, node: Mapping[str, Any], indent: str) -> Iterator[str]:
    if "default" not in node or node["default"] in ({}, []) or "properties" in node:
        return
    yield from _comment(node, indent)
    yield f"{indent}# {key}: {_text(node['default'])}"


def _comment(node: Mapping[str, Any], indent: str) -> Iterator[str]:
    text = node.get("description", "")
    if "enum" in node:
        text += f" One of {', '.join(_text(word) for word in node['enum'])}."
    yield from (f"{indent}# {line}" for line in _wrapped(text, indent))


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - len(indent), break_on_hyphens=False)


def _text(value: Any) -> str:
    """Return a value as YAML: plain words as they are, other text in quotes."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)
