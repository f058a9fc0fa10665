"""A share states its count, its total and its interval in the same words everywhere."""

from __future__ import annotations

import math

import pytest

from phenoprints.reports import numbers
from phenoprints.reports.proportions import Share


def test_a_share_tells_its_interval_and_five_figures() -> None:
    share = Share(2, 16)
    assert share.interval == tuple(numbers.wilson_interval(2, 16))
    assert share.shown == "12.5\u00a0%"
    assert share.range == "95\u00a0% CI 3.5\u00a0% to 36.0\u00a0%"
    facts = share.facts(("a", "b"), "What", keys=("rate", "hits", "tests"))
    assert [fact.path[-1] for fact in facts] == ["rate", "low", "high", "hits", "tests"]
    assert [fact.headline for fact in facts] == [True, False, False, False, False]
    assert facts[0].value == pytest.approx(0.125)
    assert facts[0].note.startswith("2 of 16; 95")


def test_a_share_of_nothing_is_unknown() -> None:
    share = Share(0, 0)
    assert math.isnan(share.value)
    assert share.shown == numbers.MISSING
    assert all(math.isnan(end) for end in share.interval)
    assert share.facts(("a",), "What")[0].stored is None
