"""Null sets: enumeration against the documented draw, shared draws against direct ones."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.stats import binom, chisquare, ks_2samp

from phenoprints.consistency import Design, drawing, experiment_consistency, kernels
from phenoprints.consistency.nulls import null_counts
from phenoprints.consistency.pool import Pool
from phenoprints.consistency.shared import MAX_PER_STRATUM, Comparison, shared_counts
from phenoprints.consistency.vectors import Vectors


def documented_draw(group, plate, composition, rng):
    """On each plate a random order of its groups and a random well of each; again on a conflict."""
    while True:
        rows = []
        for p in np.unique(composition):
            needed = np.sum(composition == p)
            groups = rng.permutation(np.unique(group[plate == p]))[:needed]
            rows += [rng.choice(np.flatnonzero((plate == p) & (group == g))) for g in groups]
        if len(np.unique(group[rows])) == len(rows):
            return tuple(sorted(rows))


def can_share(composition):
    return np.bincount(composition).max() <= MAX_PER_STRATUM


def arrays(pool):
    return drawing.PoolArrays(pool.strata, pool.groups, pool.rows, pool.offsets)


GROUP = np.array([0, 0, 0, 1, 1, 2, 0, 1, 2, 2, 3, 3, 4, 4, 0, 1, 3, 4, 4, 4])
PLATE = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2])
COMPOSITIONS = [[0, 0], [0, 1], [1, 1, 2], [0, 1, 2], [0, 1, 1, 2], [1, 1, 1, 2, 2]]


def all_sets(composition, group=GROUP, plate=PLATE):
    """Sets and probabilities by trying every combination of rows."""
    weights = {}
    for rows in combinations(range(len(group)), len(composition)):
        rows = np.array(rows)
        if len(set(group[rows])) == len(rows) and sorted(plate[rows]) == sorted(composition):
            sizes = [np.sum((group == group[i]) & (plate == plate[i])) for i in rows]
            weights[tuple(rows.tolist())] = 1 / np.prod(sizes)
    total = sum(weights.values())
    return {rows: weight / total for rows, weight in weights.items()}


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_listed_sets_are_all_sets_with_their_probabilities(composition):
    pool = Pool.of(GROUP, PLATE)
    slots = pool.in_order(np.array(composition))
    sets, weights, is_all = drawing.list_sets(slots, arrays(pool), 10_000)
    expected = all_sets(composition)
    listed = {tuple(sorted(rows)): w for rows, w in zip(sets.tolist(), weights, strict=True)}
    assert is_all
    assert len(listed) == len(sets)
    assert listed.keys() == expected.keys()
    for rows, weight in listed.items():
        assert weight / weights.sum() == pytest.approx(expected[rows], rel=1e-12)
    assert pool.at_least(np.array(composition)) <= len(sets) <= pool.at_most(np.array(composition))


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_probabilities_are_those_of_the_documented_draw(composition):
    expected = all_sets(composition)
    rng = np.random.default_rng(0)
    number = {rows: i for i, rows in enumerate(expected)}
    drawn = np.zeros(len(expected))
    for _ in range(6000):
        drawn[number[documented_draw(GROUP, PLATE, np.array(composition), rng)]] += 1
    assert chisquare(drawn, 6000 * np.array(list(expected.values()))).pvalue > 1e-3


@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("max_restarts", [64, 0], ids=["restarts", "in-turn"])
def test_direct_draws_have_these_probabilities(composition, max_restarts, monkeypatch):
    """Both ways of drawing: independent slots until all groups differ, and slots in turn."""
    if max_restarts == 0:
        monkeypatch.setattr(drawing, "MAX_RESTARTS", 0)
        draw = drawing.draw_matched.py_func
    else:
        draw = drawing.draw_matched
    num_draws = 20_000 if max_restarts else 5000
    pool = Pool.of(GROUP, PLATE)
    slots = pool.in_order(np.array(composition))
    sets, *_ = draw(slots, arrays(pool), num_draws, np.random.default_rng(1))
    sets = sets[sets[:, 0] >= 0]
    expected = all_sets(composition)
    number = {rows: i for i, rows in enumerate(expected)}
    drawn = np.bincount(
        [number[tuple(sorted(rows))] for rows in sets.tolist()], minlength=len(expected)
    )
    assert len(sets) > 0.9 * num_draws
    assert chisquare(drawn, len(sets) * np.array(list(expected.values()))).pvalue > 1e-3


def test_a_crowded_pool_has_as_many_sets_as_permutations():
    """Every condition once on each plate, and sets that need nearly all of them."""
    pool = Pool.of(np.tile(np.arange(5), 5), np.repeat(np.arange(5), 5))
    sets, _, is_all = drawing.list_sets(np.arange(5), arrays(pool), 1000)
    assert is_all
    assert {tuple(rows) for rows in sets % 5} == set(permutations(range(5)))


CROSSED_GROUP = np.array([0, 0, 0, 1, 2, 2, 3, 0, 1, 1, 2, 3, 3, 3, 0, 1, 2, 3, 3])
CROSSED_PLATE = np.repeat([0, 1, 2], [7, 7, 5])


@pytest.mark.parametrize("part", [[0, 1, 2, 3], [0, 1], [0, 2, 3], [1, 3]])
def test_parts_of_crossed_draws_are_documented_draws(part):
    """All groups on all plates, in unequal numbers: one order of groups fills two, one, one."""
    pool = Pool.of(CROSSED_GROUP, CROSSED_PLATE)
    assert pool.are_crossed(np.arange(3))
    assert not Pool.of(GROUP, PLATE).are_crossed(np.arange(3))
    uniforms = np.random.default_rng(0).random((30_000, 4, 2))
    slots = np.array([0, 0, 1, 2])
    positions = drawing.draw_distinct(slots, pool.strata, pool.offsets, uniforms)
    sets = np.sort(pool.rows[positions[:, part]], axis=1)
    expected = all_sets(slots[part].tolist(), CROSSED_GROUP, CROSSED_PLATE)
    number = {rows: i for i, rows in enumerate(expected)}
    drawn = np.bincount([number[tuple(rows)] for rows in sets.tolist()], minlength=len(expected))
    assert chisquare(drawn, 30_000 * np.array(list(expected.values()))).pvalue > 1e-3


def test_the_share_of_valid_draws_from_crossed_plates():
    pool = Pool.of(CROSSED_GROUP, CROSSED_PLATE)
    composition = np.array([0, 0, 1, 2])
    rng = np.random.default_rng(0)
    orders = np.argsort(rng.random((20_000, 3, 4)), axis=2)
    groups = np.sort(np.concatenate([orders[:, 0, :2], orders[:, 1:, 0]], axis=1), axis=1)
    valid = (np.diff(groups, axis=1) > 0).all(axis=1).mean()
    assert pool.crossed_share(composition) == pytest.approx(4 * 3 * 2 / (4 * 3 * 4 * 4))
    assert pool.crossed_share(composition) == pytest.approx(valid, abs=0.015)


def test_genes_with_many_wells_on_every_plate_share_their_draws(monkeypatch):
    """Six wells of 40 genes on each of three plates, some lost: as direct draws, in p-values."""
    rng = np.random.default_rng(0)
    condition = np.tile(np.repeat(np.arange(40), 6), 3)
    plate = np.repeat(np.arange(3), 240)
    kept = rng.random(720) > 0.05
    condition, plate = condition[kept], plate[kept]
    x = rng.standard_normal((len(condition), 8)) + rng.standard_normal((3, 8))[plate]
    tables = []
    for cost in (10_000, 0):  # of direct draws: too much, or nothing
        monkeypatch.setattr("phenoprints.consistency.shared.DIRECT_COST", cost)
        tables.append(experiment_consistency(x, condition, Design(plate=plate), num_null=4000))
    shared, direct = (table["p_value"].to_numpy() for table in tables)
    assert not np.array_equal(shared, direct)
    spread = np.sqrt(np.maximum(direct * (1 - direct), 1e-3) / 4000)
    assert (np.abs(shared - direct) < 4.5 * np.sqrt(2) * spread).all()
    np.testing.assert_allclose(tables[0]["num_sets"], tables[1]["num_sets"], rtol=0.2)


def unequal_layout(seed, num_plates=9, num_conditions=80):
    """Conditions of 2 to 6 wells, on one or several plates, some of them twice on a plate."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 7, num_conditions)
    condition = np.repeat(np.arange(num_conditions), sizes)
    home = rng.integers(0, num_plates, num_conditions)[condition]
    spread = rng.integers(1, 5, num_conditions)[condition]
    plate = (home + rng.integers(0, 5, len(condition)) % spread) % num_plates
    offset = rng.standard_normal((num_plates, 12))
    x = rng.standard_normal((len(condition), 12)) + 0.5 * offset[plate]
    return x, condition, plate


