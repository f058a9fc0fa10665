"""The funnel's large outputs: parts of the manifest and of the reasons, as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints.curation.encoding import FLAGS, SITES_OF_WELL
from phenoprints.curation.steps import REASON_WORDS, STEP_WORDS, Reason
from phenoprints.wells import SITES


class Sink(Protocol):
    """Where the decisions about a part go."""

    def write(self, number: int, part: pa.Table, reason: NDArray[np.int8]) -> None:
        """Take part `number` (in the order of the output) with a reason per well."""


class MemorySink:
    """Keeps the reasons in memory, part by part."""

    def __init__(self) -> None:
        self.reasons: dict[int, NDArray[np.int8]] = {}

    def write(self, number: int, part: pa.Table, reason: NDArray[np.int8]) -> None:
        """Keep the reasons; the wells are the caller's."""
        assert len(part) == len(reason)
        self.reasons[number] = reason


class FolderSink:
    """Writes two folders: the wells that stay with their sites, and the reasons of the others.

    Part 0 is part-00000.parquet in both; the sites of its wells are sites-00000.parquet.
    """

    def __init__(self, manifest: Path, reasons: Path) -> None:
        self.manifest, self.reasons = manifest, reasons

    def write(self, number: int, part: pa.Table, reason: NDArray[np.int8]) -> None:
        """Write one part of each; its bytes depend on the part alone."""
        name = f"part-{number:05}.parquet"
        is_kept = reason == Reason.KEPT
        columns = [column for column in part.column_names if column not in FLAGS]
        kept = part.select(columns).filter(pa.array(is_kept))
        if SITES_OF_WELL in columns:
            write_part(self.manifest / name.replace("part", "sites"), sites_table(kept))
            kept = kept.drop_columns([SITES_OF_WELL])
        write_part(self.manifest / name, kept)
        write_part(self.reasons / name, reasons_table(part, reason))


def sites_table(wells: pa.Table) -> pa.Table:
    """Return the sites of some wells as a table of the contract SITES, in order of the wells."""
    lists = wells[SITES_OF_WELL].combine_chunks()
    flat = lists.flatten() if len(lists) else pa.array([], lists.type.value_type)
    owners = wells["well_id"].combine_chunks().take(pc.list_parent_indices(lists))
    columns = dict(zip((field.name for field in flat.type), flat.flatten(), strict=True))
    return pa.table({"well_id": owners, **columns}).cast(SITES.schema)


def reasons_table(part: pa.Table, reason: NDArray[np.int8]) -> pa.Table:
    """well_id, step and reason of the wells that left, texts as dictionaries."""
    left = reason < Reason.KEPT
    codes = pa.array(reason[left])
    return pa.table(
        {
            "well_id": part["well_id"].filter(pa.array(left)),
            "step": pa.DictionaryArray.from_arrays(
                pa.array(_step_codes()[reason[left]]), list(dict.fromkeys(STEP_WORDS))
            ),
            "reason": pa.DictionaryArray.from_arrays(codes, list(REASON_WORDS)),
        }
    )


def _step_codes() -> NDArray[np.int8]:
    steps = list(dict.fromkeys(STEP_WORDS))
    return np.array([steps.index(step) for step in STEP_WORDS], dtype=np.int8)


def write_part(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet with statistics; plain types, so that any engine reads it."""
    is_text = [pa.types.is_dictionary(field.type) for field in table.schema]
    pq.write_table(
        table,
        path,
        compression={  # ids are hashes: compressing them only costs time
            field.name: "NONE" if field.name == "well_id" else "zstd" for field in table.schema
        },
        use_dictionary=[
            *(n for n, text in zip(table.column_names, is_text, strict=True) if text),
            *(["channels.list.element"] if "channels" in table.column_names else []),
        ]
        or False,
        store_schema=False,
        write_statistics=True,
        write_page_checksum=True,
    )
