from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.alignment import (
    AlignmentSettings,
    ChromosomeArmCorrection,
    arms_of_loci,
    arms_of_positions,
    cut_genes,
    read_arms,
    unexpressed_genes,
)
from phenoprints.foundations.errors import DataError, MissingInputError, TableError

GENES = [f"g{k}" for k in range(60)]
ARMS = {gene: ("1p" if k < 30 else "2q") for k, gene in enumerate(GENES[:55])}


def planted(seed=0):
    x = np.random.default_rng(seed).normal(size=(60, 5))
    x[:30] += 4
    return x


def test_the_mean_of_the_unexpressed_genes_of_an_arm_is_subtracted():
    x = planted()
    unexpressed = GENES[:21] + GENES[30:50]
    arms = ChromosomeArmCorrection(ARMS, unexpressed)
    y = arms.fit_transform(x, GENES)
    assert arms.arms_ == ["1p"]  # 21 unexpressed genes there, exactly 20 on 2q
    assert arms.num_genes_.tolist() == [21]
    np.testing.assert_allclose(y[:30], x[:30] - x[:21].mean(axis=0))
    np.testing.assert_array_equal(y[30:], x[30:])
    assert arms.basis_ == "unexpressed genes"


def test_without_expression_all_genes_of_the_arm_count_and_the_name_says_so():
    x = planted()
    arms = ChromosomeArmCorrection(ARMS).fit(x, GENES)
    assert arms.basis_ == "all genes"
    assert arms.arms_ == ["1p", "2q"]
    assert arms.num_genes_.tolist() == [30, 25]
    y = arms.transform(x, GENES)
    np.testing.assert_allclose(y[:30].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(y[55:], x[55:])  # genes without an arm stay


def test_wells_without_a_gene_and_genes_without_a_vector_do_no_harm():
    x = planted()
    x[3] = np.nan
    arms = ChromosomeArmCorrection(ARMS).fit(x, GENES)
    assert arms.num_genes_.tolist() == [29, 25]
    wells = np.ones((3, 5))
    corrected = arms.transform(wells, ["", "unknown", "g0"])
    np.testing.assert_array_equal(corrected[:2], wells[:2])
    assert (corrected[2] != 1).all()


def test_genes_must_stand_there_once():
    with pytest.raises(DataError, match="Expected one row per gene"):
        ChromosomeArmCorrection(ARMS).fit(np.zeros((2, 3)), ["a", "a"])


def test_loci_give_arms():
    table = pd.DataFrame(
        [
            ("A1BG", "19q13.43"),
            ("XIST", "Xq13.2"),
            ("MT-ND1", "mitochondria"),
            ("RES", "reserved"),
            ("NONE", None),
            ("A1BG", "1p1"),
        ],
        columns=["Approved_symbol", "Locus"],
    )
    assert arms_of_loci(table) == {"A1BG": "19q", "XIST": "Xq"}


def test_positions_give_arms_by_the_midpoint_of_the_centromere():
    centromeres = pd.DataFrame(
        {"chrom": ["chr1", "chr1"], "chromStart": [100, 120], "chromEnd": [120, 200]}
    )
    genes = pd.DataFrame(
        {"gene": ["a", "b", "c"], "chromosome": ["1", "chr1", "M"], "end": [150, 151, 5]}
    )
    assert arms_of_positions(genes, centromeres) == {"a": "1p", "b": "1q"}


def test_a_gene_is_unexpressed_by_the_median_of_its_rows():
    table = pd.DataFrame({"gene": ["a", "a", "a", "b", "c"], "zfpkm": [-9.0, -4, 1, -2.9, -3.1]})
    assert unexpressed_genes(table) == {"a", "c"}
    with pytest.raises(TableError, match='column "zfpkm" is missing'):
        unexpressed_genes(table[["gene"]])


@pytest.mark.data
def test_both_real_tables_agree_and_cover_the_genome(test_data):
    loci = pd.read_csv(test_data / "annotation/genome_hg38/gene_chromosome_map.tsv.gz", sep="\t")
    arms = arms_of_loci(loci)
    assert len(arms) > 40_000
    assert len(set(arms.values())) == 48
    assert arms["PLK1"] == "16p"
    expression = pd.read_csv(
        test_data / "annotation/expression/Recursion_U2OS_expression_data.csv.gz"
    )
    unexpressed = unexpressed_genes(expression)
    assert 1000 < len(unexpressed) < expression["gene"].nunique() - 1000
    assert "ACTB" not in unexpressed


def test_genes_are_those_that_crispr_cut():
    conditions = pd.DataFrame(
        {
            "condition_id": [0, 1, 2],
            "kind": ["crispr", "compound", "crispr"],
            "gene": ["PLK1", "TUBB", None],
        }
    )
    wells = pd.DataFrame({"conditions": [[0], [1], [2], [0, 1], [], None]})
    assert cut_genes(wells, conditions).tolist() == ["PLK1", "", "", "", "", ""]


def test_arms_are_read_where_they_are_wanted_and_at_hand(tmp_path):
    (tmp_path / "loci.tsv").write_text("Approved_symbol\tLocus\nPLK1\t16p12.2\n")
    (tmp_path / "expression.csv").write_text("gene,zfpkm\nPLK1,-5\n")
    genes, none = np.array(["PLK1", ""], object), np.array(["", ""], object)
    loci, expression = [str(tmp_path / "loci.tsv")], [str(tmp_path / "expression.csv")]
    arms = read_arms(AlignmentSettings(), genes, loci, expression)
    assert arms.arms == {"PLK1": "16p"}
    assert arms.unexpressed == {"PLK1"}
    assert read_arms(AlignmentSettings(), none, loci) is None
    assert read_arms(AlignmentSettings(), genes, []) is None
    assert read_arms(AlignmentSettings(chromosome_arms=False), genes, loci) is None
    with pytest.raises(MissingInputError, match="chromosome_arms is true"):
        read_arms(AlignmentSettings(chromosome_arms=True), genes, [])
