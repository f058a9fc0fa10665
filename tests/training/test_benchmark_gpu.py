"""The benchmark of cards runs without one, on tiny networks: its code, not its figures."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import runpy
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.foundations.errors import DataError  # noqa: E402
from phenoprints.models.flops import encoder_flops  # noqa: E402
from phenoprints.training import TrainingSettings  # noqa: E402

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What the benchmark writes and prints of tiny networks."""
    out, told = tmp_path_factory.mktemp("smoke") / "gpu.json", io.StringIO()
    main = runpy.run_path(str(SCRIPT))["main"]
    with contextlib.redirect_stdout(told):
        main(["--smoke", "--seconds", "0", "--out", str(out)])
    return json.loads(out.read_text()), told.getvalue()


def test_every_way_of_both_tasks_is_measured(smoke: tuple[dict[str, Any], str]) -> None:
    found, told = smoke
    ways = {("train", way) for way in ("plain", "ours", "packed", "step")}
    ways |= {("infer", way) for way in ("plain", "ours", "int8", "fp8")}
    measured = {(s["network"], s["task"], s["way"]) for s in found["speeds"]}
    assert measured == {(name, *way) for name in ("vit-tiny", "ca-vit-tiny") for way in ways}
    assert all(s["crops_per_s"] > 0 and s["mfu"] is None for s in found["speeds"])
    assert (found["failed"], found["skipped"]) == ([], [])
    assert "smoke test, no figure of any use" in told


def test_the_loader_and_the_precisions_are_measured(smoke: tuple[dict[str, Any], str]) -> None:
    found, told = smoke
    (loader,) = found["loader"]
    assert loader["crops_per_s"] > 0
    assert [(p["network"], p["kind"]) for p in found["precision"]] == [
        (name, kind) for name in ("vit-tiny", "ca-vit-tiny") for kind in ("int8", "fp8")
    ]
    assert all(p["is_equal"] and p["cosine"] > 0.998 for p in found["precision"])
    goals = {goal["goal"]: goal for goal in found["goals"]}
    assert goals["vit-l8 train, share of the bfloat16 peak"]["value"] is None
    assert goals["loader alone, crops per second"]["value"] == loader["crops_per_s"]
    assert "vit-l8 infer, share of the bfloat16 peak: –, goal 0.55: not measured" in told


@pytest.fixture(scope="module")
def bench() -> dict[str, Any]:
    """The names of the script."""
    return runpy.run_path(str(SCRIPT))


def empty() -> dict[str, Any]:
    return {k: [] for k in ("speeds", "precision", "loader", "failed", "skipped")}


def test_a_missing_package_costs_its_measure_alone(bench: dict[str, Any]) -> None:
    def broken() -> dict[str, Any]:
        importlib.import_module("no_such_package")
        return {}

    found, until = empty(), time.monotonic() + 1000.0
    for name, run in (("first", broken), ("second", lambda: {"crops_per_s": 5000.0})):
        bench["carry_out"](bench["Measure"]("loader", name, run), found, until)
    (failed,) = found["failed"]
    assert failed["measure"] == "first"
    assert "No module named 'no_such_package'" in failed["error"]
    assert found["loader"] == [{"crops_per_s": 5000.0}]


def test_a_measure_ends_with_the_time_and_none_begins_after_it(
    bench: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bench["carry_out"].__globals__, "START_S", 0.1)
    found, begun = empty(), time.monotonic()
    slow = bench["Measure"]("loader", "slow", lambda: time.sleep(100) or {})
    bench["carry_out"](slow, found, begun + 0.5)
    bench["carry_out"](slow, found, begun + 0.5)
    assert found["skipped"] == ["slow", "slow"]
    assert time.monotonic() - begun < 60.0


def test_goals_take_the_best_way(bench: dict[str, Any]) -> None:
    speeds = [("train", "ours", 500.0, 0.42), ("train", "packed", 560.0, 0.47),
              ("infer", "ours", 700.0, 0.5), ("infer", "int8", 1050.0, 0.9),
              ("infer", "fp8", 910.0, 0.6)]  # fmt: skip
    found = empty()
    found["speeds"] = [
        {"network": "vit-l8", "task": task, "way": way, "crops_per_s": rate, "mfu": mfu}
        for task, way, rate, mfu in speeds
    ]
    goals = {goal["goal"]: goal for goal in bench["goals"](found)}
    train = goals["vit-l8 train, share of the bfloat16 peak"]
    assert (train["value"], train["aim"], train["is_met"]) == (0.47, 0.45, True)
    infer = goals["vit-l8 infer, share of the bfloat16 peak"]
    assert (infer["value"], infer["is_met"]) == (0.5, False)
    assert goals["vit-l8 in 8 bits, times bfloat16"]["value"] == 1.5
    assert bench["goal_line"](infer).endswith("0.500, goal 0.55: not met")


def test_what_the_goals_need_is_measured_first(bench: dict[str, Any], tmp_path: Path) -> None:
    plan = bench["planned"](bench["BATCHES"], {}, torch.device("cpu"), 1.0, empty(), tmp_path)
    names = [measure.name for measure in plan]
    assert len(set(names)) == len(names)
    assert set(names[:6]) == {
        "vit-l8 train ours", "vit-g8 train ours", "vit-s16 train ours", "vit-l8 infer ours",
        "vit-l8 infer int8", "vit-l8 infer fp8",
    }  # fmt: skip
    needed = {"loader", "vit-l8 int8", "vit-l8 fp8", "vit-g8 train packed", "vit-l8 from a store"}
    assert needed <= set(names[:14])
    # The whole step of G/8 compiles for minutes.
    assert names[-1] == "vit-g8 train step"


def test_left_out_blocks_are_no_operations_that_were_done(bench: dict[str, Any]) -> None:
    settings = TrainingSettings(drop_path=0.4)
    objective = bench["network"]("vit-tiny", settings, torch.device("cpu"))
    whole = bench["training_operations"](objective, settings)
    packed = bench["training_operations"](objective, settings.replace(pack_depth=True))
    kept = encoder_flops(objective.encoder, 6, 16)
    assert whole - packed == pytest.approx(3 * 0.2 * kept)


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
        assert f"{trained['network']} from a store: " in told


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
