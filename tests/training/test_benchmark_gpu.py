"""The benchmark of cards runs without one, on tiny networks: its code, not its figures."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import runpy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.foundations.errors import DataError  # noqa: E402

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What the benchmark writes and prints of tiny networks."""
    out, told = tmp_path_factory.mktemp("smoke") / "gpu.json", io.StringIO()
    main = runpy.run_path(str(SCRIPT))["main"]
    with contextlib.redirect_stdout(told):
        main(["--smoke", "--seconds", "0", "--out", str(out)])
    return json.loads(out.read_text()), told.getvalue()


def test_both_ways_of_both_tasks_are_measured(smoke: tuple[dict[str, Any], str]) -> None:
    found, told = smoke
    assert len({(s["network"], s["task"], s["way"]) for s in found["speeds"]}) == 8
    assert all(s["crops_per_s"] > 0 and s["mfu"] is None for s in found["speeds"])
    assert "smoke test, no figure of any use" in told


def test_packed_images_are_embedded(smoke: tuple[dict[str, Any], str]) -> None:
    found, _ = smoke
    ends = {end["network"]: end for end in found["embeddings"]}
    assert ends.keys() == {"vit-tiny", "ca-vit-tiny"}
    assert all(end["ratio"] > 0 and list(end["rxrx3_hours"]) == ["4"] for end in ends.values())


def test_the_trainer_learns_from_a_packed_store(smoke: tuple[dict[str, Any], str]) -> None:
    found, told = smoke
    bare = {s["network"]: s for s in found["speeds"] if (s["task"], s["way"]) == ("train", "ours")}
    assert [trained["network"] for trained in found["training"]] == list(bare)
    for trained in found["training"]:
        of_card = bare[trained["network"]]
        assert (trained["num_steps"], trained["batch"]) == (2, of_card["batch"])
        assert trained["ratio"] == trained["crops_per_s"] / of_card["crops_per_s"] > 0
        assert 0 <= trained["waiting"] <= 1
        assert trained["mfu"] is None
        assert f"{trained['network']} train from packed images" in told


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module(name)


@pytest.mark.parametrize("name", ["vit-s16", "ca-vit-s16", "vit-l8", "vit-g8"])
def test_cards_train_by_the_recipe(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that decides what is computed, and how fast, is the recipe's; only sizes differ."""
    trainer = script("gpu_training", monkeypatch)
    recipe = trainer.recipe_of(name)
    share = recipe["micro_batch_size"]
    settings = trainer.settings_of(recipe, share, "cuda", 41.2)
    assert (settings.batch_size, settings.max_crops, settings.log_steps) == (share, 60 * share, 10)
    for key in recipe.keys() - {"batch_size", "micro_batch_size", "max_crops", "num_epochs"}:
        assert getattr(settings, key) == recipe[key], key
    assert (settings.fourier_loss, settings.compile, settings.precision) == (
        "as-published", True, "bfloat16",
    )  # fmt: skip


def test_speeds_leave_out_the_row_that_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first row, 80 crops in 2 s and 160 crops in 8 s."""
    trainer = script("gpu_training", monkeypatch)
    rows = pd.DataFrame(
        {"step": [10, 20, 40], "crops_per_s": [1.0, 40.0, 20.0], "waiting": [0.9, 0.5, 0.0],
         "mfu": [0.0, 0.2, 0.1]}
    )  # fmt: skip
    monkeypatch.setattr(trainer, "_train", lambda *_: (rows, 40))
    device = torch.device("cpu")
    found = trainer.measured("vit-s16", 8, device, tmp_path, seconds=1.0, bare=48.0)
    assert (found.crops_per_s, found.ratio, found.num_steps) == (24.0, 0.5, 40)
    assert (found.waiting, found.mfu) == (pytest.approx(0.1), pytest.approx(0.12))


@pytest.mark.parametrize(
    ("name", "aim"),
    [
        ("vit-s16", "; goal 2,200 crops/s (stretch 4,000) and 20% MFU"),
        ("vit-g8", "; goal 40% MFU"),
        ("vit-tiny", ""),
    ],
)
def test_figures_stand_beside_their_goals(
    name: str, aim: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = script("gpu_training", monkeypatch)
    trainer.tell(trainer.FromStore(name, "paper", 128, 60, 2000.0, 2500.0, 0.031, 0.15, 9.0))
    assert capsys.readouterr().out == (
        f"{name} train from packed images (paper): 2,000.0 crops/s, MFU 15.0 %, 0.800 of the bare "
        f"step, at most 3.1 % waiting for crops, batch 128, 9.0 GB{aim}\n"
    )


@pytest.mark.parametrize("error", [None, torch.OutOfMemoryError("full")])
def test_what_does_not_fit_is_tried_with_half(error: Exception | None) -> None:
    """The library names the lack of memory in an error of its own; other errors are no reason."""
    fitting = runpy.run_path(str(SCRIPT))["fitting"]
    tried = []

    def attempt(batch: int) -> int:
        tried.append(batch)
        if batch > 10:
            raise DataError("Not enough memory") from error
        return batch

    if error is None:
        with pytest.raises(DataError):
            fitting(attempt, 32)
        assert tried == [32]
    else:
        assert (fitting(attempt, 32), tried) == (8, [32, 16, 8])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_so() -> None:
    with pytest.raises(SystemExit, match="No card"):
        runpy.run_path(str(SCRIPT))["main"]([])


@pytest.mark.parametrize(
    ("name", "blocks"), [("vit_small_patch14_reg4_dinov2.lvd142m", [5, 12]), ("vit-tiny", [4])]
)
def test_hours_of_rxrx3_follow_from_the_rate_and_the_operations(name, blocks, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import gpu_embeddings

    encoder = gpu_embeddings.network(name)
    hours = gpu_embeddings.rxrx3_hours(encoder, crops_per_s=80e6 / 3600)
    assert list(hours) == blocks
    assert hours[blocks[-1]] == 1.0
    assert all(hours[block] == pytest.approx(block / blocks[-1], rel=0.1) for block in blocks)
