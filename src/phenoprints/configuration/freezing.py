"""The resolved configuration of a run as one file, written once and read by every job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phenoprints.foundations.errors import CorruptionError, MissingInputError


def freeze(config: Mapping[str, Any]) -> str:
    """The canonical JSON text of a resolved configuration: sorted keys, one final line break."""
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def thaw(path: str | Path) -> dict[str, Any]:
    """The resolved configuration that `freeze` wrote; nothing is filled in or checked again."""
    if not Path(path).is_file():
        raise MissingInputError(f"{path}: the run's configuration is not there. Start it again.")
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"{path}: not JSON ({error}). Delete it and run again.") from error
    if not isinstance(config, dict) or "run" not in config:
        raise CorruptionError(f"{path}: not a run's configuration. Delete it and run again.")
    return config
