"""Nuclei by a plain segmentation: smooth, threshold, label, split what touches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phenoprints.quality.metrics import Pixels, whole_percentiles

CONDENSATION_PERCENTILES = (10, 25, 50, 75, 90)
MIN_CONTRAST = 4.0
"""Foreground must stand this many noise widths above the background to hold nuclei."""

MIN_AREA_PX = 6
MIN_AREA_SHARE = 0.08
"""Objects below this share of the usual area are no nuclei."""

SPLIT_AREA = 1.7
"""Objects above this multiple of the usual area are tried for a split."""


def nuclei_metrics(plane: Pixels | None) -> dict[str, float]:
    """Count, area, intensity and condensation of the nuclei in one channel (H, W); NaN of None.

    `nuclei_area` (pixels) and `nuclei_intensity` (grey values above background) are medians.
    `nuclei_condensation_<p>` are percentiles of intensity/area over nuclei, which is large for the
    small bright nuclei of dead cells. Without nuclei the count is 0 and the rest NaN.
    """
    none = np.empty(0)
    areas, intensities = (none, none) if plane is None else measure_nuclei(plane)
    condensation = intensities / areas
    if len(areas) == 0:
        summary = np.full(2 + len(CONDENSATION_PERCENTILES), np.nan)
    else:
        summary = np.array(
            [
                np.median(areas),
                np.median(intensities),
                *np.percentile(condensation, CONDENSATION_PERCENTILES),
            ]
        )
    names = ["area", "intensity", *(f"condensation_{p}" for p in CONDENSATION_PERCENTILES)]
    values = {f"nuclei_{name}": float(v) for name, v in zip(names, summary, strict=True)}
    return {"nuclei_count": float("nan") if plane is None else float(len(areas)), **values}


def measure_nuclei(plane: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the area in pixels and the mean intensity above background of each nucleus."""
    labels, background = segment_nuclei(plane)
    num = int(labels.max(initial=0))
    areas = np.bincount(labels.ravel(), minlength=num + 1)[1:].astype(np.float64)
    sums = np.bincount(labels.ravel(), plane.ravel(), minlength=num + 1)[1:]
    return areas, sums / np.maximum(areas, 1.0) - background


def segment_nuclei(plane: Pixels) -> tuple[NDArray[np.int32], float]:
    """Labels (H, W) from 1 without gaps, 0 for background, and the background's median.

    Otsu's threshold on the plane smoothed to the scale of its own nuclei; an image whose
    foreground barely leaves the noise has none.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    pixels = plane.astype(np.float32)
    smooth = ndimage.gaussian_filter(pixels, 1.0, mode="nearest", truncate=3.0)
    mask = smooth > threshold_otsu(smooth)
    diameter = 2.0 * np.sqrt(usual_area(_areas(mask)) / np.pi)
    if diameter > 16.0:
        smooth = ndimage.gaussian_filter(pixels, diameter / 12.0, mode="nearest", truncate=3.0)
        mask = smooth > threshold_otsu(smooth)
    background = float(whole_percentiles(plane[~mask], [50])[0]) if not mask.all() else 0.0
    if not _has_contrast(plane, mask, background):
        return np.zeros(plane.shape, np.int32), background
    labels = np.asarray(ndimage.label(_filled(mask))[0], np.int32)
    return split_and_clean(labels), background


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with its holes: background that no path of 4-neighbours leads out of."""
    from scipy import ndimage

    labels, num = ndimage.label(~mask)
    is_outside = np.zeros(num + 1, np.bool_)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        is_outside[edge] = True
    is_outside[0] = False
    filled: NDArray[np.bool_] = ~is_outside[labels]
    return filled


def _has_contrast(plane: Pixels, mask: NDArray[np.bool_], background: float) -> bool:
    if not mask.any() or mask.all():
        return False
    distance = np.abs(plane[~mask].astype(np.int64) - int(background))
    noise = 1.4826 * float(whole_percentiles(distance, [50])[0])
    return float(plane[mask].mean()) - background > MIN_CONTRAST * max(noise, 0.5)


def _areas(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    areas = np.bincount(labels.ravel())[1:].astype(np.float64)
    return areas[areas >= MIN_AREA_PX]


def usual_area(areas: NDArray[np.float64]) -> float:
    """Return the area such that half of all foreground lies in smaller objects; 0
    without objects.
    """
    if len(areas) == 0:
        return 0.0
    ordered = np.sort(areas)
    return float(ordered[np.searchsorted(np.cumsum(ordered), 0.5 * ordered.sum())])


def split_and_clean(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Large objects split at their necks, specks removed, labels renumbered from 1."""
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    usual = usual_area(areas[areas >= MIN_AREA_PX].astype(np.float64))
    large = areas > SPLIT_AREA * usual
    if large.any():
        labels = _split(labels, large)
        areas = np.bincount(labels.ravel())
    keep = areas >= max(MIN_AREA_PX, MIN_AREA_SHARE * usual)
    keep[0] = False
    renumbered = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    cleaned: NDArray[np.int32] = renumbered[labels]
    return cleaned


def _split(labels: NDArray[np.int32], large: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Watershed of the distance to the border, within the large objects only."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    mask = large[labels]
    distance = ndimage.distance_transform_edt(mask)
    distance = ndimage.gaussian_filter(distance, max(1.0, 0.15 * float(distance.max())))
    reach = max(3, round(float(distance.max())))
    peaks = (distance == ndimage.maximum_filter(distance, size=reach)) & mask
    markers, _ = ndimage.label(peaks, structure=np.ones((3, 3)))
    parts = watershed(-distance, markers, mask=mask)
    result: NDArray[np.int32] = np.where(mask, parts + labels.max(), labels).astype(np.int32)
    return result
