"""The encoder without a network: random vectors, the floor of every comparison."""

# B crops · C channels · H W pixels · D features

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from typing_extensions import override

from phenoprints.foundations.fingerprints import fingerprint
from phenoprints.foundations.randomness import generator
from phenoprints.models.encoder import Encoder, EncoderConfig


class RandomVectors(Encoder):
    """Standard normal vectors that depend on the crop's pixels and the seed alone.

    Equal crops give equal vectors, whatever their order or batch; nothing else of the crop can be
    found in its vector.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.register_buffer("seed", torch.tensor(int(config.architecture["seed"])))

    @property
    @override
    def width(self) -> int:
        return int(self.config.architecture["width"])

    @property
    @override
    def is_channel_agnostic(self) -> bool:
        return False

    @override
    def block_outputs(self, pixels_BCHW: Tensor) -> Iterator[Tensor]:
        seed = int(self.config.architecture["seed"])
        rows = []
        for crop in pixels_BCHW.cpu():
            key = fingerprint(crop.numpy().tobytes().hex())
            values = generator(seed, "random-vectors", key).standard_normal(self.width)
            rows.append(torch.from_numpy(values).float())
        vectors_BD = torch.stack(rows)
        yield vectors_BD[:, None].expand(-1, 2, -1)
