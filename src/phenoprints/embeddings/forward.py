"""One pass of an encoder over the images of a unit: well means of the crops' features."""

# S sites · K crops of a site · C channels · H W pixels · L blocks · D features

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from phenoprints.embeddings.geometry import Geometry
from phenoprints.embeddings.store import Unit
from phenoprints.foundations.errors import ConfigurationError, DataError, PhenoprintsError

if TYPE_CHECKING:
    import torch

    from phenoprints.models import Encoder

Precision = Literal["float32", "bfloat16", "int8", "fp8"]
MAX_QUEUED = 3
"""Forward passes that may wait on an accelerator: enough that it never idles."""


@dataclass(frozen=True)
class Site:
    """An image to be read: the well (row in its experiment), its number there, its pixels' place.

    `shape` is the height and width that the screen declares, `slot` the place of the site among
    the screen's site numbers.
    """

    well: int
    number: int
    locator: str
    channels: tuple[str, ...]
    experiment: str = ""
    shape: tuple[int, int] | None = None
    slot: int = 0


ReadImage = Callable[[Site], NDArray[np.uint8]]
"""Gives the pixels, uint8 (C, H, W), of a site."""
Image = NDArray[np.uint8] | PhenoprintsError
"""The pixels of a site, or why they cannot be read."""


@dataclass(frozen=True)
class EmbeddingSettings:
    """How an encoder embeds images.

    Attributes
    ----------
    encoder
        A network in evaluation mode, on its device.
    geometry
        The crops of every image.
    resize
        `resize` fits crops to the encoder's input; `error` refuses crops of another size.
    batch_size
        Crops of a forward pass at most.
    precision
        Arithmetic of the forward pass; standardisation and means are float32 in either.
    crop_shape
        Sites of a well and crops of a site whose own vectors are kept; None keeps none.
    """

    encoder: Encoder
    geometry: Geometry
    resize: Literal["error", "resize"] = "error"
    batch_size: int = 128
    precision: Precision = "float32"
    crop_shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        side, crop = self.encoder.crop_px, self.geometry.crop_px
        if side != crop and self.resize == "error":
            raise ConfigurationError(
                f"{self.encoder.config.name} takes crops of {side} px; the screen gives crops of "
                f"{crop} px. To fix: set crop_px: {side} for the screen, or resize: resize for "
                "the encoder."
            )

    def fitted(self, crops: torch.Tensor) -> torch.Tensor:
        """Crops of the encoder's size: as they are, or resized on its device."""
        from phenoprints.models.encoder import resized

        if crops.shape[-1] == self.encoder.crop_px:
            return crops
        return resized(crops.to(self.encoder.device).float(), self.encoder.crop_px)


@dataclass(frozen=True)
class FailedSite:
    """A site whose image could not be used, with the reason."""

    site: Site
    reason: str


@dataclass
class UnitFeatures:
    """Well means of a unit: `last` (n, D), `blocks` (wells whose blocks are kept, L, D); NaN if
    failed.

    `num_sites` counts the sites that went into each well's mean, `failed` lists those that could
    not be used. `crops` (n, S, K, D) holds the vector of each crop where they are kept, NaN where
    a well lacks a site.
    """

    last: NDArray[np.float32]
    blocks: NDArray[np.float32] | None
    num_sites: NDArray[np.int64]
    crops: NDArray[np.float32] | None = None
    failed: list[FailedSite] = field(default_factory=list)


