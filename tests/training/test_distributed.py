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

sys.path.insert(0, str(Path(__file__).parent))
from small_training import fit, losses  # noqa: E402

SCRIPT = """
import sys
from pathlib import Path
import pandas as pd
sys.path.insert(0, {tests!r})
from small_training import fit
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
"""


def test_two_processes_and_two_shards_give_the_curve_of_one(
    tmp_path: Path, tables: object, settings: Callable[..., object]
) -> None:
    chosen = settings(max_crops=96, drop_path=0.0)
    fit(tmp_path / "one", tables, chosen)
    defaults = ("hours", "devices", "strategy")
    values = {n: getattr(chosen, n) for n in chosen.__dataclass_fields__ if n not in defaults}
    pd.to_pickle(tables, tmp_path / "tables.pickle")
    (tmp_path / "script.py").write_text(
        SCRIPT.format(
            tests=str(Path(__file__).parent),
            folder=str(tmp_path),
            tables=str(tmp_path / "tables.pickle"),
            settings=values,
        )
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(tmp_path / "script.py")],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "stopped after step 1 of 6" in done.stdout
    assert "['step-000000001']" in done.stdout
    expected = models.load(tmp_path / "one").state_dict()
    for name in ("ddp", "fsdp2"):
        np.testing.assert_allclose(losses(tmp_path / name), losses(tmp_path / "one"), rtol=1e-4)
        got = models.load(tmp_path / name).state_dict()
        for key, value in expected.items():
            torch.testing.assert_close(got[key], value, rtol=1e-2, atol=5e-3)
