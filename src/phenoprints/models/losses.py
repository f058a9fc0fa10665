"""The reconstruction loss of masked autoencoders: mean square, and the spectrum's magnitude."""

# B crops · C channels · N patches · p pixels along a patch · T tokens · V values of a token

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from phenoprints.models.patches import per_channel_patches, unpatchify

FourierForm = Literal["patch", "image", "as-published", "none"]
FOURIER_FORMS: tuple[FourierForm, ...] = ("patch", "image", "as-published", "none")


@dataclass(frozen=True)
class LossSettings:
    """How the loss is made: (1 - alpha)·L2 + alpha·Fourier, the form of the Fourier part.

    `patch` (default) transforms each patch of each channel; `image` the whole reconstructed image
    with norm="ortho"; `as-published` the token buffer re-cut without transposing, which is what
    the paper trained with; `none` leaves the Fourier part out. alpha lies in [0, 1).
    `normalize_patches` makes the target of each token its values at mean 0 and variance 1.
    """

    fourier: FourierForm = "patch"
    alpha: float = 0.01
    normalize_patches: bool = False

    def __post_init__(self) -> None:
        if self.fourier not in FOURIER_FORMS:
            raise ValueError(f"fourier must be one of {FOURIER_FORMS}, got {self.fourier!r}.")
        if not 0.0 <= self.alpha < 1.0:
            raise ValueError(f"alpha must lie in [0, 1), got {self.alpha}.")

    @property
    def needs_all_tokens(self) -> bool:
        """Whether the visible tokens must be predicted too."""
        return self.alpha > 0 and self.fourier in ("image", "as-published")


def masked_mean(values_BT: Tensor, weights_BT: Tensor | None) -> Tensor:
    """Return the mean over tokens whose weight is 1; over all of them when no weights are given."""
    if weights_BT is None:
        return values_BT.mean()
    return (values_BT * weights_BT).sum() / weights_BT.sum()


def l2_loss(prediction_BTV: Tensor, target_BTV: Tensor, hidden_BT: Tensor | None = None) -> Tensor:
    """Return the mean square error over the values of hidden tokens, in float32 also under
    autocast.
    """
    with torch.autocast(prediction_BTV.device.type, enabled=False):
        error_BT = (prediction_BTV.float() - target_BTV.float()).square().mean(dim=-1)
        return masked_mean(error_BT, hidden_BT)


def fourier_loss(
    prediction_BTV: Tensor,
    target_BTV: Tensor,
    hidden_BT: Tensor | None = None,
    *,
    form: FourierForm = "patch",
    num_channels: int = 1,
    channel_agnostic: bool = False,
) -> Tensor:
    """Return the mean absolute difference between the magnitudes of two 2-D spectra, in float32.

    Parameters
    ----------
    prediction_BTV, target_BTV
        Tokens as `patchify` makes them; all of them, except for the form `patch`, which also takes
        the hidden ones only.
    hidden_BT
        1 where a token counts; None counts all. `image` has no tokens and ignores it.
    form
        `patch`, `image` or `as-published`; see `LossSettings`.

    The gradient is 0, not NaN, where a spectrum is exactly 0.
    Source: Kraus et al. 2024 and maes_microscopy; Paper A.2 on the published form.
    """
    with torch.autocast(prediction_BTV.device.type, enabled=False):
        pair = prediction_BTV.float(), target_BTV.float()
        if form == "image":
            return _image_error(*pair, num_channels, channel_agnostic).mean()
        if form == "patch":
            error = patch_spectrum_error(*pair, num_channels, channel_agnostic)
        elif form == "as-published":
            error = _as_published_error(*pair, num_channels if channel_agnostic else 1)
        else:
            raise ValueError(f"form must be patch, image or as-published, got {form!r}.")
        return masked_mean(error, hidden_BT)


def _image_error(
    prediction_BTV: Tensor, target_BTV: Tensor, num_channels: int, channel_agnostic: bool
) -> Tensor:
    images = [
        unpatchify(t, num_channels, channel_agnostic=channel_agnostic)
        for t in (prediction_BTV, target_BTV)
    ]
    return (_magnitude(images[0], "ortho") - _magnitude(images[1], "ortho")).abs()


def patch_spectrum_error(
    prediction_BTV: Tensor, target_BTV: Tensor, num_channels: int, channel_agnostic: bool
) -> Tensor:
    """Return the mean absolute difference of the spectra's magnitudes of each token, (B, T)."""
    maps = [
        per_channel_patches(t, num_channels, channel_agnostic=channel_agnostic)
        for t in (prediction_BTV, target_BTV)
    ]
    error_BNC = (_magnitude(maps[0]) - _magnitude(maps[1])).abs().mean(dim=(-2, -1))
    if channel_agnostic:
        return error_BNC.transpose(1, 2).flatten(1)
    return error_BNC.mean(dim=-1)


def _as_published_error(prediction_BTV: Tensor, target_BTV: Tensor, num_modalities: int) -> Tensor:
    """Return the published re-cut: the buffer is viewed as maps of √N × √N consecutive values."""
    B, T, V = prediction_BTV.shape
    side = math.isqrt(T // num_modalities)
    shape = (B, V * num_modalities, side, side)
    spectra = [_magnitude(t.contiguous().view(shape)) for t in (prediction_BTV, target_BTV)]
    return (spectra[0] - spectra[1]).abs().reshape(B, T, V).mean(dim=-1)


def _magnitude(maps: Tensor, norm: str = "backward") -> Tensor:
    magnitude: Tensor = _uncompiled(maps, norm)
    return magnitude


def _abs_fft2(maps: Tensor, norm: str) -> Tensor:
    magnitude: Tensor = torch.fft.fft2(maps, norm=norm).abs()
    return magnitude


# torch generates no code for complex numbers.
_uncompiled: Any = torch.compiler.disable(_abs_fft2)  # type: ignore[no-untyped-call]


def reconstruction_loss(
    prediction_BTV: Tensor,
    target_BTV: Tensor,
    hidden_BT: Tensor | None,
    settings: LossSettings,
    *,
    num_channels: int,
    channel_agnostic: bool = False,
) -> dict[str, Tensor]:
    """Compute the loss: `loss` (the weighted sum), `l2` and `fourier`, scalars in float32.

    `fourier` is left out of the sum and of the result when it is not configured.
    """
    l2 = l2_loss(prediction_BTV, target_BTV, hidden_BT)
    if settings.fourier == "none" or settings.alpha == 0.0:
        return {"loss": l2, "l2": l2.detach()}
    fourier = fourier_loss(
        prediction_BTV,
        target_BTV,
        hidden_BT,
        form=settings.fourier,
        num_channels=num_channels,
        channel_agnostic=channel_agnostic,
    )
    total = (1.0 - settings.alpha) * l2 + settings.alpha * fourier
    return {"loss": total, "l2": l2.detach(), "fourier": fourier.detach()}
