"""What the tests of one screen and judge say: shares below the threshold, single positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from phenoprints.reports.links import place_of
from phenoprints.reports.proportions import Share

DEFAULT_P_VALUE = 0.01


def p_value_threshold(config: Mapping[str, Any], screen: str, encoder: str) -> float:
    """Return the strictest p_value of the manifests that this judge decides on this screen."""
    values = [
        float(manifest["p_value"])
        for manifest in config["manifests"].values()
        if screen in manifest["screens"] and encoder in manifest["judges"]
    ]
    return min(values, default=DEFAULT_P_VALUE)


def below(table: pd.DataFrame, level: str, threshold: float) -> Share:
    """Return the tests of a level below the threshold, of those that have a p-value."""
    p = table.loc[table["level"] == level, "p_value"].dropna()
    return Share(int((p < threshold).sum()), len(p))


def single_positions(table: pd.DataFrame) -> tuple[int, int]:
    """Conditions all of whose tests have wells at one position only, and tested conditions."""
    tests = table[(table["level"] == "condition") & table["p_value"].notna()]
    by_condition = tests.groupby("condition_id")["single_position"].all()
    return int(by_condition.sum()), len(by_condition)


def anchor(names: Mapping[str, str], what: str) -> str:
    """Return the anchor of something about a screen and judge."""
    return place_of(names, what)
