"""Batches of crops, read ahead by threads, the same whoever reads them."""

# n crops of one process and micro-batch · C channels · p pixels along a crop

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phenoprints.training.corpus import Corpus
from phenoprints.training.sampling import Crops, CropSampler
from phenoprints.training.sources import CropSource


@dataclass(frozen=True)
class Batch:
    """One process's crops of one step.

    `images` is uint8 (n, C, p, p), not yet flipped; `keys` int64 (n,); `classes` int64 (n,);
    `flips` bool (n, 2); `wells` are rows of the training set. `wait_s` is the time for which
    training stood still for this batch.
    """

    step: int
    images: Tensor
    keys: Tensor
    classes: Tensor
    flips: Tensor
    wells: NDArray[np.int64]
    wait_s: float = 0.0

    def __len__(self) -> int:
        return len(self.images)

    def on(self, device: torch.device) -> Batch:
        """The batch on a device, its crops flipped there."""
        images = self.images.to(device, non_blocking=True)
        flips = self.flips.to(device, non_blocking=True)
        return Batch(
            self.step,
            flipped(images, flips),
            self.keys.to(device, non_blocking=True),
            self.classes.to(device, non_blocking=True),
            flips,
            self.wells,
            self.wait_s,
        )

    def parts(self, size: int) -> Iterator[Batch]:
        """Micro-batches of at most `size` crops."""
        for start in range(0, len(self), size):
            s = slice(start, start + size)
            yield Batch(
                self.step,
                self.images[s],
                self.keys[s],
                self.classes[s],
                self.flips[s],
                self.wells[s],
            )


def flipped(images_BCHW: Tensor, flips_B2: Tensor) -> Tensor:
    """The crops turned up-down where the first flag says so, left-right where the second does."""
    for column, dim in ((0, -2), (1, -1)):
        chosen = flips_B2[:, column, None, None, None]
        images_BCHW = torch.where(chosen, images_BCHW.flip(dim), images_BCHW)
    return images_BCHW


@dataclass(frozen=True)
class Place:
    """Which of the processes that train together this one is, and the device that it feeds."""

    rank: int = 0
    num_processes: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_pinned(self) -> bool:
        """Whether crops wait in pinned memory, from which they are copied beside other work."""
        return self.device.type == "cuda"

    def enter_thread(self) -> None:
        """Make this place's device the current one of a thread: pinning belongs to a device."""
        if self.is_pinned:
            torch.cuda.set_device(self.device)


class Loader:
    """Reads the batches of steps `start` … `stop - 1` of one process, ahead of their use.

    Parameters
    ----------
    corpus, sampler, source
        Which wells, which crops of them, and where the pixels are.
    batch_size
        Crops of a step over all processes; must divide by their number.
    place
        Decides the share of this process: a run of consecutive crops of the step.
    num_workers
        Threads that read ahead; 0 reads when a batch is asked for. Pixels are decoded and copied
        outside of Python's lock, so threads do it without copies between processes.
    """

    def __init__(
        self,
        corpus: Corpus,
        sampler: CropSampler,
        source: CropSource,
        *,
        batch_size: int,
        place: Place = Place(),
        num_workers: int = 0,
    ) -> None:
        self.corpus, self.sampler, self.source = corpus, sampler, source
        self.batch_size, self.place, self.num_workers = batch_size, place, num_workers
        share = batch_size // place.num_processes
        self._share = slice(place.rank * share, (place.rank + 1) * share)

    def crops(self, step: int) -> Crops:
        """The crops of a step that fall to this process."""
        return self.sampler.batch(step, self.batch_size).part(self._share)

    def batch(self, step: int) -> Batch:
        """The batch of a step, read now."""
        crops = self.crops(step)
        images = torch.from_numpy(self.source.read(crops, self.sampler.crop_px))
        return Batch(
            step=step,
            images=images.pin_memory() if self.place.is_pinned else images,
            keys=torch.from_numpy(crops.keys),
            classes=torch.from_numpy(self.corpus.classes[crops.wells]),
            flips=torch.from_numpy(crops.flips),
            wells=crops.wells,
        )

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` … `stop - 1`, in order."""
        if self.num_workers == 0:
            yield from (_waited(self.batch, step) for step in range(start, stop))
            return
        with ThreadPoolExecutor(self.num_workers, "crops", self.place.enter_thread) as pool:
            queue: deque[Future[Batch]] = deque()
            upcoming = iter(range(start, stop))
            try:
                for step in upcoming:
                    queue.append(pool.submit(self.batch, step))
                    if len(queue) > 2 * self.num_workers:
                        yield _waited(lambda _: queue.popleft().result(), step)
                while queue:
                    yield _waited(lambda _: queue.popleft().result(), 0)
            finally:
                for future in queue:
                    future.cancel()


def _waited(read: object, step: int) -> Batch:
    started = time.perf_counter()
    batch: Batch = read(step)  # type: ignore[operator]
    object.__setattr__(batch, "wait_s", time.perf_counter() - started)
    return batch
