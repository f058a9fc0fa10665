"""SBS end to end: one real plate, from its images to phenoprints, with an encoder trained here.

Runs `config/examples/sbs.yaml` in a folder of its own, or judges the finished run that
PHENOPRINTS_SBS names. What is known of the plate: both drugs move a protein into the nucleus with
rising dose, so the upper doses differ from the controls and resemble the positive ones, and the
lowest do not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phenoprints.runs import Run, open_run

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 15 * 60
pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.torch,
    pytest.mark.timeout(2 * LIMIT_S),
]


@pytest.fixture(scope="module")
def results(test_data, tmp_path_factory) -> Path:
    if given := os.environ.get("PHENOPRINTS_SBS"):
        return Path(given)
    folder = tmp_path_factory.mktemp("sbs")
    shutil.copytree(test_data / "images/sbs", folder / "data/sbs")
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2",
        "--configfile", ROOT / "config/examples/sbs.yaml", "--", "all",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, timeout=LIMIT_S, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "results/sbs"


@pytest.fixture(scope="module")
def run(results) -> Run:
    return open_run(results)


def test_the_wells_pass_quality(run):
    table = run.quality("sbs")
    whole = table[table["site"] == -1]
    assert len(whole) == 96
    assert (whole["verdict"] == "pass").sum() >= 95


def test_upper_doses_have_phenoprints_and_the_lowest_have_none(run):
    table = run.phenoprints("phenoprints")
    has = table["has_phenoprint"].astype(bool)
    dose = table["concentration_um"]
    assert len(table[dose.between(6, 9)]) == 8
    assert has[dose.between(6, 9)].sum() >= 7
    assert len(table[dose.between(1, 2)]) == 4
    assert has[dose.between(1, 2)].sum() <= 1


def test_the_default_null_stands_beside_it_with_its_warning(results):
    verdicts = json.loads((results / "reports/verdicts.json").read_text())["verdicts"]
    shared = [v for v in verdicts if v["rule_code"] == "CO106" and "sbs-default-null" in v["scope"]]
    assert any(v["status"] == "CHECK" for v in shared), shared
    nuclei = [v for v in verdicts if v["rule_code"] == "QC906"]
    assert {(v["status"], v["finding"]) for v in nuclei} == {("PASS", "nuclei are counted in DNA")}


def test_positive_controls_are_nearest_to_the_upper_doses(run):
    """Among the mean vectors of control conditions each upper dose is nearest to a positive one,
    and those are nearer to any upper dose than to any of the lowest."""
    vectors = mean_vectors(run)
    upper = [key for key in vectors if 6 <= key[1] <= 9]
    positive = [key for key in vectors if key[1] == 10]
    lowest = [key for key in vectors if 1 <= key[1] <= 2]
    assert (len(upper), len(positive), len(lowest)) == (8, 2, 4)
    for key in upper:
        nearest = max(positive, key=lambda other, key=key: cosine(vectors[key], vectors[other]))
        assert cosine(vectors[key], vectors[nearest]) > max(
            cosine(vectors[nearest], vectors[other]) for other in lowest
        )
        assert cosine(vectors[key], vectors[nearest]) > 0.5


def mean_vectors(run: Run) -> dict[tuple[str, float], np.ndarray]:
    """The mean aligned vector of each condition that is no negative control."""
    wells, aligned = run.wells("sbs"), run.aligned("sbs", "mae").read("sbs")
    named = run.conditions("sbs").set_index("condition_id")
    found: dict[tuple[str, float], list[np.ndarray]] = {}
    for vector, listed, role in zip(aligned, wells["conditions"], wells["role"], strict=True):
        if role != "negative_control" and np.isfinite(vector).all():
            row = named.loc[listed[0]]
            found.setdefault((row["perturbation"], row["concentration_um"]), []).append(vector)
    return {key: np.mean(rows, axis=0) for key, rows in found.items()}


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
