"""Embedding on one card from packed images to a marked store, against the bare forward pass.

Part of `python benchmarks/gpu.py`. Both ways look with the same network, in bfloat16, at batches
of as many crops; the bare way has its crops on the card already. The hours that RxRx3 takes follow
from the rate of the first, those of trimmed encoders by their share of the operations.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito", "Brightfield")
CROPS_OF_WELL = 36
NUM_IMAGES = 16
"""Images that are packed; wells share them, so that the files stay in memory."""
MAX_WELLS = 4096
NUM_WORKERS = 4
RXRX3_CROPS = 80e6
TRIMMED_AFTER = {
    "vit-l8": (15, 20), "vit-g8": (38,),
    "vit_small_patch14_reg4_dinov2.lvd142m": (5,), "vit_large_patch14_reg4_dinov2.lvd142m": (12,),
    "vit_giant_patch14_reg4_dinov2.lvd142m": (16,), "vit_large_patch16_224.mae": (11,),
}  # fmt: skip
"""Blocks that the paper's trimmed encoders end after (its Table 1)."""


@dataclass(frozen=True)
class EndToEnd:
    """One network: crops per second both ways, and hours of this card for RxRx3 by last block."""

    network: str
    batch: int
    num_wells: int
    crops_per_s: float
    bare_crops_per_s: float
    waiting_share: float
    rxrx3_hours: dict[int, float]

    @property
    def ratio(self) -> float:
        """How much of the bare forward pass is reached."""
        return self.crops_per_s / self.bare_crops_per_s


def network(name: str) -> Any:
    """An encoder of ours, or one of timm, with random weights: speed does not depend on them."""
    from phenoprints import models
    from phenoprints.models.pretrained import timm_encoder

    return models.build(name, channels=CHANNELS) if name in models.names() else timm_encoder(name)


def measured(name: str, batch: int, device: Any, seconds: float) -> EndToEnd:
    """Both ways for about `seconds` each."""
    import torch

    torch.manual_seed(0)
    encoder = network(name).to(device).eval()
    per_pass = max(1, batch // CROPS_OF_WELL) * CROPS_OF_WELL
    bare = per_pass * _passes_per_second(encoder, per_pass, seconds)
    wells = int(np.clip(bare * seconds / CROPS_OF_WELL, NUM_IMAGES, MAX_WELLS))
    with TemporaryDirectory() as folder:
        _pack(Path(folder), 8 * encoder.crop_px)
        _embed(encoder, Path(folder), per_pass, NUM_IMAGES)  # warms up
        spent, waiting = _embed(encoder, Path(folder), per_pass, wells)
    rate = wells * CROPS_OF_WELL / spent
    return EndToEnd(name, per_pass, wells, rate, bare, waiting / spent, rxrx3_hours(encoder, rate))


def _passes_per_second(encoder: Any, num_crops: int, seconds: float) -> float:
    import torch

    size, device = encoder.crop_px, encoder.device
    crops = torch.randint(0, 256, (num_crops, len(CHANNELS), size, size), dtype=torch.uint8)
    crops = crops.to(device)

    def run(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            with torch.autocast(device.type, dtype=torch.bfloat16):
                encoder.features(crops)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    run(3)
    once = run(2) / 2
    times = max(1, int(seconds / once))
    return times / run(times)


def _pack(folder: Path, side_px: int) -> None:
    from phenoprints.screens.images.stores import SiteWriter, array_metadata, create_array

    shape = (NUM_IMAGES, len(CHANNELS), side_px, side_px)
    create_array(folder / "images.zarr", array_metadata(shape, compression="none"))
    rng = np.random.default_rng(0)
    with SiteWriter(folder / "images.zarr") as writer:
        for index in range(NUM_IMAGES):
            writer.write(index, rng.integers(0, 256, shape[1:], dtype=np.uint8))


def _embed(encoder: Any, folder: Path, batch: int, num_wells: int) -> tuple[float, float]:
    """Seconds in all and of waiting: plan, read, crop, look, average, write, mark."""
    from phenoprints.embeddings import Geometry
    from phenoprints.embeddings.arrays import content_of, make_stores
    from phenoprints.embeddings.failures import Failures
    from phenoprints.embeddings.forward import EmbeddingSettings
    from phenoprints.embeddings.planning import plan_selection
    from phenoprints.embeddings.selection import Selection
    from phenoprints.embeddings.unit_runner import EncoderTarget, Pixels, compute_units
    from phenoprints.embeddings.units import Stores, unit_groups
    from phenoprints.foundations.progress import Progress
    from phenoprints.screens.images import ScreenImages

    side = 8 * encoder.crop_px
    wells = pd.DataFrame({"well_id": np.arange(num_wells, dtype=np.uint64), "experiment": "e",
                          "plate": "p", "well": [f"w{i}" for i in range(num_wells)]})  # fmt: skip
    places = [f"zarr:images.zarr#{i % NUM_IMAGES}" for i in range(num_wells)]
    sites = wells[["well_id"]].assign(
        site=1, locator=places, height=side, width=side,
        channels=pd.Series([CHANNELS] * num_wells),
    )  # fmt: skip
    images = ScreenImages(str(folder))
    settings = EmbeddingSettings(
        encoder, Geometry(encoder.crop_px), batch_size=batch, precision="bfloat16"
    )
    stores = Stores.at(folder / f"embeddings-{num_wells}-{time.time_ns()}")
    progress = Progress("wells", num_wells)
    selection = Selection(wells, sites)
    plan = plan_selection(selection, content=content_of(settings, version=1))
    make_stores(plan, settings, stores, attributes={})

    def read(site: Any) -> Any:
        return images.read(site.locator, site.channels, shape=site.shape)

    target = EncoderTarget(settings, stores, Failures(num_wells, 0.0))
    compute_units(
        unit_groups([plan.tasks]), [target], selection,
        pixels=Pixels(read, num_workers=NUM_WORKERS), progress=progress,
    )  # fmt: skip
    return progress.seconds, progress.waiting_s


def rxrx3_hours(encoder: Any, crops_per_s: float) -> dict[int, float]:
    """Hours for RxRx3 at this rate of the whole encoder, by last block: the published and all."""
    from dataclasses import replace

    import torch

    from phenoprints.models.flops import forward_flops
    from phenoprints.models.registry import from_config

    whole, hours = forward_flops(encoder, len(CHANNELS)), RXRX3_CROPS / crops_per_s / 3600
    shares = {encoder.num_blocks: 1.0}
    for block in TRIMMED_AFTER.get(encoder.config.name, ()):
        with torch.device("meta"):
            shorter = from_config(replace(encoder.config, num_blocks=block))
        shares[block] = forward_flops(shorter, len(CHANNELS)) / whole
    return {block: share * hours for block, share in sorted(shares.items())}
