"""No value from data reaches a shell, and wildcards admit configured names only."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from phenoprints.configuration.layout import LAYOUT

ROOT = Path(__file__).resolve().parents[2]
RULES = {path: path.read_text() for path in [ROOT / "Snakefile", *ROOT.glob("workflow/**/*.smk")]}
NUMBERS = {"batch", "num_batches", "seed"}
CONFIG = "run: r\nscreens: {s: {source: simulated}}\nmanifests: {m: {screens: [s]}}\n"
HOSTILE = ["s;touch ran", "$(touch ran)", "`touch ran`", "s|touch ran", "s&touch ran",
           "s\ntouch ran", "../s", "s'", 's"', "*", "s>ran", "-s"]  # fmt: skip
TARGETS = ["screens/{}/wells.parquet", "quality/s.metrics/{}.parquet", "curation/{}/genes.parquet"]


def test_no_rule_has_a_shell_command():
    assert not [path for path, text in RULES.items() if re.search(r"^\s+(shell|run):", text, re.M)]


def test_every_wildcard_is_constrained():
    text = "\n".join(RULES.values())
    used = set(re.findall(r"\{(\w+)\}", " ".join(LAYOUT.values())))
    everywhere = set(
        re.findall(r"^    (\w+)=one_of\(INPUTS\.plan", RULES[ROOT / "Snakefile"], re.M)
    )
    in_rules = set(re.findall(r"^        (\w+)=(?:one_of|encoders_\w+|r\"\\d)", text, re.M))
    assert used == {"screen", "encoder", "manifest", "task", "study", *NUMBERS}
    assert used <= everywhere | in_rules
    for number in NUMBERS:
        assert f'{number}=r"\\d+"' in text


@pytest.mark.parametrize(
    "pattern",
    ["screens/{}/wells.parquet", "quality/s.metrics/{}.parquet", "curation/{}/genes.parquet"],
)
def test_names_with_shell_characters_are_no_targets(tmp_path, pattern):
    (tmp_path / "config.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    targets = [f"results/r/{pattern.format(name)}" for name in HOSTILE]
    done = subprocess.run(
        [*command, "--cores", "1", "--keep-going", "--configfile", "config.yaml", "--", *targets],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "No rule to produce" in done.stderr or "MissingRuleException" in done.stderr
    assert not list(tmp_path.rglob("ran"))
    assert not list(tmp_path.rglob("*.parquet"))
