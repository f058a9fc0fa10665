"""Losses and tokens: the promises of the reconstruction loss."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.models.losses import (  # noqa: E402
    LossSettings,
    fourier_loss,
    l2_loss,
    reconstruction_loss,
)
from phenoprints.models.patches import patchify, unpatchify  # noqa: E402


def pair(seed: int = 0, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    shape = (2, channels, 16, 16)
    return torch.randn(shape, generator=stream), torch.randn(shape, generator=stream)


@pytest.mark.parametrize("channel_agnostic", [False, True])
def test_unpatchify_is_the_inverse_of_patchify(channel_agnostic: bool) -> None:
    images, _ = pair()
    tokens = patchify(images, 4, channel_agnostic=channel_agnostic)
    assert tokens.shape == ((2, 48, 16) if channel_agnostic else (2, 16, 48))
    assert torch.equal(unpatchify(tokens, 3, channel_agnostic=channel_agnostic), images)


def test_patches_stand_row_by_row() -> None:
    images = torch.arange(64.0).reshape(1, 1, 8, 8)
    tokens = patchify(images, 4)
    assert tokens[0, 1, 0] == 4
    assert tokens[0, 2, 0] == 32


def test_crops_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="16×16 px do not divide into square patches of 5 px"):
        patchify(pair()[0], 5)


def test_patch_form_does_not_depend_on_the_order_of_channels() -> None:
    predicted, target = pair()
    order = [2, 0, 1]
    values = {}
    for form in ("patch", "as-published"):
        values[form] = [
            fourier_loss(patchify(a, 4), patchify(b, 4), form=form, num_channels=3)
            for a, b in ((predicted, target), (predicted[:, order], target[:, order]))
        ]
    torch.testing.assert_close(*values["patch"])
    assert abs(float(values["as-published"][0] - values["as-published"][1])) > 1e-3


def test_patch_form_of_hidden_tokens_alone_equals_the_masked_mean() -> None:
    predicted, target = (patchify(x, 4) for x in pair())
    hidden = torch.zeros(2, 16)
    hidden[:, 5:9] = 1
    masked = fourier_loss(predicted, target, hidden, num_channels=3)
    alone = fourier_loss(predicted[:, 5:9], target[:, 5:9], num_channels=3)
    torch.testing.assert_close(masked, alone)
    torch.testing.assert_close(
        l2_loss(predicted, target, hidden), l2_loss(predicted[:, 5:9], target[:, 5:9])
    )


@pytest.mark.parametrize("form", ["patch", "image", "as-published"])
def test_gradients_are_finite_where_the_spectrum_is_0(form: str) -> None:
    predicted = torch.zeros(2, 16, 48, requires_grad=True)
    target = patchify(pair()[1], 4)
    fourier_loss(predicted, target, form=form, num_channels=3).backward()
    assert torch.isfinite(predicted.grad).all()


@pytest.mark.parametrize("form", ["patch", "image", "as-published"])
def test_loss_is_0_for_a_perfect_reconstruction(form: str) -> None:
    tokens = patchify(pair()[0], 4)
    parts = reconstruction_loss(
        tokens, tokens.clone(), None, LossSettings(form, 0.5), num_channels=3
    )
    assert float(parts["loss"]) == 0.0


def test_image_form_sees_no_shift_and_patch_form_does() -> None:
    image, _ = pair()
    shifted = torch.roll(image, shifts=(5, 3), dims=(2, 3))
    tokens = patchify(image, 4), patchify(shifted, 4)
    assert float(fourier_loss(*tokens, form="image", num_channels=3)) < 1e-5
    assert float(fourier_loss(*tokens, form="patch", num_channels=3)) > 0.1


def test_parts_add_up() -> None:
    tokens = tuple(patchify(x, 4) for x in pair())
    parts = reconstruction_loss(*tokens, None, LossSettings("patch", 0.25), num_channels=3)
    torch.testing.assert_close(parts["loss"], 0.75 * parts["l2"] + 0.25 * parts["fourier"])
    alone = reconstruction_loss(*tokens, None, LossSettings("none"), num_channels=3)
    assert set(alone) == {"loss", "l2"}


def test_loss_is_float32_under_autocast() -> None:
    tokens = tuple(patchify(x, 4).bfloat16() for x in pair())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = reconstruction_loss(*tokens, None, LossSettings(), num_channels=3)
    outside = reconstruction_loss(
        *(t.float() for t in tokens), None, LossSettings(), num_channels=3
    )
    assert all(part.dtype == torch.float32 for part in parts.values())
    torch.testing.assert_close(parts["loss"], outside["loss"])


@pytest.mark.parametrize(
    ("fourier", "alpha", "message"),
    [("spectral", 0.01, "fourier must be one of"), ("patch", 1.0, r"alpha must lie in \[0, 1\)")],
)
def test_settings_are_checked(fourier: str, alpha: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossSettings(fourier, alpha)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="form must be"):
        fourier_loss(torch.ones(1, 4, 4), torch.ones(1, 4, 4), form="none")
