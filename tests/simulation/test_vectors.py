"""Vectors have the covariance and the effects that were asked for, and depend on the seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out

NOTHING = VectorEffects(batch=0.0)


def test_draws_have_the_stated_covariance():
    noise = Noise.of(12, seed=0)
    x = noise.draw(np.random.default_rng(0), 200_000)
    assert np.trace(noise.covariance()) / 12 == pytest.approx(1.0, rel=1e-5)
    np.testing.assert_allclose(np.cov(x.T), noise.covariance(), atol=0.03)


def test_heavy_tails_have_the_same_covariance_and_longer_vectors():
    noise = Noise.of(12, seed=0, degrees=5.0)
    x = noise.draw(np.random.default_rng(0), 400_000)
    np.testing.assert_allclose(np.cov(x.T), noise.covariance(), atol=0.06)
    normal = noise.draw(np.random.default_rng(0), 400_000, is_normal=True)
    longest = [np.quantile(np.linalg.norm(rows, axis=1), 0.999) for rows in (x, normal)]
    assert longest[0] > 1.5 * longest[1]


def test_features_are_uncorrelated_without_factors():
    covariance = Noise.of(6, seed=0, factor_share=0.0).covariance()
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)))


@pytest.mark.parametrize(
    ("effect", "keys"),
    [("batch", ["experiment"]), ("plate", ["experiment", "plate"]), ("row", ["row"]),
     ("column", ["column"]), ("position", ["well"])],
)  # fmt: skip
def test_every_effect_is_where_it_belongs_and_as_long_as_stated(effect, keys):
    layout = PlateLayout(experiments=6, plates=6, replicates=6, conditions=300, positions="fixed")
    wells, _ = lay_out(layout)
    noise = Noise.of(64, seed=0, factor_share=0.0)
    plain, shifted = (
        draw_vectors(wells, noise, effects, seed=1).vectors
        for effects in (NOTHING, VectorEffects(**{"batch": 0.0, effect: 2.0}))
    )
    difference = shifted - plain
    levels = wells.groupby(keys).ngroup().to_numpy()
    for level in range(levels.max() + 1):
        rows = difference[levels == level]
        np.testing.assert_allclose(rows, rows[:1].repeat(len(rows), axis=0), atol=1e-5)
    length = np.sqrt(np.square(difference).mean())
    assert length == pytest.approx(2.0, rel=0.25)


def test_the_effect_of_the_edge_falls_off_inwards():
    wells, _ = lay_out(PlateLayout(conditions=300, experiments=1))
    noise = Noise.of(16, seed=0)
    plain, shifted = (
        draw_vectors(wells, noise, effects, seed=1).vectors
        for effects in (NOTHING, VectorEffects(batch=0.0, edge=1.0))
    )
    length = np.linalg.norm(shifted - plain, axis=1)
    rim = np.minimum.reduce([wells["row"] - 1, 16 - wells["row"], wells["column"] - 1,
                             24 - wells["column"]])  # fmt: skip
    by_rim = [length[rim == k].mean() for k in range(4)]
    np.testing.assert_allclose(by_rim, by_rim[0] * np.exp(-np.arange(4) / 1.5), rtol=1e-4)


def test_only_active_conditions_have_an_effect():
    wells, _ = lay_out(PlateLayout(conditions=40))
    noise = Noise.of(16, seed=0)
    plain, shifted = (
        draw_vectors(wells, noise, effects, seed=1).vectors
        for effects in (NOTHING, VectorEffects(batch=0.0, active=0.25, effect=1.0))
    )
    moved = np.abs(shifted - plain).max(axis=1) > 1e-6
    active = np.array([bool(c) and c[0] < 10 for c in wells["conditions"]])
    np.testing.assert_array_equal(moved, active)


def test_the_stream_depends_on_seed_and_item_alone():
    wells, _ = lay_out(PlateLayout())
    noise = Noise.of(8, seed=0)
    keys = ((0, "a"), (0, "a"), (0, "b"), (1, "a"))
    draws = [
        draw_vectors(wells, noise, VectorEffects(), seed=s, item=item).vectors for s, item in keys
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert not np.array_equal(draws[0], draws[3])


def test_the_reader_gives_each_experiment_its_rows():
    wells, _ = lay_out(PlateLayout(experiments=3))
    drawn = draw_vectors(wells, Noise.of(8, seed=0), VectorEffects(), seed=0)
    assert drawn.experiments == ["experiment-1", "experiment-2", "experiment-3"]
    np.testing.assert_array_equal(
        np.concatenate([drawn.read(name) for name in drawn.experiments]), drawn.vectors
    )
