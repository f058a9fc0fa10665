"""A screen of which nothing could be assessed or nothing passes fails; nuclei are asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from phenoprints.reports.stages.quality import _verdicts


def verdicts(words: list[str], channels: list[str], chosen: str | None = None) -> dict[str, Any]:
    """The verdicts on a screen of one experiment, by code."""
    roles = ["negative_control", *["treatment"] * (len(words) - 1)]
    table = pd.DataFrame({"experiment": "e", "plate": "p", "role": roles, "verdict": words})
    run: Any = SimpleNamespace(
        plan=SimpleNamespace(screens_without_images=[]),
        config={"screens": {"s": {"quality": {"nucleus_channel": chosen}}}},
        document=lambda _, screen: {"geometry": {"channels": channels}},
    )
    return {verdict.rule.code: verdict for verdict in _verdicts(run, "s", table)}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["not assessed"] * 4, "FAIL"),
        (["fail"] * 4, "FAIL"),
        (["fail", "fail", "pass", "not assessed"], "CHECK"),
        (["pass"] * 4, "PASS"),
    ],
)
def test_nothing_assessed_and_nothing_passing_are_failures(words, status):
    assert verdicts(words, ["DNA"])["QC901"].status == status


@pytest.mark.parametrize(
    ("channels", "chosen", "status", "finding"),
    [
        (["GFP", "DNA"], None, "PASS", "nuclei are counted in DNA"),
        (["ER", "HOECHST 33342"], None, "PASS", "nuclei are counted in HOECHST 33342"),
        (["w1", "w2"], "w2", "PASS", "nuclei are counted in w2"),
        (["w1", "w2"], None, "NOT RUN", "(w1, w2); QC020 and QC021 did not run"),
    ],
)
def test_the_page_says_which_channel_shows_nuclei(channels, chosen, status, finding):
    verdict = verdicts(["pass"] * 4, channels, chosen)["QC906"]
    assert (verdict.status, finding in verdict.finding) == (status, True)
