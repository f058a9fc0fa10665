"""Vectors that others computed, put under the wells of a screen; nothing is dropped unsaid."""

# m rows of the tables · n wells of the screen · D features

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.embeddings.failures import FAILURES, well_failures
from phenoprints.embeddings.feature_selection import constant_within
from phenoprints.embeddings.vector_arrays import array_place
from phenoprints.embeddings.vector_tables import VectorTable
from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.foundations.fingerprints import content_sha256, fingerprint
from phenoprints.wells.plates import parse_wells

LARGEST_PLATE = 1536
SHOWN = 5
WELLS_AT_ONCE = 1 << 14
"""Wells whose rows are averaged at a time."""


class WellMeans:
    """The mean over the rows of each well, (n, D) float32, computed when a slice is asked for.

    Rows of all wells are held once, in the tables; a well without rows, or with a feature that is
    not finite, is NaN.
    """

    def __init__(
        self, vectors: NDArray[np.float32], targets: NDArray[np.int64], num_wells: int
    ) -> None:
        self._vectors = vectors
        self.counts = np.bincount(targets[targets >= 0], minlength=num_wells)
        self._order = np.argsort(targets, kind="stable")[len(targets) - self.counts.sum() :]
        self._ends = np.append(0, np.cumsum(self.counts))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, D)."""
        return len(self.counts), self._vectors.shape[1]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, wells: slice) -> NDArray[np.float32]:
        means = self.as_they_are(*wells.indices(len(self))[:2])
        means[~np.isfinite(means).all(axis=1)] = np.nan
        return means

    def as_they_are(self, first: int, stop: int) -> NDArray[np.float32]:
        """Return means of some wells, in float64 sums, features that are not finite among them."""
        means = np.full((stop - first, self.shape[1]), np.nan, dtype=np.float32)
        there = np.flatnonzero(self.counts[first:stop])
        if len(there):
            rows = self._order[self._ends[first] : self._ends[stop]]
            starts = self._ends[first + there] - self._ends[first]
            with np.errstate(over="ignore", invalid="ignore"):
                sums = np.add.reduceat(self._vectors[rows].astype(np.float64), starts, axis=0)
                means[there] = sums / self.counts[first + there, None]
        return means

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the first well of every block, and its means as they are."""
        for first in range(0, len(self), WELLS_AT_ONCE):
            yield first, self.as_they_are(first, min(first + WELLS_AT_ONCE, len(self)))


@dataclass
class MatchedVectors:
    """One vector per well of the screen, in its order, with what did not match.

    `failures` lists the wells without a vector (their rows are NaN); `counts` and `warnings` say
    what happened to the rows of the tables.
    """

    vectors: WellMeans
    failures: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    doubtful: dict[str, str] = field(default_factory=dict)


def match_vectors(wells: pd.DataFrame, table: VectorTable) -> MatchedVectors:
    """Return the vector of each well: the mean of the rows that name it, as float32 (n, D).

    Rows and wells are matched by plate and well, and by experiment where the table names one; rows
    with a `well_id` by that alone.
    Well names are compared as positions (a1 is A01), plates and experiments as they are written.
    A well without a row has a NaN vector and the reason `no_vector`; one with a feature that is
    not finite has a NaN vector and the reason `not_finite`. Rows without a well, plates without a
    row and wells with rows in several files are counted and named. Equal vectors under different
    wells are kept, counted and named. With the column `conditions`, features that only tell
    conditions apart are doubtful.

    Raises
    ------
    DataError
        No row matches any well, or a row without an experiment could belong to several wells.
    """
    targets = _targets(wells, table.keys)
    if not (targets >= 0).any():
        raise DataError(_nothing_matches(wells, table.keys))
    vectors = WellMeans(table.vectors, targets, len(wells))
    odd, groups = _looked_through(vectors, table.features)
    failures = [
        well_failures(wells[vectors.counts == 0], _files(table.keys), "no_vector"),
        *_not_finite(wells, table.keys["file"], targets, odd),
    ]
    lost = FAILURES.conform(pd.concat(failures, ignore_index=True)).to_pandas()
    matches = MatchedVectors(vectors, lost)
    matches.counts["rows"] = len(targets)
    for name in (name for names in odd.values() for name in names):
        matches.missing[name] = matches.missing.get(name, 0) + 1
    _describe(matches, wells, table.keys[targets < 0], groups)
    matches.warnings += [
        *_plates(wells, vectors.counts),
        *_several_rows(wells, vectors.counts),
        *_several_files(table.keys, targets),
    ]
    _note_doubtful(matches, wells, table.features)
    return matches


def refuse_missing_features(matches: MatchedVectors, max_failed_fraction: float) -> None:
    """Raise DataError where features without a value leave too many wells without a vector.

    The features are named rather than the wells, each with its number of wells.
    """
    num_wells = len(matches.vectors)
    is_missing = matches.failures["reason"].str.startswith("not_finite")
    if int(is_missing.sum()) <= max_failed_fraction * num_wells:
        return
    raise_problems(
        [
            Problem(
                "profiles", f"feature {name} has no value in {number} of {num_wells} wells",
                "a number in each",
                f'leave it out (exclude_features: ["{name}"]), or set nan_features of the encoder '
                "to drop or impute-plate-median",
            )
            for name, number in sorted(matches.missing.items(), key=lambda item: -item[1])
        ],
        DataError,
    )  # fmt: skip


