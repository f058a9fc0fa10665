"""The workflow works as a module of someone else's Snakefile."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

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
"""

TABLE = """experiment,plate,well,perturbation
e1,p1,A01,DMSO
e1,p1,A02,taxol
e1,p2,A01,DMSO
e1,p2,A02,taxol
"""


def test_its_rules_run_under_another_snakefile(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(root=ROOT))
    (tmp_path / "mine.yaml").write_text(CONFIGURATION)
    (tmp_path / "example.csv").write_text(TABLE)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "mine.txt").exists()
    assert (tmp_path / "results/mine/screens/example/wells.parquet").exists()
    shutil.rmtree(tmp_path / ".snakemake")
