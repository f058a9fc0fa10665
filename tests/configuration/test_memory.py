"""What a training job asks for grows with its wells, its network and its processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phenoprints.configuration import learned_counts, load, training_memory_mb

RUN = {
    "run": "r",
    "screens": {"s": {"source": "simulated"}},
    "manifests": {"all": {"screens": ["s"]}},
}


def asked(architecture: str = "vit-s16", *, wells: int = 0, **training: Any) -> int:
    encoder = {"kind": "mae", "architecture": architecture, "manifest": "all"}
    encoders = {"e": {**encoder, "training": training}}
    resolved = load({**RUN, "encoders": encoders})["encoders"]["e"]
    return training_memory_mb(resolved, num_wells=wells, num_sites=wells)


def test_a_small_training_asks_for_little() -> None:
    assert 4_000 < asked("vit-tiny", wells=1_536, batch_size=32) < 6_000


def test_the_manifest_of_the_paper_fits() -> None:
    """16 M wells of one site each."""
    more = asked(wells=16_000_000) - asked()
    assert 3_000 < more < 6_000


def test_every_process_holds_the_training_set() -> None:
    one, eight = (
        asked(wells=16_000_000, devices=devices, micro_batch_size=64) for devices in (1, 8)
    )
    assert eight - asked(devices=8, micro_batch_size=64) == pytest.approx(
        8 * (one - asked(micro_batch_size=64)), abs=8
    )


def test_crops_that_are_read_ahead_count() -> None:
    ahead = asked(num_workers=8, micro_batch_size=512) - asked(micro_batch_size=512)
    assert ahead == pytest.approx(16 * 512 * 6 * 256**2 / 1e6, rel=0.01)
    assert asked(batch_size=16_384, micro_batch_size=512) == asked(micro_batch_size=512)


def test_the_largest_network_needs_room_for_its_checkpoint() -> None:
    more = asked("vit-g8", micro_batch_size=1) - asked("vit-s16", micro_batch_size=1)
    assert more == pytest.approx(16 * (1843 - 22), abs=2)
    assert asked("ca-vit-s16") > asked("vit-s16")
    assert asked("densenet161") > asked("vit-tiny", batch_size=2048) - 4_000


def test_counts_come_from_the_files_beside_the_inputs(tmp_path: Path) -> None:
    images, manifest = [], str(tmp_path / "manifest.provenance.json")
    for name, counts in {"a": (100, 200), "b": (300, 400)}.items():
        (tmp_path / name).mkdir()
        notes = {"counts": {"wells": counts[0], "sites": counts[1]}}
        (tmp_path / name / "notes.json").write_text(json.dumps(notes))
        images.append(str(tmp_path / name / "images.json"))
    assert learned_counts(images, None) == (400, 600)
    assert learned_counts(images, manifest) == (0, 0)
    Path(manifest).write_text(json.dumps({"rows": {"in": 400, "out": 10}}))
    assert learned_counts(images, manifest) == (10, 15)
    Path(manifest).write_text("{")
    assert learned_counts(images, manifest) == (0, 0)
