"""A training job from the files of a workflow: manifest or screen, packed images, any classes."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import (  # noqa: E402
    ConfigurationError,
    DataError,
    ImageError,
    PhenoprintsError,
)
from phenoprints.foundations.publishing import publish_json  # noqa: E402
from phenoprints.screens.images.opening import images_content, open_images  # noqa: E402
from phenoprints.screens.images.stores import (  # noqa: E402
    SiteWriter,
    array_metadata,
    create_array,
)
from phenoprints.training.dataset import corpus_of_screen  # noqa: E402
from phenoprints.training.job import (  # noqa: E402
    TrainingJob,
    command,
    launch_job,
    run_and_pass_signals,
    run_job,
)
from phenoprints.training.sampling import CropSampler  # noqa: E402
from phenoprints.training.settings import TrainingSettings  # noqa: E402
from phenoprints.training.sources import StoredImages  # noqa: E402
from phenoprints.training.untrained import make_encoder, show_openphenom  # noqa: E402
from phenoprints.wells import SITES  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from small_training import write_screen  # noqa: E402

NUM = 24
TRAINING = {
    "max_crops": 32, "batch_size": 8, "decoder_width": 16, "decoder_blocks": 1, "decoder_heads": 2,
    "device": "cpu", "log_steps": 2, "panel_crops": 1,
}  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    """A screen of 24 wells in a packed store; a manifest of all but its first four wells."""
    stream = np.random.default_rng(1)
    ids = np.sort(stream.choice(10_000, NUM, replace=False)).astype(np.uint64)
    path = "images/e.zarr"
    create_array(tmp_path / path, array_metadata((NUM, 2, 48, 48), chunk_px=48))
    pixels = stream.integers(0, 256, (NUM, 2, 48, 48), dtype=np.uint8)
    with SiteWriter(tmp_path / path) as writer:
        for index, image in enumerate(pixels):
            writer.write(index, image)
    np.save(tmp_path / "pixels.npy", pixels)
    publish_json(tmp_path / "images.json", images_content(None, {}))
    wells = pd.DataFrame(
        {
            "well_id": ids,
            "screen": "small",
            "experiment": "e",
            "conditions": [[i % 3] for i in range(NUM)],
            "role": "treatment",
        }
    )
    sites = pd.DataFrame(
        {
            "well_id": ids,
            "site": np.ones(NUM, np.int32),
            "locator": [f"zarr:{path}#{i}" for i in range(NUM)],
            "height": np.int32(48),
            "width": np.int32(48),
            "channels": [["dna", "er"]] * NUM,
        }
    )
    conditions = pd.DataFrame(
        {
            "condition_id": [0, 1, 2],
            "perturbation": ["g1_a", "g1_b", "drug"],
            "gene": ["G1", "G1", ""],
            "concentration_um": [np.nan, np.nan, 1.5],
            "cell_type": "u2os",
            "background": "none",
        }
    )
    quality = pd.DataFrame({"well_id": ids, "site": np.int32(-1), "verdict": "pass"})
    quality = pd.concat([quality, quality.assign(site=np.int32(1))], ignore_index=True)
    quality.loc[0, "verdict"] = "fail"
    quality.loc[NUM + 1, "verdict"] = "fail"
    write_screen(tmp_path, wells, sites, conditions, quality)
    manifest = wells.assign(locators=[[locator] for locator in sites["locator"]])[4:]
    (tmp_path / "manifest").mkdir()
    manifest[:10].to_parquet(tmp_path / "manifest" / "part-00000.parquet")
    manifest[10:].to_parquet(tmp_path / "manifest" / "part-00001.parquet")
    SITES.write(tmp_path / "manifest" / "sites-00000.parquet", sites[4:14])
    SITES.write(tmp_path / "manifest" / "sites-00001.parquet", sites[14:])
    return TrainingJob(
        settings={"kind": "mae", "architecture": "vit-tiny", "training": TRAINING},
        folder=str(tmp_path / "encoder"),
        images={"small": str(tmp_path / "images.json")},
        conditions=str(tmp_path / "conditions.parquet"),
        manifest=str(tmp_path / "manifest"),
    )


def classifying(job: TrainingJob, tmp_path: Path, **settings: object) -> TrainingJob:
    network = {"kind": "weakly-supervised", "architecture": "cnn-tiny", "training": TRAINING}
    return dataclasses.replace(
        job,
        settings={**network, **settings},
        manifest=None,
        screen=str(tmp_path),
        quality=str(tmp_path / "quality.parquet"),
    )


def test_a_manifest_becomes_an_encoder(job: TrainingJob, tmp_path: Path) -> None:
    assert run_job(job) == {"wells": 20, "steps": 4}
    assert models.load(tmp_path / "encoder").channels == ("dna", "er")


def test_a_screen_becomes_a_classifier_of_its_good_wells(job: TrainingJob, tmp_path: Path) -> None:
    screen = classifying(job, tmp_path, pool="mean")
    corpus = screen.corpus()
    assert len(corpus) == NUM - 2
    assert corpus.class_names == ("drug", "g1_a", "g1_b")
    assert run_job(screen)["wells"] == NUM - 2


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ("gene", ("G1", "drug")),
        ("perturbation", ("drug", "g1_a", "g1_b")),
        ("condition", ("drug/1.5/u2os/none", "g1_a/nan/u2os/none", "g1_b/nan/u2os/none")),
    ],
)
def test_what_is_told_apart(
    job: TrainingJob, tmp_path: Path, labels: str, names: tuple[str, ...]
) -> None:
    assert classifying(job, tmp_path, labels=labels).corpus().class_names == names


def test_crops_are_the_stores_pixels_with_and_without_cache(
    job: TrainingJob, tmp_path: Path
) -> None:
    corpus = job.corpus()
    screens = {"small": open_images(tmp_path / "images.json")}
    crops = CropSampler(corpus.sites, 32, seed=0).batch(0, 20)
    pixels = np.load(tmp_path / "pixels.npy")[4:]
    expected = [
        pixels[w][:, t : t + 32, left : left + 32]
        for w, t, left in zip(crops.wells, crops.tops, crops.lefts, strict=True)
    ]
    for cache_mb in (0, 1):
        source = StoredImages(corpus, screens, cache_mb=cache_mb)
        for _ in range(2):
            np.testing.assert_array_equal(source.read(crops, 32), expected)


def test_crops_of_several_screens_keep_their_places(job: TrainingJob, tmp_path: Path) -> None:
    wells, sites = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("wells", "sites"))
    wells["screen"] = ["a" if i % 2 else "b" for i in range(NUM)]
    quality = pd.DataFrame({"well_id": [], "site": [], "verdict": []}).astype(
        {"well_id": np.uint64, "site": np.int32}
    )
    conditions = pd.read_parquet(tmp_path / "conditions.parquet")
    corpus = corpus_of_screen(write_screen(tmp_path, wells, sites, conditions, quality))
    images = open_images(tmp_path / "images.json")
    source = StoredImages(corpus, {"a": images, "b": images})
    crops = CropSampler(corpus.sites, 32, seed=0).batch(0, 20)
    whole = StoredImages(corpus, {"a": images, "b": images}, cache_mb=1)
    np.testing.assert_array_equal(source.read(crops, 32), whole.read(crops, 32))


def test_a_manifest_without_all_of_its_sites_is_refused(job: TrainingJob, tmp_path: Path) -> None:
    part = tmp_path / "manifest" / "sites-00001.parquet"
    SITES.write(part, SITES.read(part)[:-1])
    with pytest.raises(DataError, match="has no site"):
        job.corpus()
    part.unlink()
    with pytest.raises(DataError, match="2 parts of wells and 1 of sites"):
        job.corpus()
    with pytest.raises(ConfigurationError, match="a manifest and its conditions, or a screen"):
        dataclasses.replace(job, manifest=None).corpus()


def test_missing_stores_are_all_named_before_training(job: TrainingJob, tmp_path: Path) -> None:
    for part in (tmp_path / "manifest").glob("sites-*.parquet"):
        sites = SITES.read(part)
        moved = sites["locator"].str.replace("e.zarr#7", "f.zarr#7")
        SITES.write(part, sites.assign(locator=moved))
    (tmp_path / "images" / "e.zarr" / "zarr.json").unlink()
    with pytest.raises(FileNotFoundError) as error:
        run_job(job)
    for name in ("e", "f"):
        assert f"images/{name}.zarr: no image store lies there" in str(error.value)
    assert "run the target `screens` again" in str(error.value)
    assert not (tmp_path / "encoder.training").exists()


def test_processes_are_started_per_device_and_node(monkeypatch: pytest.MonkeyPatch) -> None:
    one = command(TrainingSettings(devices=4), Path("x.training/job.json"))
    assert one[1:] == [
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4",
        "-m", "phenoprints.training", "x.training/job.json",
    ]  # fmt: skip
    monkeypatch.setenv("SLURM_JOB_ID", "123456")
    monkeypatch.setattr("socket.gethostname", lambda: "gpu-7")
    settings = TrainingSettings(devices=8, nodes=16, num_workers=3, batch_size=2048)
    many = command(settings, Path("job.json"))
    assert many[:3] == ["srun", "--overlap", "--nodes=16"]
    assert {"--ntasks-per-node=1", "--cpus-per-task=32"} <= set(many)
    assert {"--nnodes=16", "--rdzv-id=123456", "--rdzv-endpoint=gpu-7:23456"} <= set(many)
    with_gpus = command(settings.replace(device="cuda"), Path("job.json"))
    assert set(with_gpus) - set(many) == {"--gpus-per-node=8"}


def test_two_devices_are_two_processes_of_torchrun(
    job: TrainingJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Inside of a step of Slurm's, as the workflow's jobs are."""
    alone = run_job(dataclasses.replace(job, folder=str(tmp_path / "alone")))
    for name, value in {"STEP_ID": "0", "PROCID": "0", "NTASKS": "1", "JOB_ID": "9"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    settings = {**job.settings, "training": {**TRAINING, "devices": 2}}
    assert launch_job(dataclasses.replace(job, settings=settings)) == alone
    assert capfd.readouterr().err.count("4 of 4 steps in") == 1  # one of them tells
    expected, got = (pd.read_csv(tmp_path / n / "losses.csv") for n in ("alone", "encoder"))
    np.testing.assert_allclose(got["loss"], expected["loss"], rtol=1e-4)


WAITING = """
import signal, sys, time
def stop(*_):
    print("told to stop", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, stop)
open({started!r}, "w").close()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_passed_on_and_a_failure_says_how_to_go_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    started = tmp_path / "started"

    def tell() -> None:
        while not started.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=tell).start()
    with pytest.raises(PhenoprintsError, match=r"exit code 3.*newest checkpoint"):
        run_and_pass_signals([sys.executable, "-c", WAITING.format(started=str(started))])
    assert signal.getsignal(number) == before


def test_untrained_encoders_take_the_channels_of_their_screens() -> None:
    settings = {"kind": "untrained", "architecture": "vit-tiny", "num_channels": None}
    encoder = make_encoder({**settings, "pool": "class"}, channel_sets=[("dna", "er")], seed=3)
    assert encoder.channels == ("dna", "er")
    assert encoder.config.pool == "class"
    assert encoder.num_channels == 2
    with pytest.raises(ConfigurationError, match=r"equal channels, got dna; dna, er.*num_channels"):
        make_encoder(settings, channel_sets=[("dna",), ("dna", "er")])
    assert make_encoder({**settings, "num_channels": 5}).num_channels == 5
    scaled = make_encoder({**settings, "layer_scale": 1.0}, channel_sets=[("dna",)])
    assert scaled.config.architecture["layer_scale"] == 1.0
    agnostic = {**settings, "architecture": "ca-vit-tiny"}
    assert make_encoder(agnostic, channel_sets=[("a",), ("b", "c")]).num_channels is None


class Noise:
    """A screen whose first image cannot be read."""

    def read(self, locator: str, channels: list[str], *, experiment: str) -> np.ndarray:
        if locator == "0":
            raise ImageError(f"{locator}: not readable")
        assert experiment == "e"
        stream = np.random.default_rng(int(locator))
        return stream.integers(0, 256, (len(channels), 300, 280), dtype=np.uint8)


def sites_of(channels: int, num: int = 6) -> pd.DataFrame:
    names = [[f"c{i}" for i in range(channels)]] * num
    return pd.DataFrame(
        {"locator": [str(i) for i in range(num)], "channels": names, "experiment": "e",
         "height": 300, "width": [280] * (num - 1) + [200]}
    )  # fmt: skip


def test_openphenom_shows_reconstructions_where_its_decoder_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.MaskedAutoencoder(
        models.build("ca-vit-tiny", channels=2, crop_px=256, patch_px=32),  # type: ignore[arg-type]
        models.DecoderShape(16, 1, 2), num_channels=2, latent_norm=False,
    )  # fmt: skip
    name = "phenoprints.training.untrained.openphenom_autoencoder"
    monkeypatch.setattr(name, lambda weights: model.eval())
    assert not show_openphenom(tmp_path, "w", sites_of(3), Noise())  # type: ignore[arg-type]
    assert not show_openphenom(tmp_path, "w", sites_of(2)[-1:], Noise())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    assert show_openphenom(tmp_path, "w", sites_of(2), Noise())  # type: ignore[arg-type]
    with np.load(tmp_path / "reconstructions.npz") as arrays:
        assert arrays["prediction"].shape == (4, 2, 256, 256)
        assert arrays["channels"].tolist() == ["c0", "c1"]
        first = torch.from_numpy(Noise().read("1", ["a", "b"], experiment="e")[:, 22:278, 12:268])
        target = model.encoder.prepared(first[None])[0].numpy().astype(np.float16)
        assert np.array_equal(arrays["target"][0], target)

    def without_decoder(weights: str) -> None:
        raise DataError("w: the decoder's weights are missing")

    monkeypatch.setattr(name, without_decoder)
    assert not show_openphenom(tmp_path, "w", sites_of(2), Noise())  # type: ignore[arg-type]
