"""Which columns of a table of vectors are features, and why the others are not."""

# m rows · D features

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.cells import Numbers
from phenoprints.foundations.errors import Problem, raise_problems
from phenoprints.screens.columns import RECOGNISED

PRESETS: Mapping[str, tuple[str, ...]] = {
    "preset:cellprofiler": ("Cells_*", "Cytoplasm_*", "Nuclei_*"),
    "preset:pycytominer-blocklist": tuple(
        f"Nuclei_Correlation_{measure}_{one}_{other}"
        for measure in ("Manders", "RWC")
        for one in ("AGP", "DNA", "ER", "Mito", "RNA")
        for other in ("AGP", "DNA", "ER", "Mito", "RNA")
        if one != other
    )
    + tuple(
        f"Nuclei_Granularity_{scale}_{channel}"
        for scale in (14, 15, 16)
        for channel in ("AGP", "DNA", "ER", "Mito", "RNA")
    ),
}
"""Patterns by name: the compartments of CellProfiler, and pycytominer's blocklist_features.txt."""

NOT_FEATURES = ("Metadata_*", "Image_*")
"""Columns that describe a row; pycytominer and CellProfiler name them so."""
_INDEX = re.compile(r"|unnamed: ?\d+|__index_level_\d+__|level_\d+|index", re.IGNORECASE)
_IDENTIFIER = re.compile(
    r"(.*_)?(imagenumber|objectnumber|tablenumber|image_number|object_number|number_object_number)"
    r"|(.*_)?parent_.*|imageset_?.*|id|.*_id|(.*_)?barcode|row|col|column|(well|plate)(_.*)?|site"
    r"|field|batch|experiment|replicate",
    re.IGNORECASE,
)
_TREATMENT = re.compile(
    r"((.*_)?(dose|conc|concentration|mmoles_per_liter|timepoint|passage)(_.*)?)", re.IGNORECASE
)
MIN_COUNTED = 8
"""Rows from which consecutive whole numbers are a count of the rows and no measurement."""


@dataclass(frozen=True)
class FeatureRules:
    """The settings of a precomputed encoder that decide its features; see `config/README.md`.

    `mapped` are columns that the screen or the encoder reads as something else.
    """

    features: Sequence[str] = ()
    exclude_features: Sequence[str] = ()
    feature_sets: str = "equal"
    nan_features: str = "refuse"
    max_nan_fraction: float = 0.05
    mapped: Collection[str] = ()

    @property
    def is_automatic(self) -> bool:
        """Whether no features are named."""
        return not self.features


def unknown_presets(patterns: Sequence[str]) -> list[str]:
    """Return patterns that are written as a preset and are none."""
    return [name for name in patterns if name.startswith("preset:") and name not in PRESETS]


def select_by_name(
    columns: Sequence[str], rules: FeatureRules, keys: Collection[str], where: str
) -> tuple[list[str], dict[str, str], list[Problem]]:
    """Return the columns that may be features, the others with the reason, and what is wrong.

    Parameters
    ----------
    columns
        Names of a table's columns.
    rules
        What is a feature.
    keys
        Columns that name the well of a row.
    where
        The table, for messages.
    """
    unknown = unknown_presets([*rules.features, *rules.exclude_features])
    raise_problems(
        [Problem(where, f'"{name}" is no preset', f"one of {', '.join(PRESETS)}",
                 "correct `features` and `exclude_features`") for name in unknown]
    )  # fmt: skip
    reasons = {name: reason for name in columns if (reason := _reason(name, rules, keys))}
    if rules.is_automatic:
        return [name for name in columns if name not in reasons], reasons, []
    chosen: dict[str, None] = {}
    problems: list[Problem] = []
    fix = "correct the encoder's `features`"
    for pattern in rules.features:
        patterns = PRESETS.get(pattern, (pattern,))
        found = [c for c in columns if any(fnmatchcase(c, each) for each in patterns)]
        if not found:
            problems.append(Problem(where, f'no column is called "{pattern}"', fix=fix))
        chosen |= dict.fromkeys(c for c in found if c not in reasons or c == pattern)
    if not chosen and not problems:
        problems.append(Problem(where, "no column holds a feature", ", ".join(rules.features), fix))
    left = {name: reasons.get(name, "not named by `features`") for name in columns}
    return list(chosen), {n: why for n, why in left.items() if n not in chosen}, problems


def _reason(name: str, rules: FeatureRules, keys: Collection[str]) -> str | None:
    """Return why a column is no feature by its name; None where it may be one."""
    for pattern in rules.exclude_features:
        if any(fnmatchcase(name, each) for each in PRESETS.get(pattern, (pattern,))):
            return f"excluded by {pattern!r}"
    if name in keys or name in rules.mapped:
        return "mapped"
    if _INDEX.fullmatch(name):
        return "an index without a name"
    if not rules.is_automatic:
        return None
    if any(fnmatchcase(name, pattern) for pattern in NOT_FEATURES):
        return "Metadata_ and Image_ describe a row"
    if _IDENTIFIER.fullmatch(name) or any(name in usual for usual in RECOGNISED.values()):
        return "named as an identifier"
    return "named as a treatment" if _TREATMENT.fullmatch(name) else None


