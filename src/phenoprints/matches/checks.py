"""What makes an experiment impossible to compare with a reference: each is refused by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import MAX_SHOWN, DataError, Problem, raise_problems
from phenoprints.matches.reference import Reference
from phenoprints.wells import EmbeddingsReader

MIN_CONTROLS = 4
"""Controls that a batch needs whatever the reference's own alignment accepts."""


def check_comparable(
    reference: Reference, wells: pd.DataFrame, reader: EmbeddingsReader, cell_types: Sequence[str]
) -> None:
    """Refuse vectors, wells and cell types that the reference cannot be compared with.

    Raises
    ------
    DataError
        All that is wrong at once: another encoder, other features or another order of them, other
        channels or geometry, wells that the reference holds, no controls of its role, and cell
        types (of `cell_types`) that it has no perturbation in.
    """
    problems = [
        *_wrong_vectors(reference, reader),
        *_wrong_wells(reference, wells),
        *_wrong_cell_types(reference, cell_types),
    ]
    raise_problems(problems, DataError)


def _wrong_vectors(reference: Reference, reader: EmbeddingsReader) -> list[Problem]:
    wanted: Mapping[str, Any] = reference.about["encoder"]
    found = reader.attributes
    if wanted.get("features") and found.get("features") is not None:
        return _wrong_features(list(wanted["features"]), list(found["features"]))
    problems = [
        Problem(
            f"match, {name.replace('_', ' ')} of the embeddings",
            _short(found[name]),
            f"{_short(wanted[name])}, as in the reference",
            "embed the new screen with the reference's encoder and settings",
        )
        for name in ("encoder_fingerprint", "channels", "geometry", "block", "pooling")
        if name in wanted and name in found and _plain(wanted[name]) != _plain(found[name])
    ]
    expected = int(reference.alignment.attributes["num_features"])
    width = reader.read(next(iter(reader.experiments))).shape[1]
    if not problems and width != expected:
        return [Problem("match, features", f"{width} a well", f"{expected}, as in the reference")]
    return problems


def _wrong_features(wanted: list[str], found: list[str]) -> list[Problem]:
    missing = [name for name in wanted if name not in set(found)]
    added = [name for name in found if name not in set(wanted)]
    cure = "give the features of the reference, in its order (encoders.*.features)"
    if missing or added:
        what = f"{len(missing)} are missing{_some(missing)}, {len(added)} are unknown{_some(added)}"
        return [Problem("match, features", what, f"the {len(wanted)} of the reference", cure)]
    if wanted != found:
        at = next(i for i, pair in enumerate(zip(wanted, found, strict=True)) if len(set(pair)) > 1)
        what = f'another order: feature {at + 1} is "{found[at]}"'
        return [Problem("match, features", what, f'"{wanted[at]}"', cure)]
    return []


def _some(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = ", …" if len(names) > MAX_SHOWN else ""
    return f" ({', '.join(names[:MAX_SHOWN])}{more})"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)[:40]


def _wrong_wells(reference: Reference, wells: pd.DataFrame) -> list[Problem]:
    ids = wells["well_id"].to_numpy(np.uint64)
    problems = []
    is_known = np.isin(ids, reference.well_ids)
    if is_known.any():
        first = wells.iloc[int(np.argmax(is_known))]
        problems.append(
            Problem(
                "match, well_id",
                f"{int(is_known.sum())} wells of the reference itself, such as {first['plate']} "
                f"{first['well']} of experiment {first['experiment']}",
                "wells that the reference does not hold",
                "name the screen, experiment or plates differently, or leave these wells out",
            )
        )
    role = reference.about["controls"]
    for experiment, own in wells.groupby("experiment", sort=True):
        count = int((own["role"] == role).sum())
        if count < MIN_CONTROLS:
            problems.append(
                Problem(
                    f'match, experiment "{experiment}"',
                    f"{count} wells of the role {role}",
                    f"at least {MIN_CONTROLS}, the controls that the reference is aligned on",
                    "name the controls in the screen's columns, or leave the experiment out",
                )
            )
    return problems


def _wrong_cell_types(reference: Reference, cell_types: Sequence[str]) -> list[Problem]:
    known = set(reference.about["screen"]["cell_types"])
    if "" in known:
        return []
    return [
        Problem(
            "match, cell type",
            name,
            f"one of the reference's: {', '.join(sorted(known))}",
            "choose another reference, or set match.other_cell_types: allow",
        )
        for name in sorted(set(cell_types) - known - {""})
    ]


def refuse_misfits(fits: pd.DataFrame) -> None:
    """Refuse batches whose controls lie outside the range of the reference's.

    Raises
    ------
    DataError
        A line for each measure of each batch: value, limit and number of batches.
    """
    failed = fits[fits["status"] == "FAIL"]
    words = {
        "outside": "share of the controls outside the reference's components",
        "spread": "Mahalanobis distance of the controls from the reference's",
        "distance": "energy distance to the reference's controls",
    }
    raise_problems(
        [
            Problem(
                f'match, batch "{row.batch}"',
                f"does not fit: {words[str(row.measure)]} {row.value:.3g}",
                f"at most {row.limit:.3g}, by {row.num_batches} batches of the reference",
                "check stain, exposure, encoder and cell type; match.misfit: mark goes on",
            )
            for row in failed.itertuples()
        ],
        DataError,
    )
