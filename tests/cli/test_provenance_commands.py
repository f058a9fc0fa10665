"""`verify` finds whatever differs from its provenance; `explain` tells the chain of a file."""

from __future__ import annotations

import json
import os

import pytest

from phenoprints.cli import main
from phenoprints.configuration import write_frozen
from phenoprints.foundations.fingerprints import own_sha256
from phenoprints.foundations.provenance import provenance_path, write_provenance
from phenoprints.foundations.versions import STAGE_VERSIONS


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of three artefacts: a table from a raw file, a folder from it, a page from both."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "results" / "demo"
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wells.csv").write_text("well\nA01\n")
    wells, store = folder / "screens/a/wells.parquet", folder / "embeddings/a/mae"
    page = folder / "reports/index.html"
    for path, text in [(wells, "wells"), (store / "c/0", "vectors"), (page, "<p>")]:
        path.parent.mkdir(parents=True)
        path.write_text(text)
    write_provenance(
        "results/demo/screens/a/wells.parquet",
        "screens",
        settings={"source": "profiles-table", "columns": {"plate": "p"}},
        inputs=["data/wells.csv"],
        rows={"out": 1},
    )
    write_provenance(
        "results/demo/embeddings/a/mae",
        "embeddings",
        settings={"block": 3},
        inputs=["results/demo/screens/a/wells.parquet"],
        seeds={"seed": 7},
    )
    inputs = ["results/demo/screens/a/wells.parquet", "results/demo/embeddings/a/mae"]
    write_provenance("results/demo/reports/index.html", "reports", settings={}, inputs=inputs)
    write_frozen(folder / "config.json", {"run": "demo"})
    return folder


def test_a_run_as_recorded_passes(run, capsys):
    assert main(["verify", "demo"]) == 0
    last = capsys.readouterr().out.strip()
    assert last == "✓ PASS  results/demo: 3 artefacts, 0 not as recorded, 0 to look at"


