"""Summary messages printed when a run ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from phenoprints.foundations.script_logging import first_error

VERDICTS = ("FAIL", "CHECK", "NOT RUN", "PASS")


def success_message(expand: Callable[[str], str]) -> str:
    """Return the path of the report and its counts of verdicts; "" where no report was asked for.

    Parameters
    ----------
    expand
        Fills in path variables.
    """
    verdicts = Path(expand("<report_verdicts>"))
    if not verdicts.exists():
        return ""
    counts = json.loads(verdicts.read_text(encoding="utf-8"))["counts"]
    listed = ", ".join(f"{counts[word]} {word}" for word in VERDICTS)
    return f"\n{expand('<report_index>')}\n  {listed}\n"


def failure_message(expand: Callable[[str], str], started: float) -> str:
    """Return the first error of a run that stopped, with its log, and how to resume.

    Parameters
    ----------
    expand
        Fills in path variables.
    started
        When the run started, in seconds since the epoch; older logs are left out.
    """
    logs = Path(expand("<logs>"))
    message = "\nThe run stopped; completed results are kept."
    found = first_error(logs, started)
    if found is None:
        message += f" Logs: {logs}\n"
    else:
        log, error = found
        job = log.relative_to(logs).with_suffix("")
        message += f" The first error, in {job}:\n\n{error}\n\n  Full traceback: {log}\n"
    message += f"  Pages of what has been completed: phenoprints report {logs.parent}\n"
    return message + "  After fixing the problem, rerun the same command to resume.\n"
