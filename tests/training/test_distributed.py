"""Several processes give the curve of one; shards train, save and resume (gloo, on CPUs)."""

from __future__ import annotations

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
from phenoprints.training.checkpoints import finished  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from small_training import fit, losses  # noqa: E402

SCRIPT = """
import sys
from pathlib import Path
import pandas as pd
sys.path.insert(0, {tests!r})
from small_training import fit
from phenoprints.training import TrainingSettings
fit(Path({folder!r}), pd.read_pickle({tables!r}), TrainingSettings.from_mapping({settings!r}))
"""


def run_two(folder: Path, tables: object, settings: object) -> subprocess.CompletedProcess[str]:
    """Train under torchrun with two processes."""
    pickled, script = folder.with_suffix(".pickle"), folder.with_suffix(".py")
    pd.to_pickle(tables, pickled)
    values = {n: getattr(settings, n) for n in settings.__dataclass_fields__}
    script.write_text(
        SCRIPT.format(
            tests=str(Path(__file__).parent), folder=str(folder), tables=str(pickled),
            settings=values,
        )
    )  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node=2", str(script)],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.fixture
def straight(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> tuple[Path, dict[str, object]]:
    changes: dict[str, object] = {"max_crops": 96, "drop_path": 0.0}
    fit(tmp_path / "one", tables, settings(**changes))
    return tmp_path / "one", changes


def test_two_processes_give_the_curve_of_one(
    tmp_path: Path, tables: object, settings: Callable[..., object], straight: object
) -> None:
    one, changes = straight
    done = run_two(tmp_path / "two", tables, settings(**changes, devices=2))
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(one), rtol=1e-4)
    weights = [models.load(f).state_dict() for f in (one, tmp_path / "two")]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-2, atol=5e-3)


def test_fsdp2_trains_saves_and_resumes(
    tmp_path: Path, tables: object, settings: Callable[..., object], straight: object
) -> None:
    one, changes = straight
    sharded = {**changes, "devices": 2, "strategy": "fsdp2"}
    stopped = run_two(tmp_path / "shards", tables, settings(**sharded, hours=1e-9))
    assert stopped.returncode != 0
    assert "stopped after step 1 of 6" in stopped.stderr
    saved = finished(tmp_path / "shards.training" / "checkpoints")
    assert [path.name for path in saved] == ["step-000000001"]
    done = run_two(tmp_path / "shards", tables, settings(**sharded))
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_allclose(losses(tmp_path / "shards"), losses(one), rtol=1e-4)
    assert models.load(tmp_path / "shards").num_blocks == 4
