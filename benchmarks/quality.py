"""Quality of images: time of a site, gain from workers, and detection against severity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_SITES = 96
SEVERITIES = {
    "blur, sigma in px": (0.5, 0.75, 1.0, 1.5, 2.0),
    "gain of all channels": (1.5, 2.0, 3.0, 4.0, 6.0),
    "one channel dimmed to": (0.7, 0.5, 0.35, 0.25, 0.1),
    "debris, % of the image": (0.5, 1.0, 1.5, 2.0, 4.0),
    "copied square, side in px": (16, 20, 24, 32, 40, 96),
}
NUM_WELLS = 16


@dataclass(frozen=True)
class Stack:
    """Images in a file; a locator is an index."""

    path: str

    def read(self, locator, channels, *, experiment, shape):  # noqa: ARG002
        """The pixels of one site."""
        return np.load(self.path, mmap_mode="r")[int(locator)]


def _screen():
    from phenoprints.testing.simulation import design

    return design({"experiments": 1, "plates": 1, "bad_wells": 0.0})


def _sites(path: Path, num: int = NUM_SITES) -> pd.DataFrame:
    from phenoprints.testing.simulation import CHANNELS, draw

    screen = _screen()
    if not path.exists():
        np.save(path, np.stack([draw(screen, at) for at in range(NUM_SITES)]))
    facts = {"height": 256, "width": 256, "channels": [list(CHANNELS)] * num, "experiment": "e"}
    rows = {"well_id": screen.wells["well_id"][:num], "site": 1, **facts}
    return pd.DataFrame(rows).assign(locator=[str(at) for at in range(num)])


@benchmark("quality-96-sites", max_seconds=0.02 * NUM_SITES)
def one_core(_how: str, folder: Path) -> Timing:
    """Measure 96 sites of six channels and 256 px on one core: 20 ms a site."""
    from phenoprints.quality import measure_sites

    sites = _sites(folder / "sites.npy")
    images = Stack(str(folder / "sites.npy"))
    measure_sites(images, sites[:4])
    watch = Stopwatch()
    measure_sites(images, sites)
    return watch.timing()


def _alone(path: str, half: int) -> None:
    from phenoprints.quality import measure_sites

    sites = _sites(Path(path))
    for _ in range(3):
        measure_sites(Stack(path), sites[half::2])


@benchmark("quality-two-workers", min_ratios={"two independent processes": 0.7}, threads=2)
def two_workers(how: str, folder: Path) -> Timing:
    """Measure 288 sites with two workers, against two processes that know nothing of each other."""
    from phenoprints.foundations.workers import worker_pool
    from phenoprints.quality import measure_sites

    path = folder / "sites.npy"
    sites = pd.concat([_sites(path)] * 3, ignore_index=True)
    if how == "ours":
        with worker_pool(2) as spread:
            measure_sites(Stack(str(path)), sites[:64], spread=spread)
            watch = Stopwatch()
            measure_sites(Stack(str(path)), sites, spread=spread)
            return Timing(watch.timing().seconds, "(workers started)")
    spawn = get_context("spawn")
    with spawn.Pool(2) as pool:
        pool.starmap(_alone, [(str(path), 94), (str(path), 95)])
        watch = Stopwatch()
        pool.starmap(_alone, [(str(path), 0), (str(path), 1)], chunksize=1)
        return Timing(watch.timing().seconds, "(processes started)")


def damaged(image: np.ndarray, kind: str, severity: float) -> np.ndarray:
    """The image with one accident of a severity."""
    from scipy import ndimage

    pixels = image.astype(np.float32)
    size = image.shape[1]
    if kind.startswith("blur"):
        pixels = ndimage.gaussian_filter(pixels, (0, severity, severity))
    elif kind.startswith("gain"):
        pixels = pixels * severity
    elif kind.startswith("one"):
        pixels[3] *= severity
    elif kind.startswith("debris"):
        side = round(size * np.sqrt(severity / 100))
        pixels[:, 100 : 100 + side, 100 : 100 + side] = 250
    else:
        side = int(severity)
        pixels[:, 10 : 10 + side, 10 : 10 + side] = pixels[:, 120 : 120 + side, 130 : 130 + side]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def detection(change: Callable[[np.ndarray, str, float], np.ndarray] = damaged) -> pd.DataFrame:
    """The share of good wells that fail once damaged, by kind and severity."""
    from phenoprints.quality import assess, measure
    from phenoprints.testing.simulation import CHANNELS, draw

    screen = _screen()
    key = {"site": 1, "unreadable": ""}
    images = [draw(screen, at) for at in range(NUM_SITES)]
    metrics = pd.DataFrame(
        [
            {"well_id": well, **key, **measure(image, CHANNELS)}
            for well, image in zip(screen.wells["well_id"], images, strict=True)
        ]
    )
    treated = np.flatnonzero(screen.wells["role"] == "treatment")[:: 76 // NUM_WELLS][:NUM_WELLS]
    rows = []
    for kind, severities in SEVERITIES.items():
        for severity in severities:
            table = metrics.copy()
            for at in treated:
                found = measure(change(images[at], kind, severity), CHANNELS)
                table.loc[at, list(found)] = pd.Series(found)
            verdicts = assess(table.infer_objects(), screen.wells)
            wells = verdicts[verdicts["site"] == -1].reset_index(drop=True)
            share = float((wells.loc[treated, "verdict"] == "fail").mean())
            rows.append((kind, severity, share))
    return pd.DataFrame(rows, columns=["kind", "severity", "share"])


@benchmark("quality-severity")
def severity(_how: str, _folder: Path) -> Timing:
    """Share of 16 damaged wells that fail, by accident and severity."""
    watch = Stopwatch()
    table = detection()
    table["words"] = [f"{s:g}→{share:.0%}" for _, s, share in table.itertuples(index=False)]
    by_kind = table.groupby("kind", sort=False)["words"].agg(" ".join)
    words = [f"{kind}: {shares}" for kind, shares in by_kind.items()]
    return watch.timing("; ".join(words))
