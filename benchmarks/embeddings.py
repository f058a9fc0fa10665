"""Embeddings: end to end against the bare network, all blocks in one pass, rates of the store."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark, timed

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito", "Brightfield")
NUM_WELLS, SIDE_PX, CROP_PX = 128, 256, 32
STORE_WELLS, NUM_FEATURES = 100_000, 384


def network():
    import torch

    from phenoprints.models import build

    torch.set_num_threads(1)
    return build("vit-tiny", channels=CHANNELS)


def image_store(folder: Path) -> Path:
    return folder / "images.zarr"


def pack_images(folder: Path) -> None:
    """One plate of random pixels in the project's image store."""
    from phenoprints.screens.images.stores import SiteWriter, array_metadata, create_array

    shape = (NUM_WELLS, len(CHANNELS), SIDE_PX, SIDE_PX)
    create_array(image_store(folder), array_metadata(shape, compression="none"))
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with SiteWriter(image_store(folder)) as writer:
        for index, image in enumerate(images):
            writer.write(index, image)


def end_to_end(folder: Path) -> Timing:
    """Plan, read, crop, look, average, write, mark."""
    from phenoprints.embeddings.arrays import content_of, make_stores
    from phenoprints.embeddings.failures import Failures
    from phenoprints.embeddings.forward import EmbeddingSettings
    from phenoprints.embeddings.geometry import Geometry
    from phenoprints.embeddings.planning import plan_selection
    from phenoprints.embeddings.selection import Selection
    from phenoprints.embeddings.unit_runner import EncoderTarget, Pixels, compute_units
    from phenoprints.embeddings.units import Stores, unit_groups
    from phenoprints.foundations.progress import Progress
    from phenoprints.screens.images import ScreenImages

    wells = pd.DataFrame({"well_id": np.arange(NUM_WELLS, dtype=np.uint64), "experiment": "e",
                          "plate": "p", "well": [f"w{i}" for i in range(NUM_WELLS)]})  # fmt: skip
    sites = wells[["well_id"]].assign(
        site=1, locator=[f"zarr:images.zarr#{i}" for i in range(NUM_WELLS)], height=SIDE_PX,
        width=SIDE_PX, channels=pd.Series([list(CHANNELS)] * NUM_WELLS),
    )  # fmt: skip
    images = ScreenImages(str(folder))
    settings, selection = EmbeddingSettings(network(), Geometry(CROP_PX)), Selection(wells, sites)
    stores = Stores.at(folder / f"embeddings-{time.time_ns()}")
    watch = Stopwatch()
    plan = plan_selection(selection, content=content_of(settings, version=1))
    make_stores(plan, settings, stores, attributes={})
    pixels = Pixels(lambda site: images.read(site.locator, site.channels, shape=site.shape))
    compute_units(
        unit_groups([plan.tasks]), [EncoderTarget(settings, stores, Failures(NUM_WELLS))],
        selection,
        pixels=pixels, progress=Progress("wells", NUM_WELLS),
    )  # fmt: skip
    return Timing(watch.timing().cpu_seconds or 0.0)


