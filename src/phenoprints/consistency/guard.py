"""The control guard: pseudo-conditions of control wells, tested as conditions are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import AlignedEmbeddings, CrossFittedReader
from phenoprints.consistency.held_out import UNTOUCHED, folds_of_wells, is_cross_fitted, read_fold
from phenoprints.consistency.pseudo_conditions import PseudoConditions, choose_pseudo_conditions
from phenoprints.wells import EmbeddingsReader, experiment_rows

NOT_HELD_OUT = "not_cross_fitted"
"""The reason where embeddings come without maps that were fitted without their controls."""


class Test(Protocol):
    """The test of conditions, for wells that are tested (label) and drawn from (group)."""

    def __call__(
        self,
        facts: pd.DataFrame,
        x: NDArray[Any],
        experiment: str,
        *,
        label: pd.Series,
        group: pd.Series,
    ) -> pd.DataFrame:
        """Return the result of experiment_consistency by label, and which labels share a place."""


def gene_control_tests(
    facts: pd.DataFrame, reader: EmbeddingsReader, test: Test, *, across: bool, seed: int
) -> pd.DataFrame:
    """Test pseudo-genes: control wells that copy all wells of a gene's guides.

    As control_tests, with rows of the level ``control_gene`` named ``<round>/<copy>/<gene>``. Null
    sets are of wells of different genes, as those of genes are.
    """
    codes, genes = pd.factorize(facts["gene"].where(facts["is_tested"]), sort=True)
    by_gene = facts.assign(condition_id=codes, perturbation=codes, is_tested=codes >= 0)
    if not len(genes):
        return pd.DataFrame()
    table = control_tests(by_gene, reader, test, across=across, seed=seed)
    gene = np.asarray(genes, dtype=object)[table["condition_id"].to_numpy(np.int64)]
    name = table["name"].where(table["name"] != "", "/") + "/" + pd.Series(gene, table.index)
    return table.assign(level="control_gene", condition_id=-1, name=name)


def control_tests(
    facts: pd.DataFrame, reader: EmbeddingsReader, test: Test, *, across: bool, seed: int
) -> pd.DataFrame:
    """Test pseudo-conditions of control wells under maps that were fitted without them.

    Parameters
    ----------
    facts
        The wells of a scope in the order of the reader's rows, with experiment, plate, well,
        condition_id, perturbation, is_tested and is_control.
    reader
        A CrossFittedReader with folds; without them rows have the reason ``not_cross_fitted``.
    test
        The test of conditions: the same null model, pool and number of null sets.
    across
        Whether one test runs over all experiments.
    seed
        Key of the choice of wells.

    Returns
    -------
    DataFrame
        Rows of the consistency table, level ``control``: condition_id is the condition whose design
        is copied, name is ``<round>/<copy>``. Conditions that cannot be copied have a row with an
        empty name, no p-value and the reason.
    """
    facts = facts.reset_index(drop=True)
    tested = facts[facts["is_tested"]]
    if not is_cross_fitted(reader):
        return _uncopied(pd.DataFrame({"condition_id": tested["condition_id"].unique()}).assign(
            reason=NOT_HELD_OUT))  # fmt: skip
    controls = facts.assign(fold=folds_of_wells(facts, reader))[facts["is_control"]]
    chosen = choose_pseudo_conditions(tested, controls, seed=seed)
    fold = controls["fold"].reindex(facts.index)
    tables = [
        _named(test(stacked, x, name, label=stacked["label"], group=stacked["group"]))
        .assign(experiment=name)
        for name, stacked, x in _samples(facts, fold, chosen, reader, across)
    ]  # fmt: skip
    return pd.concat([*tables, _uncopied(chosen.uncopied)], ignore_index=True)


def _samples(
    facts: pd.DataFrame,
    fold: pd.Series,
    chosen: PseudoConditions,
    reader: CrossFittedReader,
    across: bool,
) -> Iterator[tuple[str, pd.DataFrame, NDArray[Any]]]:
    """Yield the name of each tested experiment, its wells with label and group, and the vectors.

    Wells under one map: the tested ones as the pool, the fold's controls, and each
    pseudo-condition's wells once more with its label.
    """
    experiments = experiment_rows(facts)
    for number in np.unique(chosen.members["fold"]).tolist():
        members = chosen.members[chosen.members["fold"] == number]
        is_here = facts["is_tested"] | (fold == number)
        of_member = facts.loc[members["row"], "experiment"].to_numpy()
        parts = []
        for experiment, rows in experiments.items():
            own = members[of_member == experiment]
            if own.empty:
                continue
            x = _vectors(reader, str(experiment), number, len(rows))
            first = np.sort(rows)
            pool = first[is_here.to_numpy()[first]]
            index = np.concatenate([pool, own["row"].to_numpy()])
            stacked = _stacked(facts.loc[index], len(pool), own)
            parts.append((str(experiment), stacked, x[np.searchsorted(first, index)]))
        yield from [_joined(parts)] if across else parts


def _vectors(reader: CrossFittedReader, experiment: str, fold: int, num_wells: int) -> NDArray[Any]:
    """Vectors under a fold's maps; alignments that remove positions read sets in their own way."""
    if fold != UNTOUCHED and isinstance(reader, AlignedEmbeddings):
        return reader.read_sets(experiment, fold).vectors
    return read_fold(reader, experiment, fold, num_wells).vectors


def _stacked(facts: pd.DataFrame, num_pool: int, members: pd.DataFrame) -> pd.DataFrame:
    is_member = np.arange(len(facts)) >= num_pool
    names = [
        f"{each.condition_id}/{each.round}/{each.copy}"
        for each in members.itertuples()
    ]  # fmt: skip
    label = np.full(len(facts), None, dtype=object)
    label[is_member] = names
    group = facts["condition_id"].astype(object).where(facts["is_tested"] & ~is_member, None)
    is_control = facts["is_control"] & ~is_member
    stacked = facts.assign(label=label, group=group, is_control=is_control)
    return stacked.reset_index(drop=True)


def _joined(
    parts: list[tuple[str, pd.DataFrame, NDArray[Any]]],
) -> tuple[str, pd.DataFrame, NDArray[Any]]:
    facts = pd.concat([part[1] for part in parts], ignore_index=True)
    return "", facts, np.concatenate([part[2] for part in parts])


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Return the tests of pseudo-conditions as rows of the consistency table."""
    parts = table["label"].astype(str).str.partition("/")
    return table.assign(level="control", condition_id=parts[0].astype(np.int64), name=parts[2])


def _uncopied(conditions: pd.DataFrame) -> pd.DataFrame:
    return conditions.assign(
        level="control", experiment="", name="", num_wells=0, statistic=np.nan, p_value=np.nan,
        single_position=False, single_plate=False, num_sets=np.nan, smallest_p=np.nan,
    )  # fmt: skip
