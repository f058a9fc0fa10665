"""Recipes: named settings of training, laid over the defaults of the section `training`.

Sources: ViTally Consistent 3.2, A.2, Table 5 for `paper-*` and `openphenom`; what it leaves open
(`paper-judge-wsl`) is our choice. `dinov2-attempt` is that of A.9. `demo` and `demo-wsl` were found
on the simulated screen; `small` is for one card and an afternoon.

Micro-batches of the masked autoencoders are the paper's share of a card, its batch over its cards,
so that fewer cards accumulate. Recipes whose loss looks at a micro-batch as a whole (batch norms,
KoLeo, the centring of self-distillation) set none: the paper does not say how many cards these had.
"""

from __future__ import annotations

from typing import Any

_CARD: dict[str, Any] = {"compile": True, "num_workers": 4, "precision": "bfloat16"}
_PAPER: dict[str, Any] = {**_CARD, "fourier_loss": "as-published"}
# Table 5: 16 A100, 128 H100 and 256 H100.
_CA_S16 = {
    **_PAPER,
    "batch_size": 2048,
    "drop_path": 0.1,
    # Their backbone pools by the mean, for which timm has no norm after the blocks.
    "latent_norm": False,
    "learning_rate": 1e-4,
    "micro_batch_size": 2048 // 16,
    "num_epochs": 100,
}
_L8 = {
    **_PAPER,
    "batch_size": 16384,
    "drop_path": 0.3,
    "learning_rate": 3e-5,
    "micro_batch_size": 16384 // 128,
    "num_epochs": 500,
}
_G8 = {**_L8, "batch_size": 8192, "drop_path": 0.6, "micro_batch_size": 8192 // 256}

# Few crops: AdamW instead of Lion, a layer scale that need not grow first, small batches for many
# steps, and no Fourier loss.
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
        "batch_size": 8,
        "decoder_blocks": 1,
        "decoder_heads": 4,
        "decoder_width": 64,
        "fourier_weight": 0.0,
        "layer_scale": 0.1,
        "learning_rate": 2e-3,
        "log_steps": 100,
        "max_crops": 20_000,
        "weight_init": "mae",
    },
    "demo-wsl": {**_DEMO, "batch_size": 32, "learning_rate": 4e-3},
    "small": {**_CARD, "batch_size": 256, "learning_rate": 1e-4, "num_epochs": 50},
    "paper-s16": _CA_S16,
    "paper-l8": _L8,
    "paper-g8": _G8,
    "paper-judge-l8": {**_L8, "num_epochs": 40, "max_crops": 3_500_000_000},
    "paper-judge-wsl": {
        **_CARD,
        "batch_size": 512,
        "drop_path": 0.0,
        "label_smoothing": 0.1,
        "learning_rate": 1e-3,
        "num_epochs": 90,
        "optimizer": "adamw",
    },
    "openphenom": _CA_S16,
    # Kraus et al. 2023: a quarter hidden, no Fourier loss yet.
    "mu-net": {
        "fourier_weight": 0.0,
        "mask_fraction": 0.25,
        "num_epochs": 100,
        "num_workers": 4,
    },
    # From scratch; with start_from it is the fine-tuning of an MAE.
    "dinov2-attempt": {
        "batch_size": 1024,
        "learning_rate": 1e-5,
        "num_epochs": 100,
        "num_workers": 4,
        "precision": "bfloat16",
    },
}
