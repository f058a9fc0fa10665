"""All stages answer questions about odd screens alike, and a stage that does not is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.testing.conformance import wells as conformance
from phenoprints.testing.conformance.wells import QUESTIONS, check_agreement, odd_screens
from phenoprints.wells import WELLS, edge_distance

SCREENS = {screen.name: screen for screen in odd_screens()}


@pytest.mark.parametrize("name", SCREENS)
def test_all_stages_agree(name):
    WELLS.conform(SCREENS[name].wells)
    check_agreement(SCREENS[name])


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_stage_with_an_answer_of_its_own_is_named(question, monkeypatch):
    stages = QUESTIONS[question]
    last = list(stages)[-1]
    monkeypatch.setitem(conformance.QUESTIONS, question, {**stages, last: lambda _: "other"})
    with pytest.raises(AssertionError, match=f"{question}.*{last} answers other"):
        check_agreement(SCREENS["12-well plates"])


def test_the_answers_are_those_of_the_plates():
    """Computed here from the declared format and the lists alone."""
    twelve = SCREENS["12-well plates"].wells
    first = twelve[(twelve["experiment"] == "e1") & (twelve["plate"] == "p1")]
    assert edge_distance(first).reshape(3, 4).tolist() == [[0] * 4, [0, 1, 1, 0], [0] * 4]
    assert edge_distance(SCREENS["C03 to H12 of 384-well plates"].wells).min() == 2
    twice = SCREENS["a condition that is listed twice"]
    answers = {stage: ask(twice) for stage, ask in QUESTIONS["wells by single condition"].items()}
    treated = twice.wells[twice.wells["role"] == "treatment"]["conditions"]
    expected = pd.Series([set(c) for c in treated]).map(lambda c: next(iter(c))).value_counts()
    assert answers["maps"] == expected.to_dict()
    crops = {s.name: QUESTIONS["crops of an image"]["check"](s) for s in SCREENS.values()}
    assert crops["A01 to H12 of 384-well plates"] == 49
    assert crops["24-well plates, grid of two crops"] == 4
    assert crops["96-well plates, small images"] == 1
    assert np.unique(list(crops.values())).tolist() == [1, 4, 16, 49]