def _plates(wells: pd.DataFrame, counts: NDArray[np.int64]) -> list[str]:
    """Return a sentence on plates of which no well has a row."""
    by = pd.Series(counts).groupby([wells["experiment"].to_numpy(), wells["plate"].to_numpy()])
    total = by.sum()
    empty = ["/".join(map(str, names)) for names in total.index[total == 0]]
    if not empty:
        return []
    some = ", ".join(empty[:SHOWN]) + (", …" if len(empty) > SHOWN else "")
    return [f"{len(empty)} of {len(total)} plates have no row in the profiles ({some})"]


def _several_rows(wells: pd.DataFrame, counts: NDArray[np.int64]) -> list[str]:
    """Return a sentence on wells of several rows where most have one: rows may be copies."""
    several = np.flatnonzero(counts > 1)
    if not len(several) or 2 * len(several) > (counts > 0).sum():
        return []
    some = _named(wells.iloc[several])
    return [f"{len(several)} wells have several rows, where most have one ({some}); their vector "
            "is the mean"]  # fmt: skip


def _several_files(keys: pd.DataFrame, targets: NDArray[np.int64]) -> list[str]:
    """Return a sentence on wells whose rows come from several files."""
    rows = pd.DataFrame({"well": targets, "file": keys["file"].to_numpy()})
    rows = rows[rows["well"] >= 0].drop_duplicates()
    twice = rows[rows.duplicated("well", keep=False)]
    if twice.empty:
        return []
    files = ", ".join(sorted(set(twice["file"]))[:SHOWN])
    number = twice["well"].nunique()
    return [
        f"{number} wells have rows in several files ({files}); their vector is the mean of all. "
        "Narrow `profiles` where the files are copies of one another."
    ]


def _note_doubtful(matches: MatchedVectors, wells: pd.DataFrame, features: Sequence[str]) -> None:
    """Name features that are the same in all wells of every condition, or of every plate.

    The first block of wells decides.
    """
    _, block = next(matches.vectors.blocks(), (0, np.empty((0, 0), np.float32)))
    some_wells = wells.iloc[: len(block)]
    plates = some_wells.groupby(["experiment", "plate"], sort=False).ngroup()
    groups: dict[str, NDArray[np.int64]] = {"plate": np.asarray(plates, np.int64)}
    if "conditions" in wells:
        first = [-1 if ids is None or not len(ids) else ids[0] for ids in some_wells["conditions"]]
        groups["condition"] = np.asarray(first, np.int64)
    for what, numbers in groups.items():
        for name in constant_within(block, numbers, features):
            matches.doubtful[name] = f"the same in all wells of every {what}"
    if matches.doubtful:
        names = list(matches.doubtful)
        some = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
        matches.warnings.append(
            f"{len(names)} features have one value in all wells of a condition or a plate, as "
            f"doses and names have ({some}); exclude_features leaves them out."
        )


def attributes_of(table: VectorTable, paths: Sequence[str | Path]) -> dict[str, Any]:
    """Return the store's attributes for vectors of these files: fingerprint and features."""
    places = [array_place(path) or Path(path) for path in paths]
    files = [[place.name, content_sha256(place)] for place in places]
    return {"encoder_fingerprint": fingerprint(files), "features": table.features}


def _positions(names: Any) -> NDArray[np.object_]:
    return parse_wells(names, LARGEST_PLATE).name


def _targets(wells: pd.DataFrame, keys: pd.DataFrame) -> NDArray[np.int64]:
    """Return the well (row of `wells`) that each row of the tables belongs to, -1 for none."""
    left = keys.assign(well=_positions(keys["well"]))
    has_experiment = keys["experiment"].notna().to_numpy()
    targets = np.full(len(keys), -1, dtype=np.int64)
    for is_part, on in (
        (has_experiment, ["experiment", "plate", "well"]),
        (~has_experiment, ["plate", "well"]),
    ):
        rows = np.flatnonzero(is_part)
        targets[rows], num_wells = _found(wells, left, rows, on)
        if (num_wells > 1).any():
            example = left.iloc[rows[np.argmax(num_wells > 1)]]
            raise DataError(
                f"profiles: {(num_wells - 1).clip(0).sum()} rows could belong to several wells, "
                f"such as plate {example['plate']}, well {example['well']}, which more than one "
                "experiment has.\n  To fix: map the experiment under the encoder's "
                "`columns.experiment`."
            )
    if "well_id" in keys:
        has_id = keys["well_id"].notna().to_numpy()
        wanted = keys["well_id"][has_id].to_numpy(np.uint64)
        targets[has_id] = pd.Index(wells["well_id"].to_numpy(np.uint64)).get_indexer(wanted)
    return targets


