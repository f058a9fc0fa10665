"""Speeds that training tells: crops per second, time of waiting, and MFU."""

from __future__ import annotations

import csv
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.models.flops import training_flops  # noqa: E402
from phenoprints.training import progress  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from small_training import fit  # noqa: E402


def told(monkeypatch: pytest.MonkeyPatch, folder: Path, **options: object) -> progress.Progress:
    """Progress that began at 100 s of a clock that now shows 102 s; half a second was waiting."""
    shown = iter([100.0, 102.0, 102.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(shown))
    made = progress.Progress(folder, num_steps=10, batch_size=32, is_first=False, **options)
    made.waited(0.5)
    return made


def test_mfu_is_operations_done_per_second_over_the_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 steps of 32 crops in 2 s are 64 crops/s; at 2 GFLOP each, 128 of 1,000 GFLOP/s."""
    speeds = told(monkeypatch, tmp_path, flops_per_crop=2e9, peak=1e12).speeds(4)
    assert speeds == {"crops_per_s": 64.0, "waiting": 0.25, "mfu": pytest.approx(0.128)}


@pytest.mark.parametrize("known", [{"flops_per_crop": 2e9}, {"peak": 1e12}, {}])
def test_without_operations_or_peak_there_is_no_mfu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: dict[str, float]
) -> None:
    speeds = told(monkeypatch, tmp_path, **known).speeds(4)
    assert (speeds["crops_per_s"], speeds["mfu"]) == (64.0, None)


def test_training_tells_the_mfu_of_its_network(
    tmp_path: Path,
    tables: object,
    settings: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of every row, from its own speed, on a device whose peak is said to be 1 TFLOP/s."""
    # The package's name `train` is the function of that module.
    module = importlib.import_module("phenoprints.training.train")
    monkeypatch.setattr(module, "_peak", lambda _settings: 1e12)
    fit(tmp_path / "mae", tables, settings(max_crops=48, panel_crops=0))
    encoder = models.build("vit-tiny", channels=2, patch_px=8)
    model = models.MaskedAutoencoder(encoder, models.DecoderShape(16, 1, 2), num_channels=2)
    with open(tmp_path / "mae.training" / progress.SPEEDS, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3
    for row in rows:
        expected = float(row["crops_per_s"]) * training_flops(model, 2) / 1e12
        assert float(row["mfu"]) == pytest.approx(expected)
