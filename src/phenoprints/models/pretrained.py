"""Networks of others: timm's vision transformers on any channels, and OpenPhenom's weights."""

# B crops · C channels · H W pixels · N tokens · D features

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from phenoprints.foundations.errors import ConfigurationError, DataError
from phenoprints.models.decoders import DecoderShape
from phenoprints.models.encoder import Encoder, EncoderConfig, Pool, resized
from phenoprints.models.losses import LossSettings
from phenoprints.models.mae import MaskedAutoencoder
from phenoprints.models.vit import ViTEncoder

RGB = 3
BASELINES: dict[str, Pool] = {
    "vit_small_patch14_reg4_dinov2.lvd142m": "class",
    "vit_large_patch14_reg4_dinov2.lvd142m": "class",
    "vit_giant_patch14_reg4_dinov2.lvd142m": "class",
    "vit_large_patch16_224.augreg_in21k": "class",
    "vit_large_patch16_224.mae": "mean",
}
"""The natural-image encoders of Table 4 and how each is pooled (Paper 4, A.4)."""


class TimmEncoder(Encoder):
    """A vision transformer of timm whose RGB patch weights are repeated over the channels.

    The weights stay those of RGB; for C channels they are repeated (R, G, B, R, G, …) and scaled by
    3/C, and summed for one channel, so that the response keeps its size. Crops are resized to the
    largest multiple of the patch that fits (256 px become 252 for patches of 14). Register tokens
    are left out.
    """

    def __init__(self, config: EncoderConfig) -> None:
        import timm

        super().__init__(config)
        self.input_px = int(config.architecture["input_px"])
        self.backbone = timm.create_model(
            config.architecture["model"], pretrained=False, num_classes=0, img_size=self.input_px
        )
        blocks = self.backbone.blocks
        if config.num_blocks < len(blocks):
            self.backbone.blocks = blocks[: config.num_blocks]
            self.backbone.norm = nn.Identity()

    @property
    @override
    def width(self) -> int:
        return int(self.backbone.embed_dim)

    def _embedded(self, pixels_BCHW: Tensor) -> Tensor:
        from timm.models import adapt_input_conv

        projection = self.backbone.patch_embed.proj
        weight = adapt_input_conv(pixels_BCHW.shape[1], projection.weight)
        patches = functional.conv2d(
            resized(pixels_BCHW, self.input_px), weight, projection.bias, projection.stride
        )
        tokens: Tensor = self.backbone.patch_embed.norm(patches.flatten(2).transpose(1, 2))
        return tokens

    @override
    def block_outputs(self, pixels_BCHW: Tensor) -> Iterator[Tensor]:
        tokens = self.backbone._pos_embed(self._embedded(pixels_BCHW))
        tokens = self.backbone.norm_pre(tokens)
        prefix = self.backbone.num_prefix_tokens
        for block in self.backbone.blocks:
            tokens = block(tokens)
            yield torch.cat([tokens[:, :1], tokens[:, prefix:]], dim=1)

    @override
    def _cut(self, config: EncoderConfig) -> Encoder:
        with torch.device("meta"):
            shorter = TimmEncoder(config)
        names = set(shorter.state_dict())
        shorter.load_state_dict(
            {k: v for k, v in self.state_dict().items() if k in names}, assign=True
        )
        return shorter.train(self.training)


def timm_encoder(
    model: str,
    *,
    crop_px: int = 256,
    pool: Pool | None = None,
    weights: str | Path | Literal["download"] | None = None,
) -> TimmEncoder:
    """Return an encoder around a vision transformer of timm, in evaluation mode.

    Parameters
    ----------
    model
        timm's name, such as one of `BASELINES`.
    crop_px
        Side of the crops.
    pool
        `class` or `mean`; None takes that of Table 4, else `class`.
    weights
        A safetensors file in timm's names (positions of another grid are resampled), `download`
        for timm's own, None for random weights.

    Raises
    ------
    ConfigurationError
        timm has no such model, or it is no plain vision transformer with a class token.
    DataError
        The weights are of another architecture; the differing names are listed.
    """
    config = _timm_config(model, crop_px, pool)
    encoder = TimmEncoder(config)
    if weights == "download":
        encoder.backbone.load_state_dict(_downloaded(model, encoder.input_px))
    elif weights is not None:
        _load_timm(encoder, Path(weights))
    return encoder.eval()


def _timm_config(model: str, crop_px: int, pool: Pool | None) -> EncoderConfig:
    import timm
    from timm.models.vision_transformer import VisionTransformer

    base = model.partition(".")[0]
    if base not in timm.list_models():
        raise ConfigurationError(f"timm has no model called {model!r}.")
    with torch.device("meta"):
        network = timm.create_model(base, pretrained=False, num_classes=0)
    if not isinstance(network, VisionTransformer) or network.cls_token is None:
        raise ConfigurationError(
            f"{model}: not a vision transformer with a class token, the only kind of timm's "
            "models that has blocks to choose from here."
        )
    patch_px = int(network.patch_embed.patch_size[0])
    input_px = crop_px // patch_px * patch_px
    return EncoderConfig(
        name=model,
        family="timm",
        architecture={"model": base, "input_px": input_px},
        channels=(),
        crop_px=crop_px,
        pool=pool or BASELINES.get(model, "class"),
        num_blocks=len(network.blocks),
    )


