"""Which wells train a probe, choose the block, and test it: by unseen experiments, or genes."""

# n wells

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.foundations.randomness import generator

MIN_CLASSES = 2
CANDIDATES = 100
"""Seeded draws of experiments, of which the one that shows most classes everywhere is taken."""

SplitBy = Literal["experiments", "genes"]
Rare = Literal["error", "leave-out"]


def split_wells(
    labels: Sequence[Any] | NDArray[np.object_],
    experiments: Sequence[Any] | NDArray[np.object_],
    *,
    genes: Sequence[Any] | NDArray[np.object_] | None = None,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    rare: Rare = "error",
    seed: int = 0,
) -> NDArray[np.object_]:
    """Return the split of each well: train, validation, test, or "" for one that is left out.

    Parameters
    ----------
    labels, experiments
        Of each well (n,).
    genes
        None splits by experiments: those of one split are unseen in the others. With genes, the
        genes of each class are split instead (wells without a gene by their experiment).
    validation_fraction, test_fraction
        Share of the experiments (or of each class's genes), rounded, at least one; a
        `validation_fraction` of 0 makes no validation split.
    rare
        A class that cannot lie in every split has too few experiments (or genes): an `error`
        that names all of them, or they are left out.
    seed
        Of the draw, together with the names; the order of the wells does not matter.

    Raises
    ------
    DataError
        Rare classes (see `rare`), or fewer than 2 classes left.
    """
    unit = np.asarray(experiments, dtype=object)
    if genes is not None:
        named = np.array([gene is not None and gene == gene and gene != "" for gene in genes])
        unit = np.where(named, np.asarray(genes, dtype=object), unit)
    table = pd.DataFrame({"label": np.asarray(labels, dtype=object), "unit": unit})
    fractions = {"validation": validation_fraction, "test": test_fraction}
    fractions = {name: share for name, share in fractions.items() if share > 0}
    what = "experiments" if genes is None else "genes"
    kept = _common_classes(table, len(fractions) + 1, what, rare)
    table = table[kept]
    if genes is None:
        chosen = _best_draw(table, fractions, seed)
    else:
        drawn = {
            (label, name): part
            for label, group in table.groupby("label", sort=True)
            for name, part in _draw(
                group["unit"].unique().tolist(), fractions, seed, str(label)
            ).items()
        }
        keys = zip(table["label"], table["unit"], strict=True)
        chosen = np.array([drawn[key] for key in keys], dtype=object)
    splits = np.full(len(kept), "", dtype=object)
    splits[kept] = _seen_everywhere(table, chosen, [*fractions, "train"], what, rare)
    return splits


def _common_classes(
    table: pd.DataFrame, num_splits: int, what: str, rare: Rare
) -> NDArray[np.bool_]:
    counts = table.groupby("label", sort=True)["unit"].nunique()
    few = counts[counts < num_splits]
    if len(few) and rare == "error":
        raise_problems(
            [
                Problem(f'class "{label}"', f"is in {count} {what}", f"at least {num_splits}")
                for label, count in few.items()
            ],
            DataError,
        )
    kept = table["label"].notna() & ~table["label"].isin(few.index)
    _require_classes(table.loc[kept, "label"].nunique(), len(few), what)
    return kept.to_numpy()


def _require_classes(number: int, num_rare: int, what: str) -> None:
    if number < MIN_CLASSES:
        raise DataError(
            f"the task has {number} classes, {num_rare} were left out for too few {what}.\n"
            f"  Expected at least {MIN_CLASSES}.\n"
            "  To fix: choose a task that the screen covers, or smaller fractions of the splits."
        )


def _draw(
    units: Sequence[Any], fractions: dict[str, float], seed: int, *item: Any
) -> dict[Any, str]:
    """Return the split of each unit, by a seeded order of their sorted names."""
    names = sorted(units, key=str)
    order = generator(seed, "probes", *item).permutation(len(names))
    parts, at = {}, 0
    for split, share in fractions.items():
        count = max(1, round(share * len(names)))
        parts.update({names[i]: split for i in order[at : at + count]})
        at += count
    return {name: parts.get(name, "train") for name in names}


def _best_draw(table: pd.DataFrame, fractions: dict[str, float], seed: int) -> NDArray[np.object_]:
    """Return the first of the seeded draws that shows most classes in every split."""
    pairs = table.drop_duplicates()
    best, most = None, -1
    for draw in range(CANDIDATES):
        parts = _draw(table["unit"].unique().tolist(), fractions, seed, draw)
        seen = pairs.assign(split=pairs["unit"].map(parts))
        number = int((seen.groupby("label")["split"].nunique() == len(fractions) + 1).sum())
        if number > most:
            best, most = parts, number
        if most == pairs["label"].nunique():
            break
    assert best is not None
    return table["unit"].map(best).to_numpy(dtype=object)


def _seen_everywhere(
    table: pd.DataFrame, chosen: NDArray[np.object_], splits: list[str], what: str, rare: Rare
) -> NDArray[np.object_]:
    """Return the splits, emptied for classes that no draw could show in all of them."""
    seen = pd.DataFrame({"label": table["label"].to_numpy(), "split": chosen}).drop_duplicates()
    counts = seen.groupby("label", sort=True)["split"].nunique()
    lacking = counts[counts < len(splits)].index
    if len(lacking) and rare == "error":
        raise_problems(
            [
                Problem(f'class "{label}"', f"has no {what} in some split",
                        f"{what} in {', '.join(splits)}", "leave rare classes out")
                for label in lacking
            ],
            DataError,
        )  # fmt: skip
    _require_classes(len(counts) - len(lacking), len(lacking), what)
    return np.where(table["label"].isin(lacking).to_numpy(), "", chosen)
