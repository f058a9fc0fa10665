"""Encoders: networks and losses, built by name, kept as folders with safetensors weights."""

from phenoprints.models.classifier import Classifier, cut_mix
from phenoprints.models.decoders import DecoderShape
from phenoprints.models.dino import Dino, DinoSettings
from phenoprints.models.encoder import Encoder, EncoderConfig, Pool
from phenoprints.models.folders import load, save
from phenoprints.models.initialization import xavier_weights
from phenoprints.models.losses import LossSettings, fourier_loss, l2_loss, reconstruction_loss
from phenoprints.models.mae import MaskedAutoencoder, Reconstruction
from phenoprints.models.munet import ConvolutionalMaskedAutoencoder, MuNetEncoder
from phenoprints.models.pretrained import (
    BASELINES,
    openphenom,
    openphenom_autoencoder,
    timm_encoder,
)
from phenoprints.models.registry import build, from_config, names
from phenoprints.models.simple import StatisticsEncoder, statistics_config
from phenoprints.models.standardization import self_standardize
from phenoprints.models.vit import ViTEncoder, ViTShape

__all__ = [
    "BASELINES",
    "Classifier",
    "ConvolutionalMaskedAutoencoder",
    "DecoderShape",
    "Dino",
    "DinoSettings",
    "Encoder",
    "EncoderConfig",
    "LossSettings",
    "MaskedAutoencoder",
    "MuNetEncoder",
    "Pool",
    "Reconstruction",
    "StatisticsEncoder",
    "ViTEncoder",
    "ViTShape",
    "build",
    "cut_mix",
    "fourier_loss",
    "from_config",
    "l2_loss",
    "load",
    "names",
    "openphenom",
    "openphenom_autoencoder",
    "reconstruction_loss",
    "save",
    "self_standardize",
    "statistics_config",
    "timm_encoder",
    "xavier_weights",
]
