"""Convolutional encoders: a small one for small crops, and DenseNet-161."""

# B crops · C channels · H W pixels · D features

from __future__ import annotations

import copy
import itertools
from abc import abstractmethod
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from typing_extensions import override

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.models.encoder import Encoder, EncoderConfig


class ConvolutionalEncoder(Encoder):
    """A network whose last feature map, averaged over its pixels, is the only block.

    The map's positions stand where a transformer has patch tokens, their mean where it has the
    class token, so the pools `mean` and `class` give the same.
    """

    @abstractmethod
    def feature_map(self, pixels_BCHW: Tensor) -> Tensor:
        """Return the last feature map (B, D, h, w)."""

    @override
    def block_outputs(self, pixels_BCHW: Tensor) -> Iterator[Tensor]:
        tokens_BND = self.feature_map(pixels_BCHW).flatten(2).transpose(1, 2)
        yield torch.cat([tokens_BND.mean(dim=1, keepdim=True), tokens_BND], dim=1)


class SmallCNN(ConvolutionalEncoder):
    """A 5×5 convolution of stride 2, then 3×3 ones with batch norm; later widths halve the side.

    Weights and pixels lie channels last, which is up to twice as fast on CPUs.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        widths = [int(w) for w in config.architecture["widths"]]
        layers = _convolution(len(config.channels), widths[0], side=5, stride=2)
        for number, (before, after) in enumerate(itertools.pairwise(widths)):
            layers += _convolution(before, after, stride=1 if number == 0 else 2)
        layers += _convolution(widths[-1], widths[-1])
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self._width = widths[-1]

    @property
    @override
    def width(self) -> int:
        return self._width

    @override
    def feature_map(self, pixels_BCHW: Tensor) -> Tensor:
        out: Tensor = self.layers(pixels_BCHW.contiguous(memory_format=torch.channels_last))
        return out


def _convolution(before: int, after: int, *, side: int = 3, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, side, stride=stride, padding=side // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


class DenseNet161(ConvolutionalEncoder):
    """torchvision's DenseNet-161 with a first convolution for the screen's channels."""

    def __init__(self, config: EncoderConfig) -> None:
        from torchvision.models import densenet161

        super().__init__(config)
        self.layers = densenet161(weights=None).features
        first = self.layers.conv0
        self.layers.conv0 = nn.Conv2d(
            len(config.channels), first.out_channels, kernel_size=7, stride=2, padding=3, bias=False
        )
        nn.init.kaiming_normal_(self.layers.conv0.weight)

    @property
    @override
    def width(self) -> int:
        return int(self.layers.norm5.num_features)

    @override
    def feature_map(self, pixels_BCHW: Tensor) -> Tensor:
        out: Tensor = self.layers(pixels_BCHW)
        return torch.relu(out)


def has_batch_norm(encoder: nn.Module) -> bool:
    """Whether there is anything to adapt in a network."""
    return any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules())


def adapt_batch_norm(encoder: Encoder, batches: Iterable[Tensor]) -> Encoder:
    """Copy an encoder and set its batch-norm statistics from these crops.

    The statistics of each layer are means over the batches, each of which is seen with its own
    (AdaBN). Give it crops of one experiment, of many wells in every batch: a batch that holds few
    wells would take away what tells them apart.

    Parameters
    ----------
    encoder
        A network with batch norm; any other is a ConfigurationError.
    batches
        Crops, uint8 (n, C, p, p), in an order of their own: the result depends on it.

    Source: Li et al. 2016, doi:10.48550/arXiv.1603.04779; Sypetkowski et al. 2023 for RxRx1.
    """
    adapted = copy.deepcopy(encoder).eval()
    norms = [module for module in adapted.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        raise ConfigurationError(
            f"{encoder.config.name} has no batch norm to adapt. To fix: leave out adapt_batch_norm."
        )
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    with torch.no_grad():
        for crops in batches:
            adapted(crops)
    return adapted.eval()
