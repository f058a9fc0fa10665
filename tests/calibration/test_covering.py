"""The covering design contains every pair of levels, and the suite the cells that it promises."""

from __future__ import annotations

from itertools import combinations

import pytest
from benchmarks.calibrate.cells import FACTORS, PAIR_TIMES, all_cells, covering_rows
from benchmarks.calibrate.covering import covering_design, missing_pairs
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 4), min_size=2, max_size=6), st.integers(0, 3))
def test_every_pair_of_levels_occurs(sizes, seed):
    factors = {f"f{i}": tuple(range(size)) for i, size in enumerate(sizes)}
    rows = covering_design(factors, seed=seed)
    assert missing_pairs(rows, factors) == []
    largest = sorted(sizes)[-2:]
    assert largest[0] * largest[1] <= len(rows) <= 4 * largest[0] * largest[1] + 4


def test_a_missing_pair_is_found():
    factors = {"a": (0, 1), "b": (0, 1)}
    rows = [{"a": 0, "b": 0}, {"a": 1, "b": 1}, {"a": 0, "b": 1}]
    assert missing_pairs(rows, factors) == [(("a", 1), ("b", 0))]


def test_the_design_of_the_suite_covers_every_pair_several_times_in_at_least_60_cells():
    rows = covering_rows()
    assert len(rows) >= 60
    for a, b in combinations(FACTORS, 2):
        for x in FACTORS[a]:
            for y in FACTORS[b]:
                times = sum(row[a] == x and row[b] == y for row in rows)
                assert times >= PAIR_TIMES, (a, x, b, y)


def test_cells_have_unique_names_and_all_are_tested_under_the_default_null():
    cells = all_cells()
    assert len({cell.name for cell in cells}) == len(cells)
    assert all("plate-matched" in cell.null_models for cell in cells)


@pytest.mark.parametrize("spread", ["one-plate", "many-plates"])
@pytest.mark.parametrize("offset", [0.0, 0.6])
def test_the_table_of_null_models_is_always_measured(spread, offset):
    cells = [c for c in all_cells() if c.group == "protocol"]
    same = [c for c in cells if (c.layout.spread, c.effects.plate) == (spread, offset)]
    assert any("experiment" in cell.null_models for cell in same)
