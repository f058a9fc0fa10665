"""Vectors that others computed, put under the wells of a screen; nothing is dropped unsaid."""

# m rows of the tables · n wells of the screen · D features

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.failures import FAILURES, well_failures
from phenoprints.embeddings.vector_tables import VectorTable
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.fingerprints import file_sha256, fingerprint
from phenoprints.screens.plates import parse_wells

LARGEST_PLATE = 1536
SHOWN = 5
WELLS_AT_ONCE = 1 << 14
"""Wells whose rows are averaged at a time."""


@dataclass(frozen=True)
class MatchedVectors:
    """One vector per well of the screen, in its order, with what did not match.

    `failures` lists the wells without a vector (their rows are NaN); `counts` and `warnings` say
    what happened to the rows of the tables.
    """

    vectors: NDArray[np.float32]
    failures: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def match_vectors(wells: pd.DataFrame, table: VectorTable) -> MatchedVectors:
    """The vector of each well: the mean of the rows that name it, as float32 (n, D).

    Rows and wells are matched by plate and well, and by experiment where the table names one.
    Well names are compared as positions (a1 is A01), plates and experiments as they are written.
    A well without a row has a NaN vector and the reason `no_vector`; one with a feature that is
    not finite has a NaN vector and the reason `not_finite`. Rows without a well are counted and
    named. Equal vectors under different wells are kept, counted and named.

    Raises
    ------
    DataError
        No row matches any well, or a row without an experiment could belong to several wells.
    """
    targets = _targets(wells, table.keys)
    matched = targets >= 0
    if not matched.any():
        raise DataError(_nothing_matches(wells, table.keys))
    vectors, counts = _means(table.vectors, targets, len(wells))
    is_lost = ~_is_finite(vectors)
    failures = [
        well_failures(wells[counts == 0], _files(table.keys), "no_vector"),
        _not_finite(wells, table, targets, vectors, np.flatnonzero(is_lost & (counts > 0))),
    ]
    vectors[is_lost] = np.nan
    lost = FAILURES.conform(pd.concat(failures, ignore_index=True)).to_pandas()
    matches = MatchedVectors(vectors, lost)
    _describe(matches, wells, table, matched, counts)
    return matches


def attributes_of(table: VectorTable, paths: Sequence[str | Path]) -> dict[str, Any]:
    """What the store says about vectors of these files: their fingerprint and features."""
    files = [[Path(path).name, file_sha256(path)] for path in paths]
    return {"encoder_fingerprint": fingerprint(files), "features": table.features}


def _positions(names: Any) -> NDArray[np.object_]:
    return parse_wells(names, LARGEST_PLATE).name


def _targets(wells: pd.DataFrame, keys: pd.DataFrame) -> NDArray[np.int64]:
    """The well (row of `wells`) that each row of the tables belongs to, -1 for none."""
    left = keys.assign(well=_positions(keys["well"]), row=np.arange(len(keys)))
    right = wells[["experiment", "plate", "well"]].assign(target=np.arange(len(wells)))
    has_experiment = left["experiment"].notna()
    targets = np.full(len(keys), -1, dtype=np.int64)
    for part, on in (
        (left[has_experiment], ["experiment", "plate", "well"]),
        (left[~has_experiment], ["plate", "well"]),
    ):
        found = part[[*on, "row"]].merge(right, on=on)
        twice = found["row"].duplicated()
        if twice.any():
            example = found.loc[twice].iloc[0]
            raise DataError(
                f"profiles: {twice.sum()} rows could belong to several wells, such as plate "
                f"{example['plate']}, well {example['well']}, which more than one experiment has.\n"
                "  To fix: map the experiment under the encoder's `columns.experiment`."
            )
        targets[found["row"].to_numpy(np.int64)] = found["target"].to_numpy(np.int64)
    return targets