def test_shared_draws_have_the_distribution_of_direct_draws():
    """20 compositions of an unequal layout: KS between counts on a grid and direct draws."""
    x, condition, plate = unequal_layout(3)
    vectors, pool = Vectors.of(x.astype(np.float32)), Pool.of(condition, plate)
    found = {tuple(sorted(plate[condition == c])) for c in np.unique(condition)}
    chosen = [np.array(c) for c in sorted(found) if len(set(c)) > 1 and can_share(np.array(c))][:20]
    assert len(chosen) == 20
    rng = np.random.default_rng(0)
    grid = np.linspace(0, 1, 2001)
    tests = [Comparison(composition, grid) for composition in chosen]
    streams = np.random.default_rng(9).spawn(len(pool.num_entries))
    shared = shared_counts(vectors, pool, tests, 4000, lambda key: streams[int(key.split()[1])])
    p_values = []
    for composition, counts in zip(chosen, shared, strict=True):
        direct, *_ = drawing.draw_matched(pool.in_order(composition), arrays(pool), 4000, rng)
        values = vectors.statistics(direct, np.array([len(composition)]))[0]
        at_most = 4000 - counts.at_least
        drawn = np.repeat(grid, np.diff(at_most, append=4000))
        rounded = grid[np.minimum(np.searchsorted(grid, values, side="right") - 1, 2000)]
        p_values.append(ks_2samp(drawn, rounded).pvalue)
    assert min(p_values) > 0.05 / 20 / 5
    assert np.mean(p_values) > 0.25