def test_a_flipped_bit_is_named_with_its_cure(run, capsys):
    (run / "embeddings/a/mae/c/0").write_text("vectorz")
    assert main(["verify", "results/demo"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✗ FAIL  results/demo/embeddings/a/mae/c/0: expected sha256 ")
    assert ", found " in lines[0]
    provenance = "results/demo/embeddings/a/mae.provenance.json"
    assert lines[1] == (
        f"    To mend: target embed: rm -rf {provenance} && "
        f"snakemake --configfile results/demo/config.json -- {provenance}"
    )
    assert lines[-1].endswith("3 artefacts, 1 not as recorded, 0 to look at")


@pytest.mark.parametrize("damage", ["deleted", "emptied", "truncated", "added"])
def test_every_damage_of_an_artefact_is_found(run, damage, capsys):
    table, chunk = run / "screens/a/wells.parquet", run / "embeddings/a/mae/c/0"
    {
        "deleted": table.unlink,
        "emptied": lambda: table.write_text(""),
        "truncated": lambda: os.truncate(table, 3),
        "added": lambda: (chunk.parent / "1").write_text("more"),
    }[damage]()
    assert main(["verify", "demo"]) == 1
    assert capsys.readouterr().out.count("✗ FAIL") == 2


def test_an_input_that_changed_since_is_to_be_looked_at(run, capsys, tmp_path):
    (tmp_path / "data/wells.csv").write_text("well\nA02\n")
    assert main(["verify", "demo"]) == 0
    out = capsys.readouterr().out
    assert "! CHECK  results/demo/screens/a/wells.parquet: expected to be made from " in out
    assert "data/wells.csv with sha256" in out
    assert "which is now" in out


def test_an_input_that_is_gone_and_an_unfinished_file_are_told(run, capsys, tmp_path):
    (tmp_path / "data/wells.csv").unlink()
    (run / "screens/a/.wells.parquet.12.ab.partial").write_text("half")
    assert main(["verify", "demo"]) == 0
    out = capsys.readouterr().out
    assert "which is gone" in out
    assert "expected no unfinished file, found one" in out
    assert out.splitlines()[-1].startswith("! CHECK")


def test_a_file_that_lost_its_provenance_is_told(run, capsys):
    provenance_path(run / "screens/a/wells.parquet").unlink()
    (run / "embeddings/a/mae.units").mkdir()
    (run / "embeddings/a/mae.units/0-4.json").write_text("named after the store")
    (run / "logs").mkdir()
    (run / "logs/screens.log").write_text("no artefact")
    main(["verify", "demo"])
    out = capsys.readouterr().out
    assert out.count("expected a provenance file beside it, found none") == 1
    assert "! CHECK  results/demo/screens/a/wells.parquet" in out


@pytest.mark.parametrize("content", ["", "[]", "{", '{"sha256": "a", "inputs": []}'])
def test_a_broken_provenance_file_is_named(run, capsys, content):
    path = provenance_path(run / "reports/index.html")
    path.write_text(content)
    assert main(["verify", "demo"]) == 1
    assert "reports/index.html.provenance.json: expected a provenance file" in (
        capsys.readouterr().out
    )


def test_a_provenance_file_that_was_edited_is_named(run, capsys):
    path = provenance_path(run / "reports/index.html")
    path.write_text(path.read_text().replace('"threads": 1', '"threads": 2'))
    assert main(["verify", "demo"]) == 1
    assert "it is not what was written (own sha256)" in capsys.readouterr().out


def test_infinite_numbers_in_a_provenance_file_are_named(run, capsys):
    path = provenance_path(run / "reports/index.html")
    content = json.loads(path.read_text()) | {"settings": {"a": float("inf")}}
    for form in (1, 2):
        path.write_text(json.dumps(content | {"format": form}))
        assert main(["verify", "demo"]) == 1
        assert "expected a provenance file, found another thing" in capsys.readouterr().out


def test_swapped_artefacts_are_named_also_with_their_provenance(run, capsys):
    wells, other = run / "screens/a/wells.parquet", run / "screens/b/wells.parquet"
    other.parent.mkdir()
    other.write_text("other")
    write_provenance("results/demo/screens/b/wells.parquet", "screens", settings={})
    for left, right in [(wells, other), (provenance_path(wells), provenance_path(other))]:
        first, second = left.read_bytes(), right.read_bytes()
        left.write_bytes(second)
        right.write_bytes(first)
    assert main(["verify", "demo"]) == 1
    out = capsys.readouterr().out
    assert "screens/a/wells.parquet.provenance.json: expected the provenance of wells" in out
    assert "found that of results/demo/screens/b/wells.parquet" in out


def test_a_run_that_was_moved_passes(run, capsys):
    (run.parent / "moved").mkdir()
    run.rename(run.parent / "moved/demo")
    main(["verify", str(run.parent / "moved/demo")])
    assert "FAIL" not in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["flipped", "emptied", "deleted"])
def test_a_damaged_configuration_is_named_with_its_cure(run, damage, capsys):
    path = run / "config.json"
    {
        "flipped": lambda: path.write_text(path.read_text().replace("demo", "dema")),
        "emptied": lambda: path.write_text(""),
        "deleted": path.unlink,
    }[damage]()
    assert main(["verify", "demo"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  results/demo/config.json: expected the run's configuration, found:" in out
    assert "To mend: rm -f results/demo/config.json* && snakemake --configfile <yours>" in out


def test_an_input_that_is_a_device_is_not_read(run, capsys):
    path = provenance_path(run / "reports/index.html")
    content = json.loads(path.read_text())
    content["inputs"] = {"/dev/zero": "0" * 64}
    content["own_sha256"] = own_sha256(content)
    path.write_text(json.dumps(content))
    assert main(["verify", "demo"]) == 0
    assert "neither file nor folder" in capsys.readouterr().out


def test_a_run_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "nothing"]) == 2
    assert capsys.readouterr().err.startswith("phenoprints verify: nothing: there is no such fold")


def test_the_chain_goes_back_to_the_inputs(run, capsys):
    assert main(["explain", "results/demo/reports/index.html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line.strip() for line in lines if "results/" in line or "data/" in line]
    assert told[:3] == [
        "results/demo/reports/index.html  reports (version 1)",
        "results/demo/embeddings/a/mae  embeddings (version 1)",
        f"results/demo/screens/a/wells.parquet  screens (version {STAGE_VERSIONS['screens']})",
    ]
    assert told[3].startswith("data/wells.csv  input, sha256 ")
    assert told[4:] == ["and from results/demo/screens/a/wells.parquet (see above)"]
    assert any("seeds: seed 7; threads: 1; settings " in line for line in lines)
    assert any("rows: out 1" in line for line in lines)


def test_a_file_inside_an_artefact_is_explained_by_it(run, capsys):
    assert main(["explain", "results/demo/embeddings/a/mae/c/0"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "results/demo/embeddings/a/mae  embeddings (version 1)"


def test_the_chain_with_settings_and_through_a_provenance_file(run, capsys):
    file = "results/demo/screens/a/wells.parquet.provenance.json"
    assert main(["explain", "--settings", file]) == 0
    out = capsys.readouterr().out
    assert '- columns.plate: "p"' in out
    assert '- source: "profiles-table"' in out


def test_the_chain_forward_from_an_input(run, capsys):
    assert main(["explain", "--forward", "results/demo/screens/a/wells.parquet"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "results/demo/screens/a/wells.parquet",
        "  results/demo/embeddings/a/mae",
        "    results/demo/reports/index.html",
        "  results/demo/reports/index.html (see above)",
    ]


def test_a_changed_input_is_marked_in_the_chain(run, capsys, tmp_path):
    (tmp_path / "data/wells.csv").write_text("other")
    main(["explain", "results/demo/screens/a/wells.parquet"])
    assert "! made from data/wells.csv with sha256" in capsys.readouterr().out


def test_a_file_without_provenance(run, capsys):
    assert main(["explain", "data/wells.csv"]) == 2
    assert "it has no provenance" in capsys.readouterr().err


def test_debug_shows_the_traceback(run):
    with pytest.raises(FileNotFoundError):
        main(["--debug", "explain", "data/wells.csv"])


def test_wrong_usage_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as exit_code:
        main(["verifi"])
    assert exit_code.value.code == 2


def test_forward_from_a_raw_file_searches_every_run(run, capsys):
    assert main(["explain", "--forward", "data/wells.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  results/demo/screens/a/wells.parquet"
