"""The workflow works as a module of someone else's Snakefile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SNAKEFILE = """
configfile: "mine.yaml"

module phenoprints:
    snakefile: "{root}/workflow/Snakefile"
    config: config

use rule * from phenoprints as phenoprints_*

rule mine:
    default_target: True
    input: "results/mine/screens/example/wells.parquet"
    output: "mine.txt"
    shell: "echo done > {{output}}"
"""

CONFIGURATION = """
run: mine
screens:
  example:
    source: profiles-table
    wells: example.csv
    columns: {experiment: experiment, plate: plate, well: well, perturbation: perturbation}
    roles: {DMSO: negative_control}
  drawn: {source: simulated, crop_px: 32}
encoders:
  features: {kind: precomputed, screens: [example], features: [f1]}
  mae: {kind: mae, architecture: vit-tiny, manifest: everything}
manifests:
  everything: {screens: [drawn]}
  phenoprints: {screens: [example], judges: [features]}
evaluation:
  screens: [example, drawn]
  encoders: [features, mae, mae.trimmed]
  probes: [pathway]
  benchmarks: [magnitude]
inference: {num_jobs: 2}
"""

TABLE = """experiment,plate,well,perturbation,f1
e1,p1,A01,DMSO,1
e1,p1,A02,taxol,2
e1,p2,A01,DMSO,3
e1,p2,A02,taxol,4
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a Snakefile that uses the workflow."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(root=ROOT))
    (tmp_path / "mine.yaml").write_text(CONFIGURATION)
    (tmp_path / "example.csv").write_text(TABLE)
    return tmp_path


def snakemake(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_its_rules_run_under_another_snakefile(folder):
    snakemake(folder)
    assert (folder / "mine.txt").exists()
    assert (folder / "results/mine/screens/example/wells.parquet").exists()


def test_all_of_its_inputs_are_found_under_another_snakefile(folder):
    """Input functions run when the variables of the workflow are those of the other one."""
    told = snakemake(folder, "--dry-run", "phenoprints_all")
    for rule in ("precomputed_embeddings", "consistency_tests", "curate_manifest", "train_encoder",
                 "embedding_batch", "trim_encoder", "run_benchmarks", "write_reports"):  # fmt: skip
        assert f"phenoprints_{rule}" in told
    assert "strongly discouraged" not in told