def test_shared_draws_are_measured_in_float64():
    """Counts equal those of the very draws, in float64, however large or small the blocks are."""
    x, condition, plate = unequal_layout(5)
    x[condition % 3 == 0] = x[0]  # many exact ties
    vectors, pool = Vectors.of(x.astype(np.float32)), Pool.of(condition, plate)
    composition = np.array([0, 0, 1, 2])
    own = np.array(
        [0.9, 0.5, float(vectors.statistics(np.array([[0, 0, 0, 0]]), np.array([4]))[0][0])]
    )

    def stream(key):
        return np.random.default_rng(int(key.split()[1]))

    [counts] = shared_counts(vectors, pool, [Comparison(composition, own)], 2000, stream)
    parts = []
    for s in range(3):
        uniforms = stream(f"stratum {s}").random((8000, 4, 2))[:, : 2 if s == 0 else 1]
        slots = np.repeat(s, uniforms.shape[1])
        positions = drawing.draw_distinct(slots, pool.strata, pool.offsets, uniforms)
        parts.append(pool.rows[positions])
    sets = np.concatenate(parts, axis=1)
    groups = np.sort(condition[sets], axis=1)
    sets = sets[(np.diff(groups, axis=1) > 0).all(axis=1)][:2000]
    values = vectors.statistics(sets, np.array([4]))[0]
    assert len(values) == 2000
    assert counts.at_least.tolist() == [int(np.sum(values >= s - kernels.TIE)) for s in own]
    assert counts.at_least[2] > 0


def test_the_table_of_cosines_and_gathered_wells_count_the_same(monkeypatch):
    x, condition, plate = unequal_layout(7)
    tables = []
    for table_bytes in (400 << 20, 0):
        monkeypatch.setattr("phenoprints.consistency.shared.TABLE_BYTES", table_bytes)
        tables.append(experiment_consistency(x, condition, Design(plate=plate), num_null=1500))
    assert tables[0].equals(tables[1])
    assert tables[0]["p_value"].notna().sum() > 40


