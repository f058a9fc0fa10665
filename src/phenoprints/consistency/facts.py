"""What the tests need to know of every well of a screen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from phenoprints.consistency.settings import ConsistencySettings
from phenoprints.wells import PERTURBED_ROLES, describe_wells, edge_distance, inactive_role


def well_facts(
    wells: pd.DataFrame, conditions: pd.DataFrame, failing: Iterable[int] = ()
) -> pd.DataFrame:
    """Return the wells with condition_id, gene, kind, is_tested, is_control and edge.

    condition_id is -1 unless a well has exactly one perturbation; gene is None where there is none.
    Controls are those of `inactive_role`.
    """
    facts = wells[["well_id", "experiment", "plate", "well", "row", "column", "role"]].copy()
    described = describe_wells(wells, conditions, ["gene", "kind", "perturbation"])
    is_good = ~wells["well_id"].isin(np.fromiter(failing, dtype=np.uint64)).to_numpy()
    role = wells["role"]
    single = described["condition_id"].to_numpy()
    facts["condition_id"] = single
    facts["is_tested"] = role.isin(PERTURBED_ROLES).to_numpy() & (single >= 0) & is_good
    facts["is_control"] = (role == inactive_role(role)).to_numpy() & is_good
    for name in ("gene", "kind", "perturbation"):
        facts[name] = described[name].replace("", None).to_numpy(dtype=object)
    facts["edge"] = edge_distance(wells)
    return facts


def in_scope(facts: pd.DataFrame, settings: ConsistencySettings, scope: str) -> pd.DataFrame:
    """Return the experiments with wells that are tested in a scope; only those wells stay
    `is_tested`.
    """
    scopes = {kind: settings.scope_of(kind) for kind in facts["kind"].dropna().unique()}
    is_tested = facts["is_tested"] & (facts["kind"].map(scopes) == scope)
    chosen = facts["experiment"].isin(facts.loc[is_tested, "experiment"].unique())
    return facts.assign(is_tested=is_tested)[chosen]
