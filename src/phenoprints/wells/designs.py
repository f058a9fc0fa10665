"""Designs: the wells of each condition by experiment, plate and position."""

from __future__ import annotations

import pandas as pd

KEYS = ["experiment", "plate", "well"]


def design_table(wells: pd.DataFrame, label: pd.Series) -> pd.DataFrame:
    """Return the number of wells of each label by experiment, plate and position.

    Parameters
    ----------
    wells
        Columns experiment, plate and well (the position, such as B07).
    label
        The condition (or gene, or pseudo-condition) of each well, on the index of `wells`; wells
        without one (None, NaN) are left out.

    Returns
    -------
    DataFrame
        label, experiment, plate, well, num_wells; sorted.
    """
    labelled = wells[KEYS].assign(label=label)[label.notna()]
    counts = labelled.groupby(["label", *KEYS], sort=True).size()
    return counts.rename("num_wells").reset_index()


def compositions(design: pd.DataFrame, by: str = "plate") -> pd.Series:
    """Return the number of wells on each plate, by experiment and label.

    Parameters
    ----------
    design
        As of `design_table`.
    by
        ``plate``, or ``well`` for the number of wells at each position.

    Returns
    -------
    Series
        Indexed by experiment and label, sorted: tuples of pairs (plate, number of wells), sorted.
        Labels with equal compositions have the same design. The name of a plate does not matter to
        the *shape* of a design: ``tuple(sorted(n for _, n in composition))``.
    """
    counts = design.groupby(["experiment", "label", by], sort=True)["num_wells"].sum()
    table = counts.reset_index()
    table["pair"] = pd.Series(zip(table[by], table["num_wells"], strict=True), dtype=object)
    grouped: pd.Series = table.groupby(["experiment", "label"], sort=True)["pair"].agg(tuple)
    return grouped


def single_position(wells: pd.DataFrame, label: pd.Series) -> pd.Series:
    """Return by label whether it has at least two wells, all at one position of their plates."""
    return _shares_one(wells["well"], label)


def single_plate(wells: pd.DataFrame, label: pd.Series) -> pd.Series:
    """Return by label whether it has at least two wells, all on one plate of one experiment."""
    plate: pd.Series = wells.groupby(["experiment", "plate"]).ngroup()
    return _shares_one(plate, label)


def _shares_one(place: pd.Series, label: pd.Series) -> pd.Series:
    by_label = place.groupby(label)
    shares: pd.Series = (by_label.nunique() == 1) & (by_label.size() > 1)
    return shares


def fixed_positions(wells: pd.DataFrame, label: pd.Series) -> float:
    """Return the share of labels with several plates whose positions are the same on all of them.

    NaN where no label has wells on two plates. A high share means that the effect of a position
    cannot be told from that of the condition.
    """
    design = design_table(wells, label)
    plates = design.groupby(["label", "experiment", "plate"], sort=False)["well"].agg(frozenset)
    by_label = plates.groupby("label")
    several = by_label.size() > 1
    return float((by_label.nunique() == 1)[several].mean())
