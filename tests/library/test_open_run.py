"""`import phenoprints as pp`: packages on first use, and runs by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import phenoprints as pp
from phenoprints.configuration import load, write_frozen
from phenoprints.foundations.errors import MissingInputError
from phenoprints.screens.storing import write_screen


def test_packages_are_attributes_and_nothing_heavy_is_imported() -> None:
    script = (
        "import sys, phenoprints as pp; heavy = {'pandas', 'numpy', 'torch'} & set(sys.modules);"
        "assert not heavy, heavy; pp.alignment; pp.wells; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_listed_name_exists_and_no_other() -> None:
    assert all(getattr(pp, name) is not None for name in dir(pp))
    with pytest.raises(AttributeError, match="no attribute 'alignments'"):
        _ = pp.alignments


@pytest.fixture
def run(tmp_path: Path) -> pp.runs.Run:
    config = load({"run": "r", "screens": {"s": {"source": "simulated"}}})
    write_frozen(tmp_path / "results/r/config.json", config)
    return pp.open_run(tmp_path / "results/r")


def test_a_run_knows_its_screens_and_reads_its_tables(run: pp.runs.Run) -> None:
    assert run.screens == ("s",)
    table = pd.DataFrame({"well_id": [1], "verdict": ["pass"]})
    run.path("quality", screen="s").parent.mkdir()
    table.to_parquet(run.path("quality", screen="s"))
    pd.testing.assert_frame_equal(run.quality("s"), table)


def test_what_is_missing_is_named_with_the_target_that_makes_it(run: pp.runs.Run) -> None:
    with pytest.raises(MissingInputError, match="run snakemake quality"):
        run.quality("s")
    with pytest.raises(MissingInputError, match=r'no screen is called "t"\. Expected one of s'):
        run.quality("t")


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MissingInputError, match=r"no run found; expected a folder with config\.json"
    ):
        pp.open_run(tmp_path)


def test_a_funnel_is_a_dictionary(run: pp.runs.Run, tmp_path: Path) -> None:
    config = load({"run": "r", "screens": {"s": {"source": "simulated"}},
                   "manifests": {"m": {"screens": ["s"]}}})  # fmt: skip
    write_frozen(tmp_path / "q/config.json", config)
    opened = pp.open_run(tmp_path / "q")
    opened.path("funnel", manifest="m").parent.mkdir(parents=True)
    opened.path("funnel", manifest="m").write_text(json.dumps({"steps": []}), "utf-8")
    assert opened.funnel("m") == {"steps": []}


def test_a_run_opens_its_screens_with_their_quality(run: pp.runs.Run) -> None:
    with pytest.raises(MissingInputError, match="run snakemake screens"):
        run.screen("s")
    read = pp.screens.read({"source": "simulated", "experiments": 2}, name="s")
    write_screen(read, run.path("screen_wells", screen="s").parent)
    screen = run.screen("s")
    assert screen.experiments == sorted(read.wells["experiment"].unique())
    assert screen.usable().all()
    first = screen.experiments[0]
    verdicts = pd.DataFrame({"well_id": read.wells["well_id"], "site": -1, "verdict": "pass"})
    verdicts.loc[0, "verdict"] = "fail"
    run.path("quality", screen="s").parent.mkdir()
    verdicts.to_parquet(run.path("quality", screen="s"))
    assert (~run.screen("s").usable(first)).sum() == 1
    num_sites = (read.sites["well_id"] == read.wells["well_id"][0]).sum()
    lost = len(screen.sites(first)) - len(run.screen("s").sites(first, usable=True))
    assert lost == num_sites
