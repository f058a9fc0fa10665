"""What must hold for the funnel over every wells table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.curation import Rules, curate
from phenoprints.testing.strategies import wells_tables

NUM_CONDITIONS = 6

CONDITIONS = pd.DataFrame(
    {
        "condition_id": np.arange(NUM_CONDITIONS, dtype=np.int32),
        "perturbation": [f"p{i // 2}" for i in range(NUM_CONDITIONS)],
        "kind": "compound",
    }
)


@st.composite
def phenoprints(draw):
    flags = st.lists(st.booleans(), min_size=NUM_CONDITIONS, max_size=NUM_CONDITIONS)
    testable = np.array(draw(flags))
    return CONDITIONS.assign(is_testable=testable, has_phenoprint=testable & np.array(draw(flags)))


@st.composite
def rules(draw):
    return Rules(
        judges=("j",),
        min_experiments=draw(st.integers(1, 3)),
        min_wells=draw(st.integers(1, 5)),
        max_perturbations=draw(st.integers(1, 4)),
        rare_condition_rule=draw(st.sampled_from(["any", "all"])),
        keep_controls=draw(st.booleans()),
        sampling_fractions=dict.fromkeys(
            ["negative_control", "unperturbed"], draw(st.floats(0, 1))
        ),
    )


@given(wells_tables(num_conditions=NUM_CONDITIONS), phenoprints(), rules(), st.integers(0, 99))
def test_the_funnel_adds_up_in_any_order(wells, table, rule, seed):
    funnel = curate(wells, table, rule, seed=seed)
    lost = sum(sum(step["reasons"].values()) for step in funnel.steps)
    assert lost + funnel.after["wells"] == len(wells) == funnel.before["wells"]
    assert funnel.is_kept.sum() == funnel.after["wells"]
    for step in funnel.steps:
        for count in ("wells", "conditions", "perturbations", "experiments"):
            assert step["after"][count] <= step["before"][count]
    order = np.random.default_rng(seed).permutation(len(wells))
    shuffled = curate(wells.iloc[order], table, rule, seed=seed)
    assert shuffled.steps == funnel.steps
    np.testing.assert_array_equal(shuffled.is_kept, funnel.is_kept[order])


@given(wells_tables(num_conditions=NUM_CONDITIONS), phenoprints(), st.integers(0, 99))
def test_stricter_rules_never_keep_more(wells, table, seed):
    lenient = Rules(judges=("j",), min_experiments=1, min_wells=1, max_perturbations=4)
    strict = Rules(judges=("j",), min_experiments=1, min_wells=3, max_perturbations=4)
    kept = [curate(wells, table, rule, seed=seed).is_kept for rule in (lenient, strict)]
    assert not (kept[1] & ~kept[0]).any()


@given(wells_tables(num_conditions=NUM_CONDITIONS), phenoprints())
def test_what_is_curated_again_changes_only_by_its_samples(wells, table):
    rule = Rules(judges=("j",), min_experiments=1, min_wells=1, sampling_fractions={})
    once = wells[curate(wells, table, rule).is_kept]
    assert curate(once, table, rule).is_kept.all()