def reason_by_values(column: Numbers, rules: FeatureRules) -> str | None:
    """Return why a column is no feature by what it holds; None where it is one.

    Columns that `features` names may hold booleans, codes and lists.
    """
    if not rules.is_automatic:
        return None
    kinds = {
        "text": "text",
        "boolean": "true and false; name it under `features` to take it as 1 and 0",
        "code": "numbers with leading zeros, which are names",
        "list": "lists; name it under `features` to take it",
    }
    return kinds.get(column.kind)


def word_problem(name: str, column: Numbers, place: str, words: Sequence[str]) -> Problem:
    """Return the problem of a feature in which some cells hold no number."""
    what = f'feature "{name}": {column.num_words} cells hold no number ({", ".join(words)})'
    fix = (
        f'list such words under missing_values, leave it out with exclude_features: ["{name}"], '
        "or set table_format.decimal or table_format.thousands where numbers are written otherwise"
    )
    return Problem(place, what, "numbers", fix)


def is_row_count(values: NDArray[np.floating]) -> bool:
    """Return whether values are consecutive whole numbers in the order of the rows."""
    return len(values) >= MIN_COUNTED and bool((np.diff(values) == 1).all())


def value_reasons(
    vectors: NDArray[np.float32], features: Sequence[str], rules: FeatureRules
) -> dict[str, str]:
    """Return the features of all tables together that are left out, with the reason."""
    reasons: dict[str, str] = {}
    for place, name in enumerate(features):
        column = vectors[:, place]
        there = column[~np.isnan(column)]
        missing = int((~np.isfinite(column)).sum())
        if rules.is_automatic and not len(there):
            reasons[name] = "no value in any row"
        elif rules.is_automatic and len(column) > 1 and (there == there[0]).all():
            reasons[name] = "constant"
        elif rules.nan_features != "refuse" and missing > rules.max_nan_fraction * len(column):
            reasons[name] = f"no value in {missing} of {len(column)} rows (max_nan_fraction)"
    return reasons


def impute_plate_medians(vectors: NDArray[np.float32], plates: NDArray[np.int64]) -> int:
    """Fill what is not finite with the median of the feature on its plate, in place.

    What is missing on a whole plate stays. Returns the number of values that were filled.
    """
    filled = 0
    for plate in np.unique(plates):
        rows = np.flatnonzero(plates == plate)
        block = vectors[rows]
        is_missing = ~np.isfinite(block)
        columns = np.flatnonzero(is_missing.any(axis=0) & ~is_missing.all(axis=0))
        if not len(columns):
            continue
        part = np.where(is_missing[:, columns], np.nan, block[:, columns])
        block[:, columns] = np.where(np.isnan(part), np.nanmedian(part, axis=0), part)
        filled += int(is_missing[:, columns].sum())
        vectors[rows] = block
    return filled


def constant_within(
    vectors: NDArray[np.float32], groups: NDArray[np.int64], features: Sequence[str]
) -> list[str]:
    """Return features that are the same in all rows of every group, and not the same in all.

    Groups are numbers from 0, -1 for none; those of a single row do not count. Fewer than two
    groups of several rows decide nothing.
    """
    counts = np.bincount(groups[groups >= 0])
    kept = np.flatnonzero((groups >= 0) & (counts[groups] > 1))
    if (counts > 1).sum() < 2:
        return []
    order = kept[np.argsort(groups[kept], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sorted_rows = vectors[order]
    with np.errstate(invalid="ignore"):
        high, low = (f.reduceat(sorted_rows, starts, axis=0) for f in (np.fmax, np.fmin))
        is_same = (high == low).all(axis=0) & (high.max(axis=0) > low.min(axis=0))
    return [features[place] for place in np.flatnonzero(is_same).tolist()]


def excluded_table(reasons: Mapping[str, str]) -> pd.DataFrame:
    """Return excluded columns by reason: reason, num_columns, columns (the first of them)."""
    by: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by.setdefault(reason, []).append(name)
    rows = [(reason, len(names), ", ".join(names)) for reason, names in by.items()]
    return pd.DataFrame(rows, columns=["reason", "num_columns", "columns"])


def described(features: Sequence[str], reasons: Mapping[str, str], shown: int = 5) -> Iterator[str]:
    """Yield a sentence on the features, and one for each reason of excluded columns."""
    some = ", ".join(features[:shown]) + (", …" if len(features) > shown else "")
    yield f"{len(features)} features ({some})"
    for row in excluded_table(reasons).itertuples():
        names = str(row.columns).split(", ")
        some = ", ".join(map(repr, names[:shown])) + (", …" if len(names) > shown else "")
        yield f"excluded ({row.num_columns}, {row.reason}): {some}"
