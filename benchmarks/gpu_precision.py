"""Whether features of another precision are as good: their cosine, and the recall of known pairs.

Part of `python benchmarks/gpu.py`, and of the tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Pairs = list[tuple[int, int]]


def planted(side_px: int, num_groups: int = 8, of_each: int = 5) -> tuple[Any, Pairs]:
    """Crops (n, 6, p, p) of noisy waves in groups of equal frequencies, and the pairs of groups."""
    import torch

    rng = np.random.default_rng(3)
    y, x = np.mgrid[:side_px, :side_px]
    images, group_of = [], []
    for group in range(num_groups):
        waves = rng.uniform(0.1, 1.2, (6, 2))
        for _ in range(of_each):
            phases = rng.uniform(0, 6.3, 6)
            plain = [np.sin(a * x + b * y + p) for (a, b), p in zip(waves, phases, strict=True)]
            noisy = np.stack(plain) + rng.normal(0, 0.7, (6, side_px, side_px))
            images.append(np.clip(128 + 40 * noisy, 0, 255).astype(np.uint8))
            group_of.append(group)
    num = len(images)
    pairs = [(i, j) for i in range(num) for j in range(i) if group_of[i] == group_of[j]]
    return torch.from_numpy(np.stack(images)), pairs


def recall(vectors: Any, pairs: Pairs) -> float:
    """Share of the known pairs in the lowest and highest 5 % of all cosines, after scaling."""
    x = np.asarray(vectors, np.float64)
    x = (x - x.mean(0)) / x.std(0)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = x @ x.T
    low, high = np.quantile(cosines[np.tril_indices(len(x), -1)], [0.05, 0.95])
    known = cosines[tuple(np.array(pairs).T)]
    return float(((known <= low) | (known >= high)).mean())


def compared(encoder: Any, kind: str) -> dict[str, Any]:
    """The smallest cosine of features in 8 bits and in bfloat16, and recall of both ways."""
    import torch

    from phenoprints.models.quantized import eight_bits

    images, pairs = planted(encoder.crop_px)
    with torch.autocast(encoder.device.type, dtype=torch.bfloat16):
        plain = encoder.features(images)
        with eight_bits(encoder, kind):  # type: ignore[arg-type]
            got = encoder.features(images)
    cosine = torch.nn.functional.cosine_similarity(got, plain, dim=1).min()
    recalls = [recall(x.float().cpu().numpy(), pairs) for x in (plain, got)]
    interval = 1.96 * np.sqrt(recalls[0] * (1 - recalls[0]) / len(pairs))
    return {
        "cosine": float(cosine), "recall": recalls[1], "recall_bfloat16": recalls[0],
        "recall_interval": float(interval),
        "is_equal": bool(abs(recalls[1] - recalls[0]) <= interval),
    }  # fmt: skip
