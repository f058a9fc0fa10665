"""The weakly supervised classifier and CutMix."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402


def test_it_tells_two_textures_apart() -> None:
    torch.manual_seed(0)
    rows = (torch.arange(32) % 4 < 2).float() * 255
    labels = torch.arange(8) % 2
    images = torch.stack(
        [rows.expand(32, 32) if i else rows[:, None].expand(32, 32) for i in labels]
    )
    images = images[:, None].repeat(1, 2, 1, 1) + 20 * torch.rand(8, 2, 32, 32)
    model = models.Classifier(models.build("cnn-tiny", channels=2), 2).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(8):
        parts = model(images, labels)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
    assert float(parts["accuracy"]) == 1.0


def test_cut_mix_pastes_the_stated_share() -> None:
    images = torch.stack([torch.full((1, 20, 20), float(i)) for i in range(3)])
    mixed, share = models.cut_mix(images, share=0.25, center=(0.5, 0.5))
    assert share == 0.25
    assert [float((image == (i - 1) % 3).float().mean()) for i, image in enumerate(mixed)] == [
        0.25
    ] * 3
    cut, smaller = models.cut_mix(images, share=0.25, center=(0.0, 0.5))
    assert smaller == 0.125
    assert float((cut[1] == 0).float().mean()) == 0.125


def test_mixed_labels_share_the_loss() -> None:
    model = models.Classifier(models.build("cnn-tiny", channels=2), 3).eval()
    images = torch.randint(0, 256, (4, 2, 32, 32), dtype=torch.uint8)
    labels, others = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 1, 0, 2])
    mixed = model(images, labels, mixed_labels_B=others, mixed_share=0.3)["loss"]
    apart = [model(images, given)["loss"] for given in (labels, others)]
    torch.testing.assert_close(mixed, 0.7 * apart[0] + 0.3 * apart[1])
