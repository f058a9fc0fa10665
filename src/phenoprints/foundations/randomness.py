"""Randomness keyed by (seed, stage, item): no result depends on order or on number of workers."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phenoprints.foundations.fingerprints import canonical_json

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_ESCAPE = "\x1f"


def generator(seed: int, stage: str, *item: Any) -> np.random.Generator:
    """Return a numpy generator for one item of one stage; `item` is anything JSON can hold.

    The stream is numpy's PCG64, seeded with the first 128 bits of the sha256 of the key.
    """
    digest = hashlib.sha256(canonical_json([seed, stage, *item])).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def hash_uint64(seed: int, ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash each id uniformly to 64 bits: splitmix64 of (id + (seed + 1)·golden ratio) mod 2^64.

    Shape and order follow `ids`. Source: Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195.
    """
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(seed + 1) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return z ^ (z >> np.uint64(31))


def is_kept(seed: int, ids: NDArray[np.uint64], fraction: float) -> NDArray[np.bool_]:
    """Whether each id falls into a seeded sample of `fraction` (0 to 1), alone by its own hash."""
    if fraction >= 1.0:
        return np.ones(ids.shape, dtype=np.bool_)
    return hash_uint64(seed, ids) < np.uint64(fraction * 2.0**64)


def well_ids(screen: str, experiment: Any, plate: Any, well: Any) -> NDArray[np.uint64]:
    """Return the `well_id` of each well: 8 bytes of the sha256 of screen/experiment/plate/well.

    Arguments after `screen` are equally long sequences of strings. Bytes are the first ones, read
    little-endian. A "/" within the name of an experiment is escaped, so that experiment "a/b",
    plate "c" and experiment "a", plate "b/c" differ.
    """
    names = {name: _escaped(str(name)) for name in set(experiment)}
    keys = (
        f"{screen}/{names[e]}/{p}/{w}".encode()
        for e, p, w in zip(experiment, plate, well, strict=True)
    )
    return np.fromiter(
        (int.from_bytes(hashlib.sha256(key).digest()[:8], "little") for key in keys),
        dtype=np.uint64,
    )


def _escaped(name: str) -> str:
    return name.replace(_ESCAPE, _ESCAPE * 2).replace("/", f"{_ESCAPE}/")
