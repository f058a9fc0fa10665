"""The data of an atlas as script files: pages opened from disk may load scripts, but not fetch."""

# G perturbations · K components

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.sharing.atlas_view import View

ENTRIES_PER_PART = 256
"""Perturbations whose details lie in one file; some 100 kB each."""
VECTORS_PER_PART = 4096
DIGITS = 4


def write_view(folder: Path, number: int, view: View, tiles: Mapping[int, Any]) -> dict[str, Any]:
    """Write the files of one view below `data/<number>`; return its line of the index.

    `tiles` are the pictures of an entry: `{"ranges": …, "wells": …, "controls": …}`.
    """
    data = folder / "data" / str(number)
    data.mkdir(parents=True)
    _write_script(data / "points.js", _points(view))
    for part, content in enumerate(_details(view, tiles)):
        _write_script(data / f"details-{part}.js", content)
    for part, start in enumerate(range(0, len(view.names), VECTORS_PER_PART)):
        rows = view.vectors[start : start + VECTORS_PER_PART]
        _write_script(data / f"vectors-{part}.js", {"vectors": _base64(quantised(rows))})
    return {
        "title": dict(view.title), "count": len(view.names), "width": view.vectors.shape[1],
        "notes": view.notes, "colours": list(view.colours),
        "plates": view.plates[["experiment", "plate", "rows", "columns"]].values.tolist(),
        "with_images": len(tiles),
    }  # fmt: skip


def write_index(folder: Path, index: Mapping[str, Any]) -> None:
    """Write what the page reads first."""
    sizes = {"entries_per_part": ENTRIES_PER_PART, "vectors_per_part": VECTORS_PER_PART}
    _write_script(folder / "data/index.js", {**index, **sizes})


def quantised(vectors: NDArray[np.floating]) -> NDArray[np.int8]:
    """Return unit vectors times 127 as int8: cosines of them are right within 0.01."""
    length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scale = np.abs(vectors / length).max(axis=1, keepdims=True)
    small: NDArray[np.int8] = np.rint(vectors / length / np.maximum(scale, 1e-12) * 127).astype(
        np.int8
    )
    return small


def _points(view: View) -> dict[str, Any]:
    low, high = view.xy.min(axis=0, initial=0), view.xy.max(axis=0, initial=0)
    span = np.where(high > low, high - low, 1.0)
    places = np.rint((view.xy - low) / span * 65535).astype("<u2")
    return {
        "names": view.names.tolist(), "kinds": _coded(view.kinds), "places": _base64(places),
        "aspect": float(span[1] / span[0]),
        "colours": {name: _colour(values) for name, values in view.colours.items()},
    }  # fmt: skip


def _colour(values: NDArray[Any]) -> dict[str, Any]:
    if np.issubdtype(values.dtype, np.number):
        low, high = np.nanpercentile(values, [1, 99])
        share = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 254 + 1
        levels = np.where(np.isfinite(values), np.rint(share), 0).astype(np.uint8)
        return {"low": float(low), "high": float(high), "levels": _base64(levels)}
    return _coded(values)


def _coded(values: NDArray[Any]) -> dict[str, Any]:
    """Return texts as a list of the distinct ones, most frequent first, and a code for each."""
    codes, words = pd.factorize(pd.Series(values).astype(str))
    order = np.argsort(-np.bincount(codes, minlength=len(words)), kind="stable")
    place = np.empty(len(words), np.uint32)
    place[order] = np.arange(len(words))
    listed = [str(words[at]) for at in order]
    return {"words": listed, "codes": _base64(place[codes].astype("<u4"))}


def _details(view: View, tiles: Mapping[int, Any]) -> Iterator[dict[str, Any]]:
    near = ["neighbour", "cosine", "low", "high", "p_value", "q_value", "reason"]
    places = pd.MultiIndex.from_frame(view.plates[["experiment", "plate"]])
    wells = view.wells.assign(
        place=places.get_indexer(pd.MultiIndex.from_frame(view.wells[["experiment", "plate"]]))
    )
    tables = {
        "neighbours": _Parts(view.neighbours, near),
        "tests": _Parts(view.tests, ["judge", "experiment", "p_value", "num_wells", "reason"]),
        "doses": _Parts(
            view.doses, ["concentration_um", "length", "null_length", "p_value", "is_active"]
        ),
        "wells": _Parts(wells, ["place", "row", "column", "cells"]),
    }
    for start in range(0, len(view.names), ENTRIES_PER_PART):
        stop = min(start + ENTRIES_PER_PART, len(view.names))
        rows: dict[str, list[Any]] = {n: table.rows(start, stop) for n, table in tables.items()}
        rows["tiles"] = [tiles.get(entry) for entry in range(start, stop)]
        yield rows


class _Parts:
    """A table sorted by entry, cut into the rows of each."""

    def __init__(self, table: pd.DataFrame, columns: list[str]) -> None:
        table = table.sort_values("entry", kind="stable")
        self.entry = table["entry"].to_numpy(np.int64)
        self.table = table[columns]

    def rows(self, start: int, stop: int) -> list[list[list[Any]]]:
        cuts = np.searchsorted(self.entry, np.arange(start, stop + 1))
        part = self.table.iloc[cuts[0] : cuts[-1]]
        columns = [[_plain(value) for value in part[name].tolist()] for name in part]
        rows = [list(row) for row in zip(*columns, strict=True)]
        edges = (cuts - cuts[0]).tolist()
        return [rows[a:b] for a, b in pairwise(edges)]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _write_script(path: Path, content: Any) -> None:
    """Write `atlas(<name>, <content>)`; the name is the path below `data`."""
    name = path.with_suffix("").as_posix().rpartition("/data/")[2]
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    path.write_text(f"atlas({json.dumps(name)},{text});\n", encoding="utf-8")
