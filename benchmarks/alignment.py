"""TVN: in memory against EFAAR_benchmarking 1.0, and out of core over a store."""

from __future__ import annotations

from pathlib import Path

import efaar
import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_BATCHES = 20
NUM_EXPERIMENTS = 360


def screen(num_wells: int, num_features: int, num_batches: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Correlated vectors with an offset per batch; a fifth of the wells are controls."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((num_features, num_features), dtype=np.float32)
    batch = np.sort(rng.integers(0, num_batches, num_wells))
    offsets = rng.standard_normal((num_batches, num_features), dtype=np.float32)
    x = rng.standard_normal((num_wells, num_features), dtype=np.float32) @ mixing
    x += offsets[batch]
    wells = pd.DataFrame({"batch": batch, "pert": rng.choice(["control", *"abcd"], num_wells)})
    return x, wells


def tvn(how: str, num_features: int) -> Timing:
    x, wells = screen(100_000, num_features, NUM_BATCHES)
    if how == "ours":
        from phenoprints.alignment import TypicalVariationNormalization

        watch = Stopwatch()
        is_control = (wells["pert"] == "control").to_numpy()
        TypicalVariationNormalization().fit_transform(x, is_control, wells["batch"])
        return watch.timing()
    reference = efaar.load("efaar")
    watch = Stopwatch()
    reference.tvn_on_controls(x, wells, "pert", "control", "batch")
    return watch.timing("(no re-colouring: its form does less)")


@benchmark("alignment-100k-d384", min_ratios={"EFAAR 1.0": 8})
def wells_100k_384(how: str, _folder: Path) -> Timing:
    """TVN of 100,000 wells of 384 features in 20 batches, in memory."""
    return tvn(how, 384)


@benchmark("alignment-100k-d1024", min_ratios={"EFAAR 1.0": 8})
def wells_100k_1024(how: str, _folder: Path) -> Timing:
    """TVN of 100,000 wells of 1,024 features in 20 batches, in memory."""
    return tvn(how, 1024)


@benchmark("alignment-500k-out-of-core", max_seconds=15, max_memory_gb=1, prepares=True)
def wells_500k(how: str, folder: Path) -> Timing:
    """TVN of 500,000 wells of 384 features in 360 experiments: fit, store, align on reading."""
    from phenoprints.alignment import fit_alignment, open_aligned, save_alignment
    from phenoprints.embeddings import open_embeddings

    if how == "prepare":
        prepare(folder)
        return Timing(0.0)
    wells = pd.read_parquet(folder / "wells.parquet")
    watch = Stopwatch()
    reader = open_embeddings(folder / "embeddings")
    save_alignment(fit_alignment(wells, reader), folder / "alignment")
    aligned = open_aligned(reader, folder / "alignment")
    total = sum(float(aligned.read(name)[:, 0].sum()) for name in aligned.experiments)
    assert np.isfinite(total)
    return watch.timing()


def prepare(folder: Path) -> None:
    from phenoprints.embeddings.writing import write_rows

    x, wells = screen(500_000, 384, NUM_EXPERIMENTS)
    wells["experiment"] = wells.pop("batch").map("e{:03d}".format)
    wells["role"] = np.where(wells.pop("pert") == "control", "negative_control", "treatment")
    wells["plate"] = "p"
    wells["well_id"] = np.arange(len(wells), dtype=np.uint64)
    wells.to_parquet(folder / "wells.parquet")
    write_rows(folder / "embeddings", wells, x, attributes={})