def bare(_folder: Path) -> Timing:
    """The same network on the same number of crops in the same batches, from memory."""
    import torch

    encoder = network()
    crops = torch.randint(0, 256, (108, len(CHANNELS), CROP_PX, CROP_PX), dtype=torch.uint8)
    encoder.features(crops)
    watch = Stopwatch()
    for _ in range(NUM_WELLS * 36 // 108):
        encoder.features(crops)
    return Timing(watch.timing().cpu_seconds or 0.0)


@benchmark("embeddings-end-to-end", prepares=True, min_ratios={"bare forward": 0.9})
def embeddings_end_to_end(how: str, folder: Path) -> Timing:
    """128 wells of 36 crops of 32 px, packed, through a ViT of 4 blocks of 96 (CPU seconds)."""
    if how == "prepare":
        pack_images(folder)
        return Timing(0.0)
    if how == "bare forward":
        return bare(folder)
    end_to_end(folder)
    return end_to_end(folder)


def _each(encoders, crops) -> None:
    for encoder in encoders:
        encoder.features(crops)


@benchmark(
    "embeddings-all-blocks", min_ratios={"last block alone": 1 / 1.05, "a pass per block": 1}
)
def all_blocks(how: str, _folder: Path) -> Timing:
    """The features of all 12 blocks of S/16 in one pass, 8 crops of 256 px."""
    import torch

    from phenoprints.models import build

    torch.set_num_threads(1)
    encoder = build("vit-s16", channels=CHANNELS)
    crops = torch.randint(0, 256, (8, len(CHANNELS), 256, 256), dtype=torch.uint8)
    if how == "a pass per block":
        shorter = [encoder.trimmed(block) for block in range(1, 13)]
        passes = partial(_each, shorter, crops)
        return timed(passes, repeats=1, warm=False, clock=time.process_time)
    blocks = "last" if how == "last block alone" else "all"
    return timed(lambda: encoder.features(crops, blocks), clock=time.process_time)


def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((STORE_WELLS, NUM_FEATURES)).astype(np.float32)


def ids() -> dict[str, np.ndarray]:
    return {"e": np.arange(STORE_WELLS, dtype=np.uint64)}


@benchmark("embeddings-store-write", min_ratios={"np.save per unit": 0.5})
def store_write(how: str, folder: Path) -> Timing:
    """100,000 vectors of 384 written in 98 units with checksums, each synced (CPU seconds)."""
    import os

    from phenoprints.embeddings.store import create_store, plan_units, write_unit

    values, units = vectors(), plan_units({"e": STORE_WELLS})
    if how == "np.save per unit":

        def save() -> None:
            for unit in units:
                with open(folder / f"{unit.start}.npy", "wb") as file:
                    np.save(file, values[unit.rows])
                    file.flush()
                    os.fsync(file.fileno())

        return timed(save, clock=time.process_time)
    create_store(folder / "store", ids(), (NUM_FEATURES,), attributes={})

    def write() -> None:
        for unit in units:
            write_unit(folder / "store", unit, values[unit.rows])

    return timed(write, clock=time.process_time)


@benchmark("embeddings-store-read", min_ratios={"np.load": 0.5})
def store_read(how: str, folder: Path) -> Timing:
    """100,000 vectors of 384 read with their checksums tested (CPU seconds)."""
    from phenoprints.embeddings import open_embeddings
    from phenoprints.embeddings.store import Unit, create_store, write_unit

    if how == "np.load":
        np.save(folder / "v.npy", vectors())
        return timed(lambda: np.load(folder / "v.npy"), clock=time.process_time)
    create_store(folder / "store", ids(), (NUM_FEATURES,), attributes={})
    write_unit(folder / "store", Unit("e", 0, STORE_WELLS), vectors())
    reader = open_embeddings(folder / "store")
    return timed(lambda: reader.read("e"), clock=time.process_time)


PLANNED_WELLS, PLANNED_EXPERIMENTS = 2_200_000, 180


def screen_of_tables(folder: Path) -> None:
    """Wells, sites and quality of a screen the size of RxRx3, in the order of the wells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = np.arange(PLANNED_WELLS)
    ids = np.random.default_rng(0).integers(0, 2**64, PLANNED_WELLS, dtype=np.uint64)
    of = number * PLANNED_EXPERIMENTS // PLANNED_WELLS
    names = pa.array([f"experiment-{i:03d}" for i in range(PLANNED_EXPERIMENTS)])
    experiment = pa.DictionaryArray.from_arrays(of.astype(np.int32), names).cast(pa.string())
    plates = pa.array([f"plate-{i:04d}" for i in range(PLANNED_WELLS // 1224 + 1)])
    plate = pa.DictionaryArray.from_arrays((number // 1224).astype(np.int32), plates)
    wells = pa.array([f"W{i:04d}" for i in range(1224)])
    well = pa.DictionaryArray.from_arrays((number % 1224).astype(np.int32), wells)
    pq.write_table(
        pa.table({"well_id": ids, "experiment": experiment, "plate": plate.cast(pa.string()),
                  "well": well.cast(pa.string())}), folder / "wells.parquet",
    )  # fmt: skip
    channels = pa.ListArray.from_arrays(
        pa.array(np.arange(PLANNED_WELLS + 1, dtype=np.int32) * len(CHANNELS)),
        pa.array(list(CHANNELS) * PLANNED_WELLS),
    )
    locators = pa.array([f"zarr:plate-{i // 1224:04d}.zarr#{i % 1224}" for i in number.tolist()])
    side = pa.array(np.full(PLANNED_WELLS, 2048, np.int32))
    site = pa.array(np.ones(PLANNED_WELLS, np.int32))
    pq.write_table(
        pa.table({"well_id": ids, "site": site, "locator": locators, "height": side,
                  "width": side, "channels": channels}), folder / "sites.parquet",
    )  # fmt: skip
    verdict = pa.array(np.where(number % 20, "pass", "fail"))
    pq.write_table(
        pa.table({"well_id": ids, "site": site, "verdict": verdict}), folder / "quality.parquet"
    )


def tables_in(folder: Path):
    from phenoprints.embeddings.screen_tables import ScreenTables

    return ScreenTables(*(folder / f"{name}.parquet" for name in ("wells", "sites", "quality")))


@benchmark("embeddings-plan", prepares=True, max_seconds=10, max_memory_gb=2)
def embeddings_plan(how: str, folder: Path) -> Timing:
    """2.2 million wells of 180 experiments cut into units with their keys (CPU seconds)."""
    from phenoprints.embeddings.planning import plan_screen

    if how == "prepare":
        screen_of_tables(folder)
        return Timing(0.0)
    watch = Stopwatch()
    plan = plan_screen(tables_in(folder), content={"version": 1})
    assert plan.num_wells == PLANNED_WELLS
    return Timing(watch.timing().cpu_seconds or 0.0)


@benchmark("embeddings-job-of-64", prepares=True, max_seconds=2, max_memory_gb=1)
def embeddings_job(how: str, folder: Path) -> Timing:
    """What one of 64 jobs on that screen reads before it looks at an image (CPU seconds)."""
    import pickle

    from phenoprints.embeddings.planning import plan_screen
    from phenoprints.embeddings.units import batch_of, unit_groups

    if how == "prepare":
        screen_of_tables(folder)
        plan = plan_screen(tables_in(folder), content={"version": 1})
        (folder / "plan.pickle").write_bytes(pickle.dumps(plan.tasks))
        return Timing(0.0)
    tasks = pickle.loads((folder / "plan.pickle").read_bytes())
    watch = Stopwatch()
    chosen = [task for [(_, task)] in batch_of(unit_groups([tasks]), 30, 64)]
    selection = tables_in(folder).selection_of(chosen)
    assert sum(len(selection.sites_of(task.unit)) for task in chosen) > 30_000
    return Timing(watch.timing().cpu_seconds or 0.0)
