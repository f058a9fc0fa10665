"""DINOv2's parts: views, balanced assignments, KoLeo, the teacher's average; and that it trains."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import ConfigurationError  # noqa: E402
from phenoprints.models.dino import (  # noqa: E402
    balanced,
    cross_entropy,
    koleo_loss,
    random_view,
    teacher_momentum,
)
from phenoprints.training.objectives import build_objective  # noqa: E402
from phenoprints.training.settings import TrainingSettings  # noqa: E402

KEYS = torch.arange(6)
SMALL = models.DinoSettings(num_outputs=32, num_local=2)


def crops() -> torch.Tensor:
    stream = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 6, 32, 32), dtype=torch.uint8, generator=stream)


def network() -> models.Dino:
    torch.manual_seed(0)
    return models.Dino(models.build("vit-tiny"), SMALL)


def test_a_view_follows_its_key_and_number_alone() -> None:
    pixels = crops().float()
    views = random_view(pixels, KEYS, 0, (0.3, 1.0), 32)
    alone = random_view(pixels[2:3], KEYS[2:3], 0, (0.3, 1.0), 32)
    torch.testing.assert_close(alone[0], views[2])
    assert not torch.equal(random_view(pixels, KEYS, 1, (0.3, 1.0), 32), views)
    assert random_view(pixels, KEYS, 0, (0.1, 0.2), 16).shape == (6, 6, 16, 16)


def test_a_view_of_everything_is_the_crop_or_its_mirror() -> None:
    pixels = crops().float()
    views = random_view(pixels, KEYS, 0, (1.0, 1.0), 32)
    kinds = [
        (torch.allclose(v, p, atol=1e-2), torch.allclose(v, p.flip(-1), atol=1e-2))
        for v, p in zip(views, pixels, strict=True)
    ]
    assert all(is_same != is_mirror for is_same, is_mirror in kinds)
    assert len(set(kinds)) == 2


def test_assignments_are_balanced() -> None:
    scores = torch.randn(64, 8, generator=torch.Generator().manual_seed(1)) * 2
    q = balanced(scores)
    torch.testing.assert_close(q.sum(1), torch.ones(64))
    assert (q.sum(0) - 8).abs().max() < (scores.softmax(1).sum(0) - 8).abs().max() / 4


def test_koleo_one_by_one() -> None:
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    unit = x / x.norm(dim=1, keepdim=True)
    nearest = [min(float((unit[i] - unit[j]).norm()) for j in range(5) if j != i) for i in range(5)]
    expected = -torch.tensor(nearest).log().mean()
    torch.testing.assert_close(koleo_loss(x), expected)
    assert float(koleo_loss(x[:1])) == 0.0


def test_cross_entropy_is_smallest_where_both_agree() -> None:
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    agreeing = cross_entropy(target, torch.tensor([[9.0, 0.0], [0.0, 9.0]]))
    assert agreeing < 1e-3 < cross_entropy(target, torch.zeros(2, 2))


def test_only_the_student_learns_and_the_teacher_follows() -> None:
    model = network()
    model(crops(), KEYS)["loss"].backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    without = [n for n, p in model.student.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    before = model.teacher.crop_head.directions.clone()
    with torch.no_grad():
        model.student.crop_head.directions.add_(1.0)
    model.update_teacher(0.75)
    torch.testing.assert_close(model.teacher.crop_head.directions, before + 0.25)
    momenta = [teacher_momentum(step, 10) for step in range(11)]
    assert momenta == sorted(momenta)
    assert (momenta[0], momenta[-1]) == (0.994, 1.0)


def test_hidden_patches_are_not_seen_by_the_student() -> None:
    encoder = models.build("vit-tiny")
    hidden = torch.zeros(6, 64, dtype=torch.bool)
    hidden[:, [18, 19, 26, 27]] = True  # pixels 8 to 15, in patches of 4
    token = torch.ones(1, 1, 96)
    pixels = torch.randn(6, 6, 32, 32)
    changed = pixels.clone()
    changed[:, :, 8:16, 8:16] = 0.0
    tokens = [encoder.encode_view(x, hidden, token) for x in (pixels, changed)]
    assert torch.equal(*tokens)
    *_, plain = encoder.block_outputs(pixels)
    torch.testing.assert_close(encoder.encode_view(pixels), encoder.backbone.norm(plain))


def test_training_writes_the_teachers_encoder_and_resumes_exactly(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    import numpy as np
    import pandas as pd
    from small_training import fit, losses

    from phenoprints import training
    from phenoprints.foundations.fingerprints import tree_sha256

    ids = np.arange(64, dtype=np.uint64)
    wells = pd.DataFrame(
        {"well_id": ids, "screen": "s", "experiment": "e", "conditions": [[0]] * 64}
    )
    sites = pd.DataFrame(
        {"well_id": ids, "site": 1, "locator": "x", "height": 48, "width": 64,
         "channels": [["dna", "er"]] * 64}
    )  # fmt: skip
    plan = training.EncoderPlan("dino", "vit-tiny", pool="class")
    values = {
        "max_crops": 64, "batch_size": 16, "learning_rate": 1e-3, "optimizer": "adamw",
        "dino_outputs": 32, "dino_local_crops": 1, "device": "cpu", "validation_fraction": 0.0,
        "log_steps": 1,
    }  # fmt: skip
    straight = fit(tmp_path / "one", (wells, sites), TrainingSettings(**values), plan)
    assert np.isfinite(losses(tmp_path / "one")).all()
    untrained = models.build("vit-tiny", channels=["dna", "er"]).backbone.cls_token
    assert not torch.equal(straight.encoder.backbone.cls_token, untrained)
    assert straight.encoder.config.pool == "class"
    with pytest.raises(training.TrainingInterruptedError):
        fit(tmp_path / "two", (wells, sites), TrainingSettings(**values, hours=1e-9), plan)
    fit(tmp_path / "two", (wells, sites), TrainingSettings(**values), plan)
    assert tree_sha256(tmp_path / "one") == tree_sha256(tmp_path / "two")


def test_other_networks_are_refused() -> None:
    settings = TrainingSettings()
    for name in ("cnn-tiny", "ca-vit-tiny"):
        with pytest.raises(ConfigurationError, match="DINOv2 needs a vision transformer"):
            build_objective("dino", models.build(name), settings, num_channels=6)
