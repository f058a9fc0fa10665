"""Batch norms that take the statistics of each experiment before embedding it."""

# C channels · H W pixels

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from phenoprints.embeddings.forward import EmbeddingSettings, Image, Site, UnitForward
from phenoprints.embeddings.screen_tables import Layout, ScreenTables
from phenoprints.embeddings.store import Unit
from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.randomness import hash_uint64

if TYPE_CHECKING:
    import torch

NUM_SITES, CROPS_PER_SITE = 512, 4
"""What the statistics of an experiment are taken from: few crops of many wells."""


@dataclass
class Adaptation:
    """How an encoder looks at each experiment of a screen.

    The sites are drawn by a hash of their wells from all good ones of the experiment, so that
    neither the job nor the units that are computed matter.
    """

    settings: EmbeddingSettings
    tables: ScreenTables
    read: Callable[[Site], Image]
    _last: tuple[str, EmbeddingSettings] | None = field(default=None, init=False)

    def settings_of(self, experiment: str) -> EmbeddingSettings:
        """Return the settings with the batch norms of an experiment; the last one is kept."""
        from phenoprints.models.cnn import adapt_batch_norm

        if self._last is None or self._last[0] != experiment:
            batches = list(self._batches(experiment))
            encoder = (
                adapt_batch_norm(self.settings.encoder, batches)
                if batches
                else self.settings.encoder
            )
            self._last = experiment, replace(self.settings, encoder=encoder)
        return self._last[1]

    @cached_property
    def _layout(self) -> Layout:
        return self.tables.layout()

    def _sites(self, experiment: str) -> list[Site]:
        """Sample good sites of an experiment in a seeded order."""
        layout = self._layout
        rows = layout.experiments[experiment]
        starts = layout.site_starts
        selection = self.tables.selection(
            rows, slice(int(starts[rows.start]), int(starts[rows.stop]))
        )
        sites = selection.sites_of(Unit(experiment, 0, rows.stop - rows.start))
        ids = layout.ids[rows][[site.well for site in sites]]
        numbers = np.array([site.number for site in sites], dtype=np.int64)
        order = np.lexsort((numbers, hash_uint64(0, ids)))
        return [sites[at] for at in order[:NUM_SITES]]

    def _batches(self, experiment: str) -> Iterator[torch.Tensor]:
        """Crops of the sample on the encoder's device, many wells in each batch."""
        import torch

        per_batch = max(1, self.settings.batch_size // CROPS_PER_SITE)
        crops = list(self._crops(self._sites(experiment)))
        for at in range(0, len(crops), per_batch):
            batch = torch.from_numpy(np.concatenate(crops[at : at + per_batch]))
            yield self.settings.fitted(batch.to(self.settings.encoder.device))

    def _crops(self, sites: Sequence[Site]) -> Iterator[np.ndarray]:
        """Yield a few crops of each usable site; unusable sites are reported by the embedding."""
        preparing = UnitForward(replace(self.settings, crop_shape=None), Unit("", 0, 0))
        for site in sites:
            try:
                image = self.read(site)
                if isinstance(image, PhenoprintsError):
                    continue
                crops = preparing.prepared(site, image)
            except PhenoprintsError:
                continue
            chosen = np.linspace(0, len(crops) - 1, min(CROPS_PER_SITE, len(crops))).round()
            yield crops[chosen.astype(np.int64)]