def _downloaded(model: str, input_px: int) -> dict[str, Tensor]:
    import timm

    network = timm.create_model(model, pretrained=True, num_classes=0, img_size=input_px)
    weights: dict[str, Tensor] = network.state_dict()
    return weights


def _load_timm(encoder: TimmEncoder, path: Path) -> None:
    from timm.models.vision_transformer import checkpoint_filter_fn

    from phenoprints.models.folders import check_weights, read_weights

    weights = {k: v for k, v in read_weights(path).items() if not k.startswith("head.")}
    try:
        adapted = checkpoint_filter_fn(weights, encoder.backbone)
    except (RuntimeError, KeyError):
        adapted = weights  # of another architecture: the check below names what differs
    check_weights(encoder.backbone.state_dict(), adapted, where=str(path))
    encoder.backbone.load_state_dict(adapted)


def openphenom(path: str | Path, *, channelwise: bool = False) -> ViTEncoder:
    """OpenPhenom's encoder from its published model.safetensors, in evaluation mode.

    Channel-agnostic S/16 of 256 px with positions for up to 11 channels; the decoder's weights are
    left out. Features are the mean over all patch tokens without a norm, or per channel with
    `channelwise`. Differing names or shapes are a DataError that lists them.
    """
    from phenoprints.models.folders import read_weights

    return openphenom_from(read_weights(path), channelwise=channelwise, where=str(path))


def openphenom_from(
    weights: Mapping[str, Tensor], *, channelwise: bool = False, where: str = "OpenPhenom"
) -> ViTEncoder:
    """Return the encoder from OpenPhenom's weights by their published names."""
    from phenoprints.models.folders import check_weights
    from phenoprints.models.registry import OPENPHENOM_CHANNELS, build

    encoder = build("ca-vit-s16", channels=OPENPHENOM_CHANNELS)
    assert isinstance(encoder, ViTEncoder)
    pool: Pool = "channel" if channelwise else "mean"
    encoder.config = replace(encoder.config, name="openphenom", pool=pool)
    ours = {_our_name(k): v for k, v in weights.items() if k.startswith(_PUBLISHED)}
    if not ours:
        raise DataError(f"{where}: no weight begins with {_PUBLISHED}; this is not OpenPhenom.")
    check_weights(encoder.state_dict(), ours, where=where)
    encoder.load_state_dict(ours)
    return encoder.eval()


def openphenom_autoencoder(path: str | Path) -> MaskedAutoencoder:
    """Return OpenPhenom with its decoder from its published model.safetensors, in evaluation mode.

    It reconstructs up to as many channels as it has decoders (6). As in the published code there is
    no norm between encoder and decoder, and the Fourier loss is `as-published`. The width and depth
    of the decoder are those of the weights; differing names or shapes are a DataError.
    Source: recursionpharma/maes_microscopy.
    """
    from phenoprints.models.folders import read_weights

    return openphenom_autoencoder_from(read_weights(path), where=str(path))


def openphenom_autoencoder_from(
    weights: Mapping[str, Tensor], *, where: str = "OpenPhenom"
) -> MaskedAutoencoder:
    """Return the autoencoder from OpenPhenom's weights by their published names."""
    from phenoprints.models.folders import check_weights

    encoder = openphenom_from(weights, where=where)
    own = {k: v for k, v in weights.items() if not k.startswith(_PUBLISHED)}
    blocks = {tuple(k.split(".")[2:4]) for k in own if k.startswith("decoder.decoders.")}
    if not blocks or "decoder.mask_token" not in own:
        raise DataError(f"{where}: the decoder's weights are missing; only the encoder is there.")
    num_channels = len({channel for channel, _ in blocks})
    shape = DecoderShape(own["decoder.mask_token"].shape[-1], len(blocks) // num_channels)
    model = MaskedAutoencoder(
        encoder,
        shape,
        loss=LossSettings("as-published"),
        num_channels=num_channels,
        latent_norm=False,
    )
    expected = {k: v for k, v in model.state_dict().items() if not k.startswith("encoder.")}
    check_weights(expected, own, where=where)
    model.load_state_dict(own, strict=False)
    return model.eval()


_PUBLISHED = "encoder.vit_backbone."


def _our_name(published: str) -> str:
    # timm calls the last norm fc_norm when the tokens' mean is the output; features skip it.
    return published.replace(_PUBLISHED, "backbone.").replace(".fc_norm.", ".norm.")
