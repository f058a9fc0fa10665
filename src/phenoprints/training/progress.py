"""What training tells while it runs: one row of losses, one row of speeds, one line to read."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phenoprints.foundations.progress import Progress as Line
from phenoprints.foundations.publishing import publish_text

LOG = logging.getLogger("phenoprints.training")

PEAK_FLOPS = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12, "L40S": 362e12}
"""Dense bfloat16 operations per second that the makers state, by part of the card's name."""

FIRST_COLUMNS = ("step", "crops")
LOSSES, SPEEDS = "losses.csv", "speed.csv"


def peak_flops(device_name: str) -> float | None:
    """Return the card's stated peak, None for cards that are not listed and for CPUs."""
    return next((peak for name, peak in PEAK_FLOPS.items() if name in device_name), None)


class Progress:
    """Rows about training: losses, which are reproducible, and speeds, which are not.

    Parameters
    ----------
    folder
        Where speed.csv (and TensorBoard's events) are written, apart from the encoder.
    num_steps, batch_size
        Of the whole training.
    flops_per_crop
        Of forward and backward; None leaves out MFU.
    peak
        Operations per second of all devices together; None leaves out MFU.
    device
        The kind of device, told beside the speeds: cpu or cuda.
    is_first
        Whether this is the first process: only that one writes events and tells how far it is.
    """

    def __init__(
        self,
        folder: Path,
        *,
        num_steps: int,
        batch_size: int,
        flops_per_crop: float | None = None,
        peak: float | None = None,
        device: str = "",
        is_first: bool = True,
    ) -> None:
        self.folder, self.num_steps, self.batch_size = folder, num_steps, batch_size
        self.flops_per_crop, self.peak, self.device = flops_per_crop, peak, device
        self.history: list[dict[str, Any]] = []
        self._tensorboard = _tensorboard(folder) if is_first else None
        self._outlets = None if is_first else ()
        self._line = Line("steps", num_steps, outlets=())
        self._restart(0)

    def _restart(self, step: int) -> None:
        self._since_step, self._since = step, time.perf_counter()
        self._wait_s = 0.0

    def begin(self, step: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Go on after `step` steps."""
        if step:
            LOG.info("going on after step %d of %d", step, self.num_steps)
        self.history = [dict(row) for row in history]
        self._line = Line("steps", self.num_steps, outlets=self._outlets)
        self._line.skip(step)
        self._restart(step)

    def waited(self, seconds: float) -> None:
        """Count time in which training stood still for data."""
        self._wait_s += seconds

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Note what holds after `step` steps."""
        speeds = self.speeds(step)
        self.history.append({"step": step, "crops": step * self.batch_size, **row})
        _append(self.folder / SPEEDS, {"step": step, **speeds, "device": self.device})
        for name, value in {**row, **speeds}.items():
            if self._tensorboard is not None and value is not None:
                self._tensorboard.add_scalar(name, value, step)
        parts = " ".join(f"{name} {value:.4g}" for name, value in row.items())
        self._line.wait(self._wait_s)
        self._line.advance(
            step - self._since_step, f"{speeds['crops_per_s']:,.0f} crops/s, {parts}"
        )
        if step == self.num_steps:
            self._line.end()
        self._restart(step)

    def speeds(self, step: int) -> dict[str, float | None]:
        """Crops per second, share of the time spent waiting for data, and MFU, since the last."""
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        rate = (step - self._since_step) * self.batch_size / elapsed
        mfu = rate * self.flops_per_crop / self.peak if self.flops_per_crop and self.peak else None
        return {"crops_per_s": rate, "waiting": self._wait_s / elapsed, "mfu": mfu}

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        if self._tensorboard is not None:
            self._tensorboard.close()


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))


def _append(path: Path, row: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def publish_losses(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of losses as CSV, nine digits; empty where a row has no value."""
    found = {name for row in history for name in row}
    names = [*FIRST_COLUMNS, *sorted(found - set(FIRST_COLUMNS))]
    lines = [",".join(names)]
    lines += [",".join(_number(row.get(name)) for name in names) for row in history]
    publish_text(path, "\n".join(lines) + "\n")


def _number(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.9g}"
