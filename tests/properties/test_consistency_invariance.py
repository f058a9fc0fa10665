"""What must hold for every experiment, whatever its shape."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.consistency import Design, combine_cauchy, experiment_consistency
from phenoprints.consistency.experiment import REASONS
from phenoprints.consistency.settings import NULL_MODELS

NULLS = st.sampled_from(NULL_MODELS)


@st.composite
def experiments(draw):
    """Vectors with labels, ids, strata and controls; sometimes equal, zero or not finite."""
    num_wells = draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.standard_normal((num_wells, draw(st.integers(1, 6))))
    x[rng.random(num_wells) < 0.1] = draw(st.sampled_from([0.0, np.nan, 1.0]))
    labels = rng.integers(0, draw(st.integers(1, 8)), num_wells).astype(object)
    labels[rng.random(num_wells) < 0.2] = None
    return {
        "x": x,
        "condition": labels,
        "well_id": rng.permutation(num_wells).astype(np.uint64),
        "plate": rng.integers(0, 3, num_wells),
        "edge": rng.integers(0, 2, num_wells),
        "is_control": np.array([label is None for label in labels]),
    }


def run(data, null):
    design = Design(
        well_id=data["well_id"],
        plate=data["plate"],
        edge=data["edge"],
        is_control=data["is_control"],
    )
    return experiment_consistency(
        data["x"], data["condition"], design, null_model=null, num_null=50, threshold=0.1
    )


@given(experiments(), NULLS)
def test_every_condition_has_a_p_value_or_a_reason(data, null):
    table = run(data, null)
    labels = sorted({label for label in data["condition"] if label is not None})
    assert table["condition"].tolist() == labels
    assert table["num_wells"].sum() == sum(label is not None for label in data["condition"])
    assert ((table["reason"] == "") == table["p_value"].notna()).all()
    assert set(table["reason"]) <= {"", *REASONS}
    assert table["p_value"].dropna().between(1 / 51, 1).all()
    assert table["statistic"].dropna().between(-1e-12, 1 + 1e-9).all()


@given(experiments(), NULLS, st.integers(0, 1000))
def test_order_of_rows_does_not_matter(data, null, seed):
    order = np.random.default_rng(seed).permutation(len(data["x"]))
    moved = {key: value[order] for key, value in data.items()}
    pd.testing.assert_frame_equal(run(data, null), run(moved, null))


@given(experiments(), NULLS, st.integers(0, 1000))
def test_length_of_vectors_does_not_matter(data, null, seed):
    scale = 2.0 ** np.random.default_rng(seed).integers(-30, 30, len(data["x"]))
    scaled = {**data, "x": data["x"] * scale[:, None]}
    pd.testing.assert_frame_equal(run(data, null), run(scaled, null))


@given(experiments(), NULLS)
def test_names_of_conditions_do_not_matter(data, null):
    renamed = [None if label is None else f"c{label}" for label in data["condition"]]
    named = run({**data, "condition": np.array(renamed, dtype=object)}, null)
    pd.testing.assert_frame_equal(
        run(data, null).drop(columns="condition"), named.drop(columns="condition")
    )


@given(st.lists(st.floats(1e-12, 1.0 - 1e-12), min_size=1, max_size=8), st.integers(0, 1000))
def test_the_combination_is_symmetric_and_between_its_parts(p, seed):
    combined = float(combine_cauchy(p))
    assert min(p) * (1 - 1e-9) <= combined <= max(p) * (1 + 1e-9)
    shuffled = np.random.default_rng(seed).permutation(p)
    np.testing.assert_allclose(combine_cauchy(shuffled), combined, rtol=1e-6)


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=8), st.floats(1.001, 2.0))
def test_a_smaller_p_value_never_weakens_the_combination(p, factor):
    smaller = [p[0] / factor, *p[1:]]
    assert combine_cauchy(smaller) <= combine_cauchy(p) * (1 + 1e-12)
