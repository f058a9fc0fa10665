"""A configuration checked against the schema: every fault a line that says what to write."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from phenoprints.configuration.reading import KeyPath, Source, dotted
from phenoprints.foundations.errors import Problem

SCHEMA_PATH = Path(__file__).with_name("schema.yaml")
MAX_VALUE_CHARACTERS = 60
MAX_WORDS = 16
_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_PHRASES = {
    "pattern": "text that matches {}",
    "const": "{}",
    "not": "another name, since this one is reserved",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "text that is not empty",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least one entry",
    "uniqueItems": "every item once",
}


@cache
def schema() -> dict[str, Any]:
    """The schema of the whole configuration, as JSON schema 2020-12."""
    loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(SCHEMA_PATH.read_bytes(), Loader=loader)  # noqa: S506
    return content


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def faults(source: Source) -> list[Problem]:
    """Everything in which a configuration breaks the schema, in the order of its lines."""
    found: list[tuple[tuple[int, str], Problem]] = []
    for error in _validator().iter_errors(source.content):
        found.extend(_problems(error, source))
    unique = {(place, problem.where, problem.what): problem for place, problem in found}
    return [unique[key] for key in sorted(unique)]


def with_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """A valid configuration with every default filled in; whole numbers become integers."""
    filled = _fill(schema(), copy.deepcopy(dict(content)))
    assert isinstance(filled, dict)
    return filled


def resolved_node(node: Mapping[str, Any], value: Any = None) -> dict[str, Any]:
    """A node of the schema with its references and the branches that apply to `value` merged."""
    merged: dict[str, Any] = {}
    if "$ref" in node:
        merged = dict(resolved_node(_target(node["$ref"]), value))
    merged.update({key: part for key, part in node.items() if key != "$ref"})
    for part in node.get("allOf", []):
        if "then" not in part:
            merged = {**resolved_node(part, value), **merged}
        elif Draft202012Validator(part["if"]).is_valid(value):
            branch = resolved_node(part["then"], value)
            merged = {**merged, **branch, "properties": {**branch["properties"]}}
    return merged


def _target(reference: str) -> dict[str, Any]:
    target: Any = schema()
    for part in reference.removeprefix("#/").split("/"):
        target = target[part]
    assert isinstance(target, dict)
    return target


def _fill(node: Mapping[str, Any], value: Any) -> Any:
    node = resolved_node(node, value)
    if isinstance(value, dict):
        return _fill_mapping(node, value)
    if isinstance(value, list):
        return [_fill(node.get("items", {}), item) for item in value]
    types = node.get("type", ())
    if isinstance(value, float) and value.is_integer() and "integer" in types:
        return int(value)
    return value


def _fill_mapping(node: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    properties = node.get("properties", {})
    for key, part in properties.items():
        default = resolved_node(part).get("default", value)
        if key not in value and default is not value:
            value[key] = copy.deepcopy(default)
    other = node.get("additionalProperties")
    rest = other if isinstance(other, dict) else {}
    return {key: _fill(properties.get(key, rest), item) for key, item in sorted(value.items())}


def _problems(error: ValidationError, source: Source) -> Iterator[tuple[tuple[int, str], Problem]]:
    path: KeyPath = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))  # type: ignore[union-attr]
        for key in sorted(set(map(str, error.instance)) - set(known)):  # type: ignore[arg-type]
            yield _one(source, (*path, key), _unknown(key, known))
    elif error.validator == "required":
        for key in error.validator_value:  # type: ignore[union-attr]
            if key not in error.instance:  # type: ignore[operator]
                what = f'the key "{key}" is missing; expected {_expected_of_key(error, key)}'
                yield _one(source, path, what, missing=True)
    elif error.validator == "type" and "then" in error.absolute_schema_path and not path[2:]:
        return  # said already, with the phrase of its title
    elif "propertyNames" in error.absolute_schema_path:
        key = str(error.instance)
        yield _one(source, (*path, key), f'"{key}" cannot be a name; expected {_expected(error)}')
    else:
        what = f"{quoted(error.instance)} is not allowed; expected {_expected(error)}"
        yield _one(source, path, what + _nearest(error))


def _one(
    source: Source, path: KeyPath, what: str, *, missing: bool = False
) -> tuple[tuple[int, str], Problem]:
    where = source.where(path, missing=missing)
    line = source.places[path][1] if path in source.places else 0
    return (line, dotted(path)), Problem(f"{where}: {dotted(path)}", what)


def quoted(value: Any) -> str:
    """A value as the user wrote it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[:MAX_VALUE_CHARACTERS] + "…"


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean "…"?` for the nearest known word, or nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def _unknown(key: str, known: list[str]) -> str:
    hint = nearest(key, known)
    if not hint:
        homes = [
            name
            for name, part in schema()["properties"].items()
            if key in resolved_node(part).get("properties", {})
        ]
        hint = f'; it belongs into "{homes[0]}"' if homes else ""
    expected = "" if hint else f"; expected one of {', '.join(known)}" if known else ""
    return f'unknown key "{key}"{hint}{expected}'


def _expected_of_key(error: ValidationError, key: str) -> str:
    part = resolved_node(error.schema["properties"].get(key, {}))  # type: ignore[index]
    if "enum" in part:
        return _one_of([str(word) for word in part["enum"]])
    return str(part.get("title") or _types(part.get("type", "string")))


def _one_of(words: list[str]) -> str:
    more = f", … ({len(words)} in all)" if len(words) > MAX_WORDS else ""
    return f"one of {', '.join(words[:MAX_WORDS])}{more}"


def _expected(error: ValidationError) -> str:
    rule, limit = error.validator, error.validator_value
    node: Mapping[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    if rule == "enum":
        return _one_of([json.dumps(word).strip('"') for word in limit])  # type: ignore[union-attr]
    if rule in ("type", "pattern") and "title" in node:
        return str(node["title"])
    if rule == "type":
        return _types(limit)
    phrase = _PHRASES.get(str(rule))
    return phrase.format(limit) if phrase else str(node.get("title", error.message))


def _types(types: Any) -> str:
    names = [types] if isinstance(types, str) else list(types)
    return " or ".join(_WORDS.get(name, name) for name in names)


def _nearest(error: ValidationError) -> str:
    if error.validator != "enum" or not isinstance(error.instance, str):
        return ""
    words = [word for word in error.validator_value if isinstance(word, str)]  # type: ignore[union-attr]
    return nearest(error.instance, words)
