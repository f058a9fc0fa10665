"""Training from end to end: same bytes, exact resume, stopping, logs, and what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models, training  # noqa: E402
from phenoprints.foundations.errors import ConfigurationError, DataError  # noqa: E402
from phenoprints.foundations.fingerprints import tree_sha256  # noqa: E402
from phenoprints.training.checkpoints import finished  # noqa: E402
from phenoprints.training.loading import Place  # noqa: E402
from phenoprints.training.train import build_run  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from small_training import (  # noqa: E402
    AGNOSTIC,
    CLASSIFIER,
    LABELS,
    MAE,
    VIT_CLASSIFIER,
    Tables,
    fit,
    images,
    in_order,
    losses,
    of_two_screens,
)


def test_training_writes_a_folder_that_loads_and_learns(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    outcome = fit(tmp_path / "mae", tables, settings())
    assert outcome.num_steps == 20
    names = {path.name for path in (tmp_path / "mae").iterdir()}
    assert names == {
        "config.json", "model.safetensors", "README.md", "losses.csv",
        "fidelity.csv", "reconstructions.npz", "reconstructions.png",
    }  # fmt: skip
    loaded = models.load(tmp_path / "mae")
    assert loaded.fingerprint() == outcome.encoder.fingerprint()
    assert loaded.channels == ("dna", "er")
    assert loaded.fingerprint() != models.build("vit-tiny", channels=["dna", "er"]).fingerprint()
    assert losses(tmp_path / "mae")[-1] < losses(tmp_path / "mae")[0]
    speeds = pd.read_csv(tmp_path / "mae.training" / "speed.csv")
    assert (speeds["crops_per_s"] > 0).all()
    assert set(speeds["device"]) == {"cpu"}
    assert speeds["waiting"].between(0, 1).all()
    assert not list((tmp_path / "mae.training" / "checkpoints").glob("*"))
    assert list((tmp_path / "mae.training" / "tensorboard").iterdir())


def test_reconstructions_are_of_wells_kept_aside(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    fit(tmp_path / "mae", tables, settings(max_crops=32, panel_crops=3))
    arrays = np.load(tmp_path / "mae" / "reconstructions.npz")
    assert arrays["target"].shape == arrays["prediction"].shape == (3, 2, 32, 32)
    assert arrays["is_hidden"].mean() == 0.75
    assert list(arrays["channels"]) == ["dna", "er"]
    np.testing.assert_allclose(arrays["target"].mean(axis=(2, 3)), 0, atol=1e-2)
    assert (tmp_path / "mae" / "reconstructions.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("plan", [MAE, CLASSIFIER])
def test_the_same_seed_gives_the_same_bytes(
    tmp_path: Path, tables: Tables, settings: Callable[..., object], plan: object
) -> None:
    changes = {"drop_path": 0.2, "cut_mix": 0.5, "max_crops": 64}
    for name, workers, micro in (("first", 0, None), ("second", 2, None)):
        chosen = settings(**changes, num_workers=workers, micro_batch_size=micro)
        fit(tmp_path / name, tables, chosen, plan)
    assert tree_sha256(tmp_path / "first") == tree_sha256(tmp_path / "second")
    fit(tmp_path / "other", tables, settings(**changes), plan, seed=1)
    assert tree_sha256(tmp_path / "other") != tree_sha256(tmp_path / "first")


def test_a_classifier_tells_conditions_apart(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    chosen = settings(optimizer="adamw", learning_rate=3e-3, max_crops=480)
    outcome = fit(tmp_path / "cnn", tables, chosen, CLASSIFIER)
    assert outcome.last["accuracy"] > 0.8
    assert outcome.last["validation_accuracy"] > 0.5


def test_accumulating_micro_batches_gives_the_same_curve(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    for name, micro in (("whole", None), ("parts", 5)):
        fit(tmp_path / name, tables, settings(max_crops=160, micro_batch_size=micro, drop_path=0.0))
    np.testing.assert_allclose(losses(tmp_path / "whole"), losses(tmp_path / "parts"), rtol=1e-4)


SCRIPT = """
import os, signal, sys
import numpy as np, pandas as pd
sys.path.insert(0, {tests!r})
from small_training import fit, images
from phenoprints.training import ArrayImages, TrainingSettings

class Source(ArrayImages):
    reads = 0
    def read(self, crops, crop_px):
        self.reads += 1
        # One read is of the crops kept aside; then one per step.
        if self.reads == {reads}:
            os.kill(os.getpid(), {signal})
        return super().read(crops, crop_px)

