"""What changed is run again or named, whatever Snakemake remembers and the times of files say."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from phenoprints.cli import main

from . import runs
from .runs import contents, differing, prepare, run

pytestmark = pytest.mark.xdist_group("faults")
NOTHING = "Nothing to be done"
MANIFEST = Path("results/example/curation/phenoprints/manifest.provenance.json")


@pytest.fixture
def copy(untouched, tmp_path, monkeypatch) -> Path:
    """A copy of the untouched run, which is the current folder."""
    shutil.copytree(untouched, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


def edited(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def p_value() -> float:
    return json.loads(MANIFEST.read_text())["settings"]["manifest"]["p_value"]


def printed(folder: Path, *words: str) -> str:
    end = run(folder, *words)
    assert end.code == 0, end.printed
    return end.printed


def test_a_changed_setting_is_applied_without_what_snakemake_remembers(copy):
    shutil.rmtree(".snakemake")
    edited("config.yaml", "p_value: 0.05", "p_value: 0.0001")
    told = printed(copy)
    assert "made with p_value 0.05, now 0.0001" in told
    assert p_value() == 0.0001
    assert "alignment: example" not in told
    assert NOTHING in printed(copy)
    # A dry run with another setting, taken back, leaves nothing to be done.
    edited("config.yaml", "p_value: 0.0001", "p_value: 0.01")
    assert "curation: phenoprints" in printed(
        copy, "--configfile", "config.yaml", "--dry-run", "--", "all"
    )
    edited("config.yaml", "p_value: 0.01", "p_value: 0.0001")
    assert NOTHING in printed(copy)


def test_a_dry_run_alone_leaves_no_trace(copy):
    edited("config.yaml", "p_value: 0.05", "p_value: 0.01")
    dry = ("--configfile", "config.yaml", "--dry-run", "--", "all")
    assert "curation: phenoprints" in printed(copy, *dry)
    edited("config.yaml", "p_value: 0.01", "p_value: 0.05")
    assert NOTHING in printed(copy)


def test_an_input_of_another_content_and_an_older_time_is_read_again(copy):
    before = Path("data/example.csv").stat()
    edited("data/example.csv", "compound-00,", "compound-xx,")
    os.utime("data/example.csv", ns=(before.st_atime_ns, before.st_mtime_ns))  # and equal size
    assert Path("data/example.csv").stat().st_size == before.st_size
    assert main(["verify", "example"]) == 0
    assert "screens: reading example" in printed(copy)
    conditions = pd.read_parquet("results/example/screens/example/conditions.parquet")
    assert "compound-xx" in set(conditions["perturbation"])


def test_a_part_of_other_settings_that_was_restored_is_made_anew(copy):
    other = Path("other/curation")
    shutil.copytree("results/example/curation", other)
    edited("config.yaml", "p_value: 0.05", "p_value: 0.0001")
    printed(copy, "--configfile", "config.yaml", "--", "curate")
    shutil.rmtree("results/example/curation")
    shutil.copytree(other, "results/example/curation")
    assert main(["verify", "example"]) == 0
    told = printed(copy)
    assert "made with p_value 0.05, now 0.0001" in told
    assert p_value() == 0.0001


def test_pages_state_the_settings_that_tables_were_made_with(copy, capsys):
    edited("config.yaml", "p_value: 0.05", "p_value: 0.0001")
    Path("results/example/maps/example/features.provenance.json").unlink()
    printed(copy, "--configfile", "config.yaml", "--", "map")
    main(["report", "example"])
    assert "RE102" in capsys.readouterr().out
    page = " ".join(Path("results/example/reports-so-far/index.html").read_text().split())
    assert "was kept when p &lt; 0.05" in page
    assert 'id="stale"' in page
    assert "made with p_value 0.05, now 0.0001" in page
    main(["verify", "example"])
    assert "expected the run's settings, made with p_value 0.05" in capsys.readouterr().out


def test_pages_of_a_fresh_run_have_no_banner(untouched):
    assert 'id="stale"' not in (untouched / "results/example/reports/index.html").read_text()


def test_vectors_are_never_exported_under_other_wells(copy, capsys):
    table = Path("data/example.csv")
    lines = table.read_text().replace("\nrun-1,", "\nX,").replace("\nrun-2,", "\nrun-1,")
    table.write_text(lines.replace("\nX,", "\nrun-2,"))
    printed(copy, "--configfile", "config.yaml", "--", "screens")
    words = ["export-embeddings", "example", "example", "features", "--to", "profiles"]
    assert main([*words, "-o", "x.parquet"]) == 2
    told = capsys.readouterr().err
    assert "was embedded for other wells" in told
    assert "stale: embeddings/example/features" in told
    assert not Path("x.parquet").exists()


def test_a_moved_folder_is_fresh(copy, monkeypatch, capsys):
    copy.rename(copy.with_name("moved"))
    monkeypatch.chdir(copy.with_name("moved"))
    assert main(["verify", "example"]) == 0
    assert "which is gone" not in capsys.readouterr().out
    assert NOTHING in printed(copy.with_name("moved"))


SWAP = """
import builtins, os, sys
real = builtins.open
def open(file, *words, **more):
    stream = real(file, *words, **more)
    if str(file).endswith("data/example.csv") and os.path.exists("v2.csv"):
        if sys.argv[0].endswith(os.environ["SWAP"]):
            os.replace("v2.csv", "data/example.csv")
    return stream
builtins.open = open
"""


@pytest.mark.parametrize("script", ["screens.py", "embeddings_precomputed.py"])
def test_an_input_that_is_replaced_while_it_is_read_is_not_recorded_as_read(
    script, tmp_path, monkeypatch
):
    folder = prepare(tmp_path / "run")
    monkeypatch.chdir(folder)
    text = Path("data/example.csv").read_text()
    Path("v2.csv").write_text(text.replace("compound-00,", "compound-xx,"))
    monkeypatch.setenv("SWAP", script)
    monkeypatch.setattr(runs, "HERE", tmp_path)
    (tmp_path / "injected").mkdir()
    (tmp_path / "injected/sitecustomize.py").write_text(SWAP)
    first = run(folder, "--configfile", "config.yaml", "--", "embed")
    if first.code:
        assert "it changed while it was being read" in first.printed
        first = run(folder, "--configfile", "config.yaml", "--", "embed")
        assert first.code == 0, first.printed
    run(folder, "--configfile", "config.yaml", "--", "embed")
    wells = pd.read_parquet("results/example/screens/example/conditions.parquet")
    expected = "compound-xx" if not Path("v2.csv").exists() else "compound-00"
    assert expected in set(wells["perturbation"])


def test_results_of_a_second_run_have_the_same_bytes(copy, untouched):
    shutil.rmtree("results/example/fingerprints")
    shutil.rmtree(".snakemake")
    assert NOTHING in printed(copy)
    assert differing(contents(copy), contents(untouched)) == []
