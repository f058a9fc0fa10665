"""Random kills, full disks, double runs and damage, for as long as asked; `make soak` calls it.

Every round takes a run to its end through faults drawn from the seed, damages files of it, mends
them by the commands that `phenoprints verify` prints, and compares all bytes with a run that
nothing happened to. Beside it hypothesis tries random input. Counts go to a file after each round.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

from runs import ALL, NAME, ROOT, Run, contents, differing, prepare, run

from phenoprints.cli.rebuild_commands import artefact_of
from phenoprints.cli.verify import Finding, verified
from phenoprints.foundations.provenance import provenance_path
from phenoprints.foundations.publishing import publish_json

KILLS_OF_A_ROUND = 24
DAMAGED_OF_A_ROUND = 4
FUZZED = ("tests/properties/test_screens_fuzz.py", "tests/security/test_configuration.py")
GUIDED = ROOT / "tests/security/guided.py"
GUIDED_SECONDS = 30
OWN = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
BAD = (
    "losses", "mismatches", "unnamed", "unmended", "commands that failed", "full disks not told",
    "double runs without an end", "fuzz failures", "guided failures",
)  # fmt: skip
LEAST = {"kills": 50, "fuzz cases": 100_000}
"""What a soak of an hour or more has done at the least."""
DAMAGES = ("truncated", "flipped", "emptied", "deleted", "swapped")


def main() -> None:
    """Go through rounds until the time is over; exit code 1 on anything bad, or on too little."""
    words = arguments()
    end = time.monotonic() + 60 * words.minutes
    with tempfile.TemporaryDirectory(prefix="phenoprints-soak-") as parent:
        words.output.parent.mkdir(parents=True, exist_ok=True)
        fuzzing = Fuzzing(words.seed, end, words.output.absolute().parent)
        if not words.no_fuzzing:
            fuzzing.start()
        faults = Soak(Path(parent), random.Random(words.seed))
        started = time.monotonic()
        while time.monotonic() < end:
            faults.round()
            tell(words, faults.counts + fuzzing.counts, started)
        if fuzzing.is_alive():
            fuzzing.join()
            tell(words, faults.counts + fuzzing.counts, started)
    counts = faults.counts + fuzzing.counts
    is_short = words.minutes >= 60 and any(counts[name] < least for name, least in LEAST.items())
    sys.exit(int(is_short or any(counts[name] for name in BAD)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("results/soak/summary.json"))
    parser.add_argument("--no-fuzzing", action="store_true")
    return parser.parse_args()


def tell(words: argparse.Namespace, counts: Counter[str], started: float) -> None:
    told = {
        "date": datetime.now(UTC).date().isoformat(),
        "seed": words.seed,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "counts": {"losses": 0, "mismatches": 0, **counts},
    }
    publish_json(words.output, told)
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


class Soak:
    """Rounds of faults in folders of their own, and what they counted."""

    def __init__(self, parent: Path, drawn: random.Random) -> None:
        self.parent, self.drawn = parent, drawn
        self.counts: Counter[str] = Counter()
        folder = prepare(parent / "untouched")
        end = run(folder)
        assert end.code == 0, end.printed
        self.untouched = contents(folder)

    def round(self) -> None:
        """One run through kills, a full disk and a double run to its end, and then damage."""
        self.counts["rounds"] += 1
        folder = prepare(self.parent / f"round-{self.counts['rounds']}")
        self.kill(folder)
        self.fill_the_disk(folder)
        self.run_twice(folder)
        self.compare(folder)
        self.damage(folder)
        self.compare(folder)
        shutil.rmtree(folder)

    def kill(self, folder: Path) -> None:
        """Start the run until every drawn moment has come, or it has ended all the same."""
        names = self.drawn.sample(sorted(self.untouched), KILLS_OF_A_ROUND)
        faults = folder / "faults.json"
        plan = [[self.who(), self.drawn.choice(["before", "after"]), f"*/{n}"] for n in names]
        faults.write_text(json.dumps(plan))
        for _ in range(2 * KILLS_OF_A_ROUND):
            ended = self.start(folder, faults=faults).code == 0
            if ended:
                break
        happened = {int(path.suffix[1:]) for path in folder.glob("faults.json.*")}
        for number in happened:
            self.counts[f"kills of {plan[number][0]}"] += 1
        self.counts["kills"] += len(happened)

    def who(self) -> str:
        return self.drawn.choice(["job", "main", "all"])

    def start(self, folder: Path, **options: object):
        self.counts["starts"] += 1
        return run(folder, **options)

    def fill_the_disk(self, folder: Path) -> None:
        """Lose the notes of the screen and make them again where no file may grow far."""
        notes = folder / "results" / NAME / "screens" / NAME / "notes.json"
        notes.unlink(missing_ok=True)
        end = self.start(folder, limit=self.drawn.randrange(500, 4000))
        self.counts["full disks"] += 1
        self.counts["full disks not told"] += end.code == 0

    def run_twice(self, folder: Path) -> None:
        """Start the run again while it goes on, at a drawn moment, without Snakemake's lock."""
        first = Run(folder)
        time.sleep(self.drawn.uniform(0.5, 5))
        second = Run(folder, "--nolock", *ALL)
        ends = second.end(), first.end()
        self.counts["double runs"] += 1
        self.counts["starts"] += 2
        self.counts["double runs without an end"] += all(end.code for end in ends)
        self.start(folder)

    def compare(self, folder: Path) -> None:
        ours = contents(folder)
        self.counts["losses"] += len(self.untouched.keys() - ours.keys())
        different = [n for n in differing(ours, self.untouched) if n in ours]
        self.counts["mismatches"] += len(different)
        self.counts["files compared"] += len(self.untouched)
        if different or self.untouched.keys() - ours.keys():
            sys.stdout.write(f"differing: {different} {self.untouched.keys() - ours.keys()}\n")

    def damage(self, folder: Path) -> None:
        """Damage drawn files; each must be named, and mended by the command that is printed."""
        results = folder / "results" / NAME
        names = self.drawn.sample(sorted(self.untouched), DAMAGED_OF_A_ROUND)
        for name in names:
            self.spoil(results, name)
        os.chdir(folder)
        findings = [f for f in verified(Path("results") / NAME) if is_damage(f)]
        named = " ".join(finding.file for finding in findings)
        for name in names:
            told = is_named(name, named)
            self.counts["damaged files"] += 1
            self.counts["unnamed"] += not told
            if not told:
                sys.stdout.write(f"not named: {name}\n")
        for command in dict.fromkeys(finding.mend for finding in findings):
            self.mend(command)
        self.start(folder)
        self.counts["unmended"] += sum(
            is_damage(finding) for finding in verified(Path("results") / NAME)
        )
        os.chdir(ROOT)

    def mend(self, told: str) -> None:
        """Carry out a command that `verify` printed, word for word."""
        snakemake = f"{sys.executable} -m snakemake --snakefile {ROOT}/Snakefile --cores 1 --quiet"
        command = re.sub(r"^target \S+: ", "", told).replace("<yours>", "config.yaml")
        command = command.replace("&& snakemake", f"&& {snakemake} all")
        done = subprocess.run(command, shell=True, env=OWN, capture_output=True, check=False)
        self.counts["starts"] += 1
        # The configuration is written when a start begins; what else is damaged may end that start.
        is_failed = done.returncode != 0 and "<yours>" not in told
        self.counts["commands that failed"] += is_failed
        if is_failed:
            sys.stdout.write(f"failed: {command}\n{done.stderr.decode()[-2000:]}\n")

    def spoil(self, results: Path, name: str) -> None:
        path, kind = results / name, self.drawn.choice(DAMAGES)
        content = path.read_bytes()
        position = self.drawn.randrange(max(len(content), 1))
        path.unlink()
        if kind == "swapped":
            other = results / self.drawn.choice(sorted(self.untouched.keys() - {name}))
            path.write_bytes(other.read_bytes() + b" " if other.exists() else b"other")
        elif kind == "flipped" and content:
            bit = bytes([content[position] ^ (1 << self.drawn.randrange(8))])
            path.write_bytes(content[:position] + bit + content[position + 1 :])
        elif kind != "deleted":
            path.write_bytes(content[: position if kind == "truncated" else 0])


