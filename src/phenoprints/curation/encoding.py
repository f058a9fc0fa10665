"""A part of the funnel's input: whole experiments, as dense arrays."""

# W wells of a part

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError
from phenoprints.wells import ROLES
from phenoprints.wells.conditions import distinct_counts

TREATMENT, UNPERTURBED = ROLES.index("treatment"), ROLES.index("unperturbed")

ENCODED = pa.schema(
    [
        ("well_id", pa.uint64()),
        ("screen", pa.string()),
        ("experiment", pa.string()),
        ("role", pa.string()),
        ("conditions", pa.list_(pa.int32())),
    ]
)
"""The columns that decide; texts may be dictionaries. Beside FLAGS, whatever else stands in a part
goes into the manifest as it is."""

SITES_OF_WELL = "sites"
"""Optional column: the good sites of a well, a list of structs with the columns of SITES but the
well's id. A manifest has them as a table of its own."""

FLAGS = ("is_failing", "is_unusual", "has_no_images")
"""Optional columns of type bool: what other stages found out about a well."""


@dataclass(frozen=True)
class Encoded:
    """What decides about the wells of a part."""

    well_id: NDArray[np.uint64]
    experiment: NDArray[np.int32]
    experiments: Sequence[tuple[str, str]]
    role: NDArray[np.int8]
    is_unknown: NDArray[np.bool_]
    offsets: NDArray[np.int32]
    values: NDArray[np.int32]
    flags: dict[str, NDArray[np.bool_]]

    @property
    def num_conditions(self) -> NDArray[np.int32]:
        """How many different conditions each well names."""
        return distinct_counts(self.offsets, self.values)


def encode(part: pa.Table, num_conditions: int) -> Encoded:
    """Return the arrays of a part, whose experiments must each stand in consecutive rows.

    Raises
    ------
    DataError
        For an unknown role, a condition_id outside the conditions table, or an experiment whose
        wells do not follow each other.
    """
    conditions = _one_chunk(part["conditions"].cast(pa.list_(pa.int32())))
    offsets, values = _lists(conditions)
    if len(values) and (values.min() < 0 or values.max() >= num_conditions):
        raise DataError(
            f"conditions: ids from {values.min()} to {values.max()}."
            f" Expected 0 to {num_conditions - 1}, as in the conditions table."
        )
    role = _roles(part["role"], ROLES)
    role[(role == TREATMENT) & (np.diff(offsets) == 0) & ~_is_null(conditions)] = UNPERTURBED
    experiment, experiments = _experiments(part)
    flags = {
        name: part[name].to_numpy().astype(np.bool_) for name in FLAGS if name in part.column_names
    }
    return Encoded(
        well_id=part["well_id"].to_numpy(),
        experiment=experiment,
        experiments=experiments,
        role=role,
        is_unknown=_is_null(conditions),
        offsets=offsets,
        values=values,
        flags=flags,
    )


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _is_null(array: pa.Array) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return result


def _lists(lists: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Offsets from 0 and values; a null list is empty, even where bytes lie under it."""
    offsets = lists.offsets.to_numpy()
    values = lists.values.to_numpy()[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    if lists.null_count and lengths[_is_null(lists)].any():
        values = values[np.repeat(~_is_null(lists), lengths)]
        lengths = np.where(_is_null(lists), 0, lengths)
        return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), values
    return offsets - offsets[0], values


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[str]]:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunk = _one_chunk(column.unify_dictionaries())
    return chunk.indices.to_numpy().astype(np.int32), chunk.dictionary.to_pylist()


def _roles(column: pa.ChunkedArray, roles: Sequence[str]) -> NDArray[np.int8]:
    codes, names = _codes(column)
    strange = sorted(set(names) - set(roles))
    if strange:
        raise DataError(f'role: "{strange[0]}". Expected one of {", ".join(roles)}.')
    translation = np.array([roles.index(name) for name in names] or [0], dtype=np.int8)
    return translation[codes]


def _experiments(part: pa.Table) -> tuple[NDArray[np.int32], list[tuple[str, str]]]:
    """Return a number per run of wells of one experiment, and their (screen, experiment)."""
    screen, screens = _codes(part["screen"])
    name, names = _codes(part["experiment"])
    is_first = np.ones(len(name), dtype=np.bool_)
    is_first[1:] = (np.diff(screen) != 0) | (np.diff(name) != 0)
    runs = [(screens[s], names[n]) for s, n in zip(screen[is_first], name[is_first], strict=True)]
    if len(set(runs)) < len(runs):
        raise DataError(
            "wells: those of one experiment do not follow each other."
            "\n  To fix: sort the wells table by experiment, plate and well."
        )
    return np.cumsum(is_first, dtype=np.int32) - 1, runs
