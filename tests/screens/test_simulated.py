"""The source `simulated`: the simulation's own tables, and its images in a store."""

from __future__ import annotations

import pandas as pd
import pytest

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.screens import read
from phenoprints.screens.assembly import conforms
from phenoprints.screens.images import open_images
from phenoprints.screens.preparing import prepare_images
from phenoprints.screens.storing import write_screen
from phenoprints.testing.simulation import design, draw

SMALL = {
    "experiments": 2, "plates": 1, "rows": 4, "columns": 6, "unperturbed": 2,
    "negative_controls": 2, "positive_controls": 1, "genes_per_pathway": 1, "inactive_genes": 2,
    "partial_genes": 1, "guides": 1, "compounds": 1, "size_px": 32,
}  # fmt: skip
CONFIG = {"source": "simulated", "crop_px": 32, "pack_chunk_px": 16, **SMALL}


def test_the_tables_are_those_of_the_simulation():
    screen, designed = read(CONFIG, name="demo", seed=3), design(SMALL, 3, screen="demo")
    conforms(screen)
    wells = designed.wells.sort_values(["experiment", "plate", "well"], ignore_index=True)
    pd.testing.assert_frame_equal(
        screen.wells.drop(columns="conditions"), wells.drop(columns="conditions")
    )
    listed = [int(c) for conditions in wells["conditions"] for c in conditions]
    used = sorted(set(listed))
    assert [used[c] for conditions in screen.wells["conditions"] for c in conditions] == listed
    conditions = designed.conditions.set_index("condition_id").loc[used].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        screen.conditions[conditions.columns], conditions, check_dtype=False
    )
    names = screen.conditions.set_index("condition_id")["perturbation"]
    truth = screen.extras["truth"]
    assert names.loc[truth["condition_id"]].tolist() == truth["perturbation"].tolist()
    assert len(truth) > 5
    assert {"truth", "relationships", "compound_genes", "bad_wells", "origins"} == set(
        screen.extras
    )
    assert screen.notes["geometry"] == {
        "height_px": 32,
        "width_px": 32,
        "channels": list(designed.sites["channels"][0]),
    }
    assert all(locator.startswith("zarr:images/") for locator in screen.sites["locator"])


def test_its_images_are_packed_as_they_are_drawn(tmp_path):
    screen, designed = read(CONFIG, name="demo", seed=3), design(SMALL, 3, screen="demo")
    write_screen(screen, tmp_path)
    done = prepare_images(tmp_path, CONFIG, name="demo", seed=3)
    assert (done["sites"], done["unreadable"]) == (48, 0)
    images = open_images(tmp_path / "images.json")
    number = {int(well): row for row, well in enumerate(designed.wells["well_id"])}
    for row in screen.sites.iloc[::7].itertuples():
        pixels = images.read(row.locator, row.channels, shape=(row.height, row.width))
        assert (pixels == draw(designed, number[int(row.well_id)])).all()


def test_a_setting_that_it_does_not_have_is_named():
    with pytest.raises(ConfigurationError, match="Did you mean size_px"):
        read({**CONFIG, "size": 3})
