"""`phenoprints report RUN`: the pages from what a run has left so far, in a folder of their own."""

from __future__ import annotations

import argparse
from pathlib import Path

from phenoprints.cli.runs import run_folder
from phenoprints.configuration import thaw
from phenoprints.reports import build
from phenoprints.reports.verdicts import CHECK, FAIL, counts_sentence, overall

SO_FAR = "reports-so-far"


def run(arguments: argparse.Namespace) -> int:
    """Write the pages of a run that goes on, has stopped or has ended; 1 where a verdict is FAIL.

    The pages that the workflow makes at the end are left alone.
    """
    folder = run_folder(arguments.run)
    output = Path(arguments.output) if arguments.output else folder / SO_FAR
    report = build(folder, thaw(folder / "config.json"), output)
    for verdict in report.verdicts:
        if verdict.status in (FAIL, CHECK):
            print(verdict.as_line())
    print(counts_sentence(report.verdicts))
    print(f"Open {report.first_page}")
    return int(overall(report.verdicts) == FAIL)
