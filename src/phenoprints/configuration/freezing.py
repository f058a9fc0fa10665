"""The resolved configuration of a run as one file, written once and read by every job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phenoprints.configuration.reading import Source
from phenoprints.configuration.renaming import modernize
from phenoprints.configuration.resolution import load
from phenoprints.foundations.errors import ConfigurationError, CorruptionError, MissingInputError
from phenoprints.foundations.publishing import publish_text, sweep


def freeze(config: Mapping[str, Any]) -> str:
    """Return the canonical JSON text of a resolved configuration: sorted keys, a final newline."""
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def write_frozen(path: str | Path, config: Mapping[str, Any]) -> None:
    """Publish a resolved configuration, and beside it its sha256 in the form of `sha256sum`."""
    file, text = Path(path), freeze(config)
    publish_text(file, text)
    publish_text(checksum_path(file), f"{hashlib.sha256(text.encode()).hexdigest()}  {file.name}\n")
    for written in (file, checksum_path(file)):
        sweep(written)


def checksum_path(path: Path) -> Path:
    """Return the path of the sha256 of a frozen configuration."""
    return path.with_name(path.name + ".sha256")


def thaw(path: str | Path) -> dict[str, Any]:
    """Return the resolved configuration that `write_frozen` wrote.

    Nothing is filled in again, unless an earlier version wrote it: old names become the present
    ones then, and settings that it did not have take their defaults.

    Raises
    ------
    MissingInputError
        The file is not there.
    CorruptionError
        It is no configuration of a run, or not the one whose sha256 lies beside it.
    ConfigurationError
        An earlier version wrote it, with settings that this one does not have.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingInputError(f"{path}: the run's configuration is not there. Start it again.")
    try:
        content = file.read_bytes()
        recorded = checksum_path(file).read_text() if checksum_path(file).is_file() else None
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptionError(f"{path}: not JSON ({error}). Delete it and run again.") from error
    if not isinstance(config, dict) or "run" not in config:
        raise CorruptionError(f"{path}: not a run's configuration. Delete it and run again.")
    if recorded is not None and recorded.split()[:1] != [hashlib.sha256(content).hexdigest()]:
        other = checksum_path(file).name
        raise CorruptionError(
            f"{path}: its sha256 is not that in {other}. Delete both and run again."
        )
    return _present(config, path)


def _present(config: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """Return the configuration as this version would have resolved it."""
    source, old_names, _ = modernize(Source(config, {}, str(path)))
    if not old_names:
        return config
    try:
        return load(source.content, warn=lambda _: None)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{path}: written by an earlier version, with settings that this one cannot read:\n"
            f"{error}\nStart the run again with its configuration file; it writes a new {path}."
        ) from error
