"""First weights of transformers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

WeightInit = Literal["timm", "mae"]
TOKEN_SD = 0.02
"""Standard deviation of the class token and of mask tokens."""


def xavier_weights(module: nn.Module) -> None:
    """Draw the weights of a masked autoencoder, or of a part of it, in place.

    Linear maps and the embedding of patches (as one linear map of their pixels) are uniform
    (Glorot & Bengio 2010), their biases 0, tokens normal with SD 0.02; norms, fixed positions and
    layer scales stay as they are. Source: He et al. 2022, doi:10.48550/arXiv.2111.06377, A.1.
    """
    for name, parameter in module.named_parameters():
        kind = name.rpartition(".")[2]
        if kind in ("cls_token", "mask_token"):
            nn.init.normal_(parameter, std=TOKEN_SD)
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            with torch.no_grad():
                nn.init.xavier_uniform_(part.weight.view(len(part.weight), -1))
            if part.bias is not None:
                nn.init.zeros_(part.bias)
