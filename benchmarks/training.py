"""The loader: random crops from a packed store, and how long training waits for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_SITES, SIZE_PX, CROP_PX = 24, 2048, 256
NUM_CROPS, BATCH = 4096, 256


def corpus(num_sites: int, size_px: int, *, num_wells: int | None = None) -> Any:
    """Wells of a site each; more wells than sites share them."""
    from phenoprints.training import build_corpus

    num_wells = num_wells or num_sites
    ids = np.arange(num_wells, dtype=np.uint64)
    wells = pd.DataFrame(
        {"well_id": ids, "screen": "s", "experiment": "e", "conditions": [[]] * num_wells}
    )
    sites = pd.DataFrame(
        {
            "well_id": ids,
            "site": 1,
            "locator": [f"zarr:store.zarr#{i % num_sites}" for i in range(num_wells)],
            "height": size_px,
            "width": size_px,
            "channels": [[f"c{i}" for i in range(6)]] * num_wells,
        }
    )
    return build_corpus(wells, sites)


def write_store(folder: Path, num_sites: int, size_px: int) -> None:
    from phenoprints.screens.images.stores import SiteWriter, array_metadata, create_array

    metadata = array_metadata((num_sites, 6, size_px, size_px), compression="none")
    create_array(folder / "store.zarr", metadata)
    rng = np.random.default_rng(0)
    with SiteWriter(folder / "store.zarr") as writer:
        for i in range(num_sites):
            writer.write(i, rng.integers(0, 256, (6, size_px, size_px), dtype=np.uint8))


@benchmark("training-loader", max_seconds=NUM_CROPS / 1000, prepares=True)
def loader(how: str, folder: Path) -> Timing:
    """4,096 random crops of 256×256×6 from an uncompressed store (1,000 a second a core)."""
    from phenoprints.screens.images import ScreenImages
    from phenoprints.training.loading import Loader
    from phenoprints.training.sampling import CropSampler
    from phenoprints.training.sources import StoredImages

    if how == "prepare":
        write_store(folder, NUM_SITES, SIZE_PX)
        return Timing(0.0)
    wells = corpus(NUM_SITES, SIZE_PX)
    source = StoredImages(wells, {"s": ScreenImages(str(folder))})
    batches = Loader(wells, CropSampler(wells.sites, CROP_PX, 0), source, batch_size=BATCH)
    batches.batch(0)
    watch = Stopwatch()
    for step in range(1, 1 + NUM_CROPS // BATCH):
        batches.batch(step)
    timing = watch.timing()
    return Timing(timing.cpu_seconds or 0.0, "processor seconds", timing.cpu_seconds)


@benchmark("training-waiting", min_ratios={"all of training": 20}, prepares=True)
def waiting(how: str, folder: Path) -> Timing:
    """Time that training by the demo's recipe stands still for data, decoding included."""
    from phenoprints.configuration.recipes import RECIPES
    from phenoprints.screens.images import ScreenImages
    from phenoprints.training import EncoderPlan, TrainingSettings, train
    from phenoprints.training.sources import StoredImages

    if how == "prepare":
        write_store(folder, 400, 256)
        return Timing(0.0)
    wells = corpus(400, 256)
    settings = TrainingSettings(
        **{**RECIPES["demo"], "device": "cpu", "panel_crops": 0, "log_steps": 1}
    )
    source = StoredImages(wells, {"s": ScreenImages(str(folder))}, cache_mb=settings.cache_mb)
    train(wells, source, folder / how, plan=EncoderPlan("mae", "vit-tiny"), settings=settings)
    speeds = pd.read_csv(folder / f"{how}.training" / "speed.csv")
    seconds = settings.batch_size / speeds["crops_per_s"]
    share = speeds["waiting"]
    return Timing(float(seconds.sum() if how != "ours" else (seconds * share).sum()))


NUM_WELLS, WELLS_IN_PART, WELLS_IN_EXPERIMENT = 16_000_000, 500_000, 1_400


def write_manifest(folder: Path) -> None:
    """A manifest of 16 M wells of one site each, in parts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from phenoprints.foundations.randomness import hash_uint64

    (folder / "manifest").mkdir()
    schema = pa.schema(
        [("well_id", pa.uint64()), ("site", pa.int32()), ("locator", pa.string()),
         ("height", pa.int32()), ("width", pa.int32()), ("channels", pa.list_(pa.string()))]
    )  # fmt: skip
    channels = pa.array([[f"c{i}" for i in range(6)]], schema.field("channels").type)
    for part in range(NUM_WELLS // WELLS_IN_PART):
        number = np.arange(part * WELLS_IN_PART, (part + 1) * WELLS_IN_PART)
        ids = pa.array(hash_uint64(0, number.astype(np.uint64)))
        name = (number // WELLS_IN_EXPERIMENT).astype(str)
        index = (number % WELLS_IN_EXPERIMENT).astype(str)
        text = np.char.add(np.char.add("zarr:images/experiment-", name), "/plate-1.zarr#")
        locators = pa.array(np.char.add(text, index).astype(object))
        side = pa.array(np.full(len(number), 2048, np.int32))
        one = pa.array(np.ones(len(number), np.int32))
        every = channels.take(pa.array(np.zeros(len(number), np.int32)))
        sites = pa.table([ids, one, locators, side, side, every], schema=schema)
        pq.write_table(sites, folder / "manifest" / f"sites-{part:05}.parquet", compression="zstd")
        offsets = pa.array(np.arange(len(number) + 1, dtype=np.int32))
        conditions = pa.array((number % 100_000).astype(np.int32))
        wells = {
            "well_id": ids,
            "screen": pa.array(["screen"]).take(pa.array(np.zeros(len(number), np.int32))),
            "experiment": pa.array(np.char.add("experiment-", name).astype(object)),
            "conditions": pa.ListArray.from_arrays(offsets, conditions),
            "locators": pa.ListArray.from_arrays(offsets, locators),
            "role": pa.array(["treatment"]).take(pa.array(np.zeros(len(number), np.int32))),
        }
        pq.write_table(pa.table(wells), folder / "manifest" / f"part-{part:05}.parquet")


@benchmark("training-corpus", max_memory_gb=5, prepares=True)
def corpus_of_16_million(how: str, folder: Path) -> Timing:
    """The training set of a manifest of 16 M wells, from its parts."""
    from phenoprints.training.dataset import corpus_of_manifest

    if how == "prepare":
        write_manifest(folder)
        return Timing(0.0)
    conditions = pd.DataFrame({"condition_id": [0], "perturbation": ["p"]})
    watch = Stopwatch()
    corpus = corpus_of_manifest(folder / "manifest", conditions)
    learned, _ = corpus.split(0.02, (), 0)
    told = f"({len(corpus):,} wells, {len(learned):,} to learn from, {corpus.fingerprint()[:8]})"
    return watch.timing(told)
