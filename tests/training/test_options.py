"""Options of training: each does what it says, and the loss keeps its known course."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models, training  # noqa: E402
from phenoprints.foundations.errors import CorruptionError  # noqa: E402
from phenoprints.training.checkpoints import finished  # noqa: E402
from phenoprints.training.devices import launch, prepare  # noqa: E402
from phenoprints.training.loading import flipped  # noqa: E402
from phenoprints.training.progress import peak_flops  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from small_training import CLASSIFIER, LABELS, fit, images, in_order, losses  # noqa: E402

GOLDEN = Path(__file__).parent / "golden_losses.json"


def test_fifty_steps_follow_the_golden_curve(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    """A change of this curve is a change of training: raise the stage's version with it."""
    fit(tmp_path / "mae", tables, settings(max_crops=800, validation_fraction=0.0, panel_crops=0))
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(expected) == 50
    np.testing.assert_allclose(losses(tmp_path / "mae"), expected, rtol=2e-3)


def test_bfloat16_stays_near_float32(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    for precision in ("float32", "bfloat16"):
        fit(tmp_path / precision, tables, settings(max_crops=80, precision=precision))
    found = losses(tmp_path / "bfloat16")
    np.testing.assert_allclose(found, losses(tmp_path / "float32"), rtol=0.02)
    assert found != losses(tmp_path / "float32")


def test_gradients_are_clipped_and_their_norm_logged(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    changes = {"max_crops": 48, "optimizer": "sgd", "learning_rate": 1e-3}
    fit(tmp_path / "free", tables, settings(**changes))
    fit(tmp_path / "clipped", tables, settings(**changes, gradient_clip=1e-6))
    header = (tmp_path / "clipped" / "losses.csv").read_text().splitlines()[0]
    assert "gradient_norm" in header
    clipped, free = losses(tmp_path / "clipped"), losses(tmp_path / "free")
    assert clipped[0] == free[0]
    assert clipped[1:] != free[1:]


def test_activation_checkpoints_change_no_loss(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    for name, wanted in (("kept", False), ("recomputed", True)):
        chosen = settings(max_crops=48, activation_checkpointing=wanted, drop_path=0.0)
        fit(tmp_path / name, tables, chosen)
    np.testing.assert_allclose(
        losses(tmp_path / "kept"), losses(tmp_path / "recomputed"), rtol=1e-5
    )


def test_compiling_compiles_every_block(
    settings: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from phenoprints.training.objectives import build_objective

    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self)))
    chosen = settings(compile=True, activation_checkpointing=True)
    objective = build_objective("mae", models.build("vit-tiny"), chosen, num_channels=6)
    prepare(objective, chosen)
    assert [kind.__name__ for kind in compiled] == ["ParallelScalingBlock"] * 4 + ["Block"]
    assert objective.encoder.checkpoints_activations


def test_packed_depth_and_shards_of_checkpoints_change_no_loss(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    """The draws of stochastic depth are those of the plain way, so the curve is the same."""
    plain = settings(max_crops=96, drop_path=0.5, layer_scale=0.5)
    fit(tmp_path / "plain", tables, plain)
    changed = plain.replace(pack_depth=True, checkpoint_form="sharded", checkpoint_steps=2)
    fit(tmp_path / "packed", tables, changed)
    expected = losses(tmp_path / "plain")
    np.testing.assert_allclose(losses(tmp_path / "packed"), expected, rtol=1e-4)
    assert plain.identity() == changed.identity()


@pytest.mark.parametrize("optimizer", ["lion", "adamw"])
def test_resuming_from_shards_is_exact(
    tmp_path: Path, tables: object, settings: Callable[..., object], optimizer: str
) -> None:
    chosen = settings(max_crops=80, optimizer=optimizer, checkpoint_form="sharded")
    fit(tmp_path / "whole", tables, chosen)
    with pytest.raises(training.TrainingInterruptedError):
        fit(tmp_path / "stopped", tables, chosen.replace(hours=1e-9))
    (kept,) = finished(tmp_path / "stopped.training/checkpoints")
    names = [path.name for path in kept.iterdir()]
    assert sorted(names) == ["shard-00001-model-00001-of-00001.safetensors", "state.json"]
    fit(tmp_path / "stopped", tables, chosen)
    for name in ("model.safetensors", "losses.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (
            tmp_path / "whole" / name
        ).read_bytes()


def test_a_damaged_shard_is_named(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    chosen = settings(max_crops=80, checkpoint_form="sharded", hours=1e-9)
    with pytest.raises(training.TrainingInterruptedError):
        fit(tmp_path / "mae", tables, chosen)
    (shard,) = (tmp_path / "mae.training").rglob("shard-*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorruptionError, match=f"{shard.name} is not as it was written"):
        fit(tmp_path / "mae", tables, chosen)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, while compiling
def test_a_compiled_step_gives_the_loss_of_a_plain_one(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    torch.compiler.reset()
    plain = settings(max_crops=32, drop_path=0.0, precision="float32", panel_crops=0)
    for name, compiled in (("plain", False), ("compiled", True)):
        chosen = plain.replace(compile_step=compiled)
        fit(tmp_path / name, tables, chosen)
    torch.compiler.reset()
    np.testing.assert_allclose(losses(tmp_path / "compiled"), losses(tmp_path / "plain"), rtol=1e-4)


def test_adapting_batch_norm_gives_batches_of_one_experiment(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    corpus = training.build_corpus(*in_order(tables), labels=LABELS)
    seen = []

    class Watched(training.ArrayImages):
        def read(self, crops: object, crop_px: int) -> np.ndarray:
            seen.append(set(corpus.experiments[crops.wells]))
            return super().read(crops, crop_px)

    chosen = settings(adapt_batch_norm=True, batch_size=8, max_crops=96, validation_fraction=0.0)
    fit(tmp_path / "cnn", tables, chosen, CLASSIFIER, source=Watched(images()))
    assert all(len(experiments) == 1 for experiments in seen)
    assert len(set.union(*seen)) > 1


def test_several_crops_of_a_visit_are_classified_together(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    changes = {"crops_per_visit": 4, "classify_visits": True, "batch_size": 32, "max_crops": 640}
    chosen = settings(**changes, optimizer="adamw", learning_rate=5e-3, cut_mix=0.2)
    outcome = fit(tmp_path / "cnn", tables, chosen, CLASSIFIER)
    assert outcome.last["accuracy"] > 0.6
    assert outcome.last["validation_accuracy"] >= 0.4


def test_experiments_kept_aside_are_not_learned_from(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    corpus = training.build_corpus(*in_order(tables))
    read = []

    class Watched(training.ArrayImages):
        def read(self, crops: object, crop_px: int) -> np.ndarray:
            read.append(set(corpus.experiments[crops.wells]))
            return super().read(crops, crop_px)

    chosen = settings(validation_experiments=["e2"], max_crops=160)
    fit(tmp_path / "mae", tables, chosen, source=Watched(images()))
    assert read[0] == {"e2"}
    assert len(read) > 11
    assert "e2" not in set.union(*read[1:11])  # the ten steps; then the reconstruction is measured


def test_a_mu_net_is_trained_like_the_others(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    plan = training.EncoderPlan("mae", "mu-net-tiny")
    chosen = settings(max_crops=160, mask_fraction=0.25, fourier_weight=0.0)
    outcome = fit(tmp_path / "mu", tables, chosen, plan)
    assert outcome.encoder.num_blocks == 1
    assert losses(tmp_path / "mu")[-1] < losses(tmp_path / "mu")[0]
    assert np.load(tmp_path / "mu" / "reconstructions.npz")["is_hidden"].mean() == 0.25


def test_flips_turn_what_they_say() -> None:
    image = torch.arange(4.0).reshape(1, 1, 2, 2).repeat(4, 1, 1, 1)
    flips = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=torch.bool)
    expected = [[0, 1, 2, 3], [2, 3, 0, 1], [1, 0, 3, 2], [3, 2, 1, 0]]
    assert flipped(image, flips).reshape(4, 4).tolist() == expected


def test_a_card_that_is_not_there_is_named(
    settings: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device is cuda, and torch finds no card. To fix"):
        launch(settings(device="cuda"))


def test_too_little_memory_names_the_setting(
    tmp_path: Path, tables: object, settings: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from phenoprints.models import MaskedAutoencoder

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(MaskedAutoencoder, "forward", full)
    with pytest.raises(ValueError, match=r"16 crops at once\. To fix: lower micro_batch_size"):
        fit(tmp_path / "mae", tables, settings())


def test_peaks_are_known_by_the_cards_name() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("a CPU") is None
