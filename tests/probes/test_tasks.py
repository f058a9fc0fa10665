"""Labels of wells: by condition, by group of genes, by role, and what is covered."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from phenoprints.foundations.errors import DataError, MissingInputError, TableError
from phenoprints.probes import Task, label_wells, read_groups

CONDITIONS = pd.DataFrame(
    {
        "condition_id": [0, 1, 2, 3, 4],
        "perturbation": ["a-1", "a-2", "dmso", "pals", "x-1"],
        "gene": ["CASP3", "CASP3", None, "PALS1", "RXRX3-7"],
        "pathway": ["p", "", None, "q", "q"],
    }
)
WELLS = pd.DataFrame(
    {
        "role": ["treatment", "treatment", "negative_control", "positive_control", "treatment",
                 "unperturbed", "treatment", "treatment"],
        "conditions": [[0], [1], [2], [3], [4], [], None, [0, 4]],
    }
)  # fmt: skip


def labels_of(**settings) -> list:
    return label_wells(WELLS, CONDITIONS, Task(name="t", **settings)).values.tolist()


def test_perturbations_genes_and_annotations() -> None:
    assert labels_of(labels="perturbation") == ["a-1", "a-2", None, "pals", "x-1"] + [None] * 3
    assert labels_of(labels="gene")[:5] == ["CASP3", "CASP3", None, "PALS1", "RXRX3-7"]
    assert labels_of(labels="annotation", annotation="pathway")[:5] == ["p", None, None, "q", "q"]


def test_roles_are_classes_where_asked() -> None:
    controls = ["negative_control", "unperturbed"]

    assert labels_of(labels="gene", controls=controls)[2:6] == [
        "negative_control", "PALS1", "RXRX3-7", "unperturbed",
    ]  # fmt: skip
    assert labels_of(labels="perturbation", controls=controls)[2:6] == [
        "dmso", "pals", "x-1", "unperturbed",
    ]  # fmt: skip


def test_groups_resolve_aliases_and_count_what_is_covered() -> None:
    task = Task(name="anax", labels="groups", groups="anax", controls=["negative_control"])

    labels = label_wells(WELLS, CONDITIONS, task)

    assert labels.values.tolist() == [
        "Apoptosis", "Apoptosis", "negative_control", "Tight Junctions", None, None, None, None,
    ]  # fmt: skip
    assert labels.coverage == {
        "wells": 4, "classes": 3, "genes": 2, "num_genes": 347, "groups": 2, "num_groups": 39,
    }  # fmt: skip


def test_the_packaged_groups_are_those_of_the_paper() -> None:
    groups = read_groups("anax")

    assert (len(groups), len(set(groups.values()))) == (347, 39)


@pytest.mark.data
def test_the_packaged_groups_are_the_published_table(test_data: Path) -> None:
    published = pd.read_csv(test_data / "anax_groups.tsv", sep="\t")

    assert read_groups("anax") == dict(zip(published["gene"], published["group"], strict=True))


def test_own_groups_and_bad_ones(tmp_path: Path) -> None:
    table = tmp_path / "groups.tsv"
    table.write_text("gene\tgroup\nCASP3\tA\n")
    assert labels_of(labels="groups", groups=str(table))[:5] == ["A", "A", None, None, None]

    table.write_text("gene\tgroup\nCASP3\tA\nCASP3\tB\n")
    with pytest.raises(TableError, match='gene "CASP3" is in two groups'):
        read_groups(str(table))
    table.write_text("gene,group\n")
    with pytest.raises(TableError, match="columns group, gene"):
        read_groups(str(table))
    with pytest.raises(MissingInputError, match="is not there"):
        read_groups(str(tmp_path / "none.tsv"))
    with pytest.raises(DataError, match='no column "moa"'):
        labels_of(labels="annotation", annotation="moa")
