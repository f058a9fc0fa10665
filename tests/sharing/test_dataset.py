"""A shared manifest loads unchanged with every tool that its card names."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from phenoprints.cli import main
from phenoprints.runs import open_run
from phenoprints.sharing.dataset import TABLES

LICENCE = "https://spdx.org/licenses/CC0-1.0"


@pytest.fixture(scope="module")
def folder(shared_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("datasets") / "with images"
    words = ["export-dataset", str(shared_run), "phenoprints", "-o", str(target), "--images"]
    assert main([*words, "--license", LICENCE, "--creator", "A laboratory"]) == 0
    return target


@pytest.fixture(scope="module")
def manifest(shared_run: Path) -> pd.DataFrame:
    return open_run(shared_run).manifest("phenoprints")


def test_pandas_polars_and_duckdb_read_the_manifest(folder: Path, manifest: pd.DataFrame) -> None:
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    path = folder / "data/wells.parquet"
    expected = sorted(manifest["well_id"])
    assert len(expected) > 100
    assert sorted(pd.read_parquet(path)["well_id"]) == expected
    assert sorted(polars.read_parquet(path)["well_id"].to_list()) == expected
    rows = duckdb.read_parquet(str(path)).order("well_id").fetchall()
    assert [row[0] for row in rows] == expected


def test_datasets_loads_every_table_without_a_network(folder: Path, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    for name in TABLES:
        loaded = datasets.load_dataset(str(folder), name, cache_dir=str(tmp_path), split="train")
        assert len(loaded) == len(pd.read_parquet(folder / f"data/{name}.parquet")), name


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries of mlcroissant
def test_croissant_has_no_error_and_no_warning(folder: Path, caplog) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(str(folder / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings, caplog.records) == (set(), set(), [])
    for name in TABLES:
        frame = pd.read_parquet(folder / f"data/{name}.parquet")
        records = list(dataset.records(name))
        assert len(records) == len(frame)
        assert {key.split("/", 1)[1] for key in records[0]} == set(frame)
    ids = [record["wells/well_id"] for record in dataset.records("wells")]
    assert ids == pd.read_parquet(folder / "data/wells.parquet")["well_id"].tolist()


def test_the_card_states_what_the_funnel_counts(folder: Path, shared_run: Path) -> None:
    card_of = pytest.importorskip("huggingface_hub").DatasetCard
    card, funnel = card_of.load(folder / "README.md"), open_run(shared_run).funnel("phenoprints")
    assert card.data.license == "cc0-1.0"
    assert [config["config_name"] for config in card.data.configs] == list(TABLES)
    kept = funnel["steps"][-1]["after"]
    assert f"| {kept['wells']:,} | {kept['conditions']:,} |" in card.text
    conditions = funnel["conditions"]
    assert f"{conditions['with_phenoprint']:,} have a phenoprint" in card.text
    for words in ("`p_value` | 0.01", "on controls", "one plate only", LICENCE, "A laboratory"):
        assert words in card.text, words


def test_images_are_copied_and_absent_ones_are_listed(folder: Path, shared_run: Path) -> None:
    sites = pd.read_parquet(folder / "data/sites.parquet")
    absent = pd.read_csv(folder / "absent_images.csv", dtype={"well_id": np.uint64})
    assert absent["well_id"].tolist() == sites["well_id"][sites["image"].isna()].tolist()
    assert absent["reason"].str.contains("ER.tif").all()
    assert len(absent) == 1
    site = sites[sites["image"].notna()].iloc[-1]
    pixels = tifffile.imread(folder / site["image"])
    first = json.loads(site["locator"].removeprefix("files:"))[0]
    np.testing.assert_array_equal(pixels[0], tifffile.imread(shared_run / "screens/s" / first))
    assert "absent_images.csv`: 1." in (folder / "README.md").read_text()


def test_checksums_cover_every_file(folder: Path) -> None:
    listed = dict(
        reversed(line.split("  ", 1))
        for line in (folder / "checksums.sha256").read_text().splitlines()
    )
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(listed) == files - {"checksums.sha256"}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_twice_gives_the_same_bytes(folder: Path, shared_run: Path, tmp_path: Path) -> None:
    words = ["export-dataset", str(shared_run), "phenoprints", "-o", str(tmp_path / "again")]
    main([*words, "--images", "--license", LICENCE, "--creator", "A laboratory"])
    again = (tmp_path / "again/checksums.sha256").read_text()
    assert again == (folder / "checksums.sha256").read_text()


def test_an_existing_folder_is_refused(shared_run: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "there").mkdir()
    words = ["export-dataset", str(shared_run), "phenoprints", "-o", str(tmp_path / "there")]
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err


def test_an_unknown_manifest_is_named(shared_run: Path, tmp_path: Path, capsys) -> None:
    assert main(["export-dataset", str(shared_run), "nothing", "-o", str(tmp_path / "x")]) == 2
    assert "Expected one of everything, phenoprints" in capsys.readouterr().err


@pytest.mark.parametrize("changed", ["curation/phenoprints/genes.parquet",
                                     "consistency/s/judge.parquet",
                                     "screens/s/wells.parquet"])  # fmt: skip
def test_stale_tables_are_refused(run_copy: Path, tmp_path: Path, capsys, changed: str) -> None:
    with open(run_copy / changed, "ab") as stream:
        stream.write(b"x")
    assert main(["export-dataset", str(run_copy), "phenoprints", "-o", str(tmp_path / "x")]) == 2
    assert Path(changed).name in capsys.readouterr().err
    assert not list(tmp_path.glob("*x*"))


def test_nothing_is_left_when_it_is_stopped(shared_run: Path, tmp_path: Path) -> None:
    code = (
        "import time; from phenoprints.sharing import dataset; from phenoprints.cli import main\n"
        "dataset._copy_image = lambda *a: (print('copying', flush=True), time.sleep(60))\n"
        f"main(['export-dataset', {str(shared_run)!r}, 'phenoprints', '-o', 'out', '--images'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "copying\n"
        assert list(tmp_path.glob(".out.*"))
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) != 0
    assert list(tmp_path.iterdir()) == []
