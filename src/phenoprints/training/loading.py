"""Batches of crops, read ahead by threads, the same whoever reads them."""

# n crops of one process and micro-batch · C channels · p pixels along a crop

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phenoprints.training.dataset import Corpus
from phenoprints.training.sampling import Crops, CropSampler
from phenoprints.training.sources import CropSource


@dataclass(frozen=True)
class Batch:
    """One process's crops of one step, or a part of them that is a micro-batch.

    `images` is uint8 (n, C, p, p), not yet flipped; `keys` int64 (n,); `classes` int64 (n,);
    `flips` bool (n, 2); `wells` are rows of the training set. `channels` are the numbers of the
    crops' channels in the training set's vocabulary. `share` is the part of the step's crops of
    this process that these are, and `is_last` says that the step ends with them. `wait_s` is the
    time for which training stood still for this batch.
    """

    step: int
    images: Tensor
    keys: Tensor
    classes: Tensor
    flips: Tensor
    wells: NDArray[np.int64]
    channels: tuple[int, ...]
    share: float = 1.0
    is_last: bool = True
    wait_s: float = 0.0

    def __len__(self) -> int:
        return len(self.images)

    def on(self, device: torch.device) -> Batch:
        """Return the batch on a device, its crops flipped there."""
        images = self.images.to(device, non_blocking=True)
        flips = self.flips.to(device, non_blocking=True)
        return replace(
            self,
            images=flipped(images, flips),
            keys=self.keys.to(device, non_blocking=True),
            classes=self.classes.to(device, non_blocking=True),
            flips=flips,
        )

    def first(self, num_crops: int) -> Batch:
        """Return the first crops of the batch."""
        few = slice(num_crops)
        return replace(
            self,
            images=self.images[few],
            keys=self.keys[few],
            classes=self.classes[few],
            flips=self.flips[few],
            wells=self.wells[few],
        )


def flipped(images_BCHW: Tensor, flips_B2: Tensor) -> Tensor:
    """Return the crops turned up-down where the first flag says so, left-right where the second
    does.
    """
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
    """Reads the micro-batches of the steps of one process, ahead of their use.

    Parameters
    ----------
    corpus, sampler, source
        Which wells, which crops of them, and where the pixels are.
    batch_size
        Crops of a step over all processes; must divide by their number.
    place
        Decides the share of this process: a run of consecutive crops of the step.
    micro_batch_size
        Crops that are read, sent and learned from at once; None: the whole share of the process.
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
        micro_batch_size: int | None = None,
        place: Place = Place(),
        num_workers: int = 0,
    ) -> None:
        self.corpus, self.sampler, self.source = corpus, sampler, source
        self.batch_size, self.place, self.num_workers = batch_size, place, num_workers
        self.share = batch_size // place.num_processes
        self.micro_batch_size = min(micro_batch_size or self.share, self.share)

    @property
    def num_parts(self) -> int:
        """Micro-batches of a step of this process."""
        return -(-self.share // self.micro_batch_size)

    def crops(self, step: int) -> Crops:
        """Return the crops of a step that fall to this process."""
        first = self.place.rank * self.share
        return self.sampler.batch(step, self.batch_size).part(slice(first, first + self.share))

    def batch(self, step: int, part: int = 0) -> Batch:
        """Micro-batch `part` of a step, read now."""
        start = part * self.micro_batch_size
        crops = self.crops(step).part(slice(start, start + self.micro_batch_size))
        images = torch.from_numpy(self.source.read(crops, self.sampler.crop_px))
        return Batch(
            step=step,
            images=images.pin_memory() if self.place.is_pinned else images,
            keys=torch.from_numpy(crops.keys),
            classes=torch.from_numpy(self.corpus.classes[crops.wells]),
            flips=torch.from_numpy(crops.flips),
            wells=crops.wells,
            channels=self.corpus.channel_numbers(crops.wells[0]),
            share=len(crops) / self.share,
            is_last=part == self.num_parts - 1,
        )

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the micro-batches of steps `start` … `stop - 1`, in order."""
        wanted = ((step, part) for step in range(start, stop) for part in range(self.num_parts))
        if self.num_workers == 0:
            for step, part in wanted:
                yield _waited(partial(self.batch, step, part))
            return
        with ThreadPoolExecutor(self.num_workers, "crops", self.place.enter_thread) as pool:
            queue: deque[Future[Batch]] = deque()
            try:
                for step, part in wanted:
                    queue.append(pool.submit(self.batch, step, part))
                    if len(queue) > 2 * self.num_workers:
                        yield _waited(queue.popleft().result)
                while queue:
                    yield _waited(queue.popleft().result)
            finally:
                for future in queue:
                    future.cancel()


def _waited(read: Callable[[], Batch]) -> Batch:
    started = time.perf_counter()
    batch = read()
    return replace(batch, wait_s=time.perf_counter() - started)
