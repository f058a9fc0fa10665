"""What must hold of the metrics of any image and of any verdict."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phenoprints.quality import QUALITY, measure, not_assessed
from phenoprints.quality.artefacts import copied_percent
from phenoprints.quality.metrics import (
    illumination_unevenness,
    intensity_metrics,
    laplacian_variance,
)
from phenoprints.quality.references import reference
from phenoprints.testing.strategies import wells_tables

planes = hnp.arrays(np.uint8, st.tuples(st.integers(32, 48), st.integers(32, 48)))
seeds = st.integers(0, 2**32 - 1)


@given(planes)
def test_percentiles_rise_and_shares_are_percentages(plane: np.ndarray) -> None:
    metrics = intensity_metrics(plane, 255)
    ordered = [metrics[f"percentile_{p}"] for p in (1, 5, 50, 95, 99)]
    assert ordered == sorted(ordered)
    for share in ("minimum_percent", "maximum_percent", "saturated_percent"):
        assert 0.0 <= metrics[share] <= 100.0
    assert metrics["saturated_percent"] <= metrics["maximum_percent"] + 1e-9


@given(planes)
def test_a_turned_image_is_as_sharp_and_as_bright(plane: np.ndarray) -> None:
    turned = np.ascontiguousarray(plane[::-1, ::-1])
    assert intensity_metrics(plane, 255) == intensity_metrics(turned, 255)
    one, other = (laplacian_variance(p[None]) for p in (plane, turned))
    assert one == pytest.approx(other, rel=1e-4, abs=1e-4)


@given(seeds, st.integers(2, 6))
def test_gain_changes_neither_slope_nor_evenness_nor_sharpness(seed: int, gain: int) -> None:
    image = np.random.default_rng(seed).integers(1, 40, (1, 64, 64)).astype(np.uint8)
    one, other = measure(image, ["a"]), measure(image * np.uint8(gain), ["a"])
    for metric in ("power_log_log_slope_a", "illumination_unevenness_a", "sharpness_a"):
        assert other[metric] == pytest.approx(one[metric], rel=1e-3, abs=1e-3)


@given(seeds, st.integers(0, 40), st.integers(0, 30))
def test_a_copy_is_found_wherever_it_is_pasted(seed: int, row: int, column: int) -> None:
    plane = np.random.default_rng(seed).integers(0, 200, (140, 140)).astype(np.uint8)
    assert copied_percent(plane) == 0.0
    plane[row + 55 : row + 100, column + 40 : column + 110] = plane[
        row : row + 45, column : column + 70
    ].copy()
    assert copied_percent(plane) > 5.0


@given(seeds, st.floats(-50, 50))
def test_references_move_with_the_values(seed: int, shift: float) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(30, 3))
    sites = pd.DataFrame({"experiment": "e", "plate": ["1"] * 15 + ["2"] * 15})
    sites["role"] = random.choice(["treatment", "unperturbed"], 30)
    one = reference(values, sites, min_controls=3, floor=0.01)
    other = reference(values + shift, sites, min_controls=3, floor=0.01)
    assert np.allclose(other.median, one.median + shift)
    assert np.allclose(other.spread, one.spread)
    order = random.permutation(30)
    mixed = reference(values[order], sites.iloc[order], min_controls=3, floor=0.01)
    assert np.array_equal(mixed.median, one.median[order])


@given(wells_tables())
def test_every_well_of_any_screen_has_its_row(wells: pd.DataFrame) -> None:
    none = pd.DataFrame({"well_id": np.array([], np.uint64), "site": np.array([], np.int32)})
    table = QUALITY.conform(not_assessed(wells, none)).to_pandas()
    assert table["well_id"].tolist() == wells["well_id"].tolist()


def test_light_that_is_even_has_no_unevenness() -> None:
    assert illumination_unevenness(np.full((1, 64, 64), 9.0, np.float32)) == pytest.approx(0.0)
