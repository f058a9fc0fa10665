"""Every result tells where it came from, and results of older versions stay readable."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from phenoprints.cli import main
from phenoprints.foundations.versions import STAGE_VERSIONS

from .runs import ROOT, contents, differing, run

WELLS = (
    f"results/example/screens/example/wells.parquet  screens (version {STAGE_VERSIONS['screens']})"
)

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def copy(untouched, tmp_path, monkeypatch) -> Path:
    """A copy of the untouched run, which is the current folder."""
    shutil.copytree(untouched, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    return tmp_path / "run"


def told(capsys, *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_every_result_tells_where_it_came_from(copy, capsys):
    """From every page, figure and table of the report to the wells, the settings and the source."""
    reports = sorted(path for path in copy.glob("results/example/reports/**/*") if path.is_file())
    assert len(reports) > 20
    chains = {told(capsys, "explain", "--settings", str(path)) for path in reports}
    (chain,) = chains
    artefacts = {n.removesuffix(".provenance.json") for n in contents(copy) if "provenance" in n}
    # What lies beside an artefact under its name, `features.failures.parquet`, is told with it.
    main_ones = {name for name in artefacts if name.split("/")[-1].count(".") < 2}
    assert [name for name in main_ones if f"results/example/{name}" not in chain] == []
    assert len(main_ones) > 12
    assert WELLS in chain
    assert "data/example.csv  input, sha256 " in chain
    assert "seeds: seed 0; threads: 1; settings " in chain
    assert '- columns.experiment: "Metadata_Batch"' in chain


def test_the_source_leads_forward_to_the_report(copy, capsys):
    lines = told(capsys, "explain", "--forward", "data/example.csv").splitlines()
    assert lines[0] == "data/example.csv"
    assert "results/example/reports" in {line.strip() for line in lines}


def test_a_run_becomes_a_crate_whose_files_have_their_checksums(copy, capsys):
    shutil.copy(ROOT / "Snakefile", copy)
    shutil.copytree(ROOT / "workflow", copy / "workflow")
    told(capsys, "export-crate", "example")
    path = copy / "results/example/ro-crate-metadata.json"
    graph = {entity["@id"]: entity for entity in json.loads(path.read_text())["@graph"]}
    recorded = [json.loads(p.read_text()) for p in path.parent.rglob("*.provenance.json")]
    sums = {entity.get("sha256") for entity in graph.values()}
    assert {content["sha256"] for content in recorded} <= sums
    assert str(copy) not in path.read_text()


def as_version_0_1_0(copy: Path) -> None:
    """Turn a run into what version 0.1.0 wrote: no digests of files, and none of their own."""
    results = copy / "results/example"
    for path in results.rglob("*.provenance.json"):
        content = json.loads(path.read_text())
        gone = ("own_sha256", "files")
        content = {key: value for key, value in content.items() if key not in gone}
        content |= {"format": 1, "artefact": Path(content["artefact"]).name}
        before = path.stat()
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for path in results.rglob("*.failures.parquet.provenance.json"):
        path.unlink()
    (results / "config.json.sha256").unlink()


def test_results_of_older_versions_stay_readable(copy, untouched, capsys):
    as_version_0_1_0(copy)
    # The provenance of a folder is what rules after it read, so that their records differ.
    chain = told(capsys, "explain", "results/example/reports/index.html")
    assert WELLS in chain
    assert main(["verify", "example"]) == 0
    assert ", 0 not as recorded, " in capsys.readouterr().out
    (copy / "results/example/benchmarks/example/features.parquet").unlink()
    end = run(copy)
    assert end.code == 0, end.printed
    assert "alignment: example as" not in end.printed
    tables = {n: v for n, v in contents(copy).items() if n.endswith(".parquet")}
    theirs = {n: v for n, v in contents(untouched).items() if n.endswith(".parquet")}
    assert differing(tables, theirs) == []


def test_results_of_newer_versions_are_refused_with_what_to_do(copy, capsys):
    path = copy / "results/example/benchmarks/example/features.parquet.provenance.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 9'))
    assert main(["verify", "example"]) == 1
    assert "format 9, written by another version of Phenoprints" in capsys.readouterr().out
