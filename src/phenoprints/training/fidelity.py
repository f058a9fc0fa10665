"""How well a masked autoencoder predicts hidden patches of wells that it never learned from."""

# n crops · C channels · p pixels along a crop · T tokens · V values of a token

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from phenoprints.foundations.publishing import publish_text
from phenoprints.models import Reconstruction, self_standardize
from phenoprints.models.linear_reference import predict_hidden, stationary_covariance
from phenoprints.models.losses import patch_spectrum_error
from phenoprints.models.mae import patch_statistics
from phenoprints.models.patches import patchify
from phenoprints.training.loading import Batch
from phenoprints.training.objectives import Autoencoder

FIDELITY = "fidelity.csv"
COLUMNS = ("group", "wells", "crops", "explained", "linear", "fourier_ratio")
EVERY = "all wells"
MAX_LINEAR_CROPS = 512
"""Crops of which the linear predictor fills one patch each, at most."""


@dataclass(frozen=True)
class CropFidelity:
    """What is left of hidden patches, one value per crop.

    `error` and `power` are sums of squares of prediction minus target and of the target;
    `fourier_error` and `fourier_power` the same of magnitudes of the spectra, absolute.
    `linear_error` and `linear_power` are those of one patch by the linear predictor, NaN without.
    """

    error: NDArray[np.float64]
    power: NDArray[np.float64]
    fourier_error: NDArray[np.float64]
    fourier_power: NDArray[np.float64]
    linear_error: NDArray[np.float64]
    linear_power: NDArray[np.float64]

    def row(self, chosen: NDArray[np.bool_]) -> dict[str, float]:
        """Return explained variance, that of the linear predictor, and relative Fourier error."""

        def share(error: NDArray[np.float64], power: NDArray[np.float64]) -> float:
            total = float(np.nansum(power[chosen]))
            return float(np.nansum(error[chosen])) / total if total else np.nan

        return {
            "explained": 1.0 - share(self.error, self.power),
            "linear": 1.0 - share(self.linear_error, self.linear_power),
            "fourier_ratio": share(self.fourier_error, self.fourier_power),
        }


def measure(
    model: Autoencoder, batches: Sequence[Batch], learned: NDArray[np.uint8] | None
) -> CropFidelity:
    """Measure an autoencoder on crops that it has not learned from.

    Parameters
    ----------
    model
        The autoencoder, in evaluation mode, on the CPU.
    batches
        Crops with their masks' keys, all of the same channels.
    learned
        (n, C, p, p) crops from which the linear predictor's covariances are estimated; None, and
        targets that are normalised patch by patch, leave the linear reference out.
    """
    covariance = None
    if learned is not None and not model.loss_settings.normalize_patches:
        standardized = self_standardize(torch.from_numpy(learned)).numpy().astype(np.float64)
        covariance = stationary_covariance(standardized)
    parts, left = [], MAX_LINEAR_CROPS
    for batch in batches:
        made = model.reconstruct(batch.images, batch.keys, batch.channels)
        columns = _network_columns(model, made)
        linear = np.full((len(batch), 2), np.nan)
        if covariance is not None:
            for at in range(min(left, len(batch))):
                linear[at] = _linear_of_crop(made, at, _patch_px(model), covariance)
        left -= len(batch)
        parts.append(np.concatenate([columns, linear], axis=1))
    return CropFidelity(*np.concatenate(parts).T)


def fidelity_table(
    measured: CropFidelity, wells: NDArray[np.integer], roles: Sequence[str]
) -> pd.DataFrame:
    """Return one row for all crops and one per role of their wells, with COLUMNS.

    `wells` is the well of each crop, `roles` the role of each crop's well.
    """
    role_of_crop = np.asarray(roles, dtype=object)
    groups = {EVERY: np.ones(len(wells), dtype=np.bool_)}
    groups.update({role: role_of_crop == role for role in sorted(set(roles) - {""})})
    rows = [
        {"group": name, "wells": len(np.unique(wells[is_in])), "crops": int(is_in.sum()),
         **measured.row(is_in)}
        for name, is_in in groups.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def publish_fidelity(folder: Path, table: pd.DataFrame) -> None:
    """Write fidelity.csv into an encoder's folder."""
    publish_text(folder / FIDELITY, table.to_csv(index=False, float_format="%.6g"))


def _patch_px(model: Autoencoder) -> int:
    encoder = model.encoder
    return int(getattr(encoder, "patch_px", 0) or encoder.config.architecture["patch_px"])


def _network_columns(model: Autoencoder, made: Reconstruction) -> NDArray[np.float64]:
    """Return errors and powers of each crop's hidden patches, (n, 4)."""
    agnostic, num_channels = model.encoder.is_channel_agnostic, made.target.shape[1]
    target, prediction, is_hidden = (
        patchify(image, _patch_px(model), channel_agnostic=agnostic)
        for image in (made.target, made.prediction, made.is_hidden)
    )
    if model.loss_settings.normalize_patches:
        mean, scale = patch_statistics(target)
        target, prediction = (target - mean) / scale, (prediction - mean) / scale
    spectral = [
        patch_spectrum_error(values, target, num_channels, agnostic)
        for values in (prediction, torch.zeros_like(target))
    ]
    squares = [(prediction - target).square().sum(-1), target.square().sum(-1)]
    sums = [(values * is_hidden[..., 0]).sum(1) for values in (*squares, *spectral)]
    return torch.stack(sums, dim=1).double().cpu().numpy()


def _linear_of_crop(
    made: Reconstruction, at: int, patch_px: int, covariance: NDArray[np.float64]
) -> tuple[float, float]:
    """Return error and power of one hidden patch of a crop; its place follows the crop's number."""
    target = made.target[at].cpu().double().numpy()
    hidden = made.is_hidden[at].cpu().numpy()
    corners = np.argwhere(hidden[:, ::patch_px, ::patch_px].any(axis=0)) * patch_px
    top, left = corners[at % len(corners)]
    predicted, truth = predict_hidden(target, hidden, (int(top), int(left)), patch_px, covariance)
    return float(np.square(predicted - truth).sum()), float(np.square(truth).sum())
