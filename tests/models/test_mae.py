"""Masked autoencoders: what is hidden, what is predicted, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import DataError  # noqa: E402
from phenoprints.foundations.randomness import hash_uint64  # noqa: E402
from phenoprints.models.masking import random_mask, take_tokens, token_noise  # noqa: E402

SMALL = models.DecoderShape(width=32, num_blocks=1, num_heads=2)
KEYS = torch.tensor([1, -5, 2**62])


def crops(num: int = 3, channels: int = 6) -> torch.Tensor:
    values = np.random.default_rng(2).integers(0, 256, (num, channels, 32, 32), dtype=np.uint8)
    return torch.from_numpy(values)


def autoencoder(name: str = "vit-tiny", **options: object) -> models.MaskedAutoencoder:
    torch.manual_seed(0)
    return models.MaskedAutoencoder(models.build(name), SMALL, **options)


def test_noise_is_splitmix64() -> None:
    keys = KEYS.numpy().astype(np.uint64)
    noise = token_noise(KEYS, 5).numpy().astype(np.uint64)
    for token in range(5):
        np.testing.assert_array_equal(noise[:, token], hash_uint64(token, keys))


def test_a_mask_hides_exactly_three_quarters_and_follows_its_key_alone() -> None:
    mask = random_mask(KEYS, 16, 0.75)
    assert mask.is_hidden.sum(1).tolist() == [12, 12, 12]
    alone = random_mask(KEYS[1:2], 16, 0.75)
    assert torch.equal(alone.order[0], mask.order[1])
    tokens = torch.arange(16.0).repeat(3, 1)[..., None]
    kept = take_tokens(tokens, mask.kept)[..., 0].long()
    assert not mask.is_hidden.gather(1, kept).any()
    both = torch.cat([mask.kept, mask.hidden], dim=1).sort(dim=1).values
    assert torch.equal(both, torch.arange(16).repeat(3, 1))


def test_every_token_is_hidden_equally_often() -> None:
    mask = random_mask(torch.arange(4000), 16, 0.75)
    share = mask.is_hidden.float().mean(0)
    assert (share - 0.75).abs().max() < 4 * (0.75 * 0.25 / 4000) ** 0.5


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.1])
def test_impossible_ratios_are_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="mask_ratio"):
        random_mask(KEYS, 16, ratio)


@pytest.mark.parametrize("name", ["vit-tiny", "ca-vit-tiny"])
def test_hidden_pixels_cannot_leak_into_the_prediction(name: str) -> None:
    model = autoencoder(name, num_channels=6)
    pixels = torch.randn(3, 6, 32, 32)
    model.encoder.prepared = lambda images: images  # already standardised
    first = model.reconstruct(pixels, KEYS)
    changed = torch.where(first.is_hidden, torch.randn(3, 6, 32, 32), pixels)
    second = model.reconstruct(changed, KEYS)
    assert torch.equal(first.prediction, second.prediction)
    assert first.is_hidden.float().mean() == 0.75
    visible = model.reconstruct(torch.where(first.is_hidden, pixels, pixels + 1), KEYS)
    assert not torch.allclose(visible.prediction, first.prediction)


@pytest.mark.parametrize("fourier", ["patch", "image", "as-published", "none"])
def test_loss_equals_that_of_the_reconstruction(fourier: str) -> None:
    settings = models.LossSettings(fourier)
    model = autoencoder(loss=settings)
    from phenoprints.models.patches import patchify

    made = model.reconstruct(crops(), KEYS)
    hidden = patchify(made.is_hidden.float(), 4).mean(-1)
    tokens = (patchify(made.prediction, 4), patchify(made.target, 4))
    expected = models.reconstruction_loss(*tokens, hidden, settings, num_channels=6)
    parts = model(crops(), KEYS)
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value)


def test_every_learned_weight_gets_a_gradient() -> None:
    for name in ("vit-tiny", "ca-vit-tiny"):
        model = autoencoder(name, num_channels=6)
        model(crops(), KEYS)["loss"].backward()
        without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert without == []


def test_it_learns_one_batch() -> None:
    model = autoencoder()
    ramp = torch.linspace(0, 255, 32)
    images = torch.stack([ramp.expand(32, 32), ramp.flip(0)[:, None].expand(32, 32)]).repeat(
        3, 1, 1
    )
    images = images[None].repeat(3, 1, 1, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = model(images, KEYS)["l2"].item(), model(images, KEYS)["loss"]
        optimizer.zero_grad()
        loss[1].backward()
        optimizer.step()
        losses.append(loss[0])
    assert losses[-1] < 0.3 * losses[0]


def test_channel_agnostic_needs_the_number_of_channels() -> None:
    with pytest.raises(DataError, match="num_channels"):
        autoencoder("ca-vit-tiny")


def test_channel_agnostic_decoders_follow_their_channels() -> None:
    model = autoencoder("ca-vit-tiny", num_channels=6)
    mask = random_mask(KEYS, 2 * 64, 0.75)
    latent = torch.randn(3, 1 + mask.kept.shape[1], 32)
    chosen = model.decoder(latent, mask, [4, 1])
    assert chosen.shape == (3, 128, 32)
    assert not torch.allclose(chosen, model.decoder(latent, mask), atol=1e-4)
