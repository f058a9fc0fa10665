"""Scores of seeds become paired effects and a page that says first what was not resolved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.configuration.models.studies import Study
from phenoprints.reports.pages import render
from phenoprints.studies.comparing import compare, effects_table, last_blocks, study_page

STUDY = Study(baselines=("simple",))


@pytest.fixture
def scores() -> pd.DataFrame:
    """Five seeds; phenoprints gain 0.05 of the primary measure, probes are noise of each seed."""
    stream = np.random.default_rng(0)
    rows = []
    for seed in range(5):
        shared = stream.normal(0, 0.3)
        for arm in ("everything", "random", "phenoprints", "simple"):
            gain = 0.05 * (arm == "phenoprints")
            for block in (1, 2):
                noise = stream.normal(0, 0.004)
                if arm != "simple":
                    rows.append((arm, seed, 10, 100, block, "explained_gap", shared + gain + noise))
                rows.append((arm, seed, 10, 100, block, "probe", 0.5 + stream.normal(0, 0.2)))
    columns = ["arm", "seed", "wells", "crops", "block", "measure", "value"]
    return pd.DataFrame(rows, columns=columns)


def test_differences_are_paired_by_seed(scores: pd.DataFrame) -> None:
    table = effects_table(compare(scores, STUDY)).set_index(["arm", "other", "measure"])
    gap = table.loc[("phenoprints", "everything", "explained_gap")]
    assert (gap["seeds"], gap["verdict"]) == (5, "better")
    assert gap["mean"] == pytest.approx(0.05, abs=0.01)
    same = table.loc[("everything", "random", "explained_gap")]
    assert same["verdict"] == "equivalent"
    probe = table.loc[("phenoprints", "everything", "probe")]
    assert probe["verdict"] == "not resolved"
    assert probe["seeds_needed"] > 5
    assert ("phenoprints", "simple", "probe") in table.index
    assert ("phenoprints", "simple", "explained_gap") not in table.index


def test_a_seed_that_one_arm_lacks_is_left_out(scores: pd.DataFrame) -> None:
    fewer = scores[~((scores["arm"] == "random") & (scores["seed"] == 2))]
    table = effects_table(compare(fewer, STUDY)).set_index(["arm", "other", "measure"])
    assert table.loc[("phenoprints", "random", "probe"), "seeds"] == 4
    assert table.loc[("phenoprints", "everything", "probe"), "seeds"] == 5


def test_the_last_block_of_each_encoder_counts(scores: pd.DataFrame) -> None:
    deeper = pd.concat([scores, scores[scores["arm"] == "simple"].assign(block=3)])
    assert set(last_blocks(deeper).groupby("arm")["block"].first()) == {2, 3}


def test_the_page_begins_with_the_primary_measure_and_names_what_is_missing(
    scores: pd.DataFrame,
) -> None:
    page = study_page("curation", scores, STUDY)
    assert page.answer.startswith("phenoprints against everything, explained variance")
    html = render(page, run="study curation", site=[page], files={})
    assert "seeds are needed" in html
    assert "3.5 G crops" in html
