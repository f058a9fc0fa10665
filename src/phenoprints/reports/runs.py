"""A run's folder as the pages see it: what the configuration asks for, and what is there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from phenoprints.configuration import Plan, plan
from phenoprints.configuration.layout import artefact


@dataclass
class Run:
    """One run: its folder, its resolved configuration, and what could not be read.

    Reading never raises for a file that is missing or unreadable: it gives None, and `unreadable`
    keeps the reason, so that a page can say so. `config` holds the settings that the tables were
    made with, `planned` the present configuration where it is another one, and `stale` a line for
    each artefact that this one would make in another way.
    """

    folder: Path
    config: Mapping[str, Any]
    unreadable: dict[str, str] = field(default_factory=dict)
    stale: Sequence[str] = ()
    planned: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.config["run"])

    @cached_property
    def plan(self) -> Plan:
        """What the configuration asks for."""
        return plan(self.planned or self.config)

    def path(self, kind: str, **names: str) -> Path:
        """Where an artefact lies or would lie."""
        return artefact(self.folder, kind, **names)

    def has(self, kind: str, **names: str) -> bool:
        """Whether an artefact is there."""
        return self.path(kind, **names).is_file()

    def table(
        self, kind: str, columns: Iterable[str] | None = None, **names: str
    ) -> pd.DataFrame | None:
        """Return a stored table, or None."""
        return self.table_at(self.path(kind, **names), columns)

    def table_at(self, path: Path, columns: Iterable[str] | None = None) -> pd.DataFrame | None:
        """Return the Parquet table at a path, with those of `columns` that it has, or None."""
        if not path.is_file():
            return None
        try:
            file = pq.ParquetFile(path)
            wanted = (
                None if columns is None else [c for c in columns if c in file.schema_arrow.names]
            )
            frame: pd.DataFrame = file.read(columns=wanted).to_pandas()
        except (pa.ArrowInvalid, OSError) as error:
            self.unreadable[self.shown(path)] = f"not a readable Parquet file ({error})"
            return None
        return frame

    def document(self, kind: str, **names: str) -> dict[str, Any] | None:
        """Return a stored JSON object, or None."""
        return self.document_at(self.path(kind, **names))

    def document_at(self, path: Path) -> dict[str, Any] | None:
        """Return the JSON object at a path, or None."""
        content = self._json_at(path)
        if content is not None and not isinstance(content, dict):
            self.unreadable[self.shown(path)] = "not a JSON object"
            return None
        return content

    def list_at(self, path: Path) -> list[Any]:
        """Return the JSON list at a path; empty where there is none."""
        content = self._json_at(path)
        return content if isinstance(content, list) else []

    def _json_at(self, path: Path) -> Any:
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            self.unreadable[self.shown(path)] = f"not readable JSON ({error})"
            return None

    def shown(self, path: Path) -> str:
        """Return a path as pages print it: below the run's folder, never with a home folder."""
        return (
            path.relative_to(self.folder).as_posix()
            if path.is_relative_to(self.folder)
            else path.name
        )
