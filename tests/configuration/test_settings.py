"""Every setting is read somewhere: none stands in the schema that changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phenoprints.configuration.json_schema import every_model, node_of, resolved_node, sentences
from phenoprints.configuration.models.base import Section

MODELS_AT = "phenoprints.configuration.models"
ROOT = Path(__file__).resolve().parents[2]
READERS = [
    *(ROOT / "src/phenoprints").rglob("*.py"),
    *(ROOT / "workflow").rglob("*.smk"),
    *(ROOT / "workflow/scripts").glob("*.py"),
]
WORDS = {
    word
    for path in READERS
    if path.name in ("inputs.py", "resources.py")
    or not {"configuration", "cli"} & set(path.relative_to(ROOT).parts)
    for word in re.findall(r"\w+", path.read_text())
}
MODELS = sorted(
    {model for model in every_model(Section) if model.__module__.startswith(MODELS_AT)},
    key=lambda model: model.__name__,
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_setting_is_read_by_a_stage(model):
    own = set(model.__annotations__) - {"model_config"}
    assert not sorted(name for name in own if name not in WORDS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_setting_has_a_sentence(model):
    by_kind = {"crispr", "sirna", "orf", "compound", "other", "source", "kind"}
    silent = set(model.__annotations__) - set(sentences(model)) - by_kind
    nodes = node_of(model)["properties"]
    assert not [name for name in silent if "description" not in resolved_node(nodes[name])
                and "Column" not in str(model.__annotations__[name])]  # fmt: skip
