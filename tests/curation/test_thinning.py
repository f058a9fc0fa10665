"""Near duplicates and balance as the last steps of a funnel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from phenoprints.configuration import load
from phenoprints.curation import Rules
from phenoprints.curation.funnel import curate_parts
from phenoprints.curation.parts import TableParts
from phenoprints.curation.thinning import Thinning
from phenoprints.curation.wells_with_quality import screen_parts
from phenoprints.curation.writing import MemorySink
from phenoprints.foundations.errors import ConfigurationError
from phenoprints.simulation import (
    Noise,
    PlateLayout,
    SimulatedVectors,
    VectorEffects,
    draw_vectors,
    lay_out,
)
from phenoprints.wells import CONDITIONS, WELLS, Screen

RULES = Rules(min_experiments=1, min_wells=1, duplicates={}, balance={"fraction": 0.5})


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Screen, pd.DataFrame, pd.DataFrame, SimulatedVectors]:
    """A screen whose last treatment repeats the vector of the first one."""
    wells, conditions = lay_out(PlateLayout(experiments=2, conditions=40, replicates=3), 0)
    folder = tmp_path / "simulated"
    folder.mkdir()
    WELLS.write(folder / "wells.parquet", wells)
    CONDITIONS.write(folder / "conditions.parquet", conditions)
    wells = WELLS.read(folder / "wells.parquet")
    effects = VectorEffects(active=0.5, effect=2.0)
    x = draw_vectors(wells, Noise.of(32, 0), effects, seed=0).vectors
    first, *_, last = np.flatnonzero(wells["role"] == "treatment")
    x[last] = x[first]
    return Screen(folder), wells, conditions, SimulatedVectors(wells, x)


def curated(stored, rules: Rules):
    screen, wells, conditions, vectors = stored
    name = wells["screen"].iloc[0]
    readers = {
        "duplicates": {name: SimpleNamespace(source=vectors)},
        "balance": {name: vectors},
    }
    thinning = Thinning({name: screen}, readers, rules, seed=1)
    parts = screen_parts(wells, np.arange(len(conditions), dtype=np.int32))
    sink = MemorySink()
    funnel = curate_parts(TableParts(parts), conditions, rules, sink, seed=1, thin=thinning)
    return funnel, thinning.figures, np.concatenate([sink.reasons[i] for i in range(len(parts))])


def test_each_well_leaves_at_one_step_and_the_steps_join(stored) -> None:
    funnel, figures, _ = curated(stored, RULES)
    assert [step["step"] for step in funnel.steps][-2:] == ["duplicates", "balance"]
    for earlier, later in zip(funnel.steps, funnel.steps[1:], strict=False):
        assert earlier["after"] == later["before"]
    by_step = {step["step"]: step for step in funnel.steps}
    assert by_step["duplicates"]["reasons"] == {"near_duplicate": 1}
    before = by_step["balance"]["before"]["wells"]
    assert funnel.after["wells"] == round(0.5 * before)
    [name] = figures["balance"]
    assert figures["balance"][name]["kept"] == funnel.after["wells"]
    assert figures["balance"][name]["gini_after"] < figures["balance"][name]["gini_before"]
    largest = figures["balance"][name]["largest"]
    assert sum(largest[0]["roles"].values()) == pytest.approx(1.0)
    assert figures["duplicates"][name]["left_out"] == 1


def test_of_two_copies_the_one_that_is_left_stays(stored) -> None:
    """Only wells that passed the steps before count as the first of their group."""
    screen, wells, conditions, vectors = stored
    rules = RULES.model_copy(update={"balance": None})
    treated = np.flatnonzero(wells["role"] == "treatment")
    pair = wells["well_id"].iloc[treated[[0, -1]]]
    own = wells["experiment"].iloc[treated[[0, -1]]]
    first_experiment = own[pair.idxmin()]
    held_out = rules.model_copy(update={"hold_out": (first_experiment,)})
    _, figures, _ = curated((screen, wells, conditions, vectors), held_out)
    [found] = figures["duplicates"].values()
    assert (found["near_duplicates"], found["left_out"]) == (1, 0)


def test_without_options_the_steps_do_not_exist(stored) -> None:
    rules = RULES.model_copy(update={"balance": None, "duplicates": None})
    funnel, figures, _ = curated(stored, rules)
    assert "balance" not in [step["step"] for step in funnel.steps]
    assert figures == {}


def test_an_option_needs_an_encoder(tmp_path: Path) -> None:
    config = {
        "run": "a",
        "screens": {"s": {"source": "simulated", "root": str(tmp_path)}},
        "manifests": {"m": {"screens": ["s"], "balance": {}}},
    }
    with pytest.raises(ConfigurationError, match="names no encoder, and there are no judges"):
        load(config)
    config["manifests"]["m"]["balance"] = {"encoder": "absent"}
    with pytest.raises(ConfigurationError, match='"absent" is no encoder'):
        load(config)
