from __future__ import annotations

import gzip
import hashlib
import io
import urllib.error
from dataclasses import replace

import pandas as pd
import pytest

from phenoprints import annotation
from phenoprints.annotation import locating
from phenoprints.annotation.catalogue import Source
from phenoprints.annotation.tables import read_clusters, read_pairs, read_table, read_truth
from phenoprints.foundations.errors import (
    ConfigurationError,
    CorruptionError,
    MissingInputError,
    TableError,
)

FILES = {
    "corum": "efaar_relationships/CORUM.txt.gz",
    "humap": "efaar_relationships/HuMAP.txt.gz",
    "reactome": "efaar_relationships/Reactome.txt.gz",
    "signor": "efaar_relationships/SIGNOR.txt.gz",
    "stringdb": "efaar_relationships/StringDB.txt.gz",
    "corum-clusters": "efaar_relationships/CORUM_clusters.tsv.gz",
    "gene-loci": "genome_hg38/gene_chromosome_map.tsv.gz",
    "expression-u2os": "expression/Recursion_U2OS_expression_data.csv.gz",
}


@pytest.fixture
def answers(monkeypatch):
    """The network, which knows one content."""

    def set_answer(content):
        def urlopen(url, timeout):
            if isinstance(content, Exception):
                raise content
            return io.BytesIO(content)

        monkeypatch.setattr(locating.urllib.request, "urlopen", urlopen)

    return set_answer


@pytest.fixture
def small(monkeypatch):
    content = b"entity1,entity2\nA,B\n"
    digest = hashlib.sha256(content).hexdigest()
    source = Source("small", "Small.txt", "https://x/Small.txt", digest, "CC0", "nobody")
    monkeypatch.setitem(annotation.CATALOGUE, "small", source)
    return content


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(FILES))
def test_the_catalogue_knows_the_checksum_of_the_real_tables(test_data, name):
    content = gzip.decompress((test_data / "annotation" / FILES[name]).read_bytes())
    assert hashlib.sha256(content).hexdigest() == annotation.CATALOGUE[name].sha256


@pytest.mark.data
def test_tables_are_found_below_a_folder_compressed_or_not(test_data):
    found = annotation.path_of("corum", folder=str(test_data / "annotation"))
    assert found == str(test_data / "annotation" / FILES["corum"])


def test_non_commercial_sources_are_marked():
    marked = {name for name, source in annotation.CATALOGUE.items() if source.is_non_commercial}
    assert marked == {"corum", "corum-clusters", "signor"}


def test_paths_without_a_folder_lie_in_the_cache(tmp_path):
    path = annotation.path_of("corum", cache=str(tmp_path))
    assert path == str(tmp_path / "corum-edaafc77a184ef45.txt")
    assert annotation.path_of("corum", cache=str(tmp_path), offline=True) is None
    assert annotation.path_of("compound-gene", cache=str(tmp_path)) == str(
        tmp_path / "compound-gene-830569dc0ada.csv"
    )


def test_a_download_is_checked_and_kept(tmp_path, small, answers):
    answers(small)
    path = annotation.download("small", tmp_path)
    assert path.read_bytes() == small
    assert annotation.path_of("small", cache=str(tmp_path), offline=True) == str(path)


def test_a_wrong_download_is_named_and_not_kept(tmp_path, small, answers):
    answers(small + b"C,D\n")
    with pytest.raises(CorruptionError, match=r"Expected sha256 .*, got .*Nothing was kept"):
        annotation.download("small", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_checksum_the_commit_is_named_and_the_length_checked(
    tmp_path, monkeypatch, answers
):
    unknown = [source for source in annotation.CATALOGUE.values() if source.sha256 is None]
    assert [source.name for source in unknown] == ["compound-gene"]
    whole = annotation.CATALOGUE["compound-gene"]
    monkeypatch.setitem(annotation.CATALOGUE, "compound-gene", replace(whole, num_characters=4))
    answers("Aµ,B".encode())
    assert annotation.download("compound-gene", tmp_path).read_text(encoding="utf-8") == "Aµ,B"
    answers(b"<html>")
    with pytest.raises(CorruptionError, match="Expected 4 characters, got 6"):
        annotation.download("compound-gene", tmp_path)


def test_terms_say_licence_use_and_citation():
    assert annotation.CATALOGUE["corum"].terms == (
        "corum: CC BY-NC 4.0, non-commercial use only; "
        "CORUM: Giurgiu et al. 2019, doi:10.1093/nar/gky973"
    )
    assert "non-commercial" not in annotation.CATALOGUE["humap"].terms


def test_without_a_network_the_cure_is_told(tmp_path, small, answers):
    answers(urllib.error.URLError("no route"))
    with pytest.raises(MissingInputError, match=r"put Small\.txt into a folder"):
        annotation.download("small", tmp_path)


def test_unknown_names_and_folders_are_told():
    with pytest.raises(ConfigurationError, match='"corun" is not known'):
        annotation.path_of("corun")
    with pytest.raises(MissingInputError, match="is not a folder"):
        annotation.path_of("corum", folder="/nowhere/at/all")


def test_a_gene_called_na_is_a_gene(tmp_path):
    (tmp_path / "p.txt").write_text("entity1,entity2\nNA,NAN1\n")
    assert read_pairs(tmp_path / "p.txt").values.tolist() == [["NA", "NAN1"]]


@pytest.mark.parametrize("factor", [1, 1000])
def test_pairs_of_a_users_own_table_need_their_score(tmp_path, factor):
    table = pd.DataFrame({"a": ["A", "B"], "b": ["C", "D"], "combined_score": [0.95, 0.951]})
    table["combined_score"] *= factor
    table.to_csv(tmp_path / "p.csv", index=False)
    assert read_pairs(tmp_path / "p.csv").values.tolist() == [["B", "D"]]


def test_pairs_may_come_as_parquet_with_their_source(tmp_path):
    table = pd.DataFrame({"entity1": ["A"], "entity2": ["B"], "source": ["pathway"]})
    table.to_parquet(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(read_pairs(tmp_path / "p.parquet"), table)


def test_clusters_are_read_in_both_forms(tmp_path):
    (tmp_path / "c.tsv").write_text("one\tA B\ntwo\tC\none\tD\n")
    (tmp_path / "c.gmt").write_text("one\thttp://x\tA\tB\n")
    assert read_clusters(tmp_path / "c.tsv") == {"one": {"A", "B", "D"}, "two": {"C"}}
    assert read_clusters(tmp_path / "c.gmt") == {"one": {"A", "B"}}


def test_foreign_tables_are_told(tmp_path):
    (tmp_path / "p.csv").write_text("a\nA\n")
    with pytest.raises(TableError, match="Expected two columns of names"):
        read_pairs(tmp_path / "p.csv")
    with pytest.raises(TableError, match='column "nM_value" is missing'):
        read_truth(tmp_path / "p.csv")
    with pytest.raises(MissingInputError):
        read_table(tmp_path / "q.csv")
