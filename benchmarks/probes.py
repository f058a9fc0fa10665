"""Linear probes of every block of an encoder at the size of the Anax task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from registry import Stopwatch, Timing, benchmark

NUM_BLOCKS, NUM_CLASSES, NUM_WELLS, NUM_FEATURES = 12, 40, 5000, 384


@benchmark("probes-12-blocks", max_seconds=30, threads=1)
def twelve_blocks(_how: str, _folder: Path) -> Timing:
    """12 blocks of 384 features, 40 classes, 5,000 wells of 20 experiments, default tolerance."""
    from phenoprints.probes import probe_blocks

    rng = np.random.default_rng(0)
    labels = np.array([f"class-{i % NUM_CLASSES}" for i in range(NUM_WELLS)], dtype=object)
    experiments = np.array([f"e{i // NUM_CLASSES % 20}" for i in range(NUM_WELLS)], dtype=object)
    centres = rng.normal(size=(NUM_CLASSES, NUM_BLOCKS, NUM_FEATURES)) * 0.15
    noise = rng.normal(size=(NUM_WELLS, NUM_BLOCKS, NUM_FEATURES))
    features = (noise + centres[np.arange(NUM_WELLS) % NUM_CLASSES]).astype(np.float32)
    watch = Stopwatch()
    table = probe_blocks(features, labels, experiments)
    mean = table["balanced_accuracy"].mean()
    return watch.timing(f"(mean balanced accuracy {mean:.2f}, {table['num_iterations'].max()} it.)")