def _means(
    vectors: NDArray[np.float32], targets: NDArray[np.int64], num_wells: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Means over the rows of each well (n, D) and the number of rows; NaN where there is none.

    Sums are of float64, for some wells at a time, so that the tables are not copied.
    """
    means = np.full((num_wells, vectors.shape[1]), np.nan, dtype=np.float32)
    counts = np.bincount(targets[targets >= 0], minlength=num_wells)
    order = np.argsort(targets, kind="stable")[len(targets) - counts.sum() :]
    ends = np.append(0, np.cumsum(counts))
    for first in range(0, num_wells, WELLS_AT_ONCE):
        own = counts[first : first + WELLS_AT_ONCE]
        there = np.flatnonzero(own)
        if len(there):
            rows = order[ends[first] : ends[first + len(own)]]
            sums = np.add.reduceat(
                vectors[rows].astype(np.float64), ends[first + there] - ends[first], axis=0
            )
            with np.errstate(over="ignore", invalid="ignore"):
                means[first + there] = sums / own[there, None]
    return means, counts


def _is_finite(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether all features of each row are finite."""
    parts = [
        np.isfinite(vectors[first : first + WELLS_AT_ONCE]).all(axis=1)
        for first in range(0, len(vectors), WELLS_AT_ONCE)
    ]
    return np.concatenate([np.empty(0, dtype=np.bool_), *parts])


def _not_finite(
    wells: pd.DataFrame,
    table: VectorTable,
    targets: NDArray[np.int64],
    means: NDArray[np.float32],
    rows: NDArray[np.int64],
) -> pd.DataFrame:
    """The failures of wells whose rows have a feature that is not finite."""
    file_of = dict(zip(targets.tolist(), table.keys["file"], strict=True)) if len(rows) else {}
    parts = []
    for row in rows.tolist():
        names = [table.features[i] for i in np.flatnonzero(~np.isfinite(means[row]))]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        reason = f"not_finite: {', '.join(names[:SHOWN])}{more}"
        parts.append(well_failures(wells.iloc[[row]], file_of[row], reason))
    return pd.concat(parts) if parts else well_failures(wells.iloc[:0], "", "")


def _describe(
    matches: MatchedVectors,
    wells: pd.DataFrame,
    table: VectorTable,
    matched: NDArray[np.bool_],
    counts: NDArray[np.int64],
) -> None:
    groups = _duplicates(matches.vectors)
    matches.counts.update(
        rows=len(matched),
        rows_without_well=int((~matched).sum()),
        wells=len(wells),
        wells_without_vector=len(matches.failures),
        wells_of_several_rows=int((counts > 1).sum()),
        wells_with_a_vector_of_another_well=sum(map(len, groups)),
    )
    strays = table.keys[~matched]
    if len(strays):
        matches.warnings.append(
            f"{len(strays)} rows of the profiles belong to no well of the screen: {_named(strays)}"
        )
    if len(matches.failures):
        by = matches.failures.groupby("experiment", sort=True).size()
        places = ", ".join(f"{name}: {count}" for name, count in by.items())
        text = f"{len(matches.failures)} wells have no vector ({places})"
        matches.warnings.append(f"{text}: {_named(matches.failures)}")
    if groups:
        first = _named(wells.iloc[groups[0]])
        matches.warnings.append(
            f"{sum(map(len, groups))} wells share a vector with another well, in {len(groups)} "
            f"groups; the first: {first}"
        )


def _duplicates(vectors: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """Groups of wells with byte-equal vectors, NaN rows left out."""
    finite = np.flatnonzero(_is_finite(vectors))
    digests = [blake2b(vectors[row].tobytes(), digest_size=16).digest() for row in finite]
    keys = pd.Series(digests, index=finite, dtype=object)
    shared = keys[keys.duplicated(keep=False)]
    return [np.asarray(group.index) for _, group in shared.groupby(shared, sort=False)]


def _named(rows: pd.DataFrame) -> str:
    names = [
        "/".join(str(part) for part in row if part is not None)
        for row in rows[["experiment", "plate", "well"]].head(SHOWN).itertuples(index=False)
    ]
    return ", ".join(names) + (", …" if len(rows) > SHOWN else "")


def _files(keys: pd.DataFrame) -> str:
    files = list(dict.fromkeys(keys["file"]))
    return ", ".join(files[:3]) + (", …" if len(files) > 3 else "")


def _nothing_matches(wells: pd.DataFrame, keys: pd.DataFrame) -> str:
    return (
        f"profiles: none of {len(keys)} rows belongs to one of the screen's {len(wells)} wells.\n"
        f"  Expected wells such as {_named(wells.head(2))}; got {_named(keys.head(2))}.\n"
        "  To fix: correct the encoder's `columns`, `id_column` or `id_pattern`."
    )
