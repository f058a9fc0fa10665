"""Several processes give the curve of one; shards train, save and resume (gloo, on CPUs)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.training.devices import _environment  # noqa: E402
from phenoprints.training.settings import TrainingSettings  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from small_training import (  # noqa: E402
    AGNOSTIC,
    VIT_CLASSIFIER,
    fit,
    losses,
    of_two_screens,
)

SCRIPT = """
import sys
from pathlib import Path
import pandas as pd
sys.path.insert(0, {tests!r})
from small_training import AGNOSTIC, VIT_CLASSIFIER, fit, of_two_screens
from phenoprints.training import TrainingInterruptedError, TrainingSettings
from phenoprints.training.checkpoints import finished

folder, tables = Path({folder!r}), pd.read_pickle({tables!r})
settings = {settings!r}
fit(folder / "ddp", tables, TrainingSettings(**settings, devices=2))
sharded = {{**settings, "devices": 2, "strategy": "fsdp2"}}
try:
    fit(folder / "fsdp2", tables, TrainingSettings(**sharded, hours=1e-9))
except TrainingInterruptedError as error:
    print("STOPPED", error, [p.name for p in finished(folder / "fsdp2.training" / "checkpoints")])
fit(folder / "fsdp2", tables, TrainingSettings(**sharded))
# The same with checkpoints in shards, written while training goes on.
parts = {{**sharded, "checkpoint_form": "sharded"}}
try:
    fit(folder / "fsdp2.parts", tables, TrainingSettings(**parts, hours=1e-9))
except TrainingInterruptedError as error:
    (kept,) = finished(folder / "fsdp2.parts.training" / "checkpoints")
    print("PARTS", sorted(path.name for path in kept.iterdir()))
fit(folder / "fsdp2.parts", tables, TrainingSettings(**parts))
# Steps that leave weights out: decoders of absent channels, the last norm of a classifier.
mixed, source = of_two_screens(tables)
for name, chosen in (("ddp-mixed", {{**settings, "devices": 2}}), ("fsdp2-mixed", sharded)):
    fit(folder / name, mixed, TrainingSettings(**chosen), AGNOSTIC, source=source)
fit(folder / "ddp-vit", tables, TrainingSettings(**settings, devices=2), VIT_CLASSIFIER)
"""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def as_tasks_of_slurm(
    command: list[str], num_tasks: int, per_node: int | None = None
) -> list[subprocess.Popen[str]]:
    """The processes that srun would start, with what it would tell them."""
    per_node = per_node or num_tasks
    step = {
        "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": str(num_tasks), "SLURM_NNODES": str(num_tasks // per_node),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    return [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={
                **os.environ, **step, "SLURM_PROCID": str(task),
                "SLURM_NODEID": str(task // per_node), "SLURM_LOCALID": str(task % per_node),
            },
        )
        for task in range(num_tasks)
    ]  # fmt: skip


def test_two_processes_and_two_shards_give_the_curve_of_one(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    """The processes are two tasks of srun; those of torchrun stand in the test of the job."""
    chosen = settings(max_crops=96, drop_path=0.0, gradient_clip=10.0)
    fit(tmp_path / "one", tables, chosen)
    defaults = ("hours", "devices", "strategy")
    values = {n: value for n, value in chosen.given().items() if n not in defaults}
    pd.to_pickle(tables, tmp_path / "tables.pickle")
    (tmp_path / "script.py").write_text(
        SCRIPT.format(
            tests=str(Path(__file__).parent),
            folder=str(tmp_path),
            tables=str(tmp_path / "tables.pickle"),
            settings=values,
        )
    )
    tasks = as_tasks_of_slurm([sys.executable, str(tmp_path / "script.py")], 2)
    told = [task.communicate(timeout=280) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], told[0][1][-3000:] + told[1][1][-3000:]
    assert "stopped after step 1 of 6" in told[0][0]
    assert "['step-000000001']" in told[0][0]
    shards = [f"shard-{n:05}-model-00001-of-00001.safetensors" for n in (1, 2)]
    assert f"PARTS {[*shards, 'state.json']}" in told[0][0]
    mixed, source = of_two_screens(tables)
    fit(tmp_path / "one-mixed", mixed, chosen, AGNOSTIC, source=source)
    fit(tmp_path / "one-vit", tables, chosen, VIT_CLASSIFIER)
    for name in ("ddp", "fsdp2", "fsdp2.parts", "ddp-mixed", "fsdp2-mixed", "ddp-vit"):
        one = "-".join(["one", *name.split("-")[1:]])
        np.testing.assert_allclose(losses(tmp_path / name), losses(tmp_path / one), rtol=1e-4)
        expected = models.load(tmp_path / one).state_dict()
        got = models.load(tmp_path / name).state_dict()
        for key, value in expected.items():
            torch.testing.assert_close(got[key], value, rtol=1e-2, atol=5e-3)


NODES = """
import sys
from pathlib import Path
import pandas as pd
sys.path.insert(0, {tests!r})
from small_training import fit
from phenoprints.training import TrainingSettings
fit(Path({folder!r}) / "nodes", pd.read_pickle({tables!r}), TrainingSettings(**{settings!r}))
"""


def test_shards_over_two_nodes_of_two_devices_give_the_curve_of_one(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    chosen = settings(max_crops=48, drop_path=0.0, panel_crops=0)
    fit(tmp_path / "one", tables, chosen)
    pd.to_pickle(tables, tmp_path / "tables.pickle")
    values = chosen.given()
    (tmp_path / "script.py").write_text(
        NODES.format(
            tests=str(Path(__file__).parent),
            folder=str(tmp_path),
            tables=str(tmp_path / "tables.pickle"),
            settings={**values, "devices": 2, "nodes": 2, "strategy": "fsdp2"},
        )
    )
    tasks = as_tasks_of_slurm([sys.executable, str(tmp_path / "script.py")], 4, per_node=2)
    told = [task.communicate(timeout=280) for task in tasks]
    assert [task.returncode for task in tasks] == [0] * 4, [errors[-1500:] for _, errors in told]
    np.testing.assert_allclose(losses(tmp_path / "nodes"), losses(tmp_path / "one"), rtol=1e-4)
    expected = models.load(tmp_path / "one").state_dict()
    for key, value in models.load(tmp_path / "nodes").state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-2, atol=5e-3)


STEP = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}


@pytest.mark.parametrize(
    ("given", "devices", "expected"),
    [
        ({}, 1, "LightningEnvironment"),
        ({}, 2, "LightningEnvironment"),
        # One process alone in an allocation of several tasks, or in one of them.
        ({"SLURM_NTASKS": "4"}, 1, "LightningEnvironment"),
        ({"SLURM_NTASKS": "4", **STEP}, 1, "LightningEnvironment"),
        # The step that Snakemake's jobs run in has one task; torchrun starts the processes.
        ({"SLURM_NTASKS": "1", **STEP}, 2, "LightningEnvironment"),
        ({"SLURM_NTASKS": "2", **STEP}, 2, "SLURMEnvironment"),
        ({"SLURM_NTASKS": "1", **STEP, **TORCHRUN}, 2, "TorchElasticEnvironment"),
        ({"SLURM_NTASKS": "2", **STEP, **TORCHRUN}, 2, "TorchElasticEnvironment"),
    ],
)
def test_who_started_the_processes(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], devices: int, expected: str
) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = _environment(TrainingSettings(devices=devices))
    assert type(found).__name__ == expected
    if devices == 2 and given.get("SLURM_NTASKS") == "2":
        assert (found.world_size(), found.global_rank(), found.local_rank()) == (2, 1, 1)
