"""Find artefacts that the present configuration and inputs would make in another way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from phenoprints.configuration.job_params import JobParams
from phenoprints.foundations.content_cache import FOLDER, ContentCache
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.provenance import artefact_sha256, is_provenance, provenance_path
from phenoprints.foundations.versions import STAGE_VERSIONS
from phenoprints.freshness.image_files import image_changes
from phenoprints.freshness.recorded import Recorded, recorded_artefacts

MAX_NAMED = 4
"""Differences that the reason of one artefact names."""
MAX_VALUE_CHARACTERS = 60


@dataclass(frozen=True)
class Stale:
    """An artefact that is not what its job would make now, and why."""

    recorded: Recorded
    reasons: tuple[str, ...]

    @property
    def artefact(self) -> Path:
        """The file or folder."""
        return self.recorded.artefact

    def line(self, run: Path) -> str:
        """Return one line for a log or page, with the path below the run."""
        path = self.artefact
        name = path.relative_to(run).as_posix() if path.is_relative_to(run) else path.name
        return f"{name}: {'; '.join(self.reasons)}"


ALL = ("job", "inputs", "images", "content")


def stale_artefacts(
    run: Path, config: Mapping[str, Any], *, compared: Sequence[str] = ALL
) -> list[Stale]:
    """Return the artefacts of a run that are stale, sorted by path.

    Parameters
    ----------
    run
        The folder of the run.
    config
        The resolved configuration that they are compared with.
    compared
        What is compared with provenance: params of the `job`, the `inputs`, the `images` (sizes
        and times of their files), and the `content` of the artefacts themselves. The state that
        the file system shows of a file stands for its bytes where it is known and settled.
    """
    check = _Check(run, config)
    found = []
    for recorded in recorded_artefacts(run):
        looks = {
            "job": check.of_job,
            "inputs": check.of_inputs,
            "images": check.of_images,
            "content": check.of_content,
        }
        reasons = [reason for name in compared for reason in looks[name](recorded)]
        if reasons:
            found.append(Stale(recorded, tuple(reasons)))
    return found


class _Check:
    def __init__(self, run: Path, config: Mapping[str, Any]) -> None:
        absolute = run.absolute()
        self.base = absolute.parents[1] if absolute.parent.name == "results" else Path.cwd()
        self.run = run
        limits = config.get("freshness") or {}
        self.max_files: int | None = limits.get("max_files", 1_000_000)
        self.params: JobParams | None = None
        with suppress(KeyError, TypeError, AttributeError):  # a configuration of a part only
            self.params = JobParams(config)
        self.contents = ContentCache(run / FOLDER)
        self.sha256 = cache(self._sha256)

    def of_job(self, recorded: Recorded) -> Iterator[str]:
        """Yield how the params of the job differ from those that it would have now."""
        expected = recorded.expected_params(self.params) if self.params else None
        stage, made = (
            str(recorded.provenance.get("stage")),
            recorded.provenance.get("stage_version"),
        )
        if expected is None:
            if not recorded.rule and STAGE_VERSIONS.get(stage, made) != made:
                yield f"made by version {made} of its stage, now {STAGE_VERSIONS[stage]}"
            return
        found = list(differences(recorded.params, expected))
        yield from found[:MAX_NAMED]
        if len(found) > MAX_NAMED:
            yield f"{len(found) - MAX_NAMED} more settings differ"

    def of_inputs(self, recorded: Recorded) -> Iterator[str]:
        """Yield the inputs that are gone or have another content."""
        for name, sha256 in sorted(recorded.inputs.items()):
            path = self.base / name
            if not path.exists():
                yield f"made from {name}, which is gone"
            elif not self._is_unchanged(path, sha256):
                yield f"made from {name}, which has changed since"

    def of_images(self, recorded: Recorded) -> Iterator[str]:
        """Yield how the image files differ from those that a screen's images were read from."""
        if recorded.rule.endswith("prepare_images") and recorded.artefact.name == "images.json":
            screen = recorded.wildcards.get("screen", "")
            yield from image_changes(self.run, screen, limit=self.max_files)

    def of_content(self, recorded: Recorded) -> Iterator[str]:
        """Say whether the artefact is gone, or not what was written."""
        if not recorded.artefact.exists():
            yield "it is gone"
        elif self.contents.sha256(recorded.artefact) != recorded.provenance["sha256"]:
            yield "it is not what was written"

    def _is_unchanged(self, path: Path, sha256: str) -> bool:
        """Whether an input is as recorded; earlier versions recorded bytes of provenance files."""
        found = self.sha256(path)
        return found in (sha256, "") or (is_provenance(path) and file_sha256(path) == sha256)

    def _sha256(self, path: Path) -> str:
        """Return the sha256 of an input, as its provenance records it; "" where that is damaged."""
        try:
            if is_provenance(path) or provenance_path(path).exists():
                return artefact_sha256(path)
            return self.contents.sha256(path)
        except (PhenoprintsError, OSError):
            return ""


def differences(made: Any, now: Any, path: Sequence[str] = ()) -> Iterator[str]:
    """Yield every setting that differs: its path, with what it was made and what it is now."""
    if isinstance(made, Mapping) and isinstance(now, Mapping):
        for key in sorted({*made, *now}):
            yield from differences(made.get(key), now.get(key), [*path, str(key)])
    elif made != now:
        shown = [key for key in path if key not in ("settings", "config")] or ["settings"]
        yield f"made with {'.'.join(shown)} {_shown(made)}, now {_shown(now)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[:MAX_VALUE_CHARACTERS]}…"
