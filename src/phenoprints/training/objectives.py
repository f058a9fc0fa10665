"""What a network is trained to do, as modules that turn a batch into the parts of a loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from phenoprints.foundations.errors import ConfigurationError
from phenoprints.foundations.randomness import generator
from phenoprints.models import (
    Classifier,
    ConvolutionalMaskedAutoencoder,
    DecoderShape,
    Dino,
    DinoSettings,
    Encoder,
    LossSettings,
    MaskedAutoencoder,
    MuNetEncoder,
    ViTEncoder,
    cut_mix,
    xavier_weights,
)
from phenoprints.models.dino import teacher_momentum
from phenoprints.models.vit import StochasticDepth
from phenoprints.training.settings import TrainingSettings

BatchNorm = nn.modules.batchnorm._BatchNorm
Autoencoder = MaskedAutoencoder | ConvolutionalMaskedAutoencoder
KINDS = ("mae", "weakly-supervised", "dino")


class MaskedObjective(nn.Module):
    """Predict the hidden patches of every crop."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    @property
    def encoder(self) -> Encoder:
        """The encoder that is trained."""
        return self.model.encoder

    def forward(
        self, images: Tensor, keys: Tensor, _classes: Tensor, channels: Sequence[int] | None = None
    ) -> dict[str, Tensor]:
        """`loss`, `l2` and `fourier`."""
        parts: dict[str, Tensor] = self.model(images, keys, channels)
        return parts


class ClassifyingObjective(nn.Module):
    """Tell which condition every crop received."""

    def __init__(self, model: Classifier, settings: TrainingSettings, seed: int) -> None:
        super().__init__()
        self.model, self.settings, self.seed = model, settings, seed

    @property
    def encoder(self) -> Encoder:
        """The encoder that is trained."""
        return self.model.encoder

    def forward(
        self,
        images: Tensor,
        keys: Tensor,
        classes: Tensor,
        _channels: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        """`loss` and `accuracy`; CutMix applies in training only, and follows the first key."""
        if not (self.training and self.settings.cut_mix):
            parts: dict[str, Tensor] = self.model(images, classes)
            return parts
        draw = generator(self.seed, "training", "cut-mix", int(keys[0]))
        share = float(draw.uniform(0, self.settings.cut_mix))
        center = float(draw.uniform()), float(draw.uniform())
        cut, covered = cut_mix(images, share=share, center=center, shift=self.model.crops_per_visit)
        pasted = torch.roll(classes, self.model.crops_per_visit)
        mixed: dict[str, Tensor] = self.model(
            cut, classes, mixed_labels_B=pasted, mixed_share=covered
        )
        return mixed


class DinoObjective(nn.Module):
    """Agree with a slow average of oneself about views of the same crop."""

    def __init__(self, model: Dino) -> None:
        super().__init__()
        self.model = model

    @property
    def encoder(self) -> Encoder:
        """The encoder that is trained."""
        return self.model.student.encoder

    def forward(
        self,
        images: Tensor,
        keys: Tensor,
        _classes: Tensor,
        _channels: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        """`loss`, `dino`, `ibot` and `koleo`."""
        parts: dict[str, Tensor] = self.model(images, keys)
        return parts

    def after_step(self, step: int, num_steps: int) -> None:
        """Let the teacher follow."""
        self.model.update_teacher(teacher_momentum(step, num_steps))


Objective = MaskedObjective | ClassifyingObjective | DinoObjective


def mixes_crops(objective: Objective) -> bool:
    """Whether what is learned of a crop depends on which other crops are seen with it.

    So it is with batch norms, with CutMix, with the assignments and distances of DINOv2, and with
    stochastic depth, which draws the crops that skip a block for all crops seen together.
    """
    if isinstance(objective, DinoObjective):
        return True
    if isinstance(objective, ClassifyingObjective) and objective.settings.cut_mix:
        return True
    return any(
        isinstance(module, BatchNorm) or (isinstance(module, StochasticDepth) and module.kept < 1)
        for module in objective.modules()
    )


def build_objective(
    kind: str,
    encoder: Encoder,
    settings: TrainingSettings,
    *,
    num_channels: int,
    num_classes: int = 0,
    seed: int = 0,
) -> Objective:
    """Return the module that trains an encoder, its further weights seeded.

    Parameters
    ----------
    kind
        `mae`, `weakly-supervised` or `dino`.
    num_channels
        Channels of the training set by name, for channel-agnostic decoders.
    num_classes
        Classes of the training set, for classifiers.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "mae":
            return MaskedObjective(_autoencoder(encoder, settings, num_channels))
        if kind == "weakly-supervised":
            model = Classifier(
                encoder,
                num_classes,
                label_smoothing=settings.label_smoothing,
                crops_per_visit=settings.crops_per_visit if settings.classify_visits else 1,
            )
            return ClassifyingObjective(model, settings, seed)
        if kind == "dino":
            return DinoObjective(_dino(encoder, settings))
    raise ConfigurationError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")


def _dino(encoder: Encoder, settings: TrainingSettings) -> Dino:
    if not isinstance(encoder, ViTEncoder) or encoder.is_channel_agnostic:
        raise ConfigurationError(
            f"{encoder.config.name}: DINOv2 needs a vision transformer with fixed channels. "
            "To fix: choose a vit architecture."
        )
    chosen = DinoSettings(
        num_outputs=settings.dino_outputs,
        num_local=settings.dino_local_crops,
        dino_weight=settings.dino_weight,
        koleo_weight=settings.koleo_weight,
        ibot_weight=settings.ibot_weight,
    )
    return Dino(encoder, chosen)


def _autoencoder(encoder: Encoder, settings: TrainingSettings, num_channels: int) -> Autoencoder:
    loss = LossSettings(settings.fourier_loss, settings.fourier_weight, settings.normalize_patches)
    if isinstance(encoder, MuNetEncoder):
        ratio = settings.mask_fraction
        return ConvolutionalMaskedAutoencoder(encoder, mask_ratio=ratio, loss=loss)
    if not isinstance(encoder, ViTEncoder):
        raise ConfigurationError(
            f"{encoder.config.name}: a masked autoencoder needs a vision transformer or a MU-Net. "
            "To fix: choose a vit, ca-vit or mu-net architecture."
        )
    model = MaskedAutoencoder(
        encoder,
        DecoderShape(settings.decoder_width, settings.decoder_blocks, settings.decoder_heads),
        mask_ratio=settings.mask_fraction,
        loss=loss,
        num_channels=num_channels,
        latent_norm=settings.latent_norm,
    )
    if settings.weight_init == "mae":
        for part in (model.decoder, model.encoder_decoder_proj, model.decoder_pred):
            xavier_weights(part)
    return model
