"""Ends a process of a run at stated moments, in every Python that starts with this on its path.

`PHENOPRINTS_FAULTS` names a file with a list of [who, moment, pattern]: who is `job` (itself),
`main` (the main process, while the job goes on) or `all`; moment is `before` or `after` a file that
matches the pattern gets its name. Each happens once: a file beside the list, with its number, says
that it has.
"""

import json
import os
import signal
from fnmatch import fnmatchcase

LIST = os.environ.get("PHENOPRINTS_FAULTS")
rename = os.replace


def end(who: str) -> None:
    main = os.getpgrp()  # the run was started as leader of its own group
    if who == "all":
        os.killpg(main, signal.SIGKILL)
    os.kill(main if who == "main" else os.getpid(), signal.SIGKILL)


def happens(number: int) -> bool:
    """Whether a fault has not happened before."""
    try:
        os.close(os.open(f"{LIST}.{number}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def replace(source, target, **options) -> None:
    meant = [
        (number, who, moment)
        for number, (who, moment, pattern) in enumerate(FAULTS)
        if fnmatchcase(str(target), pattern)
    ]
    for number, who, moment in meant:
        if moment == "before" and happens(number):
            end(who)
    rename(source, target, **options)
    for number, who, moment in meant:
        if moment == "after" and happens(number):
            end(who)


if LIST:
    with open(LIST) as stream:
        FAULTS = json.load(stream)
    os.replace = replace
