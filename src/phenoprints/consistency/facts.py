"""What the tests need to know of every well of a screen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from phenoprints.consistency.layout import edge_distance
from phenoprints.consistency.settings import ACROSS, ConsistencySettings

TESTED_ROLES = ("treatment", "positive_control")
"""The perturbed wells: they are tested, and null sets are drawn from them."""


def well_facts(
    wells: pd.DataFrame, conditions: pd.DataFrame, failing: Iterable[int] = ()
) -> pd.DataFrame:
    """The wells with what the tests need: condition_id, gene, kind, is_tested, is_control, edge.

    condition_id is -1 unless a well has exactly one perturbation; gene is None where there is none.
    """
    facts = wells[["well_id", "experiment", "plate", "well", "row", "column", "role"]].copy()
    single = single_condition(wells["conditions"])
    is_good = ~wells["well_id"].isin(np.fromiter(failing, dtype=np.uint64)).to_numpy()
    role = wells["role"]
    control = "negative_control" if (role == "negative_control").any() else "unperturbed"
    facts["condition_id"] = single
    facts["is_tested"] = role.isin(TESTED_ROLES).to_numpy() & (single >= 0) & is_good
    facts["is_control"] = (role == control).to_numpy() & is_good
    gene = conditions.set_index("condition_id")["gene"].replace("", None)
    facts["gene"] = gene.reindex(single).to_numpy(dtype=object)
    facts["kind"] = conditions.set_index("condition_id")["kind"].reindex(single).to_numpy()
    facts["edge"] = edge_distance(wells["row"], wells["column"])
    return facts


def single_condition(conditions: pd.Series) -> NDArray[np.int32]:
    """The condition of each well that has exactly one, else -1."""
    lists = pa.array(conditions, type=pa.list_(pa.int32()))
    offsets = lists.offsets.to_numpy()
    result = np.full(len(lists), -1, dtype=np.int32)
    has_one = np.diff(offsets) == 1
    result[has_one] = lists.values.to_numpy()[offsets[:-1][has_one]]
    return result


def in_scope(facts: pd.DataFrame, settings: ConsistencySettings, scope: str) -> pd.DataFrame:
    """The experiments with wells that are tested in a scope; only those wells stay `is_tested`."""
    scopes = {kind: settings.scope_of(kind) for kind in facts["kind"].dropna().unique()}
    is_tested = facts["is_tested"] & (facts["kind"].map(scopes) == scope)
    chosen = facts["experiment"].isin(facts.loc[is_tested, "experiment"].unique())
    return facts.assign(is_tested=is_tested)[chosen]


def layout_size(facts: pd.DataFrame, scope: str) -> int:
    """Wells of a pseudo-condition: the (lower) median of the testable conditions; at least 2.

    Where no position has so many control wells, as many as the richest position has.
    """
    keys = [] if scope == ACROSS else ["experiment"]
    sizes = facts[facts["is_tested"]].groupby([*keys, "condition_id"]).size()
    sizes = sizes[sizes > 1]
    median = int(sizes.quantile(0.5, interpolation="lower")) if len(sizes) else 2
    richest = facts[facts["is_control"]].groupby([*keys, "well"]).size().max()
    return max(2, median if np.isnan(richest) else min(median, int(richest)))
