"""Images read ahead of the forward pass, in their order; what cannot be read is passed on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from phenoprints.embeddings.forward import Image, ReadImage, Site
from phenoprints.foundations.errors import ImageError, PhenoprintsError

AHEAD_PER_WORKER = 2
"""Images that each thread may be ahead: enough to hide reading, little memory."""


class ReadAhead:
    """The images of `sites` in their order, read by `num_workers` threads (0: by the caller).

    Threads are enough, since decoders and stores release the interpreter. `waiting_s` sums the
    seconds that the consumer waited. An image that cannot be read is given as its error.
    """

    def __init__(self, read: ReadImage, sites: Iterable[Site], num_workers: int = 0) -> None:
        self.read, self.sites, self.num_workers = read, sites, num_workers
        self.waiting_s = 0.0

    def __iter__(self) -> Iterator[Image]:
        images = self._threaded() if self.num_workers else map(self._image, self.sites)
        while True:
            start = time.monotonic()
            image = next(images, None)
            self.waiting_s += time.monotonic() - start
            if image is None:
                return
            yield image

    def _image(self, site: Site) -> Image:
        try:
            return self.read(site)
        except PhenoprintsError as error:
            return error
        except OSError as error:
            return ImageError(f"{site.locator}: {error}")

    def _threaded(self) -> Iterator[Image]:
        with ThreadPoolExecutor(self.num_workers) as pool:
            waiting: deque[Future[Image]] = deque()
            try:
                for site in self.sites:
                    waiting.append(pool.submit(self._image, site))
                    if len(waiting) > AHEAD_PER_WORKER * self.num_workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
