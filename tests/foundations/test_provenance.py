"""Every artefact says where it came from, in the same bytes each time."""

from __future__ import annotations

import pytest

from phenoprints.foundations.errors import CorruptionError, MissingInputError
from phenoprints.foundations.fingerprints import content_sha256, file_sha256
from phenoprints.foundations.provenance import (
    artefact_path,
    provenance_path,
    read_provenance,
    write_provenance,
)
from phenoprints.foundations.publishing import publish_text


def describe(artefact):
    write_provenance(
        artefact,
        "curation",
        settings={"p_value": 0.01},
        inputs=[artefact.with_name("in.txt")],
        rows={"in": 3, "out": 2},
        seeds={"seed": 0},
    )


@pytest.fixture
def artefact(tmp_path):
    publish_text(tmp_path / "in.txt", "in")
    publish_text(tmp_path / "out.txt", "out")
    describe(tmp_path / "out.txt")
    return tmp_path / "out.txt"


def test_it_names_inputs_settings_and_output(artefact):
    got = read_provenance(artefact)
    source = artefact.with_name("in.txt")
    assert got["sha256"] == file_sha256(artefact)
    assert got["inputs"] == {str(source): file_sha256(source)}
    assert got["settings"] == {"p_value": 0.01}
    assert got["rows"] == {"in": 3, "out": 2}
    assert got["stage_version"] >= 1


def test_it_holds_no_time_and_no_host(artefact):
    first = provenance_path(artefact).read_bytes()
    describe(artefact)
    assert provenance_path(artefact).read_bytes() == first


def test_folders_have_a_digest_that_any_change_moves(tmp_path):
    publish_text(tmp_path / "f/a/x", "1")
    publish_text(tmp_path / "f/y", "2")
    before = content_sha256(tmp_path / "f")
    publish_text(tmp_path / "f/a/x", "3")
    assert content_sha256(tmp_path / "f") != before


def test_paths_lead_back_and_forth(tmp_path):
    assert artefact_path(provenance_path(tmp_path / "a.parquet")) == tmp_path / "a.parquet"


def test_absent_and_broken_provenance_are_named(artefact):
    provenance_path(artefact).write_text("{")
    with pytest.raises(CorruptionError, match="not JSON"):
        read_provenance(artefact)
    provenance_path(artefact).unlink()
    with pytest.raises(MissingInputError, match="has no provenance"):
        read_provenance(artefact)


def test_an_input_that_is_not_what_was_written_is_refused(artefact, tmp_path):
    publish_text(tmp_path / "next.txt", "next")
    write_provenance(tmp_path / "next.txt", "maps", settings={}, inputs=[artefact])
    artefact.write_text("put")
    with pytest.raises(CorruptionError, match=r"out\.txt: its sha256 is .* not what was written"):
        write_provenance(tmp_path / "next.txt", "maps", settings={}, inputs=[artefact])


def test_a_folder_lists_its_files(tmp_path):
    publish_text(tmp_path / "f/a/x", "1")
    write_provenance(tmp_path / "f", "maps", settings={})
    files = read_provenance(tmp_path / "f")["files"]
    assert files == {"a/x": file_sha256(tmp_path / "f/a/x")}


def test_a_newer_form_is_refused_with_what_to_do(artefact):
    path = provenance_path(artefact)
    path.write_text(path.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(CorruptionError, match=r"format 3, written by another version(.|\n)*update"):
        read_provenance(artefact)
