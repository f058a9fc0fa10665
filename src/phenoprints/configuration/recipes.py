"""Recipes: named settings of training, laid over the defaults of the section `training`.

Sources: ViTally Consistent 3.2, A.2, Table 5 for `paper-*` and `openphenom`; what it leaves open
(`paper-judge-wsl`) is our choice. `mu-net-2023` is Kraus et al. 2023, `dino-*` are trials of A.9.
"""

from __future__ import annotations

from typing import Any

_PAPER: dict[str, Any] = {"fourier_loss": "as-published", "precision": "bfloat16"}
_CA_S16 = {
    **_PAPER, "num_epochs": 100, "learning_rate": 1e-4, "batch_size": 2048, "drop_path": 0.1
}  # fmt: skip
_L8 = {**_PAPER, "num_epochs": 500, "learning_rate": 3e-5, "batch_size": 16384, "drop_path": 0.3}
_DINO = {"learning_rate": 1e-5, "optimizer": "adamw", "precision": "bfloat16", "batch_size": 1024}

RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "demo": {
        "batch_size": 128,
        "decoder_blocks": 2,
        "decoder_heads": 4,
        "decoder_width": 64,
        "learning_rate": 1e-3,
        "max_crops": 40_000,
        "num_epochs": 25,
        "precision": "float32",
    },
    "paper-ca-s16": _CA_S16,
    "paper-l8": _L8,
    "paper-g8": {**_L8, "batch_size": 8192, "drop_path": 0.6},
    "paper-judge-l8": {**_L8, "num_epochs": 40, "max_crops": 3_500_000_000},
    "paper-judge-wsl": {
        "batch_size": 512,
        "drop_path": 0.0,
        "label_smoothing": 0.1,
        "learning_rate": 1e-3,
        "num_epochs": 90,
        "optimizer": "adamw",
        "precision": "bfloat16",
    },
    "openphenom": _CA_S16,
    "mu-net-2023": {"mask_fraction": 0.25, "fourier_weight": 0.0, "num_epochs": 100},
    "dino-scratch": {**_DINO, "num_epochs": 100},
    "dino-fine-tuning": {**_DINO, "num_epochs": 10},
}
