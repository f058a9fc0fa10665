"""Every source passes the conformance suite, and the suite notices what it is there for."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from phenoprints import configuration
from phenoprints.screens.reading import SOURCES, own_settings, source_module
from phenoprints.testing.conformance.screens import check_source

EXAMPLES = Path(__file__).parents[2] / "config/examples"
MAPPED = {"HOECHST 33342": "DNA", "Alexa 568": "AGP", "Alexa 647": "Mito"}
BY_FILE = {
    "yokogawa": {"C01": "DNA", "C02": "AGP", "C03": "Mito"},
    "imagexpress": {"w1": "DNA", "w2": "AGP", "w3": "Mito"},
}
VARIANTS = {
    "rxrx1": ("rxrx1", {}),
    "rxrx1 by Kaggle": ("rxrx1", {"kaggle": True}),
    "rxrx3": ("rxrx3", {}),
    "rxrx3 as JPEG 2000": ("rxrx3", {"suffix": "jp2"}),
    "rxrx3-core": ("rxrx3-core", {}),
    "jump-cp": ("jump-cp", {}),
    "jump-cp by URL": ("jump-cp", {"form": "url"}),
    "harmony V5": ("harmony", {"version": "V5"}),
    "harmony V6": ("harmony", {"version": "V6", "name": "Index.xml"}),
    "harmony V7": ("harmony", {"version": "V7", "name": "Index.xml"}),
    "yokogawa": ("yokogawa", {}),
    "imagexpress": ("imagexpress", {}),
    "ome-zarr 0.4": ("ome-zarr", {"version": "0.4"}),
    "ome-zarr 0.5": ("ome-zarr", {"version": "0.5"}),
}


def settings(source: str, root, layouts) -> dict:
    if source == "jump-cp":
        pattern = "load_data_csv/*/*/load_data*"
        return {"root": str(root), "load_data": pattern, "images": "gallery"}
    if source in ("harmony", "ome-zarr"):
        return {"root": str(root), "channels": MAPPED, **layouts.TABLE}
    if source in BY_FILE:
        return {"root": str(root), "channels": BY_FILE[source], **layouts.TABLE}
    return {"root": str(root)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_source_conforms(variant, layouts, tmp_path):
    source, form = VARIANTS[variant]
    maker = {"jump-cp": "jump"}.get(source, source.replace("-", "_"))
    root = getattr(layouts, maker)(tmp_path, **form)
    read_listing = importlib.import_module(SOURCES[source]).read_listing
    given = settings(source, root, layouts)
    screen = check_source(lambda: read_listing(**given), root=root)
    assert len(screen.wells) > 1


def test_the_profiles_table_conforms(layouts, tmp_path):
    layouts.yokogawa(tmp_path)
    read_listing = importlib.import_module(SOURCES["profiles-table"]).read_listing
    check_source(lambda: read_listing(root=str(tmp_path), **layouts.TABLE))


def test_the_simulated_screen_conforms():
    read_listing = importlib.import_module(SOURCES["simulated"]).read_listing
    check_source(lambda: read_listing(size_px=32, rows=8, columns=12, plates=1))


@pytest.mark.parametrize(
    ("breakage", "words"),
    [
        (lambda x: replace(x, wells=x.wells.assign(plate=7)), "007 stays 007"),
        (lambda x: replace(x, wells=x.wells.drop(columns="role")), r"lack the columns \['role'\]"),
        (lambda x: replace(x, wells=x.wells.assign(role="ctrl")), "unknown roles"),
        (lambda x: replace(x, inputs=("/nowhere",)), "an input file is not there"),
        (lambda x: replace(x, wells=x.wells.iloc[::-1]), "not indexed"),
        (lambda x: replace(x, origin=""), "origin"),
    ],
)
def test_the_suite_notices(breakage, words, layouts, tmp_path):
    root = layouts.rxrx3(tmp_path)
    read_listing = importlib.import_module(SOURCES["rxrx3"]).read_listing
    with pytest.raises(AssertionError, match=words):
        check_source(lambda: breakage(read_listing(root=str(root))), root=root)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_setting_of_the_schema_belongs_to_its_source(example):
    """The schema and the sources agree, so that no configured setting is refused or lost."""
    config = configuration.load(yaml.safe_load(example.read_text()))
    for name, screen in config["screens"].items():
        settings = configuration.image_settings(config, name)
        known = {*source_module(screen["source"]).SETTINGS, "root"}
        assert set(own_settings(settings)) <= known
        assert set(own_settings(screen)) <= known
