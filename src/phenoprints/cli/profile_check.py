"""Tables of vectors, read and matched with the wells as a run will do it, within a time limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from phenoprints.cli.screen_summary import ScreenSummary
from phenoprints.cli.terminal import count
from phenoprints.configuration import found_files
from phenoprints.foundations.errors import PhenoprintsError, Problem, TableError

READING_SECONDS = 60.0
"""Time for the vectors of all encoders together."""
BYTES_PER_SECOND = 10_000_000
"""A low estimate of what is read of a table in a second, with which a large one is not begun."""
GOLDEN_RATIO = 0.6180339887498949
"""Its multiples modulo 1 fill the unit interval evenly, at any number of them."""


@dataclass(frozen=True)
class ProfileCheck:
    """What was found of one precomputed encoder on one screen.

    `lines` are verdict words with sentences, `details` sentences without; `problems` would stop a
    run. `num_features` is 0 where no table was read.
    """

    encoder: str
    screen: str
    num_tables: int
    num_read: int
    num_features: int = 0
    lines: tuple[tuple[str, str], ...] = ()
    details: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def check_profiles(
    config: Mapping[str, Any],
    summaries: Mapping[str, ScreenSummary],
    *,
    seconds: float = READING_SECONDS,
) -> Iterator[ProfileCheck]:
    """Yield for every precomputed encoder and screen what a run will find in its vectors.

    The first tables are always read; of many the rest is read as far as the time goes, spread
    over the list, and the headers of all others. Screens without a summary are matched with
    nothing.
    """
    until = monotonic() + seconds
    for name, encoder in config["encoders"].items():
        for screen, patterns in (encoder.get("profiles") or {}).items():
            settings = config["screens"][screen]
            if settings["source"] == "planned":
                continue
            paths = found_files(settings["root"], patterns)
            rows = found_files(settings["root"], encoder["row_tables"].get(screen, []))
            try:
                yield _checked(name, encoder, summaries.get(screen), settings, paths, rows, until)
            except PhenoprintsError as error:
                problems = error.problems if isinstance(error, TableError) else ()
                problems = problems or (Problem(f"{name} on {screen}", str(error)),)
                yield ProfileCheck(name, screen, len(paths), 0, problems=problems)


def _checked(
    name: str,
    encoder: Mapping[str, Any],
    summary: ScreenSummary | None,
    settings: Mapping[str, Any],
    paths: Sequence[str],
    rows: Sequence[str],
    until: float,
) -> ProfileCheck:
    from phenoprints.embeddings.feature_selection import described
    from phenoprints.embeddings.vector_tables import read_headers, read_profiles

    screen = summary.name if summary else str(settings.get("name", ""))
    ordered = list(paths) if rows else [paths[at] for at in _spread(len(paths))]
    if summary is None or _seconds(ordered[0]) > until - monotonic():
        read_headers(ordered, encoder, settings)
        what = f"{name}: the headers of {count(len(ordered))} tables of vectors have what is named"
        return ProfileCheck(name, screen, len(paths), 0, lines=(("CHECK", f"{what}; the run reads "
                            "their rows."),))  # fmt: skip
    table = read_profiles(ordered, encoder, settings, rows, until=until)
    about = f"{name} on {screen}"
    lines = [("CHECK", f"{about}: {text}") for text in table.notes]
    if table.num_read < len(paths):
        read_headers(ordered[table.num_read :], encoder, settings)
        what = f"{count(table.num_read)} of {count(len(paths))} tables of vectors were read"
        lines.append(("CHECK", f"{about}: {what}, since time ran out; of the others the headers."))
    else:
        lines += [(word, f"{about}: {text}") for word, text in _matched(table, summary, settings)]
    details = tuple(described(table.features, table.excluded))
    return ProfileCheck(
        name, screen, len(paths), table.num_read, len(table.features), tuple(lines), details
    )


def _matched(
    table: Any, summary: ScreenSummary, settings: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield what matching the rows with the wells gives; raise where a run would stop."""
    from phenoprints.embeddings.failures import refuse_too_many
    from phenoprints.embeddings.precomputed import match_vectors, refuse_missing_features

    assert summary.screen is not None
    wells, most = summary.screen.wells, settings["max_failed_fraction"]
    matched = match_vectors(wells, table)
    refuse_missing_features(matched, most)
    refuse_too_many(matched.failures, len(wells), max_failed_fraction=most, where=summary.name)
    yield from (("CHECK", text) for text in matched.warnings)
    there = len(wells) - matched.counts["wells_without_vector"]
    several = matched.counts["wells_of_several_rows"]
    mean = f"; {count(several)} are means of several rows" if several else ""
    yield "PASS", f"{count(there)} of {count(len(wells))} wells have a vector{mean}."


def _seconds(path: str) -> float:
    """Return a high estimate of the time that a table takes."""
    place = Path(path)
    return place.stat().st_size / BYTES_PER_SECOND if place.is_file() else 0.0


def _spread(number: int) -> list[int]:
    """0 to number - 1, so ordered that any first few of them are spread evenly, 0 first."""
    return sorted(range(number), key=lambda i: i * GOLDEN_RATIO % 1)


def check_lines(check: ProfileCheck) -> Iterator[tuple[str, str]]:
    """Yield the verdicts of a check, its details under the last of them."""
    more = "".join(f"\n    {text}" for text in check.details)
    *first, last = check.lines or (("CHECK", f"{check.encoder} on {check.screen}"),)
    yield from first
    yield last[0], last[1] + more
