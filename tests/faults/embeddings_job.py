"""A job of embeddings that is started many times and ends by a signal, a limit, or well.

`python embeddings_job.py FOLDER=PLAN…`: each word is one start of the job in a folder, in a process
of its own (`+` between two that run together), so that torch is imported once. Each start tells
its folder and its end in a line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from phenoprints.embeddings import chunks, unit_runner
from phenoprints.embeddings.arrays import content_of, make_stores
from phenoprints.embeddings.failures import Failures
from phenoprints.embeddings.finalize import gather
from phenoprints.embeddings.forward import EmbeddingSettings, Site
from phenoprints.embeddings.geometry import Geometry
from phenoprints.embeddings.planning import plan_selection
from phenoprints.embeddings.selection import Selection
from phenoprints.embeddings.units import Stores, unit_groups
from phenoprints.foundations.progress import Progress
from phenoprints.foundations.randomness import generator, well_ids
from phenoprints.models import build

CHANNELS = ("DNA", "ER")
ENCODER = build("vit-tiny", channels=CHANNELS)


def selection() -> Selection:
    places = [(f"e{e}", f"A{w:02d}") for e in range(2) for w in range(1, 10)]
    wells = pd.DataFrame(places, columns=["experiment", "well"]).assign(plate="p")
    wells["well_id"] = well_ids("s", wells["experiment"], wells["plate"], wells["well"])
    sites = wells[["well_id"]].assign(
        site=1, locator=wells["experiment"] + wells["well"], height=64, width=64,
        channels=pd.Series([list(CHANNELS)] * len(wells)),
    )  # fmt: skip
    return Selection(wells, sites)


def read(site: Site) -> np.ndarray:
    return generator(0, "faults", site.locator).integers(0, 256, (2, 64, 64), dtype=np.uint8)


def die(*args: object, **kwargs: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_half_and_die(stream: FileIO, view: memoryview) -> None:
    stream.write(view[: view.nbytes // 2])
    die()


def nth(number: int, function: Callable, last: Callable) -> Callable:
    """A function that is `last` when it is called for the `number`-th time."""
    calls = iter(range(1, 10_000))
    return lambda *args, **kwargs: (last if next(calls) == number else function)(*args, **kwargs)


def job(folder: Path, plan: str) -> None:
    kind, _, number = plan.partition(":")
    reader = nth(int(number), read, die) if kind == "read" else read
    if kind == "write":  # after the embeddings are written, before the blocks are
        unit_runner.write_unit = nth(int(number), unit_runner.write_unit, die)
    if kind == "mark":
        unit_runner.mark_done = nth(int(number), unit_runner.mark_done, die)
    if kind == "half":  # in the middle of a chunk
        chunks._write_all = nth(int(number), chunks._write_all, write_half_and_die)
    if kind == "rename":
        Path.replace = nth(int(number), Path.replace, die)
    if kind == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
    settings, stores = (
        EmbeddingSettings(ENCODER, Geometry(32)),
        Stores.at(folder / "e", folder / "b"),
    )
    chosen = selection()
    plan = plan_selection(
        chosen, content=content_of(settings, version=1), unit_wells=4,
        block_wells=chosen.well_ids[::2],
    )  # fmt: skip
    make_stores(plan, settings, stores, attributes={}, unit_wells=4)
    target, progress = (
        unit_runner.EncoderTarget(settings, stores, Failures(18)),
        Progress("wells", 18),
    )
    unit_runner.compute_units(
        unit_groups([plan.tasks]), [target], chosen, pixels=unit_runner.Pixels(reader),
        progress=progress,
    )  # fmt: skip
    gather(plan.tasks, stores, Failures(18))
    tell(folder, wells=progress.done)


def tell(folder: Path, **record: object) -> None:
    sys.stdout.write(json.dumps({"folder": str(folder), **record}) + "\n")
    sys.stdout.flush()


def start(folder: Path, plan: str) -> int:
    """Run the job in a process of its own, whose number is returned."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            job(folder, plan)
            status = 0
        except BaseException as error:
            tell(folder, error=f"{type(error).__name__}: {error}")
        os._exit(status)
    return pid


def main() -> None:
    torch.set_num_threads(1)
    # What torch does once, before the processes part; tensorstore's threads would not survive it.
    ENCODER.features(torch.zeros(1, 2, 32, 32))
    for word in sys.argv[1:]:
        folder, _, plans = word.partition("=")
        for pid in [start(Path(folder), plan) for plan in plans.split("+")]:
            status = os.waitpid(pid, 0)[1]
            if os.WIFSIGNALED(status):
                tell(Path(folder), signal=os.WTERMSIG(status))


if __name__ == "__main__":
    main()
