"""From a manifest, or a whole screen, to the training set that a network learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from phenoprints.foundations.errors import DataError, MissingInputError
from phenoprints.training.corpus import Corpus, build_corpus

Labels = Literal["perturbation", "gene", "condition"]
CONDITION_KEY = ("perturbation", "concentration_um", "cell_type", "background")
"""What makes a condition, without what follows from its perturbation."""
WELL_COLUMNS = ["well_id", "screen", "experiment", "conditions"]


def read_manifest(folder: str | Path) -> pd.DataFrame:
    """The wells of a manifest: well_id, screen, experiment, conditions, locators.

    Raises MissingInputError when the folder holds no parts.
    """
    parts = sorted(Path(folder).glob("part-*.parquet"))
    if not parts:
        raise MissingInputError(f"{folder}: no part of a manifest lies there. Curate it first.")
    columns = [*WELL_COLUMNS, "locators"]
    return pd.concat([pd.read_parquet(part, columns=columns) for part in parts], ignore_index=True)


def corpus_of_manifest(
    manifest: pd.DataFrame,
    sites: Mapping[str, pd.DataFrame],
    conditions: pd.DataFrame,
    *,
    labels: Labels | None = None,
) -> Corpus:
    """The training set of a manifest: its wells and those of their sites that it names.

    Parameters
    ----------
    manifest
        As `read_manifest` gives it.
    sites
        By screen, the table of its sites: sizes and channels.
    conditions
        The conditions in the manifest's numbering.
    labels
        What classifiers tell apart; None for masked autoencoders.
    """
    named = manifest[["well_id", "screen", "locators"]].explode("locators")
    named = named.rename(columns={"locators": "locator"}).dropna(subset=["locator"])
    found = [
        table.merge(named.loc[named["screen"] == name, ["well_id", "locator"]])
        for name, table in sites.items()
    ]
    chosen = pd.concat(found, ignore_index=True)
    if len(chosen) != len(named):
        raise DataError(
            f"training set: the manifest names {len(named)} sites, the tables of sites have "
            f"{len(chosen)} of them. To fix: curate again after the screens were read again."
        )
    return build_corpus(manifest[WELL_COLUMNS], chosen, labels=_names(conditions, labels))


def corpus_of_screen(
    wells: pd.DataFrame,
    sites: pd.DataFrame,
    conditions: pd.DataFrame,
    quality: pd.DataFrame,
    *,
    labels: Labels | None = None,
) -> Corpus:
    """The training set of a whole screen: every well and site that has not failed quality."""
    failed = quality.loc[quality["verdict"] == "fail", ["well_id", "site"]]
    failed_wells = failed.loc[failed["site"] == -1, "well_id"]
    joined = sites.merge(failed, how="left", indicator=True)
    good = sites[(joined["_merge"] == "left_only").to_numpy()]
    good = good[~good["well_id"].isin(failed_wells)]
    kept = wells[wells["well_id"].isin(good["well_id"])]
    return build_corpus(kept[WELL_COLUMNS], good, labels=_names(conditions, labels))


def _names(conditions: pd.DataFrame, labels: Labels | None) -> pd.Series | None:
    """A name per condition_id; a condition without a gene is called by its perturbation."""
    if labels is None:
        return None
    if labels == "condition":
        columns: Sequence[str] = CONDITION_KEY
        names = conditions[list(columns)].astype(str).agg("/".join, axis=1)
    elif labels == "gene":
        gene = conditions["gene"].fillna("")
        names = gene.where(gene != "", conditions["perturbation"])
    else:
        names = conditions["perturbation"]
    return pd.Series(names.to_numpy(), index=conditions["condition_id"].to_numpy())
