"""Consistency of every condition and gene of a screen, and of its layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import HeldOut
from phenoprints.consistency.cauchy import combine_cauchy
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.consistency.design import Design
from phenoprints.consistency.experiment import experiment_consistency
from phenoprints.consistency.facts import in_scope, well_facts
from phenoprints.consistency.guard import control_tests, gene_control_tests
from phenoprints.consistency.held_out import control_folds, held_out_consistency
from phenoprints.consistency.settings import (
    ACROSS,
    NEGATIVE_CONTROLS,
    WITHIN,
    ConsistencySettings,
)
from phenoprints.consistency.several import floor_clip
from phenoprints.foundations.progress import Progress
from phenoprints.wells import (
    EmbeddingsReader,
    check_reader,
    read_checked,
    single_plate,
    single_position,
)


def screen_consistency(
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    reader: EmbeddingsReader,
    *,
    settings: ConsistencySettings | None = None,
    failing: Iterable[int] = (),
    threshold: float = 0.01,
    seed: int = 0,
    workers: int = 1,
) -> pd.DataFrame:
    """One test per condition, gene and pseudo-condition of every experiment of a screen.

    Parameters
    ----------
    wells, conditions : DataFrame
        As in phenoprints.wells.contracts, wells in the order of the reader's rows.
    reader : EmbeddingsReader
        Aligned embeddings; a CrossFittedReader for the null model ``negative-controls`` and the
        control guard.
    settings : ConsistencySettings, optional
        The null, its size, the scope and the form of p-values.
    failing : well_ids
        Wells whose quality failed, or whose vector is that of another well: neither tested nor
        drawn.
    threshold : float
        As in experiment_consistency: the largest p-value below which a condition is called.
    seed : int
        Key of the random streams, together with the experiment's name.
    workers : int
        Experiments tested at a time, in threads. The result does not depend on it.

    Returns
    -------
    DataFrame
        As in phenoprints.consistency.contracts.CONSISTENCY. Only wells with a single perturbation
        and the role treatment or positive_control are tested, as conditions and as genes. Wells
        without an embedding (NaN) are left out; a condition that keeps fewer than two others has
        the reason ``not_finite``. The level ``control`` has pseudo-conditions of negative-control
        wells (of unperturbed wells, where a screen has no controls) that copy the designs of the
        conditions, ``control_gene`` those of genes: see phenoprints.consistency.guard.

    Raises
    ------
    DataError
        When the embeddings are not those of these wells, or the null model ``negative-controls``
        gets a reader without held-out controls.
    """
    settings = settings or ConsistencySettings()
    facts = well_facts(wells, conditions, failing)
    check_reader(facts, reader)
    tables = []
    for scope in (WITHIN, ACROSS):
        part = in_scope(facts, settings, scope)
        tests = _Tests(settings, threshold, seed, scope)
        run = _run_across if scope == ACROSS else _run_within
        tables += run(part, reader, tests, workers)
        if settings.control_guard:
            across = scope == ACROSS
            tables.append(control_tests(part, reader, tests.test, across=across, seed=seed))
            if settings.gene_level == "wells":
                tables.append(
                    gene_control_tests(part, reader, tests.test, across=across, seed=seed)
                )
    result: pd.DataFrame = CONSISTENCY.conform(_joined(tables)).to_pandas()
    return result


def _run_within(
    facts: pd.DataFrame, reader: EmbeddingsReader, tests: _Tests, workers: int
) -> list[pd.DataFrame]:
    def run(item: tuple[str, pd.DataFrame]) -> pd.DataFrame:
        experiment, part = item
        x = read_checked(reader, experiment, len(part))
        return tests.run(part, x, experiment, tests.folds(part, reader))

    parts = facts.groupby("experiment", sort=True)
    progress = Progress("experiments", len(parts))
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(progress.each(pool.map(run, parts)))


def _run_across(
    facts: pd.DataFrame, reader: EmbeddingsReader, tests: _Tests, _workers: int
) -> list[pd.DataFrame]:
    """One test over all experiments, so only the wells that it uses are held in memory."""
    facts = facts.sort_values("experiment", kind="stable")
    is_used = (facts["is_tested"] | facts["is_control"]).to_numpy()
    experiments = facts.groupby("experiment", sort=True)
    progress = Progress("experiments", len(experiments), name="reading")
    parts = [
        read_checked(reader, str(experiment), len(part))[
            (part["is_tested"] | part["is_control"]).to_numpy()
        ]
        for experiment, part in progress.each(experiments)
    ]
    if not parts:
        return []
    folds = [_some(held_out, is_used) for held_out in tests.folds(facts, reader)]
    return [tests.run(facts[is_used], np.concatenate(parts), "", folds)]


def _some(held_out: HeldOut, is_used: NDArray[np.bool_]) -> HeldOut:
    return HeldOut(held_out.fold, held_out.vectors[is_used], held_out.is_control[is_used])


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of all rows; empty parts would only blur the types of the others."""
    filled = [table for table in tables if len(table)]
    if not filled:
        empty: pd.DataFrame = CONSISTENCY.schema.empty_table().to_pandas()
        return empty
    return pd.concat(filled, ignore_index=True)


