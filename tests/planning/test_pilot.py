"""Noise and effects of simulated pilots are recovered, and unusable pilots refused."""

from __future__ import annotations

import numpy as np
import pytest

from phenoprints.consistency.power import EFFECT_LENGTHS, deconvolve
from phenoprints.foundations.errors import DataError
from phenoprints.planning import assumed_pilot, estimate_pilot
from phenoprints.planning.pilot import low_rank
from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out

LAYOUT = PlateLayout(experiments=3, plates=4, conditions=300, replicates=2, controls=24)


def pilot_of(effects: VectorEffects, layout: PlateLayout = LAYOUT):
    wells, _ = lay_out(layout, 0)
    vectors = draw_vectors(wells, Noise.of(48, 0), effects, seed=0).vectors
    return estimate_pilot(wells, vectors)


@pytest.mark.parametrize("length", [0.6, 1.0, 2.0])
def test_shares_and_lengths_of_effects_are_recovered(length: float) -> None:
    pilot = pilot_of(VectorEffects(batch=0.0, plate=0.3, active=0.4, effect=length))
    share, low, high = pilot.effects.active
    # Short effects are hard to tell from none: the interval says so.
    assert low - 0.02 <= 0.4 <= high
    assert share == pytest.approx(0.4, abs=0.06 if length >= 1 else 0.12)
    mean_square = pilot.effects.share @ pilot.effects.lengths**2
    # Directions are drawn from the noise, whose length varies; their mean square is known.
    assert mean_square == pytest.approx(0.4 * length**2, rel=0.2)


def test_offsets_of_plates_and_positions_are_recovered() -> None:
    pilot = pilot_of(VectorEffects(batch=0.0, plate=0.5, position=0.4))
    assert pilot.plate == pytest.approx(0.5, abs=0.12)
    assert pilot.position == pytest.approx(0.4, abs=0.08)
    low, high = pilot.intervals["plate"]
    assert low < pilot.plate < high
    assert pilot.assumed == ("experiment",)
    none = pilot_of(VectorEffects(batch=0.0))
    assert none.plate < 0.1
    assert none.position < 0.15
    assert none.effects.active[0] < 0.1


def test_fixed_positions_leave_the_position_assumed() -> None:
    layout = PlateLayout(experiments=2, plates=4, conditions=100, positions="fixed")
    assert "position" in pilot_of(VectorEffects(batch=0.0), layout).assumed


def test_one_plate_leaves_the_plate_assumed() -> None:
    layout = PlateLayout(experiments=1, plates=1, conditions=60, replicates=4)
    assert "plate" in pilot_of(VectorEffects(batch=0.0), layout).assumed


def test_pilots_without_replicates_or_controls_are_refused() -> None:
    alone = PlateLayout(experiments=1, plates=1, conditions=60, replicates=1)
    with pytest.raises(DataError, match="two wells"):
        pilot_of(VectorEffects(), alone)
    with pytest.raises(DataError, match="no control wells"):
        pilot_of(VectorEffects(), PlateLayout(controls=0))


def test_deconvolution_recovers_a_mixture() -> None:
    rng = np.random.default_rng(0)
    length = np.where(rng.random(4000) < 0.3, EFFECT_LENGTHS[18], 0.0)
    error = np.full(4000, 0.05)
    estimate = length**2 + error * np.sqrt(1 + 4 * length**2) * rng.standard_normal(4000)
    share = deconvolve(estimate, error)
    assert share.sum() == pytest.approx(1.0)
    assert share[:4].sum() == pytest.approx(0.7, abs=0.03)
    assert share[16:21].sum() == pytest.approx(0.3, abs=0.03)


def test_a_low_rank_covariance_is_kept() -> None:
    noise = Noise.of(20, 3)
    assert np.allclose(low_rank(noise.covariance()).covariance(), noise.covariance(), atol=0.2)
    assert np.trace(low_rank(noise.covariance()).covariance()) == pytest.approx(20.0, rel=0.02)


def test_assumptions_are_marked_and_checked() -> None:
    pilot = assumed_pilot(active=0.25)
    assert pilot.effects.active[0] == pytest.approx(0.25)
    assert "effects" in pilot.assumed
    with pytest.raises(DataError, match="Expected a share"):
        assumed_pilot(active=1.5)
