"""The funnel over 93 million wells in encoded parts, and the floor: scan twice and write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from registry import Stopwatch, Timing, benchmark

NUM_CONDITIONS = 1_000_000
WELLS_PER_PART = 930_000
WELLS_PER_EXPERIMENT = 9_300
WORKERS = 2
ROLES = ("treatment", "negative_control", "positive_control", "unperturbed")


def phenoprints() -> pd.DataFrame:
    """A million conditions, of which three in ten have a phenoprint."""
    index = np.arange(NUM_CONDITIONS)
    found = np.random.default_rng(1).random(NUM_CONDITIONS) < 0.15
    return pd.DataFrame(
        {
            "condition_id": index.astype(np.int32),
            "perturbation": index // 4,
            "kind": "compound",
            "has_phenoprint": found,
            "is_testable": True,
        }
    )


def part(number: int) -> pa.Table:
    """A part of a hundred experiments; every experiment repeats a block of the conditions."""
    rng = np.random.default_rng(number)
    n = WELLS_PER_PART
    experiment = np.arange(n, dtype=np.int32) // WELLS_PER_EXPERIMENT
    role = rng.choice(4, n, p=[0.75, 0.15, 0.05, 0.05]).astype(np.int8)
    block = rng.integers(0, 667, n // WELLS_PER_EXPERIMENT)[experiment] * 1500
    condition = (block + rng.integers(10, 1500, n)) % NUM_CONDITIONS
    condition = np.where(role == 0, condition, role).astype(np.int32)
    second = (role == 0) & (rng.random(n) < 0.03)
    lengths = np.where(role == 3, 0, 1) + second
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = np.zeros(offsets[-1], dtype=np.int32)
    has_one = lengths > 0
    values[offsets[:-1][has_one]] = condition[has_one]
    values[offsets[:-1][second] + 1] = (condition[second] + 7) % NUM_CONDITIONS
    names = [f"experiment-{number:03}-{i:03}" for i in range(n // WELLS_PER_EXPERIMENT)]
    plates = [str(i) for i in range(24)]
    wells = [f"{chr(65 + i // 24)}{i % 24 + 1:02}" for i in range(384)]
    at = np.arange(n) % WELLS_PER_EXPERIMENT
    return pa.table(
        {
            "well_id": rng.integers(0, 2**64, n, dtype=np.uint64),
            "screen": pa.DictionaryArray.from_arrays(np.zeros(n, np.int8), ["big"]),
            "experiment": pa.DictionaryArray.from_arrays(experiment, names),
            "plate": pa.DictionaryArray.from_arrays((at // 384 % 24).astype(np.int8), plates),
            "well": pa.DictionaryArray.from_arrays((at % 384).astype(np.int16), wells),
            "role": pa.DictionaryArray.from_arrays(role, list(ROLES)),
            "conditions": pa.ListArray.from_arrays(offsets, values),
            "row": (at % 384 // 24 + 1).astype(np.int16),
            "column": (at % 24 + 1).astype(np.int16),
            "image": rng.integers(0, 2**64, n, dtype=np.uint64),
            "site_in_store": rng.integers(0, 2**31, n, dtype=np.int32),
            "is_failing": rng.random(n) < 0.05,
        }
    )


def prepare(folder: Path, num_parts: int) -> None:
    for number in range(num_parts):
        path = folder / f"wells-{number:03}.parquet"
        if not path.exists():
            pq.write_table(part(number), path, compression="zstd", store_schema=False)


def files(folder: Path, num_parts: int) -> list[Path]:
    return [folder / f"wells-{number:03}.parquet" for number in range(num_parts)]


def curate(folder: Path, num_parts: int) -> Timing:
    from phenoprints.curation import Rules
    from phenoprints.curation.manifest import write_manifest
    from phenoprints.curation.parts import FileParts

    table = phenoprints()
    rules = Rules(judges=("judge",), min_experiments=3, min_wells=20)
    small = FileParts(files(folder, 1))
    write_manifest(small, table, rules, folder / "warm", folder / "warm-reasons")
    stopwatch = Stopwatch()
    funnel = write_manifest(
        FileParts(files(folder, num_parts)), table, rules,
        folder / "manifest", folder / "reasons", workers=WORKERS,
    )  # fmt: skip
    return stopwatch.timing(f"({funnel.before['wells']:,} wells, {funnel.after['wells']:,} kept)")


def scan_twice_and_write(folder: Path, num_parts: int) -> Timing:
    """Read the deciding columns, read all, and write every seventh well: no decision is made."""
    target = folder / "floor"
    target.mkdir(exist_ok=True)
    texts = ["screen", "experiment", "plate", "well", "role"]
    deciding = ["well_id", "screen", "experiment", "role", "conditions", "is_failing"]

    def first(path: Path) -> int:
        return len(pq.read_table(path, columns=deciding, read_dictionary=texts, use_threads=False))

    def second(path: Path) -> None:
        table = pq.read_table(path, read_dictionary=texts, use_threads=False)
        kept = table.filter(pa.array(np.arange(len(table)) % 7 == 0))
        pq.write_table(kept, target / path.name, compression="zstd")

    stopwatch = Stopwatch()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(first, files(folder, num_parts)))
        list(pool.map(second, files(folder, num_parts)))
    return stopwatch.timing()


def funnel(how: str, folder: Path, num_parts: int) -> Timing | None:
    if how == "prepare":
        return prepare(folder, num_parts)
    if how == "a tenth of the wells":
        return curate(folder, num_parts // 10)
    task = curate if how == "ours" else scan_twice_and_write
    return task(folder, num_parts)


@benchmark(
    "curation-funnel-93m-wells",
    max_seconds=20,
    max_memory_gb=1.0,
    min_ratios={"scan twice and write": 1 / 3, "a tenth of the wells": 1 / 11},
    prepares=True,
)
def funnel_93m(how: str, folder: Path) -> Timing | None:
    """The funnel from 100 encoded parts, 93 million wells and a million conditions; two threads."""
    return funnel(how, folder, 100)


@benchmark(
    "curation-funnel-9m-wells",
    max_memory_gb=1.0,
    min_ratios={"scan twice and write": 1 / 3},
    prepares=True,
)
def funnel_9m(how: str, folder: Path) -> Timing | None:
    """The funnel from 10 encoded parts, 9.3 million wells; two threads."""
    return funnel(how, folder, 10)


def prepare_screen(folder: Path, num_parts: int) -> None:
    """The tables of a screen as the stages write them: wells, an image of each, quality of both."""
    from phenoprints.quality import QUALITY
    from phenoprints.wells.contracts import SITES, WELLS

    folder.mkdir(parents=True, exist_ok=True)
    names = {"wells": WELLS, "sites": SITES, "quality": QUALITY}
    with ExitStack() as files:
        writers = {
            name: files.enter_context(
                pq.ParquetWriter(folder / f"{name}.parquet", contract.schema, compression="zstd")
            )
            for name, contract in names.items()
        }
        for number in range(num_parts):
            for name, table in tables_of(part(number)).items():
                writers[name].write_table(table.select(names[name].schema.names))


def tables_of(wells: pa.Table) -> dict[str, pa.Table]:
    """The wells with all columns of their contract, their sites, and quality."""
    texts = {"cell_type": "HUVEC", "background": "", "modality": "cell-painting",
             "replicate_group": ""}  # fmt: skip
    n, ids = len(wells), wells["well_id"].to_numpy()
    for name in ("screen", "experiment", "plate", "well", "role"):
        at = wells.column_names.index(name)
        wells = wells.set_column(at, name, wells[name].cast(pa.string()))
    for name, value in texts.items():
        wells = wells.append_column(name, pa.array([value]).take(pa.array(np.zeros(n, np.int64))))
    wells = wells.append_column("plate_format", pa.array(np.full(n, 384, dtype=np.int16)))
    channels = pa.ListArray.from_arrays(
        pa.array(np.arange(n + 1, dtype=np.int32) * 6),
        pa.array(["DNA", "ER", "Actin", "RNA", "Mito", "Golgi"] * n),
    )
    ones = np.ones(n, dtype=np.int32)
    sites = pa.table(
        {
            "well_id": ids, "site": ones, "height": ones * 2048, "width": ones * 2048,
            "locator": pc.binary_join_element_wise(
                "zarr:images/", pa.array(ids).cast(pa.string()), "/0", ""
            ),
            "channels": channels,
        }
    )  # fmt: skip
    failing = np.repeat(wells["is_failing"].to_numpy(), 2)
    reason = pa.array(failing).cast(pa.int32()).to_numpy()
    quality = pa.table(
        {
            "well_id": np.repeat(ids, 2),
            "site": np.tile(np.array([-1, 1], dtype=np.int32), n),
            "verdict": pa.array(["pass", "fail"]).take(pa.array(reason)),
            "reasons": pa.ListArray.from_arrays(
                pa.array(np.append(0, np.cumsum(reason)).astype(np.int32)),
                pa.array(["QC101"] * int(reason.sum())),
            ),
        }
    )
    return {"wells": wells, "sites": sites, "quality": quality}


def curate_screen(folder: Path) -> Timing:
    """The funnel as the workflow runs it, from the tables of one screen."""
    from phenoprints.curation import Rules
    from phenoprints.curation.manifest import write_manifest
    from phenoprints.curation.screen_files import ScreenFiles, Tables

    table = phenoprints()
    rules = Rules(judges=("judge",), min_experiments=3, min_wells=20)
    stopwatch = Stopwatch()
    tables = Tables(*(folder / f"{name}.parquet" for name in ("wells", "sites", "quality")))
    parts = ScreenFiles(tables, table["condition_id"].to_numpy())
    funnel = write_manifest(parts, table, rules, folder / "manifest", folder / "reasons")
    return stopwatch.timing(f"({funnel.before['wells']:,} wells, {funnel.after['wells']:,} kept)")


@benchmark(
    "curation-screen-9m-wells",
    max_memory_gb=1.5,
    min_ratios={"a tenth of the wells": 1 / 11},
    prepares=True,
)
def screen_9m(how: str, folder: Path) -> Timing | None:
    """The funnel from a screen's wells, sites and quality, 9.3 million wells; one thread."""
    if how == "prepare":
        prepare_screen(folder / "ours", 10)
        return prepare_screen(folder / "a tenth of the wells", 1)
    return curate_screen(folder / how)
