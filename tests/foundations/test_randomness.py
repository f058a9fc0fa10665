"""Streams and hashes depend on their key and on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.foundations.randomness import generator, hash_uint64, is_kept, well_ids


def test_a_stream_is_fixed_by_seed_stage_and_item():
    draws = [generator(0, "consistency", "Week1").random(3) for _ in range(2)]
    assert np.array_equal(*draws)
    others = [(1, "consistency", "Week1"), (0, "curation", "Week1"), (0, "consistency", "Week2")]
    assert all(not np.array_equal(draws[0], generator(*key).random(3)) for key in others)


def splitmix64(seed: int, number: int) -> int:
    mask = 2**64 - 1
    z = (number + (seed + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@given(st.integers(0, 2**32), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5))
def test_hash_is_splitmix64_in_plain_integers(seed, numbers):
    ids = np.array(numbers, dtype=np.uint64)
    assert hash_uint64(seed, ids).tolist() == [splitmix64(seed, number) for number in numbers]


def test_hash_of_zero_is_the_published_first_output():
    # First output of splitmix64 from state 0, as in Vigna's reference C code.
    assert int(hash_uint64(0, np.zeros(1, np.uint64))[0]) == 0xE220A8397B1DCDAF


@pytest.mark.parametrize("fraction", [0.1, 0.3])
def test_the_kept_share_is_binomial(fraction):
    ids = np.arange(100_000, dtype=np.uint64)
    kept = is_kept(7, ids, fraction).mean()
    assert abs(kept - fraction) < 4 * np.sqrt(fraction * (1 - fraction) / ids.size)


def test_everything_and_nothing_are_kept_at_the_ends():
    ids = np.arange(1000, dtype=np.uint64)
    assert is_kept(0, ids, 1.0).all()
    assert not is_kept(0, ids, 0.0).any()


def test_a_larger_fraction_keeps_what_a_smaller_kept():
    ids = np.arange(1000, dtype=np.uint64)
    assert (is_kept(0, ids, 0.3) | ~is_kept(0, ids, 0.1)).all()


def test_well_ids_are_the_sha256_of_the_full_name():
    got = well_ids("demo", ["e1", "e1"], ["p1", "p2"], ["A01", "A01"])
    digest = hashlib.sha256(b"demo/e1/p1/A01").digest()
    assert int(got[0]) == int.from_bytes(digest[:8], "little")
    assert got[0] != got[1]
    assert got.dtype == np.uint64


NAMES = st.text(st.sampled_from("ab/\x1f"), min_size=1, max_size=4)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=8, unique=True))
def test_different_names_of_experiment_and_plate_have_different_well_ids(names):
    experiments, plates = zip(*names, strict=True)
    ids = well_ids("s", experiments, plates, ["A01"] * len(names))
    assert len(set(ids.tolist())) == len(names)