def is_named(name: str, named: str) -> bool:
    """Whether a file is named, or the damaged provenance by which alone it could be judged."""
    run = Path("results") / NAME
    judged_by = provenance_path(artefact_of(run / name, run))
    file = name.removesuffix(".provenance.json").removesuffix(".sha256")
    return file in named or str(judged_by) in named


def is_damage(finding: Finding) -> bool:
    """Whether a file is not as written, or has lost what says so."""
    return finding.verdict == "FAIL" or finding.found == "found none"


class Fuzzing(Thread):
    """Tests of random input, pass after pass with other seeds, beside the faults; what passed.

    Between passes coverage guides the input of each target of guided.py, where atheris is there.
    """

    def __init__(self, seed: int, end: float, folder: Path) -> None:
        super().__init__(daemon=True)
        self.seed, self.until, self.folder = seed, end, folder
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        while (left := self.until - time.monotonic()) > 0:
            for path in FUZZED:
                self.test(path, left)
            for target in self.targets:
                self.guide(target)
            self.seed += 1

    @cached_property
    def targets(self) -> list[str]:
        """What guided.py offers; nothing without atheris."""
        if find_spec("atheris") is None:
            return []
        done = subprocess.run(
            [sys.executable, GUIDED], env=OWN, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def guide(self, target: str) -> None:
        """Half a minute of one target; the input that it fails on is kept beside the counts."""
        left = min(GUIDED_SECONDS, int(self.until - time.monotonic()))
        if left <= 0:
            return
        kept = self.folder / f"{target}-"
        options = [f"-max_total_time={left}", f"-seed={self.seed + 1}", "-print_final_stats=1"]
        with tempfile.TemporaryDirectory(prefix="phenoprints-guided-") as own:
            done = subprocess.run(
                [sys.executable, GUIDED, target, *options, f"-artifact_prefix={kept}"],
                env={**OWN, "TMPDIR": own}, capture_output=True, text=True, check=False,
            )  # fmt: skip
        tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        self.counts["guided cases"] += int(tried[1]) if tried else 0
        self.counts["guided failures"] += done.returncode != 0
        if done.returncode:
            sys.stdout.write(f"{target} (seed {self.seed}): {done.stderr[-2000:]}\n")

    def test(self, path: str, seconds: float) -> None:
        """One pass of a file; one that the time does not suffice for is not counted."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
        options = ["--hypothesis-show-statistics", f"--hypothesis-seed={self.seed}", "--timeout=0"]
        environment = {**OWN, "HYPOTHESIS_PROFILE": "soak"}
        try:
            done = subprocess.run(
                [*command, *options], cwd=ROOT, env=environment, timeout=seconds,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return
        tried = re.findall(r"(\d+) passing(?: examples)?, (\d+) failing", done.stdout)
        self.counts["fuzz cases"] += sum(int(passing) + int(failing) for passing, failing in tried)
        failed = re.findall(r"^FAILED .*", done.stdout, re.MULTILINE)
        self.counts["fuzz failures"] += len(failed)
        sys.stdout.write("".join(f"{line} (seed {self.seed})\n" for line in failed))


if __name__ == "__main__":
    main()