class _Tests:
    """The tests of conditions and genes, for one experiment or for all at once."""

    def __init__(
        self, settings: ConsistencySettings, threshold: float, seed: int, scope: str
    ) -> None:
        self.settings, self.threshold, self.seed, self.scope = settings, threshold, seed, scope

    def folds(self, facts: pd.DataFrame, reader: EmbeddingsReader) -> list[HeldOut]:
        """Return the wells under the maps without each fold, where the null model needs them."""
        is_needed = self.settings.null_model == NEGATIVE_CONTROLS
        return control_folds(facts, reader) if is_needed else []

    def run(
        self, facts: pd.DataFrame, x: NDArray[Any], experiment: str, folds: list[HeldOut]
    ) -> pd.DataFrame:
        """Rows of CONSISTENCY for these wells."""
        facts = facts.reset_index(drop=True)
        test = partial(self.test, folds=folds)
        label = facts["condition_id"].astype(object).where(facts["is_tested"], None)
        table = test(facts, x, experiment, label=label, group=label)
        conditions = table.assign(level="condition", condition_id=table["label"], name="")
        if self.settings.gene_level == "guides":
            genes = self._genes_by_guides(facts, conditions)
        else:
            label = facts["gene"].where(facts["is_tested"], None)
            table = test(facts, x, experiment, label=label, group=label)
            genes = table.assign(level="gene", condition_id=-1, name=table["label"])
        return _joined([conditions, genes]).assign(experiment=experiment)

    def _genes_by_guides(self, facts: pd.DataFrame, conditions: pd.DataFrame) -> pd.DataFrame:
        """Cauchy's combination of the p-values of each gene's guides."""
        genes = facts[facts["is_tested"]].groupby("condition_id")["gene"].first()
        guides = conditions.assign(gene=conditions["condition_id"].map(genes)).dropna(subset="gene")
        bounds = floor_clip(self.settings.num_null)
        rows = [
            {
                "level": "gene", "condition_id": -1, "name": gene, "statistic": np.nan,
                "num_wells": part["num_wells"].sum(),
                "p_value": float(combine_cauchy(part["p_value"], clip=bounds)),
                "smallest_p": float(combine_cauchy(part["smallest_p"], clip=bounds)),
                "single_position": bool(part["single_position"].all()),
                "single_plate": bool(part["single_plate"].all()),
                "num_sets": np.nan,
                "reason": "" if part["p_value"].notna().any() else part["reason"].iloc[0],
            }
            for gene, part in guides.groupby("gene", sort=True)
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=conditions.columns.drop("label"))

    def test(
        self,
        facts: pd.DataFrame,
        x: NDArray[Any],
        experiment: str,
        *,
        label: pd.Series,
        group: pd.Series,
        folds: Sequence[HeldOut] = (),
    ) -> pd.DataFrame:
        """Return the test of each label, and whether its wells share a position or a plate.

        Under the null model of controls these are the controls of `folds`; without folds those of
        x itself, which must come from a map that was fitted without them.
        """
        is_drawn_control = facts["is_control"] & (self.settings.null_model == NEGATIVE_CONTROLS)
        used = (label.notna() | group.notna() | is_drawn_control) & ~may_leave(x, label)
        x, folds = x[used.to_numpy()], [_some(held_out, used.to_numpy()) for held_out in folds]
        facts, label, group = facts[used], label[used], group[used]
        labels = label.to_numpy(dtype=object)
        design = Design(
            facts["experiment"].to_numpy(object) if self.scope == ACROSS else experiment,
            well_id=facts["well_id"],
            group=group.to_numpy(dtype=object),
            plate=facts["plate"].to_numpy(object),
            edge=facts["edge"],
            is_control=is_drawn_control[used],
        )
        number, formula = self.settings.num_null, self.settings.p_value_formula
        if folds:
            table = held_out_consistency(
                folds, labels, design, num_null=number, p_value_formula=formula, seed=self.seed
            )
        else:
            table = experiment_consistency(
                x, labels, design, null_model=self.settings.null_model, num_null=number,
                p_value_formula=formula, threshold=self.threshold, seed=self.seed,
            )  # fmt: skip
        return _with_places(table.rename(columns={"condition": "label"}), facts, label)


def _with_places(table: pd.DataFrame, facts: pd.DataFrame, label: pd.Series) -> pd.DataFrame:
    """Add whether the wells of each label share a position, and a plate."""
    shared = {
        name: shares(facts, label).reindex(table["label"]).to_numpy(dtype=bool)
        for name, shares in (("single_position", single_position), ("single_plate", single_plate))
    }
    return table.assign(**shared)


def may_leave(x: NDArray[Any], label: pd.Series) -> pd.Series:
    """Wells without an embedding whose condition keeps at least two wells that have one."""
    is_failed = pd.Series(~np.isfinite(x).all(axis=1), index=label.index)
    left = (~is_failed).groupby(label).transform("sum")
    return is_failed & ~(left < 2)
