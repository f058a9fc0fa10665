"""The JSON schema of the configuration, generated from its models.

`python -m phenoprints.configuration.json_schema [FILE]` prints it or writes the file.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from phenoprints.configuration.models.base import Partial, Section
from phenoprints.configuration.models.run import Configuration
from phenoprints.foundations.publishing import publish_text

SCHEMA_PATH = Path(__file__).with_name("schema.yaml")
HEAD = """\
# The schema of the configuration. Generated from the models in this package; do not edit:
#   python -m phenoprints.configuration.json_schema src/phenoprints/configuration/schema.yaml
# `title` is the phrase with which messages describe what they expect.
"""


@cache
def schema() -> dict[str, Any]:
    """Return the schema of the whole configuration, as JSON schema 2020-12."""
    generated = dict(node_of(Configuration))
    here = Section.__module__.rpartition(".")[0]
    for model in every_model(Section):
        if model.__module__.startswith(here) and model.__name__ in generated["$defs"]:
            _describe(generated["$defs"][model.__name__], model)
    return {"$schema": GenerateJsonSchema.schema_dialect, **generated}


@cache
def node_of(model: type[Section]) -> dict[str, Any]:
    """Return the node of the schema for one model, also for a class that extends one."""
    node = model.model_json_schema(schema_generator=_Generator)
    _describe(node, model)
    return node


def resolved_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node of the schema with what it refers to laid under its own keys."""
    if "anyOf" in node:  # a model, or null
        model = resolved_node(node["anyOf"][0])
        return {
            **model,
            "type": ["object", "null"],
            **{k: v for k, v in node.items() if k != "anyOf"},
        }
    if "$ref" not in node:
        return dict(node)
    target: Any = schema()["$defs"][node["$ref"].rpartition("/")[2]]
    return {**resolved_node(target), **{k: v for k, v in node.items() if k != "$ref"}}


def alternatives(node: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the models of a node that differ by `source` or `kind`, by its value."""
    if "discriminator" not in node:
        return {}
    key = node["discriminator"]["propertyName"]
    models = [resolved_node(part) for part in node["oneOf"]]
    return {model["properties"][key]["const"]: model for model in models}


@cache
def sentences(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings below the fields of a model, base classes included, by name."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, Section) and cls.__name__ in _classes(cls.__module__):
            found |= dict(_attribute_docs(_classes(cls.__module__)[cls.__name__]))
    return found


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _attribute_docs(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield field.target.id, " ".join(text.value.split())


def every_model(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield all classes below a model."""
    for child in model.__subclasses__():
        yield child
        yield from every_model(child)


def _describe(node: dict[str, Any], model: type[BaseModel]) -> None:
    node.pop("title", None)
    node["description"] = " ".join((model.__doc__ or "").split())
    for name, text in sentences(model).items():
        node["properties"][name]["description"] = text
    if issubclass(model, Partial):
        for part in node["properties"].values():
            if part.get("default", 0) is None:
                del part["default"]


class _Generator(GenerateJsonSchema):
    """Without titles that repeat names, and `type: [integer, "null"]` for what can be null."""

    def field_title_should_be_set(self, _: Any) -> bool:  # type: ignore[override]
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if "enum" in inner:
            return {"enum": [*inner["enum"], None]}
        if "oneOf" in inner:
            return {**inner, "oneOf": [*inner["oneOf"], {"type": "null"}]}
        if isinstance(inner.get("type"), str):
            return {**inner, "type": [inner["type"], "null"]}
        return super().nullable_schema(schema)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        generated: JsonSchemaValue = {"type": "object"}
        names = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        if "pattern" in names or "enum" in names:
            generated["propertyNames"] = names
        generated["additionalProperties"] = self.generate_inner(schema["values_schema"])
        if "min_length" in schema:
            generated["minProperties"] = schema["min_length"]
        return generated

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        words = list(schema["expected"])
        return {"const": words[0]} if len(words) == 1 else {"enum": words}


def text() -> str:
    """Return the text of `schema.yaml`."""
    body = yaml.safe_dump(
        schema(), sort_keys=False, allow_unicode=True, width=120, default_flow_style=None
    )
    return HEAD + body


if __name__ == "__main__":
    if len(sys.argv) > 1:
        publish_text(sys.argv[1], text())
    else:
        sys.stdout.write(text())
