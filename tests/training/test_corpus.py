"""The training set: order, classes, groups, splits, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch


sys.path.insert(0, str(Path(__file__).parent))
from small_training import write_screen  # noqa: E402

from phenoprints.foundations.errors import ConfigurationError, DataError  # noqa: E402
from phenoprints.training.dataset import (  # noqa: E402
    NO_CLASS,
    build_corpus,
    corpus_of_screen,
)
from phenoprints.training.settings import TrainingSettings  # noqa: E402

Tables = tuple[pd.DataFrame, pd.DataFrame]


def test_the_order_of_rows_changes_nothing(tables: Tables) -> None:
    wells, sites = tables
    first = build_corpus(wells, sites)
    shuffled = (table.sample(frac=1, random_state=1) for table in (wells, sites))
    second = build_corpus(*shuffled)
    assert first.fingerprint() == second.fingerprint()
    assert list(first.locators) == list(second.locators)
    assert (np.diff(first.well_ids.astype(np.int64)) > 0).all()


def test_sites_follow_their_wells(tables: Tables) -> None:
    wells, sites = tables
    twice = pd.concat([sites, sites.assign(site=2, locator=sites["locator"] + "-2")])
    corpus = build_corpus(wells, twice)
    locator_of = dict(zip(sites["well_id"], sites["locator"], strict=True))
    for row, well in enumerate(corpus.well_ids):
        mine = corpus.locators[corpus.sites.first[row] : corpus.sites.first[row + 1]]
        assert list(mine) == [locator_of[well], locator_of[well] + "-2"]


def test_wells_with_one_named_condition_have_a_class(tables: Tables) -> None:
    wells, sites = tables
    lists = [[0], [1], [0, 1], [], None, *([[2]] * 59)]
    labels = pd.Series({0: "b", 1: "a", 2: ""})
    corpus = build_corpus(wells.assign(conditions=lists), sites, labels=labels)
    assert corpus.class_names == ("a", "b")
    class_of = dict(zip(corpus.well_ids, corpus.classes, strict=True))
    assert [class_of[w] for w in wells["well_id"][:5]] == [1, 0, NO_CLASS, NO_CLASS, NO_CLASS]
    learned, aside = corpus.split(0.0, (), 0)
    assert len(learned) == 2
    assert not len(aside)


def test_unperturbed_wells_are_a_class_where_asked_for(tables: Tables, tmp_path: Path) -> None:
    """As the untreated well among the 1,139 classes of RxRx1; what is not known is no class."""
    wells, sites = tables
    lists = [[0], [1], [0, 1], [], None, *([[1]] * 58), []]
    conditions = pd.DataFrame({"condition_id": [0, 1], "perturbation": ["b", "a"]})
    passed = sites[["well_id", "site"]].assign(verdict="pass")
    screen = write_screen(tmp_path, wells.assign(conditions=lists), sites, conditions, passed)
    corpus = corpus_of_screen(screen, labels="perturbation", classify_unperturbed=True)
    assert corpus.class_names == ("a", "b", "unperturbed")
    class_of = dict(zip(corpus.well_ids, corpus.classes, strict=True))
    assert [class_of[w] for w in wells["well_id"][:5]] == [1, 0, NO_CLASS, 2, NO_CLASS]
    assert class_of[wells["well_id"].iloc[-1]] == 2
    without = corpus_of_screen(screen, labels="perturbation")
    assert without.class_names == ("a", "b")
    assert (without.classes == NO_CLASS).sum() == 4


def test_splits_do_not_overlap(tables: Tables) -> None:
    corpus = build_corpus(*tables)
    learned, aside = corpus.split(0.25, (), 1)
    assert 5 < len(aside) < 30
    assert sorted([*learned, *aside]) == list(range(64))
    learned, aside = corpus.split(0.25, ("e1",), 1)
    assert set(corpus.experiments[aside]) == {"e1"}
    assert "e1" not in corpus.experiments[learned]


def test_conditions_weigh_the_same(tables: Tables) -> None:
    corpus = build_corpus(*tables)
    weights = corpus.condition_weights()
    totals = [weights[corpus.conditions == c].sum() for c in range(5)]
    np.testing.assert_allclose(totals, 1.0)


def test_groups_by_channels(tables: Tables) -> None:
    wells, sites = tables
    channels = [["dna", "er"] if i % 2 else ["dna"] for i in range(64)]
    corpus = build_corpus(wells, sites.assign(channels=channels))
    groups = corpus.groups(np.arange(64))
    assert [len(g) for g in groups] == [32, 32]
    assert corpus.channel_sets == (("dna",), ("dna", "er"))


def test_wells_without_sites_are_named(tables: Tables) -> None:
    wells, sites = tables
    with pytest.raises(DataError, match=f"well {wells['well_id'][3]} has no site"):
        build_corpus(wells, sites.drop(index=3))
    with pytest.raises(DataError, match="no wells"):
        build_corpus(wells[:0], sites)


def test_wrong_settings_are_named_all_at_once() -> None:
    with pytest.raises(ConfigurationError, match='did you mean "learning_rate"'):
        TrainingSettings(learnig_rate=1)
    with pytest.raises(ConfigurationError) as error:
        TrainingSettings(batch_size=0, warmup_fraction=2.0, cut_mix=-1.0)
    for name in ("batch_size: 0 is", "warmup_fraction: 2.0 is", "cut_mix: -1.0 is"):
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("settings", "num_wells", "num_steps"),
    [
        (TrainingSettings(num_epochs=3, batch_size=10), 100, 30),
        (TrainingSettings(num_epochs=3, batch_size=10, max_crops=105), 100, 10),
        (TrainingSettings(num_epochs=3, batch_size=10, crops_per_visit=2), 100, 60),
        (TrainingSettings(num_epochs=1, batch_size=200), 100, 1),
    ],
)
def test_number_of_steps(settings: TrainingSettings, num_wells: int, num_steps: int) -> None:
    assert settings.num_steps(num_wells) == num_steps