def _found(
    wells: pd.DataFrame, keys: pd.DataFrame, rows: NDArray[np.int64], on: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For some rows of `keys` the first well that is equal in the columns `on`, and how many are.

    Words become numbers column by column: a merge would hold millions of them several times.
    """
    wanted, there = np.zeros(len(rows), np.int64), np.zeros(len(wells), np.int64)
    is_known = np.ones(len(rows), np.bool_)
    for name in on:
        codes, words = pd.factorize(wells[name], use_na_sentinel=False)
        own = pd.Index(words, dtype=object).get_indexer(keys[name].to_numpy(object)[rows])
        is_known &= own >= 0
        wanted, there = wanted * len(words) + own, there * len(words) + codes
    order = np.argsort(there, kind="stable")
    first = np.searchsorted(there, wanted, "left", sorter=order)
    counts = np.searchsorted(there, wanted, "right", sorter=order) - first
    counts[~is_known] = 0
    found = np.full(len(rows), -1, np.int64)
    found[counts > 0] = order[first[counts > 0]]
    return found, counts


def _looked_through(
    vectors: WellMeans, features: Sequence[str]
) -> tuple[dict[int, list[str]], list[NDArray[np.int64]]]:
    """By well the features that are not finite; and groups of wells with byte-equal vectors."""
    odd: dict[int, list[str]] = {}
    rows: list[NDArray[np.int64]] = []
    digests: list[bytes] = []
    for first, block in vectors.blocks():
        is_finite = np.isfinite(block)
        is_whole = is_finite.all(axis=1)
        has_rows = vectors.counts[first : first + len(block)] > 0
        for at in np.flatnonzero(~is_whole & has_rows).tolist():
            odd[first + at] = [features[i] for i in np.flatnonzero(~is_finite[at]).tolist()]
        whole = np.flatnonzero(is_whole)
        rows.append(first + whole)
        digests.append(
            b"".join(blake2b(block[at].tobytes(), digest_size=16).digest() for at in whole)
        )
    halves = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    keys = pd.DataFrame(halves, index=np.concatenate(rows), columns=["one", "other"])
    shared = keys[keys.duplicated(keep=False)]
    groups = shared.groupby(["one", "other"], sort=False)
    return odd, [np.asarray(group.index) for _, group in groups]


def _not_finite(
    wells: pd.DataFrame,
    files: pd.Series,
    targets: NDArray[np.int64],
    odd: Mapping[int, Sequence[str]],
) -> list[pd.DataFrame]:
    """Return the failures of wells with features that are not finite."""
    last_row = dict(zip(targets.tolist(), range(len(targets)), strict=True)) if odd else {}
    parts = []
    for well, names in odd.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        reason = f"not_finite: {', '.join(names[:SHOWN])}{more}"
        parts.append(well_failures(wells.iloc[[well]], files.iloc[last_row[well]], reason))
    return parts


def _describe(
    matches: MatchedVectors,
    wells: pd.DataFrame,
    strays: pd.DataFrame,
    groups: Sequence[NDArray[np.int64]],
) -> None:
    """Count and tell what did not match; `strays` are the rows that belong to no well."""
    matches.counts.update(
        rows_without_well=len(strays),
        wells=len(wells),
        wells_without_vector=len(matches.failures),
        wells_of_several_rows=int((matches.vectors.counts > 1).sum()),
        wells_with_a_vector_of_another_well=sum(map(len, groups)),
    )
    if len(strays):
        matches.warnings.append(
            f"{len(strays)} rows of the profiles belong to no well of the screen: {_named(strays)}"
        )
    if len(matches.failures):
        by = matches.failures.groupby("experiment", sort=True).size()
        places = ", ".join(f"{name}: {count}" for name, count in by.items())
        text = f"{len(matches.failures)} wells have no vector ({places})"
        matches.warnings.append(f"{text}: {_named(matches.failures)}")
    if matches.missing:
        most = sorted(matches.missing.items(), key=lambda item: -item[1])
        some = ", ".join(f"{name}: {number} wells" for name, number in most[:SHOWN])
        more = ", …" if len(most) > SHOWN else ""
        matches.warnings.append(f"{len(most)} features are not finite in some wells ({some}{more})")
    if groups:
        first = _named(wells.iloc[groups[0]])
        matches.warnings.append(
            f"{sum(map(len, groups))} wells share a vector with another well, in {len(groups)} "
            f"groups; the first: {first}"
        )


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
        f"  To fix: {_cure(wells, keys)}"
    )


def _cure(wells: pd.DataFrame, keys: pd.DataFrame) -> str:
    """Return what to do where no row has a well: by the key whose names have nothing in common."""
    for name in ("experiment", "plate"):
        own, given = (set(table[name].dropna().astype(str)) for table in (wells, keys))
        if not given or own & given:
            continue
        if {text.lstrip("0") for text in own} & {text.lstrip("0") for text in given}:
            why = "differ in leading zeros; write the same names in both tables"
        else:
            why = (
                f"have nothing in common; correct `columns.{name}` of the encoder, or use its `map`"
            )
        return f"the names of the {name} {why} (they are compared as text)."
    return "correct the encoder's `columns`, `id_column` or `id_pattern`."