class UnitForward:
    """One encoder's pass over the images of one unit, which come one by one.

    Whole sites are collected into forward passes, and their means into wells. A well's vector is
    the mean over its sites of the mean over their crops, both in float32; it depends on the unit's
    images and their order alone, not on what else is computed meanwhile.

    Parameters
    ----------
    settings
        The encoder and its settings.
    unit
        The wells; the sites of a well come one after the other, wells in their order.
    block_rows
        Wells of the unit whose features of every block are kept.
    """

    def __init__(
        self, settings: EmbeddingSettings, unit: Unit, block_rows: Sequence[int] = ()
    ) -> None:
        self.settings, self.unit = settings, unit
        self.block_rows = np.asarray(block_rows, np.int64)
        self.num_wells = unit.stop - unit.start
        self.is_kept = np.zeros(self.num_wells, np.bool_)
        self.is_kept[self.block_rows] = True
        self.failed: list[FailedSite] = []
        self.pending: list[tuple[Site, NDArray[np.uint8]]] = []
        self.num_pending = self.num_crops = 0
        # Means stay on the device until the unit ends, so that it never waits for a copy.
        self.last: list[tuple[list[int], torch.Tensor]] = []
        self.blocks: list[tuple[list[int], torch.Tensor]] = []
        self.crops: list[tuple[list[Site], torch.Tensor]] = []
        self.queued: deque[torch.cuda.Event] = deque()

    def add_image(self, site: Site, image: Image) -> None:
        """Add the crops of a site, or record why it cannot be used."""
        try:
            if isinstance(image, PhenoprintsError):
                raise image
            crops = self.prepared(site, image)
        except PhenoprintsError as error:
            self.failed.append(FailedSite(site, str(error).partition("\n")[0]))
            return
        self.add(site, crops)

    def prepared(self, site: Site, image_CHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the site's crops with channels in the encoder's order (K, C, H, W)."""
        if len(image_CHW) != len(site.channels):
            raise DataError(f"{len(image_CHW)} channels; its screen declares {len(site.channels)}")
        order = channel_order(self.settings.encoder.channels, site.channels)
        crops = self.settings.geometry.crops(image_CHW)
        if self.settings.crop_shape is not None and len(crops) != self.settings.crop_shape[1]:
            raise DataError(
                f"{len(crops)} crops; the screen's images have {self.settings.crop_shape[1]}, "
                "and the vectors of all crops are kept"
            )
        return crops if order is None else crops[:, order]

    def add(self, site: Site, crops_KCHW: NDArray[np.uint8]) -> None:
        """Add a site; run the pending ones first when they would not fit into one pass with it."""
        fits = self.num_pending + len(crops_KCHW) <= self.settings.batch_size
        alike = not self.pending or self.pending[0][1].shape == crops_KCHW.shape
        if self.pending and not (fits and alike):
            self.run()
        self.pending.append((site, crops_KCHW))
        self.num_pending += len(crops_KCHW)
        self.num_crops += len(crops_KCHW)

    def run(self) -> None:
        """One forward pass over the pending sites."""
        import torch

        sites = [site for site, _ in self.pending]
        wells = [site.well - self.unit.start for site in sites]
        crops = torch.from_numpy(np.concatenate([crops for _, crops in self.pending]))
        step = self.settings.batch_size
        features = [self._features(crops[at : at + step]) for at in range(0, len(crops), step)]
        vectors = features[0] if len(features) == 1 else torch.cat(features)
        by_site = vectors.reshape(len(wells), -1, *vectors.shape[1:])
        means = by_site.mean(dim=1)
        self.pending, self.num_pending = [], 0
        if self.settings.crop_shape is not None:
            last = by_site[:, :, -1] if len(self.block_rows) else by_site
            self.crops.append((sites, last.contiguous()))
        if not len(self.block_rows):
            self.last.append((wells, means))
            return
        self.last.append((wells, means[:, -1]))
        kept = [i for i, well in enumerate(wells) if self.is_kept[well]]
        if kept:
            self.blocks.append(([wells[i] for i in kept], means[kept]))

    def _features(self, crops: torch.Tensor) -> torch.Tensor:
        encoder = self.settings.encoder
        device = encoder.device
        if device.type == "cuda":
            crops = crops.pin_memory().to(device, non_blocking=True)
        crops = self.settings.fitted(crops)
        with arithmetic(encoder, self.settings.precision):
            features = encoder.features(crops, "all" if len(self.block_rows) else "last")
        if device.type == "cuda":
            self._wait_for_earlier()
        return features

    def _wait_for_earlier(self) -> None:
        """Let the accelerator have a few passes waiting, and not a whole unit's crops in memory."""
        import torch

        event: torch.cuda.Event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self.queued.append(event)
        if len(self.queued) > MAX_QUEUED:
            self.queued.popleft().synchronize()

    def finish(self) -> UnitFeatures:
        """Return the means of the unit's wells."""
        if self.pending:
            self.run()
        num_features = num_features_of(self.settings.encoder, ())
        last, counts = _well_means(self.last, self.num_wells, (num_features,))
        seen = UnitFeatures(last, None, counts, self._kept_crops(last.shape[1]), self.failed)
        if len(self.block_rows):
            shape = (self.settings.encoder.num_blocks, last.shape[1])
            seen.blocks, _ = _well_means(self.blocks, self.num_wells, shape, self.block_rows)
        return seen

    def _kept_crops(self, num_features: int) -> NDArray[np.float32] | None:
        if self.settings.crop_shape is None:
            return None
        kept = np.full(
            (self.num_wells, *self.settings.crop_shape, num_features), np.nan, np.float32
        )
        for sites, vectors in self.crops:
            rows = [site.well - self.unit.start for site in sites]
            kept[rows, [site.slot for site in sites]] = vectors.float().cpu().numpy()
        return kept


def embed_sites(
    sites: Sequence[Site],
    images: Iterable[Image],
    num_wells: int,
    settings: EmbeddingSettings,
    block_rows: Sequence[int] = (),
) -> UnitFeatures:
    """Embed the wells of one unit.

    Parameters
    ----------
    sites
        The sites of the unit's wells, those of a well one after the other.
    images
        For each site its pixels, uint8 (C, H, W), or the error that reading them gave.
    num_wells
        Wells of the unit; one without a usable site gets NaN.
    settings, block_rows
        As in `UnitForward`.
    """
    unit = UnitForward(settings, Unit("", 0, num_wells), block_rows)
    for site, image in zip(sites, images, strict=True):
        unit.add_image(site, image)
    return unit.finish()


def _well_means(
    parts: Sequence[tuple[Sequence[int], torch.Tensor]],
    num_wells: int,
    shape: tuple[int, ...],
    rows: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Means over the sites of each well, in the order of the sites, or of the wells `rows` only."""
    wells = np.array([well for group, _ in parts for well in group], np.int64)
    counts = np.bincount(wells, minlength=num_wells)
    place = np.arange(num_wells)
    if rows is not None:
        place[rows] = np.arange(len(rows))
    num_rows = num_wells if rows is None else len(rows)
    if not len(wells):
        return np.full((num_rows, *shape), np.nan, np.float32), counts
    values = np.concatenate([means.float().cpu().numpy() for _, means in parts])
    starts = np.flatnonzero(np.diff(wells, prepend=-1))
    sums = np.add.reduceat(values, starts, axis=0, dtype=np.float32)
    means = np.full((num_rows, *values.shape[1:]), np.nan, np.float32)
    divisor = counts[wells[starts]].astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    means[place[wells[starts]]] = sums / divisor
    return means, counts


def num_features_of(encoder: Encoder, channels: Sequence[str]) -> int:
    """Length of a vector of the encoder on images of these channels."""
    per_channel = encoder.config.pool == "channel"
    return encoder.num_features * (len(channels) if per_channel else 1)


def channel_order(wanted: Sequence[str], there: Sequence[str]) -> list[int] | None:
    """Where the encoder's channels stand among the image's, None when they come as they are.

    Channels are matched by name. A channel-agnostic encoder accepts any channels unchanged;
    one whose channels are only numbered (`channel-1` …) takes as many as it has. Anything else is
    a DataError.
    """
    if not wanted or list(wanted) == list(there):
        return None
    if set(wanted) <= set(there):
        return [list(there).index(name) for name in wanted]
    numbered = [f"channel-{i + 1}" for i in range(len(wanted))]
    if len(wanted) == len(there) and numbered in (list(wanted), list(there)):
        return None
    raise DataError(
        f"channels {', '.join(there)}; the encoder expects {', '.join(wanted)}. "
        "To fix: name them alike (channel_names of the screen), or take a channel-agnostic encoder."
    )


def arithmetic(encoder: Encoder, precision: Precision) -> AbstractContextManager[Any]:
    """Return a forward pass's context: plain float32, bfloat16 by autocast, or 8-bit products.

    With 8 bits everything but the products of the blocks is as in bfloat16.
    """
    import torch

    from phenoprints.models.quantized import eight_bits

    stack = ExitStack()
    is_plain = precision == "float32"
    stack.enter_context(
        torch.autocast(encoder.device.type, dtype=torch.bfloat16, enabled=not is_plain)
    )
    if precision in ("int8", "fp8"):
        stack.enter_context(eight_bits(encoder, precision))
    return stack
