"""What changed between two curations of the same wells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints.curation.steps import REASON_WORDS, STEP_WORDS, Reason
from phenoprints.foundations.errors import MissingInputError

ABSENT = np.int8(len(Reason))
FATES = (*REASON_WORDS, "kept", "absent")
STEPS_OF_FATES = (*STEP_WORDS, "", "")


def compare_manifests(one: str | Path, other: str | Path) -> pd.DataFrame:
    """How many wells have another fate in the other curation, by step and reason.

    Parameters
    ----------
    one, other
        Folders of two curations, each with `manifest` and `reasons` inside.

    Returns
    -------
    DataFrame
        step, reason, other_step, other_reason and wells; a row per change, the largest first. A
        well that stays has the reason `kept`, one that is in only one of them `absent` in the
        other; both without a step.
    """
    ids, fates = _fates(Path(one))
    other_ids, other_fates = _fates(Path(other))
    everything = np.union1d(ids, other_ids)
    pairs = np.stack(
        [_aligned(everything, ids, fates), _aligned(everything, other_ids, other_fates)]
    )
    changed = pairs[:, pairs[0] != pairs[1]]
    (before, after), counts = np.unique(changed, axis=1, return_counts=True)
    table = pd.DataFrame(
        {
            "step": [STEPS_OF_FATES[i] for i in before],
            "reason": [FATES[i] for i in before],
            "other_step": [STEPS_OF_FATES[i] for i in after],
            "other_reason": [FATES[i] for i in after],
            "wells": counts,
        }
    )
    return table.sort_values("wells", ascending=False, kind="stable", ignore_index=True)


def _fates(folder: Path) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    """All well ids of a curation, ascending, and the reason of each."""
    ids = [_column(path, "well_id") for path in _files(folder / "manifest")]
    fates = [np.full(len(part), Reason.KEPT, dtype=np.int8) for part in ids]
    for path in _files(folder / "reasons"):
        words = pq.read_table(path, columns=["reason"], read_dictionary=["reason"])["reason"]
        chunk = words.unify_dictionaries().combine_chunks()
        names = chunk.dictionary.to_pylist()
        codes = np.array([REASON_WORDS.index(name) for name in names] or [0], dtype=np.int8)
        ids.append(_column(path, "well_id"))
        fates.append(codes[chunk.indices.to_numpy()])
    all_ids, all_fates = np.concatenate(ids), np.concatenate(fates)
    order = np.argsort(all_ids)
    return all_ids[order], all_fates[order]


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("part-*.parquet"))
    if not files and not folder.is_dir():
        raise MissingInputError(f"{folder}: it is not there. Expected the folder of a curation.")
    return files


def _column(path: Path, name: str) -> NDArray[np.uint64]:
    values: pa.ChunkedArray = pq.read_table(path, columns=[name])[name]
    array: NDArray[np.uint64] = values.to_numpy()
    return array


def _aligned(
    everything: NDArray[np.uint64], ids: NDArray[np.uint64], fates: NDArray[np.int8]
) -> NDArray[np.int8]:
    result = np.full(len(everything), ABSENT, dtype=np.int8)
    result[np.searchsorted(everything, ids)] = fates
    return result