wells, sites = pd.read_pickle({tables!r})
settings = TrainingSettings(**{settings!r})
fit(__import__("pathlib").Path({folder!r}), (wells, sites), settings, source=Source(images()))
"""


def run_and_signal(
    folder: Path, tables: Tables, settings: object, number: int, reads: int
) -> subprocess.CompletedProcess[str]:
    pickled = folder.with_suffix(".pickle")
    pd.to_pickle(tables, pickled)
    values = {name: value for name, value in settings.given().items() if value is not None}
    script = SCRIPT.format(
        tests=str(Path(__file__).parent), reads=reads, signal=int(number),
        tables=str(pickled), settings=values, folder=str(folder),
    )  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )


def test_ten_steps_a_kill_and_ten_more_equal_twenty(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    chosen = settings(drop_path=0.3, checkpoint_steps=5)
    killed = run_and_signal(tmp_path / "killed", tables, chosen, signal.SIGKILL, reads=12)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = tmp_path / "killed.training" / "checkpoints"
    assert [path.name for path in finished(folder)] == ["step-000000005", "step-000000010"]
    assert not (tmp_path / "killed").exists()
    fit(tmp_path / "killed", tables, chosen)
    fit(tmp_path / "straight", tables, chosen)
    assert tree_sha256(tmp_path / "killed") == tree_sha256(tmp_path / "straight")
    assert len(losses(tmp_path / "killed")) == 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_stops_and_the_next_start_goes_on(
    tmp_path: Path, tables: Tables, settings: Callable[..., object], number: signal.Signals
) -> None:
    class Signalled(training.ArrayImages):
        reads = 0

        def read(self, crops: object, crop_px: int) -> np.ndarray:
            self.reads += 1
            if self.reads == 4:  # the first read is of the crops kept aside
                signal.raise_signal(number)
            return super().read(crops, crop_px)

    chosen, before = settings(max_crops=160), signal.getsignal(number)
    with pytest.raises(training.TrainingInterruptedError, match=rf"step 3 of 10: {number.name}\."):
        fit(tmp_path / "stopped", tables, chosen, source=Signalled(images()))
    assert signal.getsignal(number) == before
    assert not (tmp_path / "stopped").exists()
    fit(tmp_path / "stopped", tables, chosen)
    fit(tmp_path / "straight", tables, chosen)
    assert tree_sha256(tmp_path / "stopped") == tree_sha256(tmp_path / "straight")


def test_a_resume_with_other_settings_names_what_differs(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    with pytest.raises(training.TrainingInterruptedError, match="hours are over"):
        fit(tmp_path / "mae", tables, settings(hours=1e-9))
    with pytest.raises(ConfigurationError) as error:
        fit(tmp_path / "mae", tables, settings(learning_rate=2e-3, batch_size=8), seed=4)
    text = str(error.value)
    assert "batch_size was 16, now it is 8" in text
    assert "learning_rate was 0.001, now it is 0.002" in text
    assert "seed was 0, now it is 4" in text
    assert "To fix: restore them, or delete" in text
    # What only changes speed may change.
    fit(tmp_path / "mae", tables, settings(num_workers=1, checkpoint_steps=7))


@pytest.mark.parametrize("keep", [1, 3])
def test_the_newest_checkpoints_stay(
    tmp_path: Path,
    tables: Tables,
    settings: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    keep: int,
) -> None:
    monkeypatch.setattr("phenoprints.training.loop.Trainer.forget_checkpoints", lambda _: None)
    fit(tmp_path / "mae", tables, settings(max_crops=96, checkpoint_steps=1, keep_checkpoints=keep))
    left = sorted(path.name for path in (tmp_path / "mae.training" / "checkpoints").iterdir())
    assert left == [f"step-{step:09d}" for step in (3, 4, 5)[-keep:]]


def test_a_damaged_checkpoint_is_named(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    with pytest.raises(training.TrainingInterruptedError):
        fit(tmp_path / "mae", tables, settings(hours=1e-9))
    (newest,) = finished(tmp_path / "mae.training" / "checkpoints")
    state = json.loads((newest / "state.json").read_text())
    assert state["step"] == 1
    content = (newest / "model.safetensors").read_bytes()
    flipped = bytes([*content[:-9], content[-9] ^ 1, *content[-8:]])
    for damaged in (content[:1000], b"", flipped):
        (newest / "model.safetensors").write_bytes(damaged)
        with pytest.raises(OSError, match=r"step-000000001: not a readable checkpoint.*delete it"):
            fit(tmp_path / "mae", tables, settings())
    (newest / "model.safetensors").write_bytes(content)
    text = (newest / "state.json").read_text()
    (newest / "state.json").write_text(text.replace('"step": 1', '"step": 2'))
    with pytest.raises(OSError, match=r"state\.json is not as it was written"):
        fit(tmp_path / "mae", tables, settings())


def test_a_loss_that_is_not_a_number_names_its_wells(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    class Broken(training.ArrayImages):
        def read(self, crops: object, crop_px: int) -> np.ndarray:
            pixels = super().read(crops, crop_px).astype(np.float32)
            pixels[crops.wells == 7] = np.nan
            return pixels

    corpus = training.build_corpus(*in_order(tables))
    with pytest.raises(DataError, match=f"not a number. Its wells: .*{corpus.well_ids[7]}"):
        fit(
            tmp_path / "mae", tables, settings(num_epochs=2, log_steps=3, validation_fraction=0.0),
            source=Broken(images()),
        )  # fmt: skip
    assert not (tmp_path / "mae").exists()


def test_what_a_corpus_lacks_is_said_before_training(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    wells, sites = tables
    channels = [["dna", "er"] if i % 2 else ["dna"] for i in range(64)]
    small = (wells, sites.assign(channels=channels, height=16))
    with pytest.raises(DataError) as error:
        fit(tmp_path / "mae", small, settings(batch_size=100))
    text = str(error.value)
    assert "are fewer than batch_size 100" in text
    assert "its screens have different channels: dna; dna, er" in text
    assert "an image is 16 px wide or high, crops are 32 px" in text
    one = in_order(tables)[0].assign(conditions=[[1]] * 64), sites
    corpus = training.build_corpus(*one, labels=LABELS)
    with pytest.raises(DataError, match="1 classes"):
        training.train(
            corpus, training.ArrayImages(images()), tmp_path / "x",
            plan=CLASSIFIER, settings=settings(),
        )  # fmt: skip
    with pytest.raises(ConfigurationError, match="needs a vision transformer"):
        fit(tmp_path / "x", tables, settings(), training.EncoderPlan("mae", "cnn-tiny"))


def test_training_starts_from_another_encoder(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    start = models.build("vit-tiny", channels=["dna", "er"], seed=9)
    models.save(tmp_path / "start", start)
    plan = training.EncoderPlan("mae", "vit-tiny", start_from=str(tmp_path / "start"))
    outcome = fit(tmp_path / "mae", tables, settings(max_crops=16, learning_rate=1e-6), plan)
    before = start.backbone.blocks[0].in_proj.weight.detach()
    after = outcome.encoder.backbone.blocks[0].in_proj.weight.detach()
    assert 0 < float((after - before).abs().max()) < 2e-6


def test_a_start_of_another_kind_is_refused(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    models.save(tmp_path / "start", models.build("vit-tiny", channels=["er", "dna"], seed=9))
    where = str(tmp_path / "start")
    with pytest.raises(DataError, match="its channels are er, dna") as error:
        fit(tmp_path / "x", tables, settings(),
            training.EncoderPlan("weakly-supervised", "cnn-tiny", start_from=where))  # fmt: skip
    assert "it is a vit-tiny" in str(error.value)


def test_a_start_takes_the_drop_path_of_its_training_and_is_part_of_the_identity(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    plan = training.EncoderPlan("mae", "vit-tiny", start_from=str(tmp_path / "start"))
    corpus = training.build_corpus(*in_order(tables))
    source = training.ArrayImages(images())
    runs = []
    for seed in (9, 10):
        start = models.build("vit-tiny", channels=["dna", "er"], seed=seed)
        models.save(tmp_path / "start", start)
        chosen = settings(drop_path=0.25)
        run = build_run(corpus, source, tmp_path, plan=plan, settings=chosen, seed=0, place=Place())
        runs.append(run)
    assert runs[0].objective.encoder.config.architecture["drop_path"] == 0.25
    assert runs[0].identity["start_from"] != runs[1].identity["start_from"]


@pytest.mark.parametrize(
    ("plan", "changes", "is_decisive"),
    [
        (MAE, {}, True),  # stochastic depth
        (MAE, {"drop_path": 0.0}, False),
        (CLASSIFIER, {}, True),  # batch norm
        (VIT_CLASSIFIER, {"drop_path": 0.0}, False),
        (VIT_CLASSIFIER, {"cut_mix": 0.5}, True),
        (training.EncoderPlan("dino", "vit-tiny"), {"dino_outputs": 16}, True),
    ],
)
def test_how_many_crops_are_together_is_decisive_where_they_learn_from_each_other(
    plan: training.EncoderPlan, changes: dict[str, float], is_decisive: bool, tmp_path: Path,
    tables: Tables, settings: Callable[..., object],
) -> None:  # fmt: skip
    corpus = training.build_corpus(*in_order(tables), labels=LABELS)
    made = [
        build_run(corpus, training.ArrayImages(images()), tmp_path, plan=plan, seed=0,
                  settings=settings(micro_batch_size=size, **changes), place=Place()).identity
        for size in (None, 16, 8)
    ]  # fmt: skip
    assert made[0] == made[1]
    assert (made[1] != made[2]) == is_decisive


def test_visits_are_not_torn_apart_by_devices(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    corpus = training.build_corpus(*in_order(tables), labels=LABELS)
    chosen = settings(batch_size=16, crops_per_visit=8, devices=4)
    with pytest.raises(DataError, match="number of devices times crops_per_visit"):
        build_run(corpus, training.ArrayImages(images()), tmp_path, plan=CLASSIFIER,
                  settings=chosen, seed=0, place=Place())  # fmt: skip


def test_channel_agnostic_training_over_screens_of_different_channels(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    """Stopped in the middle, with validation on both screens; no batch mixes them."""
    mixed, source = of_two_screens(tables)
    read = []

    class Watched(training.ArrayImages):
        def read(self, crops: object, crop_px: int) -> np.ndarray:
            assert len({w % 2 for w in crops.wells}) == 1
            read.append(crops.wells[0] % 2)
            return super().read(crops, crop_px)

    chosen = settings(max_crops=128, panel_crops=2)
    with pytest.raises(training.TrainingInterruptedError, match="after step 1 of 8"):
        fit(tmp_path / "ca", mixed, settings(max_crops=128, panel_crops=2, hours=1e-9), AGNOSTIC,
            source=source)  # fmt: skip
    outcome = fit(tmp_path / "ca", mixed, chosen, AGNOSTIC, source=Watched(source.images))
    assert outcome.encoder.features(torch.zeros(1, 5, 32, 32)).shape == (1, 96)
    assert read[:2] == [0, 1], "validation reads crops of both"
    assert set(read[2:]) == {0, 1}
    fit(tmp_path / "straight", mixed, chosen, AGNOSTIC, source=source)
    assert tree_sha256(tmp_path / "ca") == tree_sha256(tmp_path / "straight")
    assert list(np.load(tmp_path / "ca" / "reconstructions.npz")["channels"]) == ["dna", "rna"]


def test_a_channel_has_one_decoder_in_all_screens(tables: Tables) -> None:
    mixed, _ = of_two_screens(tables)
    corpus = training.build_corpus(*mixed)
    assert corpus.channels == ("dna", "rna", "er", "mito")
    assert corpus.channel_numbers(0) == (0, 1)
    assert corpus.channel_numbers(1) == (2, 3, 0)
    encoder = models.build("ca-vit-tiny")
    model = models.MaskedAutoencoder(encoder, models.DecoderShape(16, 1, 2), num_channels=4)
    crops = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    model(crops, torch.arange(2), corpus.channel_numbers(1))["loss"].backward()
    used = [next(d.parameters()).grad is not None for d in model.decoder.decoders]
    assert used == [True, False, True, True]
    order = [2, 0, 1]
    with torch.no_grad():
        turned = model(crops[:, order], torch.arange(2), (0, 2, 3))["loss"]
        assert turned != model(crops, torch.arange(2), (0, 2, 3))["loss"]


def test_panels_can_show_what_every_block_knows(
    tmp_path: Path, tables: Tables, settings: Callable[..., object]
) -> None:
    fit(tmp_path / "mae", tables, settings(max_crops=32, panel_crops=2, panel_blocks=True))
    arrays = np.load(tmp_path / "mae" / "reconstructions.npz")
    assert arrays["by_block"].shape == (4, 2, 2, 32, 32)
    np.testing.assert_array_equal(arrays["by_block"][-1], arrays["prediction"])
    assert (arrays["by_block"][0] != arrays["prediction"]).any()
    picture = (tmp_path / "mae" / "reconstructions_by_block.png").read_bytes()
    import imagecodecs

    assert imagecodecs.png_decode(picture).shape == (2 * 2 * 36, (2 + 4) * 36)
