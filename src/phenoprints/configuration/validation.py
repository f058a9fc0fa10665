"""Check a configuration against its models and fill in their defaults."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from phenoprints.configuration.reading import Source
from phenoprints.foundations.errors import Problem

MAX_VALUE_CHARACTERS = 60


def faults(source: Source) -> list[Problem]:
    """Return everything in which a configuration breaks its models, in the order of its lines."""
    # Jobs of the workflow read a checked configuration, and need neither pydantic nor the models.
    from pydantic import ValidationError

    from phenoprints.configuration.models.run import Configuration

    try:
        Configuration.model_validate(source.content)
    except ValidationError as error:
        from phenoprints.configuration.explanation import problems

        return problems(error, source)
    return []


def with_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a valid configuration with every default filled in, as plain data with sorted keys."""
    from phenoprints.configuration.models.run import Configuration

    return Configuration.model_validate(content).plain()


def quoted(value: Any) -> str:
    """Return a value as the user wrote it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[:MAX_VALUE_CHARACTERS] + "…"


def nearest(word: str, known: list[str]) -> str:
    """Return `; did you mean "…"?` for the nearest known word, or nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
