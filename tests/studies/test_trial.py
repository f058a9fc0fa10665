"""One seed of the smallest study, from pixels to scores."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.configuration.models.studies import Study  # noqa: E402
from phenoprints.studies.comparing import study_page  # noqa: E402
from phenoprints.studies.trial import SCORE_COLUMNS, Trial  # noqa: E402

SIMULATION = {
    "experiments": 6, "plates": 2, "rows": 5, "columns": 8, "genes_per_pathway": 2,
    "inactive_genes": 8, "partial_genes": 0, "guides": 1, "compounds": 0, "unperturbed": 8,
    "negative_controls": 6, "positive_controls": 2, "size_px": 64, "bad_wells": 0.02,
}  # fmt: skip
STUDY = {
    "simulation": SIMULATION, "seeds": (1,), "train_experiments": 3, "num_crops": 320,
    "judge_crops": 320, "fidelity_crops": 64, "arms": ("everything", "phenoprints"),
    "p_value": 0.2, "comparison": "published-ratio",
}  # fmt: skip


def test_a_trial_trains_and_scores_every_arm(tmp_path: Path) -> None:
    study = Study(**STUDY)
    trial = Trial(study, 1, tmp_path)
    assert set(trial.wells.loc[trial.is_test, "experiment"]) == {
        "experiment-4", "experiment-5", "experiment-6",
    }  # fmt: skip
    scores = trial.run()
    assert list(scores.columns) == list(SCORE_COLUMNS)
    assert set(scores["arm"]) == {"everything", "phenoprints", "untrained", "simple"}
    arms = scores.drop_duplicates("arm").set_index("arm")
    assert arms.loc["phenoprints", "crops"] == 320
    assert arms.loc["everything", "crops"] == 140
    assert 0 < arms.loc["phenoprints", "wells"] < arms.loc["everything", "wells"]
    gaps = scores[scores["measure"] == "explained_gap"]
    assert set(gaps["arm"]) == {"everything", "phenoprints"}
    by_arm = scores[scores["measure"] == "probe"].groupby("arm")["block"].max()
    assert by_arm.to_dict() == {"everything": 4, "phenoprints": 4, "untrained": 4, "simple": 1}
    assert "not resolved" in study_page("small", scores, study).answer
