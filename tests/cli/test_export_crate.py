"""A run becomes an RO-Crate whose entities all exist, and which names nothing of the machine."""

from __future__ import annotations

import json

import pytest

from phenoprints.cli import main
from phenoprints.foundations.provenance import write_provenance


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of two artefacts below `results/`, with a Snakefile beside."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").write_text("rule all:\n")
    (tmp_path / "workflow/rules").mkdir(parents=True)
    (tmp_path / "workflow/rules/screens.smk").write_text("rule screens:\n")
    folder = tmp_path / "results/demo"
    (folder / "embeddings/a/mae").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "wells.parquet").write_text("wells")
    (folder / "embeddings/a/mae/c").write_text("vectors")
    (tmp_path / "raw.csv").write_text("raw")
    inputs = [tmp_path / "raw.csv"]
    write_provenance(folder / "wells.parquet", "screens", settings={}, inputs=inputs)
    inputs = ["results/demo/wells.parquet"]
    seeds = {"seed": 3}
    write_provenance(
        folder / "embeddings/a/mae", "embeddings", settings={}, inputs=inputs, seeds=seeds
    )
    return folder


def graph(folder):
    content = json.loads((folder / "ro-crate-metadata.json").read_text())
    entities = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(entities) == len(content["@graph"])
    return entities


def references(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def test_every_reference_leads_to_an_entity_or_an_address(run, capsys):
    assert main(["export-crate", "demo"]) == 0
    assert "written, 3 artefacts and inputs" in capsys.readouterr().out
    entities = graph(run)
    for entity in entities.values():
        for reference in references(entity):
            assert reference in entities or reference.startswith("https://"), reference


def test_every_file_of_the_crate_is_there_with_its_checksum(run):
    main(["export-crate", "results/demo"])
    entities = graph(run)
    for part in references(entities["./"]["hasPart"]):
        assert (run / part).exists()
    assert entities["embeddings/a/mae/"]["@type"] == "Dataset"
    provenance = json.loads((run / "embeddings/a/mae.provenance.json").read_text())
    assert entities["embeddings/a/mae/"]["sha256"] == provenance["sha256"]


def test_the_chain_of_actions_goes_from_the_input_to_the_store(run):
    main(["export-crate", "demo"])
    entities = graph(run)
    action = entities["#make-embeddings/a/mae"]
    assert action["object"] == {"@id": "wells.parquet"}
    assert action["instrument"] == {"@id": "#stage-embeddings"}
    assert 'seeds {"seed": 3}' in action["description"]
    source = entities["#make-wells.parquet"]["object"]["@id"]
    assert entities[source]["name"] == "raw.csv"
    assert entities["#run"]["instrument"] == {"@id": "workflow/Snakefile"}
    assert entities["./"]["mainEntity"] == {"@id": "workflow/Snakefile"}


def test_no_path_of_the_machine_is_told(run, tmp_path):
    main(["export-crate", "demo"])
    text = (run / "ro-crate-metadata.json").read_text()
    assert str(tmp_path) not in text
    assert "raw.csv" in text


def test_the_licence_is_the_one_given(run):
    main(["export-crate", "demo", "--license", "https://spdx.org/licenses/CC0-1.0"])
    entities = graph(run)
    assert entities["./"]["license"] == {"@id": "https://spdx.org/licenses/CC0-1.0"}
    assert entities["https://spdx.org/licenses/CC0-1.0"]["name"] == "CC0-1.0"


def test_twice_gives_the_same_bytes(run):
    main(["export-crate", "demo"])
    first = (run / "ro-crate-metadata.json").read_bytes()
    main(["export-crate", "demo"])
    assert (run / "ro-crate-metadata.json").read_bytes() == first


def test_a_run_that_has_not_begun(run, capsys, tmp_path):
    (tmp_path / "results/empty").mkdir()
    assert main(["export-crate", "empty"]) == 2
    assert "there is no provenance file" in capsys.readouterr().err


def test_the_reader_of_ro_crates_finds_workflow_and_files(run):
    rocrate = pytest.importorskip("rocrate.rocrate")
    main(["export-crate", "demo", "--license", "https://spdx.org/licenses/CC0-1.0"])
    crate = rocrate.ROCrate(run)
    assert crate.mainEntity.id == "workflow/Snakefile"
    assert {"File", "ComputationalWorkflow"} <= set(crate.mainEntity.type)
    assert crate.license.id == "https://spdx.org/licenses/CC0-1.0"
    written = json.loads((run / "ro-crate-metadata.json").read_text())["@graph"]
    assert {entity.id for entity in crate.get_entities()} == {entity["@id"] for entity in written}
    actions = crate.get_by_type("CreateAction")
    assert {crate.dereference("#run")} <= set(actions)
    assert all(action["instrument"] is not None for action in actions)
