"""The loader: random crops from a packed store, and how long training waits for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_SITES, SIZE_PX, CROP_PX = 24, 2048, 256
NUM_CROPS, BATCH = 4096, 256


def corpus(num_sites: int, size_px: int) -> Any:
    from phenoprints.training import build_corpus

    ids = np.arange(num_sites, dtype=np.uint64)
    wells = pd.DataFrame(
        {"well_id": ids, "screen": "s", "experiment": "e", "conditions": [[]] * num_sites}
    )
    sites = pd.DataFrame(
        {
            "well_id": ids,
            "site": 1,
            "locator": [f"zarr:store.zarr#{i}" for i in range(num_sites)],
            "height": size_px,
            "width": size_px,
            "channels": [[f"c{i}" for i in range(6)]] * num_sites,
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
    """Time that training at demo size stands still for data: under 5 % of all."""
    from phenoprints.configuration.recipes import RECIPES
    from phenoprints.screens.images import ScreenImages
    from phenoprints.training import EncoderPlan, TrainingSettings, train
    from phenoprints.training.sources import StoredImages

    if how == "prepare":
        write_store(folder, 400, 256)
        return Timing(0.0)
    wells = corpus(400, 256)
    settings = TrainingSettings.from_mapping(
        {**RECIPES["demo"], "max_crops": 6400, "device": "cpu", "panel_crops": 0, "log_steps": 1}
    )
    source = StoredImages(wells, {"s": ScreenImages(str(folder))}, cache_mb=settings.cache_mb)
    train(wells, source, folder / how, plan=EncoderPlan("mae", "vit-tiny"), settings=settings)
    speeds = pd.read_csv(folder / f"{how}.training" / "speed.csv")
    seconds = settings.batch_size / speeds["crops_per_s"]
    share = speeds["waiting"]
    return Timing(float(seconds.sum() if how != "ours" else (seconds * share).sum()))
