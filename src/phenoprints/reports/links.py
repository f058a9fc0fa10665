"""Addresses on other pages where more is said of a perturbation: its tests, its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

import pandas as pd

from phenoprints.foundations.provenance import artefact_path
from phenoprints.reports.runs import Run


def place_of(names: Mapping[str, str], what: str) -> str:
    """Return the anchor of something about a screen and encoder."""
    return f"{names['screen']}-{names['encoder'].replace('.', '-')}-{what}"


def searched(page: str, anchor: str, words: pd.Series) -> list[str]:
    """Return the address of a table that shows the rows with these words; "" where
    there are none.
    """
    return [
        f"{page}.html#{anchor}?q={quote_plus(str(word))}" if _is_word(word) else ""
        for word in words
    ]


def tests_of(run: Run, screens: Sequence[str], judges: Sequence[str]) -> str:
    """The anchor of the first table of tests that a manifest's judges have; "" without one."""
    there = (
        place_of({"screen": screen, "encoder": judge}, "tests")
        for judge in judges
        for screen in screens
        if run.has("consistency", screen=screen, encoder=judge)
    )
    return next(there, "")


def neighbours_of(run: Run, screens: Sequence[str]) -> str:
    """Return the anchor of the first table of neighbours on these screens; "" without one."""
    there = (
        place_of({"screen": screen, "encoder": encoder}, "neighbours")
        for screen, encoder in run.plan.evaluated_pairs
        if screen in screens
        and run.has("map", screen=screen, encoder=encoder)
        and (
            artefact_path(run.path("map", screen=screen, encoder=encoder)) / "neighbours.parquet"
        ).is_file()
    )
    return next(there, "")


def _is_word(word: Any) -> bool:
    return isinstance(word, str) and word != ""
