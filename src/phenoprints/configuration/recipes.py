"""Recipes: named settings of training, laid over the defaults of the section `training`.

Sources: ViTally Consistent 3.2, A.2, Table 5 for `paper-*` and `openphenom`; what it leaves open
(`paper-judge-wsl`) is our choice. `dinov2-attempt` is that of A.9. `demo` and `demo-wsl` were found
on the simulated screen; `small` is for one card and an afternoon.
"""

from __future__ import annotations

from typing import Any

_PAPER: dict[str, Any] = {"fourier_loss": "as-published", "precision": "bfloat16"}
_CA_S16 = {
    **_PAPER, "num_epochs": 100, "learning_rate": 1e-4, "batch_size": 2048, "drop_path": 0.1
}  # fmt: skip
_L8 = {**_PAPER, "num_epochs": 500, "learning_rate": 3e-5, "batch_size": 16384, "drop_path": 0.3}

# Few steps: AdamW instead of Lion, a layer scale that does not have to grow first, and more weight
# on textures, in which the simulated screen's effects lie.
_DEMO: dict[str, Any] = {
    "drop_path": 0.0,
    "log_steps": 25,
    "max_crops": 40_000,
    "num_epochs": 1000,
    "optimizer": "adamw",
    "precision": "float32",
}

RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "demo": {
        **_DEMO,
        "batch_size": 32,
        "decoder_blocks": 1,
        "decoder_heads": 4,
        "decoder_width": 64,
        "fourier_weight": 0.1,
        "layer_scale": 1.0,
        "learning_rate": 3e-3,
    },
    "demo-wsl": {**_DEMO, "batch_size": 32, "learning_rate": 4e-3},
    "small": {
        "batch_size": 256,
        "learning_rate": 1e-4,
        "num_epochs": 50,
        "precision": "bfloat16",
        "compile": True,
        "num_workers": 4,
    },
    "paper-s16": _CA_S16,
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
    # Kraus et al. 2023: a quarter hidden, no Fourier loss yet.
    "mu-net": {"mask_fraction": 0.25, "fourier_weight": 0.0, "num_epochs": 100},
    # From scratch; with start_from it is the fine-tuning of an MAE.
    "dinov2-attempt": {
        "batch_size": 1024,
        "learning_rate": 1e-5,
        "num_epochs": 100,
        "optimizer": "adamw",
        "precision": "bfloat16",
    },
}
