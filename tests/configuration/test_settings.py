"""Every setting is read somewhere: none stands in the schema that changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phenoprints.configuration.validation import resolved_node, schema

ROOT = Path(__file__).resolve().parents[2]
READERS = [
    *(ROOT / "src/phenoprints").rglob("*.py"),
    *(ROOT / "workflow").rglob("*.smk"),
    *(ROOT / "workflow/scripts").glob("*.py"),
]
WORDS = {
    word
    for path in READERS
    if not {"configuration", "cli"} & set(path.relative_to(ROOT).parts)
    for word in re.findall(r"\w+", path.read_text())
}
SECTIONS = [
    name
    for name, part in schema()["properties"].items()
    if "properties" in resolved_node(part) and name != "run"
]
GROUPS = [name for name in schema()["$defs"] if name.startswith(("screen-", "encoder-"))]


def keys(node):
    """The names of all settings of a node of the schema, nested ones included."""
    for key, part in resolved_node(node).get("properties", {}).items():
        yield key
        yield from keys(part)


@pytest.mark.parametrize("section", [*SECTIONS, *GROUPS, "manifest", "task"])
def test_every_setting_is_read_by_a_stage(section):
    definitions = {**schema()["properties"], **schema()["$defs"]}
    node = definitions[section]
    own = node if section in GROUPS and "type" not in node else None
    names = set(own) if own else set(keys(node))
    assert not sorted(name for name in names if name not in WORDS)
