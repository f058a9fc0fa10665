"""Whatever the image: crops lie inside, apart, centred; units cover every well once."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from phenoprints.embeddings import Geometry
from phenoprints.embeddings.store import plan_units

sides = st.integers(16, 250)


@given(
    height=sides, width=sides, crop=st.integers(12, 64), ring=st.sampled_from(["auto", True, False])
)
def test_crops_lie_inside_apart_and_centred(height: int, width: int, crop: int, ring) -> None:
    assume(crop <= min(height, width))
    origins = Geometry(crop, exclude_border_crops=ring).origins(height, width)

    low, high = origins.min(axis=0), origins.max(axis=0) + crop
    assert (low >= 0).all()
    assert (high <= (height, width)).all()
    margins = np.array([height, width]) - high
    assert (np.abs(margins - low) <= 1).all()
    assert len(np.unique(origins, axis=0)) == len(origins)
    for y, x in origins:
        apart = (np.abs(origins - (y, x)) >= crop).any(axis=1)
        assert apart.sum() == len(origins) - 1


@given(side=st.integers(64, 300), crop=st.integers(16, 64), data=st.data())
def test_overlap_never_leaves_fewer_crops(side: int, crop: int, data) -> None:
    overlap = data.draw(st.integers(0, crop - 1))

    plain = Geometry(crop, exclude_border_crops=False).origins(side, side)
    dense = Geometry(crop, exclude_border_crops=False, overlap_px=overlap).origins(side, side)

    assert len(dense) >= len(plain)
    assert dense.min() >= 0
    assert dense.max() + crop <= side


@given(
    counts=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 300), max_size=3),
    unit_wells=st.integers(2, 200),
)
def test_units_cover_every_well_once(counts: dict[str, int], unit_wells: int) -> None:
    units = plan_units(counts, unit_wells)

    for experiment, count in counts.items():
        own = [unit for unit in units if unit.experiment == experiment]
        rows = [row for unit in own for row in (unit.start, unit.stop)]
        assert rows[0] == 0
        assert rows[-1] == count
        assert rows[1:-1:2] == rows[2::2]
        sizes = {unit.stop - unit.start for unit in own[:-1]}
        assert len(sizes) <= 1
        assert max(unit.stop - unit.start for unit in own) <= unit_wells
