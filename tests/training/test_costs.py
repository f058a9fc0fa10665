"""Operations: counted as torch counts them, recorded with the encoder, read without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from phenoprints import models, training  # noqa: E402
from phenoprints.benchmarks.published import STEP_GFLOP  # noqa: E402
from phenoprints.foundations.encoder_folders import (  # noqa: E402
    training_flops as flops_of_folder,
)
from phenoprints.foundations.encoder_folders import training_flops_of  # noqa: E402
from phenoprints.models.flops import (  # noqa: E402
    encoder_flops,
    forward_flops,
    training_flops,
)
from phenoprints.training import costs  # noqa: E402
from phenoprints.training.sampling import CropSampler, Sites  # noqa: E402
from phenoprints.training.untrained import training_record  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from small_training import CLASSIFIER, fit  # noqa: E402


@pytest.mark.parametrize(
    ("name", "infer_gflop"), [("ca-vit-s16", 108.8), ("vit-l8", 722), ("vit-g8", 4108)]
)
def test_operations_of_the_papers_encoders(name: str, infer_gflop: float) -> None:
    with torch.device("meta"):
        encoder = models.build(name, channels=6)
        model = models.MaskedAutoencoder(encoder, num_channels=6)
    assert encoder_flops(encoder, 6) / 1e9 == pytest.approx(infer_gflop, rel=0.04)
    assert training_flops(model, 6) / 1e9 == pytest.approx(STEP_GFLOP[name], rel=2e-4)


@pytest.mark.parametrize("name", ["vit-tiny", "ca-vit-tiny"])
def test_operations_equal_torchs_own_count(name: str) -> None:
    """Forward exactly; backward without the gradient of the pixels, which nobody needs."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    decoder = models.DecoderShape(64, 2, 4)
    model = models.MaskedAutoencoder(models.build(name), decoder, num_channels=6)
    crops = torch.randint(0, 256, (2, 6, 32, 32), dtype=torch.uint8)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.encoder.features(crops)
    assert counter.get_total_flops() == 2 * encoder_flops(model.encoder, 6)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(crops, torch.arange(2))["loss"].backward()
    assert counter.get_total_flops() == pytest.approx(2 * training_flops(model, 6), rel=0.05)


def counted(model: torch.nn.Module, *inputs: torch.Tensor) -> int:
    """What torch counts of a forward and a backward pass."""
    with FlopCounterMode(display=False) as counter:
        model(*inputs)["loss"].backward()
    return counter.get_total_flops()


def crops(num: int) -> torch.Tensor:
    return torch.randint(0, 256, (num, 6, 32, 32), dtype=torch.uint8)


def test_operations_of_convolutional_networks_equal_torchs_own_count() -> None:
    """Torch leaves out the gradient of the pixels, which nobody needs."""
    encoder = models.build("cnn-tiny")
    classifier = models.Classifier(encoder, 5, crops_per_visit=2)
    found = counted(classifier, crops(4), torch.arange(4))
    assert 0.9 < found / (4 * training_flops(classifier, 6)) <= 1
    with FlopCounterMode(display=False) as counter:
        encoder.features(crops(4))
    assert counter.get_total_flops() == 4 * forward_flops(encoder, 6)
    mu_net = models.ConvolutionalMaskedAutoencoder(models.build("mu-net-tiny"))
    found = counted(mu_net, crops(2), torch.arange(2))
    assert 0.9 < found / (2 * training_flops(mu_net, 6)) <= 1


def test_operations_of_self_distillation_equal_torchs_own_count() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    dino = models.Dino(models.build("vit-tiny"), models.DinoSettings(num_outputs=64))
    with sdpa_kernel(SDPBackend.MATH):
        found = counted(dino, crops(4), torch.arange(4))
    assert found == pytest.approx(4 * training_flops(dino, 6), rel=0.07)


def test_modules_that_nobody_counts_are_refused() -> None:
    with pytest.raises(TypeError, match="operations of a Linear are not counted"):
        training_flops(torch.nn.Linear(2, 2), 6)


def test_a_total_counts_every_step_with_its_own_channels() -> None:
    sites = Sites(np.arange(41), np.full(40, 64), np.full(40, 64))
    groups = [np.arange(30), np.arange(30, 40)]
    sampler = CropSampler(sites, 32, 0, groups=groups)
    steps = [sampler.batch(step, 4).wells[0] >= 30 for step in range(200)]
    expected = 4 * (5.0 * sum(steps) + 1.0 * (200 - sum(steps)))
    assert costs.total_flops([1.0, 5.0], sampler, num_steps=200, batch_size=4) == expected
    assert costs.mean_flops([1.0, 5.0], sampler) == 2.0


def test_the_folder_says_what_the_training_took(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    chosen = settings(max_crops=32, validation_fraction=0.0, panel_crops=0)
    first = fit(tmp_path / "first", tables, chosen)
    model = models.MaskedAutoencoder(
        first.encoder, models.DecoderShape(16, 1, 2), num_channels=2
    )  # fmt: skip
    cost = 32 * training_flops(model, 2)
    assert flops_of_folder(tmp_path / "first") == cost
    plan = training.EncoderPlan("mae", "vit-tiny", start_from=str(tmp_path / "first"))
    fit(tmp_path / "second", tables, chosen, plan)
    assert flops_of_folder(tmp_path / "second") == 2 * cost
    fit(tmp_path / "cnn", tables, chosen, CLASSIFIER)
    assert flops_of_folder(tmp_path / "cnn") > 0
    assert "| num crops | 32 |" in (tmp_path / "first" / "README.md").read_text()


def test_operations_are_read_without_torch(tmp_path: Path) -> None:
    for kind in ("untrained", "timm"):
        models.save(tmp_path / kind, models.build("vit-tiny"), training=training_record(
            {"kind": kind}
        ))  # fmt: skip
    found = training_flops_of({kind: tmp_path / kind for kind in ("untrained", "timm")})
    assert found["untrained"] == 0
    assert np.isnan(found["timm"])
    script = (
        "import sys; from phenoprints.foundations.encoder_folders import training_flops; "
        f"assert training_flops({str(tmp_path / 'untrained')!r}) == 0; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
