"""Benchmarks equal EFAAR_benchmarking 1.0 digit for digit where that is right."""

from __future__ import annotations

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.utils import Bunch

from phenoprints.annotation.tables import read_pairs
from phenoprints.benchmarks import energy_distance, relationship_recall
from phenoprints.benchmarks.compound_gene import auc, average_precision
from phenoprints.foundations.errors import DataError

SOURCES = ("CORUM", "HuMAP", "Reactome", "SIGNOR", "StringDB")


@pytest.fixture(scope="module")
def folder(test_data, tmp_path_factory):
    """EFAAR's tables, unpacked."""
    target = tmp_path_factory.mktemp("efaar")
    for path in (test_data / "annotation" / "efaar_relationships").glob("*.gz"):
        (target / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return target


@pytest.fixture(scope="module")
def pairs(folder):
    tables = [read_pairs(folder / f"{source}.txt").assign(source=source) for source in SOURCES]
    return pd.concat(tables, ignore_index=True)


def real_genes(pairs, num_genes, seed=0):
    """Genes of complexes, so that real pairs fall on the map, and vectors with some structure."""
    genes = sorted(set(pairs.loc[pairs["source"] == "CORUM", "entity1"]))
    rng = np.random.default_rng(seed)
    chosen = sorted(rng.choice(genes, num_genes, replace=False))
    basis = rng.normal(size=(12, 40))
    vectors = rng.normal(size=(num_genes, 12)) @ basis + rng.normal(size=(num_genes, 40))
    order = rng.permutation(num_genes)
    return vectors, [chosen[k] for k in order]


@pytest.mark.data
def test_recall_of_2000_genes_is_that_of_efaar(efaar_benchmarking, folder, pairs):
    vectors, names = real_genes(pairs, 2000)
    bunch = Bunch(features=pd.DataFrame(vectors), metadata=pd.DataFrame({"gene": names}))
    levels = [(0.05, 0.95), (0.1, 0.9)]
    expected = efaar_benchmarking.known_relationship_benchmark(
        bunch, "gene", recall_thr_pairs=levels, benchmark_data_dir=str(folder)
    ).set_index("source")
    actual = relationship_recall(vectors, names, pairs, levels)
    actual = actual[actual["tails"] == "both"].set_index("source")
    for lower, upper in levels:
        ours = actual[actual["lower"] == lower]
        assert ours["recall"].to_dict() == expected[f"recall_{lower}_{upper}"].to_dict()
        assert ours["num_pairs"].to_dict() == expected["query_distribution_size"].to_dict()
        assert (ours["null_size"] == expected["null_distribution_size"]).all()


@pytest.mark.data
def test_recall_of_300_genes_with_real_complexes_by_brute_force(pairs):
    vectors, names = real_genes(pairs, 300, seed=4)
    corum = pairs[pairs["source"] == "CORUM"]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    null = [unit[i] @ unit[j] for i in range(300) for j in range(i)]
    null = np.array(null)
    known = {
        frozenset(pair)
        for pair in corum[["entity1", "entity2"]].itertuples(index=False, name=None)
        if pair[0] != pair[1] and set(pair) <= set(names)
    }
    both = right = 0
    for pair in known:
        a, b = (names.index(name) for name in pair)
        cosine = unit[a] @ unit[b]
        low = (null <= cosine + 1e-15).mean() <= 0.05
        high = (null < cosine - 1e-15).mean() >= 0.95
        both, right = both + (low or high), right + high
    result = relationship_recall(vectors, names, corum).set_index("tails")
    assert result["num_recalled"].to_dict() == {"both": both, "right": right}
    assert result.loc["both", "recall"] == both / len(known)


@pytest.mark.data
def test_usable_pairs_of_the_real_tables_are_counted_as_stated(pairs):
    genes = sorted(set(pairs["entity1"]) | set(pairs["entity2"]))
    from phenoprints.benchmarks.relationships import clean_pairs

    counts = {name: len(clean_pairs(own, genes)) for name, own in pairs.groupby("source")}
    assert counts == {
        "CORUM": 37649,
        "HuMAP": 58538,
        "Reactome": 18565,
        "SIGNOR": 11617,
        "StringDB": 58059,
    }


def test_energy_distance_is_that_of_efaar_up_to_its_clamp(efaar_benchmarking):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(300, 24))
    for shift in (0, 1, 5):
        x = rng.normal(size=(8, 24)) + shift
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = efaar_benchmarking.pert_signal_magnitude_metric(x, y)
        assert abs(energy_distance(x, y) - expected) < 2e-5


def test_average_precision_and_auc_are_those_of_scikit_learn_without_ties():
    rng = np.random.default_rng(0)
    positive, negative = rng.random((5, 7)), rng.random((5, 30))
    truth = np.repeat([1, 0], [7, 30])
    for draw in range(5):
        scores = np.concatenate([positive[draw], negative[draw]])
        expected = average_precision_score(truth, scores)
        assert average_precision(positive, negative)[draw] == pytest.approx(expected, abs=1e-12)
        assert auc(positive, negative)[draw] == pytest.approx(roc_auc_score(truth, scores))


def test_errors_that_efaar_builds_and_never_raises_are_raised_here(efaar_benchmarking, tmp_path):
    (tmp_path / "CORUM.txt").write_text("entity1,entity2\nA,B\n")
    bunch = Bunch(
        features=pd.DataFrame(np.eye(3)), metadata=pd.DataFrame({"gene": ["A", "B", "C"]})
    )
    silent = efaar_benchmarking.known_relationship_benchmark(
        bunch, "gene", ["CORUM"], benchmark_data_dir=str(tmp_path)
    )
    assert len(silent) == 1  # 3 genes, where it asks for 20
    pairs = pd.DataFrame({"entity1": ["A"], "entity2": ["B"]})
    with pytest.raises(DataError, match="the map has 3 perturbations"):
        relationship_recall(np.eye(3), ["A", "B", "C"], pairs)
    with pytest.raises(DataError, match="names stand for several perturbations"):
        relationship_recall(np.eye(3), ["A", "B", "A"], pairs)
