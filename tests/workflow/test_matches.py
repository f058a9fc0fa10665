"""A week of BBBC021 under another name is matched with the frozen run of all weeks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from phenoprints.cli import main
from phenoprints.foundations.fingerprints import tree_sha256

pytestmark = [pytest.mark.data, pytest.mark.xdist_group("bbbc021")]
PROFILES = "ljosa_jbiomolscreen_2013_per_well_mean.csv"


def freeze(folder: Path, output: Path, *options: str) -> int:
    run = str(folder / "results/bbbc021")
    return main(["freeze", run, "bbbc021", "cellprofiler", "-o", str(output), *options])


@pytest.fixture(scope="module")
def reference(bbbc021, tmp_path_factory):
    place = tmp_path_factory.mktemp("references") / "bbbc021"
    assert freeze(bbbc021, place, "--license", "CC-BY-3.0") == 0
    return place


def configured(folder: Path, data: Path, reference: Path, **match: object) -> Path:
    """Write the configuration of Week4, as a screen `later` that is only matched."""
    (folder / "data").mkdir()
    for source in data.iterdir():
        (folder / "data" / source.name).symlink_to(source.resolve())
    table = pd.read_csv(folder / "data" / f"{PROFILES}.gz")
    (folder / "data" / f"{PROFILES}.gz").unlink()
    table[table["Image_Metadata_Plate"].str.startswith("Week4_")].to_csv(
        folder / "data" / PROFILES, index=False
    )
    content = yaml.safe_load((folder.parent / "example.yaml").read_text())
    config = {
        "run": "later",
        "screens": {"later": {**content["screens"]["bbbc021"], "root": str(folder / "data")}},
        "encoders": {"cellprofiler": {**content["encoders"]["cellprofiler"], "screens": ["later"]}},
        "match": {
            "reference": str(reference), "screens": ["later"], "null_model": "experiment", **match
        },
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def later(bbbc021, reference, tmp_path_factory, workflow):
    """The folder in which the week was matched, and the sha256 of the reference before."""
    base = tmp_path_factory.mktemp("later")
    shutil.copy(bbbc021 / "config.yaml", base / "example.yaml")
    (base / "run").mkdir()
    before = tree_sha256(reference)
    config = configured(base / "run", bbbc021 / "data/bbbc021", reference)
    workflow(base / "run", "--configfile", str(config), "--", "match", "report")
    return base / "run", before


def test_every_treatment_is_nearest_to_itself_and_the_reference_stays(later, reference):
    folder, before = later
    assert tree_sha256(reference) == before
    table = pd.read_parquet(folder / "results/later/matches/later/cellprofiler.parquet")
    first = table[table["rank"] == 1]
    assert len(first) == 12
    assert (first["neighbour"] == first["name"]).mean() >= 0.9
    assert (first["annotation"].str.startswith("mechanism: ")).all()
    assert not first["is_misfit"].any()
    fits = pd.read_parquet(folder / "results/later/matches/later/cellprofiler.fits.parquet")
    assert set(fits["status"]) == {"PASS"}
    assert (fits["num_batches"] == 10).all()


def test_the_page_shows_a_row_for_each_condition(later):
    reports = later[0] / "results/later/reports"
    page = (reports / "matches.html").read_text()
    assert "What each of 12 new conditions resembles" in page
    assert "controls of 1 batch fit" in page
    assert (reports / "tables/matches-later-cellprofiler-neighbours.csv").is_file()


def test_what_is_matched_is_neither_aligned_by_itself_nor_mapped(later):
    results = later[0] / "results/later"
    assert not (results / "alignment").exists()
    assert not (results / "maps").exists()


@pytest.mark.parametrize("license_name", ["", "CC-BY-ND-4.0"])
def test_a_licence_is_needed_that_permits_derived_works(bbbc021, tmp_path, capsys, license_name):
    assert freeze(bbbc021, tmp_path / "r", "--license", license_name) == 2
    assert "licence" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def copied(bbbc021: Path, tmp_path: Path) -> Path:
    shutil.copytree(bbbc021, tmp_path / "copy", symlinks=True, ignore=shutil.ignore_patterns(".s*"))
    return tmp_path / "copy"


def test_a_run_that_is_unfinished_or_stale_is_refused(bbbc021, tmp_path, capsys):
    folder = copied(bbbc021, tmp_path)
    results, license_name = folder / "results/bbbc021", ["--license", "CC-BY-3.0"]
    quality = results / "quality/bbbc021.parquet"
    content = quality.read_bytes()
    quality.write_bytes(content[:-1] + b"x")
    assert freeze(folder, tmp_path / "r", *license_name) == 2
    assert "the run is stale or damaged" in capsys.readouterr().err
    quality.write_bytes(content)
    (results / "maps/bbbc021/cellprofiler.provenance.json").unlink()
    assert freeze(folder, tmp_path / "r", *license_name) == 2
    assert "run snakemake map" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
    assert freeze(folder, folder, *license_name) == 2
    assert "exists, and a published reference never changes" in capsys.readouterr().err
