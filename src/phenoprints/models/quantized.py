"""Forward passes with the blocks' matrix products in 8 bits: int8, or fp8 (e4m3)."""

# M rows (tokens of all crops) · K inputs · N outputs

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.models.encoder import Encoder

Kind = Literal["int8", "fp8"]
LARGEST = {"int8": 127.0, "fp8": 448.0}
"""The largest value of each format."""

CACHED = "_in_eight_bits"
"""The attribute of a linear layer that keeps its quantised weights: no parameter, in no file."""
MIN_ROWS = 32
"""torch's int8 product takes more than 16 rows on a card; fewer are padded."""


@contextmanager
def eight_bits(encoder: Encoder, kind: Kind) -> Iterator[None]:
    """Compute the products of the encoder's transformer blocks in 8 bits inside the block.

    Each row of an input and each row of a weight has a scale of its own, from its largest absolute
    value; products are accumulated in 32 bits. Norms, attention, biases and the residual stay as
    they are, and so do the encoder's weights and fingerprint, after the block. Raises
    ConfigurationError for a network without transformer blocks.
    """
    places = _places(encoder)
    for parent, name, layer in places:
        setattr(parent, name, _quantized(layer, kind))
    try:
        yield
    finally:
        for parent, name, layer in places:
            setattr(parent, name, layer)


def _places(encoder: Encoder) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Return the linear layers of the blocks: where each is, and under which name."""
    blocks = getattr(getattr(encoder, "backbone", None), "blocks", None)
    if blocks is None:
        raise ConfigurationError(
            f"{encoder.config.name}: inference in 8 bits needs a vision transformer. To fix: set "
            "inference.precision to bfloat16 or float32."
        )
    return [
        (parent, name, layer)
        for parent in blocks.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear)
    ]


def _quantized(layer: nn.Linear, kind: Kind) -> EightBitLinear:
    """Return the layer in 8 bits, made once for each kind and device."""
    cached = getattr(layer, CACHED, None)
    if cached is None or cached.kind != kind or cached.weight.device != layer.weight.device:
        cached = EightBitLinear(layer, kind)
        object.__setattr__(layer, CACHED, cached)
    found: EightBitLinear = cached
    return found


class EightBitLinear(nn.Module):
    """A linear layer whose product is computed in 8 bits; it is not trained and not stored."""

    weight: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Linear, kind: Kind) -> None:
        super().__init__()
        self.kind, self.bias = kind, layer.bias
        weight, scale = quantized_rows(layer.weight.detach(), kind)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layer's output (…, N), in bfloat16 under autocast."""
        device, dtype = inputs.device.type, inputs.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        is_alone = inputs.is_cuda and not torch.compiler.is_compiling()
        product = _compiled(self.kind) if is_alone else PRODUCTS[self.kind]
        out: Tensor = product(inputs.flatten(0, -2), self.weight, self.scale, dtype)
        out = out if self.bias is None else out + self.bias.to(dtype)
        return out.reshape(*inputs.shape[:-1], out.shape[-1])


def quantized_rows(values_MK: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Return rows in 8 bits and their scales (M, 1) in float32; scale times value is the input."""
    values = values_MK.float()
    scale = values.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / LARGEST[kind]
    scaled = values / scale
    if kind == "int8":
        return scaled.round().to(torch.int8), scale
    return scaled.to(torch.float8_e4m3fn), scale


def int8_product(
    rows_MK: Tensor, weight_NK: Tensor, scale_N1: Tensor, dtype: torch.dtype
) -> Tensor:
    """Rows times the transposed weight, both in int8."""
    quantized, scale_M1 = quantized_rows(rows_MK, "int8")
    M = len(quantized)
    if M < MIN_ROWS:
        quantized = nn.functional.pad(quantized, (0, 0, 0, MIN_ROWS - M))
    whole = torch._int_mm(quantized, weight_NK.t())[:M]
    return (whole.float() * scale_M1 * scale_N1.t()).to(dtype)


def fp8_product(rows_MK: Tensor, weight_NK: Tensor, scale_N1: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows times the transposed weight, both in fp8; on a CPU of the same values in float32."""
    quantized, scale_M1 = quantized_rows(rows_MK, "fp8")
    if not rows_MK.is_cuda:
        whole = quantized.float() @ weight_NK.float().t()
        return (whole * scale_M1 * scale_N1.t()).to(dtype)
    out = torch._scaled_mm(
        quantized, weight_NK.t(), scale_M1, scale_N1.t().contiguous(), out_dtype=torch.bfloat16
    )
    return out.to(dtype)


PRODUCTS: dict[str, Callable[..., Tensor]] = {"int8": int8_product, "fp8": fp8_product}


@cache
def _compiled(kind: Kind) -> Any:
    """One graph for any number of rows, in which quantising costs no pass of its own."""
    return torch.compile(PRODUCTS[kind], dynamic=True)
