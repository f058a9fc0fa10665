"""MU-Net: what is hidden cannot leak, what is seen is filled in, and it trains like the others."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.models.patches import patchify  # noqa: E402

KEYS = torch.tensor([3, 9, -4])


def crops(num: int = 3) -> torch.Tensor:
    values = np.random.default_rng(2).integers(0, 256, (num, 6, 32, 32), dtype=np.uint8)
    return torch.from_numpy(values)


def autoencoder() -> models.ConvolutionalMaskedAutoencoder:
    torch.manual_seed(0)
    return models.ConvolutionalMaskedAutoencoder(models.build("mu-net-tiny")).eval()


def test_hidden_pixels_cannot_leak_into_the_prediction() -> None:
    model = autoencoder()
    model.encoder.prepared = lambda images: images  # already standardised
    pixels = torch.randn(3, 6, 32, 32)
    first = model.reconstruct(pixels, KEYS)
    assert first.is_hidden.float().mean() == 0.25
    changed = torch.where(first.is_hidden, torch.randn(3, 6, 32, 32), pixels)
    assert torch.equal(model.reconstruct(changed, KEYS).prediction, first.prediction)
    assert not torch.equal(model.reconstruct(pixels + 1, KEYS).prediction, first.prediction)


def test_loss_is_that_of_the_hidden_patches() -> None:
    model = autoencoder()
    made = model.reconstruct(crops(), KEYS)
    error = (made.prediction - made.target)[made.is_hidden].square().mean()
    torch.testing.assert_close(model(crops(), KEYS)["l2"], error)
    hidden = patchify(made.is_hidden.float(), 8).mean(-1)
    assert set(hidden.unique().tolist()) == {0.0, 1.0}


def test_every_weight_learns_and_the_loss_falls() -> None:
    model = autoencoder().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ramp = torch.linspace(0, 255, 32).expand(3, 6, 32, 32)
    losses = []
    for _ in range(25):
        loss = model(ramp, KEYS)["loss"]
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_its_encoder_is_saved_and_loaded(tmp_path: Path) -> None:
    encoder = models.build("mu-net-tiny", channels=["dna", "er"])
    models.save(tmp_path, encoder)
    images = crops()[:, :2]
    assert torch.equal(models.load(tmp_path).features(images), encoder.features(images))
    assert encoder.features(images).shape == (3, 64)


def test_the_large_one_has_the_usual_u_net_widths() -> None:
    with torch.device("meta"):
        encoder = models.build("mu-net")
    assert encoder.num_features == 1024
    # Two 3×3 convolutions per stage, and two numbers per channel of each batch norm.
    widths = [6, 64, 128, 256, 512, 1024]
    expected = sum(9 * (a * b + b * b) + 4 * b for a, b in itertools.pairwise(widths))
    assert sum(p.numel() for p in encoder.parameters()) == expected
