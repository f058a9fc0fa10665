"""What confounders explain, and what near duplicates and balance leave out of a manifest."""

from __future__ import annotations

from typing import Any

import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.frames import is_true
from phenoprints.reports.page_model import Text
from phenoprints.reports.runs import Run
from phenoprints.reports.tables import Column, Table

MAX_LISTED = 200

LEDGER_COLUMNS = [
    Column("perturbation", "Perturbation"),
    Column("concentration_um", "Concentration", "number", "µM"),
    Column("explained_by", "Explained by"),
    Column("explained_share", "Share of the phenotype", "percent"),
    Column("flag", "Flag"),
]
CLUSTER_COLUMNS = [
    Column("cluster", "Cluster, largest first", "count"),
    Column("wells", "Wells before", "count"),
    Column("kept", "Wells kept", "count"),
    Column("roles", "What its wells are"),
]
LEDGER_NOTE = (
    "Share of the squared length of the mean vector that one group of covariates predicts, in a "
    "regression fitted on controls and all other conditions. A flag means that nothing is left."
)


def thinning_parts(run: Run, manifest: str, phenoprints: pd.DataFrame | None) -> list[Any]:
    """Return the ledger of confounders, and what balance and near duplicates left out.

    Empty where the manifest sets none of these options.
    """
    document = run.document("funnel", manifest=manifest) or {}
    parts: list[Any] = []
    if phenoprints is not None and "explained_by" in phenoprints:
        parts += _ledger(manifest, phenoprints)
    for screen, found in (document.get("duplicates") or {}).items():
        parts.append(Text(_duplicates_sentence(screen, found)))
    for screen, found in (document.get("balance") or {}).items():
        parts += [Text(_balance_sentence(screen, found)), _clusters(manifest, screen, found)]
    return parts


def _ledger(manifest: str, phenoprints: pd.DataFrame) -> list[Any]:
    own = phenoprints[is_true(phenoprints["has_phenoprint"])]
    explained = own[own["explained_by"] != ""].sort_values("explained_share", ascending=False)
    text = (
        f"Of {numbers.plural(len(own), 'condition')} with a phenoprint, cell count alone explains "
        f"{int(own['cell_count_only'].sum()):,}, and position or plate alone "
        f"{int(own['position_only'].sum()):,}."
    )
    flag = (
        explained["cell_count_only"]
        .map({True: "cell count only", False: ""})
        .where(~explained["position_only"], "position only")
    )
    frame = explained.assign(
        flag=flag, explained_by=explained["explained_by"].str.replace("_", " ")
    ).head(MAX_LISTED)
    if frame.empty:
        return [Text(text)]
    caption = "Phenoprints that a confounder explains at least half"
    shown = [column for column in LEDGER_COLUMNS if column.name in frame]
    return [Text(text), Table(f"{manifest}-confounders", caption, shown, frame, LEDGER_NOTE)]


def _duplicates_sentence(screen: str, found: dict[str, Any]) -> str:
    return (
        f"Near duplicates of {screen}: {numbers.plural(found['near_duplicates'], 'well')} repeat "
        f"another well (cosine of unaligned embeddings above {found['cosine']:.6f}, nearer than "
        f"replicates ever are); {found['left_out']:,} of those that were left were dropped."
    )


def _balance_sentence(screen: str, found: dict[str, Any]) -> str:
    return (
        f"Balance of {screen}: {found['kept']:,} of {numbers.plural(found['wells'], 'well')} stay. "
        f"The largest of {found['clusters']} clusters had "
        f"{numbers.percent(found['largest_share_before'])} of the wells and has "
        f"{numbers.percent(found['largest_share_after'])}; the Gini coefficient of cluster sizes "
        f"went from {found['gini_before']:.2f} to {found['gini_after']:.2f}."
    )


def _clusters(manifest: str, screen: str, found: dict[str, Any]) -> Table:
    frame = pd.DataFrame(
        [
            {
                "cluster": place + 1,
                "wells": cluster["wells"],
                "kept": cluster["kept"],
                "roles": ", ".join(
                    f"{numbers.percent(share, 0)} {role.replace('_', ' ')}"
                    for role, share in cluster["roles"].items()
                ),
            }
            for place, cluster in enumerate(found["largest"])
        ]
    )
    caption = f"Largest clusters of {screen} before and after balancing"
    return Table(f"{manifest}-{screen}-clusters", caption, CLUSTER_COLUMNS, frame)
