"""Crops as a pure function of the seed and their number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.training.sampling import (  # noqa: E402
    Crops,
    CropSampler,
    Sites,
    permuted,
)


def sites(num_wells: int = 50, per_well: int = 2, height: int = 40, width: int = 64) -> Sites:
    num = num_wells * per_well
    return Sites(
        first=np.arange(num_wells + 1) * per_well,
        heights=np.full(num, height),
        widths=np.full(num, width),
    )


def as_rows(crops: Crops) -> np.ndarray:
    flips = crops.flips.astype(np.int64)
    columns = (crops.wells, crops.sites, crops.tops, crops.lefts, crops.keys, *flips.T)
    return np.stack(columns, axis=1)


@given(st.integers(1, 3000), st.integers(0, 2**62))
def test_permuted_visits_every_item_once(num_items: int, key: int) -> None:
    order = permuted(np.arange(num_items), num_items, key)
    np.testing.assert_array_equal(np.sort(order), np.arange(num_items))


def test_permuted_differs_between_keys_and_from_the_identity() -> None:
    positions = np.arange(1000)
    first, second = permuted(positions, 1000, 1), permuted(positions, 1000, 2)
    assert (first == positions).mean() < 0.02
    assert (first == second).mean() < 0.02
    assert abs(np.corrcoef(first, positions)[0, 1]) < 0.15


def test_every_epoch_visits_every_well_once_in_another_order() -> None:
    sampler = CropSampler(sites(), 32, seed=3)
    epochs = sampler.crops(np.arange(150)).wells.reshape(3, 50)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
    assert (epochs[0] == epochs[1]).mean() < 0.2


def test_a_crop_does_not_depend_on_the_crops_around_it() -> None:
    sampler = CropSampler(sites(), 32, seed=3)
    together = as_rows(sampler.batch(2, 40))
    alone = np.concatenate([as_rows(sampler.crops(np.array([80 + i]))) for i in range(40)])
    np.testing.assert_array_equal(together, alone)


def test_crops_lie_inside_and_everywhere() -> None:
    crops = CropSampler(sites(), 32, seed=1).crops(np.arange(20_000))
    assert crops.tops.min() == 0
    assert crops.tops.max() == 8
    assert crops.lefts.min() == 0
    assert crops.lefts.max() == 32
    assert np.bincount(crops.tops).std() < 0.1 * np.bincount(crops.tops).mean()
    assert abs(crops.flips.mean(axis=0) - 0.5).max() < 0.02
    assert np.isin(crops.sites - 2 * crops.wells, (0, 1)).all()
    assert abs(np.corrcoef(crops.tops, crops.lefts)[0, 1]) < 0.03
    assert len(np.unique(crops.keys)) == 20_000


def test_seeds_differ_and_flips_can_be_off() -> None:
    rows = [as_rows(CropSampler(sites(), 32, seed=s).batch(0, 50)) for s in (1, 2)]
    assert (rows[0] == rows[1]).all(axis=1).mean() < 0.1
    assert not CropSampler(sites(), 32, seed=1, flips=False).batch(0, 50).flips.any()


def test_several_crops_of_a_visit_share_the_well_and_differ_in_place() -> None:
    crops = CropSampler(sites(), 32, seed=1, crops_per_visit=4).crops(np.arange(200))
    wells = crops.wells.reshape(50, 4)
    assert (wells == wells[:, :1]).all()
    np.testing.assert_array_equal(np.sort(wells[:, 0]), np.arange(50))
    assert len(np.unique(as_rows(crops)[:4, 2:4], axis=0)) > 1


def test_weights_decide_how_often_a_well_is_drawn() -> None:
    weights = np.where(np.arange(50) < 10, 4.0, 1.0)
    crops = CropSampler(sites(), 32, seed=1, weights=weights).crops(np.arange(40_000))
    share = (crops.wells < 10).mean()
    assert share == pytest.approx(0.5, abs=0.02)


def test_a_batch_holds_one_group_chosen_by_its_size() -> None:
    groups = [np.arange(10), np.arange(10, 50)]
    sampler = CropSampler(sites(), 32, seed=1, groups=groups)
    batches = [sampler.batch(step, 8).wells for step in range(1000)]
    small = np.array([bool((wells < 10).all()) for wells in batches])
    assert all(
        is_small or (wells >= 10).all() for is_small, wells in zip(small, batches, strict=True)
    )
    assert small.mean() == pytest.approx(0.2, abs=0.05)