def test_a_condition_keeps_its_null_when_others_are_not_tested():
    x, condition, plate = unequal_layout(11)
    everything = experiment_consistency(x, condition, Design(plate=plate), num_null=1500)
    few = np.where(condition < 70, condition, None)
    part = experiment_consistency(x, few, Design(plate=plate, group=condition), num_null=1500)
    both = everything.set_index("condition").loc[part["condition"]].reset_index()
    assert part["p_value"].equals(both["p_value"])


def test_plates_that_no_design_joins_are_drawn_apart(monkeypatch):
    """Two groups of plates: together they count what each counts alone, table or not."""
    x, condition, plate = unequal_layout(13, num_plates=5)
    x, plate = np.concatenate([x, x]), np.concatenate([plate, plate + 5])
    condition = np.concatenate([condition, condition + 80])
    own = condition >= 80
    for table_bytes in (400 << 20, 0):
        monkeypatch.setattr("phenoprints.consistency.shared.TABLE_BYTES", table_bytes)
        both = experiment_consistency(x, condition, Design(plate=plate), num_null=1000)
        label = np.where(own, condition, None)
        alone = experiment_consistency(
            x, label, Design(plate=plate, group=condition), num_null=1000
        )
        part = both[both["condition"] >= 80].reset_index(drop=True)
        assert part["p_value"].equals(alone["p_value"])


@pytest.mark.parametrize("per_plate", [1, 6])
def test_rarely_valid_and_crowded_compositions_are_drawn_directly(per_plate):
    """A condition on every plate, or with six wells on each of two: the shared draws refuse."""
    rng = np.random.default_rng(0)
    num_plates = 12 if per_plate == 1 else 2
    condition = np.tile(np.arange(20), num_plates * per_plate)
    plate = np.repeat(np.arange(num_plates), 20 * per_plate)
    x = rng.standard_normal((len(condition), 4))
    pool = Pool.of(condition, plate)
    composition = np.sort(plate[condition == 0])
    test = Comparison(composition, np.array([0.05, 0.1]))
    assert can_share(composition) == (per_plate == 1)
    [counts] = null_counts(Vectors.of(x), pool, [test], 3000, lambda _: np.random.default_rng(2))
    direct = (
        [np.concatenate([documented_draw(condition, plate, composition, rng)]) for _ in range(200)]
        if per_plate == 6
        else None
    )
    assert counts.total == 3000
    assert not counts.is_complete
    if direct is not None:
        values = Vectors.of(x).statistics(np.array(direct), np.array([12]))[0]
        expected = np.mean(values >= 0.05)
        assert counts.at_least[0] / 3000 == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 200))


def dominated(rng, effect):
    """Eight conditions of two wells and a control of 40; the control differs from the others."""
    sizes = np.r_[np.full(8, 2), 40]
    condition = np.repeat(np.arange(9), sizes)
    x = rng.standard_normal((56, 64))
    direction = rng.standard_normal(64) * effect
    x[condition == 8] -= direction
    x[condition < 8] += 0.5 * direction
    return x, condition


def called(effect, num_null, num_seeds=400):
    """Share of the eight conditions with p < 0.01."""
    found = []
    for seed in range(num_seeds):
        x, condition = dominated(np.random.default_rng(seed), effect)
        table = experiment_consistency(
            x, condition, Design(f"e{seed}"), null_model="experiment", num_null=num_null, seed=seed
        )
        found += (table["p_value"][:8] < 0.01).tolist()
    return np.mean(found)


def test_a_dominating_control_does_not_dominate_the_enumerated_null():
    """752 sets: visited with their probabilities they call what the draw calls, not 6.4 %."""
    visited, drawn = called(1.0, 10_000), called(1.0, 700)
    assert visited == pytest.approx(drawn, abs=0.006)
    assert visited == pytest.approx(0.019, abs=0.008)


def test_a_weighted_complete_null_is_calibrated_without_effect():
    found = called(0.0, 10_000)
    assert binom.ppf(1e-3, 3200, 0.005) / 3200 <= found <= binom.ppf(0.999, 3200, 0.012) / 3200
