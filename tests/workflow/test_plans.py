"""Dry runs: the paper's whole journey is cheap to plan; every shape of configuration has jobs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MEASURED = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"rc": done.returncode, "out": done.stdout + done.stderr,
                  "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}))
"""


def dry_run(folder: Path, configuration: Path) -> dict:
    """The dry run of `all`: exit code, output, processor seconds, peak memory, jobs by rule."""
    command = [sys.executable, "-m", "snakemake", "all", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--dry-run", "--quiet", "rules", "--cores", "2"]
    command += ["--configfile", str(configuration)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    stats = found["out"].rpartition("Job stats:")[2].partition("\n\n")[0]
    found["jobs"] = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", stats, flags=re.M)}
    return found


@pytest.mark.parametrize(("num_wells", "experiments"), [(2_200_000, 180), (93_000_000, 5_000)])
def test_the_paper_is_at_most_300_jobs_5_seconds_and_300_mb(tmp_path, num_wells, experiments):
    config = yaml.safe_load((ROOT / "config/examples/paper.yaml").read_text())
    config["screens"]["rxrx3"] |= {"num_wells": num_wells, "experiments": experiments}
    path = tmp_path / "paper.yaml"
    path.write_text(yaml.safe_dump(config))
    done = dry_run(tmp_path, path)
    assert done["rc"] == 0, done["out"]
    assert 100 < done["jobs"]["total"] <= 300
    page = (ROOT / "docs/how-to/scale.md").read_text()
    told = re.findall(r"^\| (\w+) \| (\d+) \|$", page, flags=re.M)
    assert {name: int(number) for name, number in told} == done["jobs"]
    assert done["cpu_s"] <= 5
    assert done["peak_mb"] <= 300
    assert not (tmp_path / "results").exists()


IMAGES = {"source": "planned", "experiments": 4, "num_wells": 1000}
TABLE = {"source": "profiles-table", "wells": "wells.csv"}
MAE = {"kind": "mae", "architecture": "vit-tiny", "recipe": "demo"}
SHAPES = {
    "one screen and nothing else": ({"a": TABLE}, {}, {}, {}, {"read_screen": 1}),
    "steps 1 to 4 alone": (
        {"a": TABLE}, {}, {"all": {"screens": ["a"]}}, {}, {"curate_manifest": 1, "read_screen": 1}
    ),
    "two rounds, the second judged by a trimmed encoder": (
        {"a": {**IMAGES, "planned_source": "simulated"}},
        {"first": {**MAE, "manifest": "all"}, "second": {**MAE, "manifest": "round-1"}},
        {
            "all": {"screens": ["a"]},
            "round-1": {"screens": ["a"], "judges": ["first"]},
            "round-2": {"screens": ["a"], "judges": ["second.trimmed"]},
        },
        {"probes": ["pathway"]},
        {"curate_manifest": 3, "train_encoder": 2, "trim_encoder": 1, "consistency_tests": 2},
    ),
    "one manifest over two screens": (
        {"a": TABLE, "b": {**TABLE, "wells": "other.csv"}},
        {"own": {"kind": "precomputed", "screens": ["a", "b"]}, "chance": {"kind": "random"}},
        {"both": {"screens": ["a", "b"], "judges": ["own", "chance"]}},
        {"screens": ["a"], "encoders": ["own", "chance"]},
        {"consistency_tests": 4, "build_map": 2, "curate_manifest": 1, "fit_alignment": 4},
    ),
    "a classifier of one screen judges another": (
        {"a": IMAGES, "b": IMAGES},
        {"wsl": {"kind": "weakly-supervised", "architecture": "cnn-tiny", "screen": "b"}},
        {"chosen": {"screens": ["a"], "judges": ["wsl"]}},
        {},
        {"train_encoder": 1, "consistency_tests": 1, "curate_manifest": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_configuration_has_its_jobs(tmp_path, shape):
    screens, encoders, manifests, evaluation, expected = SHAPES[shape]
    for name in ("wells.csv", "other.csv"):
        (tmp_path / name).write_text("plate,well\n")
    parts = {"screens": screens, "encoders": encoders, "manifests": manifests}
    path = tmp_path / "shape.yaml"
    path.write_text(yaml.safe_dump({"run": "shape", **parts, "evaluation": evaluation}))
    done = dry_run(tmp_path, path)
    assert done["rc"] == 0, done["out"]
    assert {name: done["jobs"].get(name, 0) for name in expected} == expected


def test_a_wrong_configuration_is_told_in_lines_without_a_traceback(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("run: demo\nscreens:\n  a: {source: simulated, crop: 3}\nsede: 1\n")
    done = dry_run(tmp_path, path)
    assert done["rc"] != 0
    assert "Traceback" not in done["out"]
    assert f'{path}, line 3: screens.a.crop: unknown key "crop"; did you mean' in done["out"]
    assert f'{path}, line 4: sede: unknown key "sede"; did you mean "seed"?' in done["out"]


def test_encoders_together_share_the_jobs_that_look(tmp_path):
    """Both are planned and gathered apart, and looked with in one set of jobs."""
    plain = {"kind": "untrained", "architecture": "vit-tiny"}
    config = {
        "run": "shape",
        "screens": {"a": IMAGES},
        "encoders": {"one": plain, "two": {**plain, "num_jobs": 3}},
        "manifests": {},
        "evaluation": {"screens": ["a"], "encoders": ["one", "two"], "benchmarks": []},
        "inference": {"num_jobs": 1, "share_image_reads": True},
    }
    path = tmp_path / "shape.yaml"
    path.write_text(yaml.safe_dump(config))
    jobs = dry_run(tmp_path, path)["jobs"]
    expected = {"embeddings": 0, "plan_embeddings": 2, "embedding_batch": 3, "gather_embeddings": 2}
    assert {name: jobs.get(name, 0) for name in expected} == expected
