"""Effects of positions for sets of controls: each control without itself, others with all."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.alignment.positions import Positions, fit_positions, without_own
from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out


@pytest.fixture
def plate():
    """A full plate of 16 rows and 24 columns, every second well a control, with row effects."""
    random = np.random.default_rng(0)
    row, column = np.divmod(np.arange(384), 24)
    at = Positions(np.full(384, "p"), row + 1, column + 1)
    effects = random.normal(size=(16, 3))
    is_control = np.arange(384) % 2 == row % 2
    return at, effects[row], is_control, random


def test_effects_without_noise_are_those_of_the_line(plate):
    at, y, is_control, _ = plate
    effects = fit_positions(y, is_control, at)
    rows = np.flatnonzero(is_control)
    np.testing.assert_allclose(
        without_own(y, rows, effects, is_control, at), effects.of_wells(at)[rows], atol=1e-5
    )


def test_a_control_has_next_to_no_influence_on_its_own_correction(plate):
    at, y, is_control, random = plate
    y = y + 0.3 * random.normal(size=y.shape)
    own = np.flatnonzero(is_control)[[20]]
    moved = y.copy()
    moved[own] += 10.0
    without = []
    for values in (y, moved):
        effects = fit_positions(values, is_control, at)
        without.append(without_own(values, own, effects, is_control, at))
    assert np.abs(without[1] - without[0]).max() < 0.01 * 10.0


def test_lines_without_another_control_have_no_effect():
    at = Positions(np.full(4, "p"), np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2]))
    y = np.array([[1.0], [1.0], [5.0], [9.0]])
    is_control = np.array([True, True, True, False])
    effects = fit_positions(y, is_control, at)
    rows = np.array([2])
    total = without_own(y, rows, effects, is_control, at)
    np.testing.assert_allclose(total, effects.plate)  # row 2 and column 1 keep one control or less


def test_sets_are_read_as_single_wells_where_no_positions_are_removed():
    wells, _ = lay_out(PlateLayout(experiments=1, plates=2))
    vectors = draw_vectors(wells, Noise.of(8, 0), VectorEffects(), seed=0)
    plain = fit_alignment(wells, vectors, AlignmentSettings()).of(vectors)
    name = plain.experiments[0]
    one, other = plain.read_held_out(name, 0), plain.read_sets(name, 0)
    np.testing.assert_array_equal(one.vectors, other.vectors)
    settings = AlignmentSettings(remove_position="plate-rows-columns")
    removed = fit_alignment(wells, vectors, settings).of(vectors)
    one, other = removed.read_held_out(name, 0), removed.read_sets(name, 0)
    np.testing.assert_array_equal(np.isnan(one.vectors), np.isnan(other.vectors))
    assert not np.array_equal(one.vectors, other.vectors, equal_nan=True)
