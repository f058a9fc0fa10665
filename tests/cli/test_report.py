"""`phenoprints report`: pages of a run that goes on or has stopped."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from phenoprints import configuration
from phenoprints.cli import main
from phenoprints.configuration.freezing import write_frozen
from phenoprints.foundations.publishing import publish_json, publish_text

CONFIG = {
    "run": "half",
    "screens": {"demo": {"source": "simulated"}},
    "encoders": {
        "mae": {"kind": "mae", "architecture": "vit-tiny", "manifest": "all", "recipe": "demo"}
    },
    "manifests": {"all": {"screens": ["demo"]}},
    "evaluation": {"screens": ["demo"], "encoders": ["mae"]},
}


@pytest.fixture
def half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose only encoder is still learning."""
    folder = tmp_path / "results/half"
    write_frozen(folder / "config.json", configuration.load(CONFIG))
    history = [{"step": step, "crops": 8 * step, "loss": 1 / step} for step in (10, 20)]
    work = folder / "encoders/mae.training"
    publish_json(work / "checkpoints/step-000000020/state.json", {"step": 20, "history": history})
    speeds = pd.DataFrame({"step": [10, 20], "crops_per_s": 500.0, "waiting": 0.1, "mfu": None})
    publish_text(work / "speed.csv", speeds.to_csv(index=False))
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_page_of_training_is_there_while_training_runs(
    half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "half"]) == 0
    shown = capsys.readouterr().out
    assert "Open results/half/reports-so-far/index.html" in shown
    text = (half / "reports-so-far/training.html").read_text(encoding="utf-8")
    assert "Training has not ended" in text
    assert "Loss of mae: from 0.100 to 0.0500" in text
    assert "NOT RUN" in (half / "reports-so-far/maps.html").read_text(encoding="utf-8")
    assert not (half / "reports").exists()


def test_a_verdict_that_fails_is_told_by_the_exit_code(
    half: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (half / "screens/demo").mkdir(parents=True)
    (half / "screens/demo/wells.parquet").write_bytes(b"damaged")
    assert main(["report", str(half), "--output", str(tmp_path / "pages")]) == 1
    assert "RE101" in capsys.readouterr().out
    assert (tmp_path / "pages/index.html").is_file()


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "configuration is not there" in capsys.readouterr().err
