"""What a manifest leaves out after step 5: near duplicates, and over-represented appearances."""

# N wells that are left · K components

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import AlignedEmbeddings, open_aligned
from phenoprints.curation.balancing import (
    balance,
    default_levels,
    fit_hierarchy,
    sampled_wells,
)
from phenoprints.curation.confounders import add_ledger, screen_ledger
from phenoprints.curation.near_duplicates import near_duplicates
from phenoprints.curation.rules import Rules
from phenoprints.curation.steps import Reason
from phenoprints.embeddings import open_embeddings
from phenoprints.foundations.provenance import artefact_path
from phenoprints.wells import ROLES, Screen

LISTED_CLUSTERS = 10
Paths = Sequence[str | Path]


Readers = Mapping[str, Mapping[str, AlignedEmbeddings]]
"""Aligned embeddings by option (`duplicates`, `balance`, `confounders`) and screen."""


def open_readers(
    options: Sequence[str], screens: Sequence[str], embeddings: Paths, alignments: Paths
) -> Readers:
    """Open the vectors of every option; paths are by option, and for each option by screen."""
    paths = iter(zip(embeddings, alignments, strict=True))
    return {
        option: {
            name: open_aligned(open_embeddings(artefact_path(vectors)), artefact_path(fitted))
            for name, (vectors, fitted) in zip(screens, paths, strict=False)
        }
        for option in options
    }


def open_screens(screens: Sequence[str], wells: Paths, quality: Paths) -> dict[str, Screen]:
    """Open the screens of a manifest, given the paths of their wells and quality tables."""
    return {
        name: Screen.open(Path(table).parent, verdicts)
        for name, table, verdicts in zip(screens, wells, quality, strict=True)
    }


def with_ledger(
    phenoprints: pd.DataFrame,
    screens: Mapping[str, Screen],
    readers: Readers,
    rules: Rules,
    new_ids: Mapping[str, NDArray[np.int32]],
) -> pd.DataFrame:
    """Add the ledger of confounders where the rules ask for it; else return the table unchanged."""
    if rules.confounders is None:
        return phenoprints
    ledgers = {
        name: screen_ledger(screens[name], reader, rules.confounders)
        for name, reader in readers["confounders"].items()
    }
    return add_ledger(phenoprints, ledgers, new_ids)


@dataclass
class Thinning:
    """Decides about the wells that are left after step 5; call it with their ids.

    Near duplicates go first: of each group the smallest id among the wells that are left stays.
    Each screen is balanced by itself, since vectors of different screens are aligned apart.
    `figures` holds, once called, what the funnel reports of both steps by screen.
    """

    screens: Mapping[str, Screen]
    readers: Readers
    rules: Rules
    seed: int = 0
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def is_on(self) -> bool:
        """Whether wells can leave at all."""
        return bool(self.rules.duplicates or self.rules.balance)

    def __call__(self, well_id: NDArray[np.uint64]) -> NDArray[np.int8]:
        """Return a reason, or KEPT, for each well (N,)."""
        reason = np.full(len(well_id), Reason.KEPT, np.int8)
        for name, screen in self.screens.items():
            ids = screen.wells(columns=["well_id"])["well_id"].to_numpy(np.uint64)
            rows = np.flatnonzero(np.isin(well_id, ids))
            if self.rules.duplicates:
                repeats = self._duplicates(name, well_id[rows])
                reason[rows[repeats]] = Reason.NEAR_DUPLICATE
                rows = rows[~repeats]
            if self.rules.balance and len(rows):
                reason[rows[self._surplus(name, well_id[rows])]] = Reason.BALANCED_OUT
        return reason

    def _duplicates(self, name: str, well_id: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of a screen's wells repeat another one that stays."""
        assert self.rules.duplicates is not None
        wells = self.screens[name].wells(columns=["well_id", "experiment", "conditions"])
        reader = self.readers["duplicates"][name].source
        found = near_duplicates(wells, reader, width=self.rules.duplicates.width)
        first = found.table.set_index("well_id")["same_as"]
        own = pd.Series(well_id)
        group = first.reindex(well_id).to_numpy(np.float64, na_value=np.nan)
        group = np.where(np.isnan(group), well_id, first.reindex(well_id, fill_value=0))
        repeats = (own.groupby(group.astype(np.uint64)).transform("min") != own).to_numpy(np.bool_)
        self.figures.setdefault("duplicates", {})[name] = {
            "cosine": found.cosine,
            "replicates": found.num_replicates,
            "near_duplicates": len(found.table),
            "left_out": int(repeats.sum()),
        }
        return np.asarray(repeats)

    def _surplus(self, name: str, well_id: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of a screen's wells leave so that its clusters are balanced."""
        settings = self.rules.balance
        assert settings is not None
        ids = np.sort(well_id)
        sample = [x for _, x, _ in self._aligned(name, ids[sampled_wells(ids, self.seed)])]
        levels = list(settings.levels) or default_levels(len(ids))
        hierarchy = fit_hierarchy(np.concatenate(sample), levels, seed=self.seed)
        parts = [(own, hierarchy.assign(x), role) for own, x, role in self._aligned(name, ids)]
        own, cluster, role = (np.concatenate(each) for each in zip(*parts, strict=True))
        balanced = balance(hierarchy, cluster, own, settings, seed=self.seed)
        self.figures.setdefault("balance", {})[name] = {
            **balanced.summary,
            "levels": levels,
            "largest": _described(balanced.clusters, balanced.cluster, role),
        }
        return np.isin(well_id, own[~balanced.is_kept])

    def _aligned(
        self, name: str, ids: NDArray[np.uint64]
    ) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.object_]]]:
        """Yield ids, aligned vectors and roles of some wells (sorted ids) by experiment."""
        screen, reader = self.screens[name], self.readers["balance"][name]
        for experiment in screen.experiments:
            wells = screen.wells(experiment, ["well_id", "role"])
            chosen = np.isin(wells["well_id"].to_numpy(np.uint64), ids)
            if chosen.any():
                kept = wells[chosen]
                role = kept["role"].to_numpy(dtype=object)
                yield kept["well_id"].to_numpy(np.uint64), reader.read(experiment)[chosen], role


def _described(
    clusters: pd.DataFrame, cluster: NDArray[np.int32], role: NDArray[np.object_]
) -> list[dict[str, Any]]:
    """Describe the largest clusters: wells before and after, and the share of every role."""
    largest = clusters.sort_values("wells", ascending=False).head(LISTED_CLUSTERS)
    described = []
    for row in largest.to_dict("records"):
        own = role[cluster == row["cluster"]]
        roles = {name: float((own == name).mean()) for name in ROLES if (own == name).any()}
        described.append({"wells": row["wells"], "kept": row["kept"], "roles": roles})
    return described
