"""Focus, saturation and intensity against CellProfiler's definitions, written down anew.

MeasureImageQuality: PowerLogLogSlope from centrosome's radial power spectrum, FocusScore,
PercentMaximal, PercentMinimal and the intensities; MeasureImageIntensity for the quartiles.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.linalg import lstsq
from scipy.stats import spearmanr

from phenoprints.quality import measure
from phenoprints.testing.simulation import design, draw


def radial_power_spectrum(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centrosome's `rps`: radii from 2 to an eighth of the side, and the power summed on each."""
    radii2 = np.arange(image.shape[0])[:, None] ** 2 + np.arange(image.shape[1])[None] ** 2
    radii2 = np.minimum(radii2, np.flipud(radii2))
    radii2 = np.minimum(radii2, np.fliplr(radii2))
    if np.ptp(image) > 0:
        image = image / np.median(np.abs(image - image.mean()))
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    radii = np.floor(np.sqrt(radii2)).astype(int) + 1
    labels = np.arange(2, int(np.floor(min(image.shape) / 8.0)))
    return labels, ndimage.sum(power, radii, labels)


def power_log_log_slope(image: np.ndarray) -> float:
    radii, power = radial_power_spectrum(image.astype(float) / 255)
    terms = np.column_stack([np.log(radii), np.ones(len(radii))])
    return float(lstsq(terms, np.log(power))[0][0])


def focus_score(image: np.ndarray) -> float:
    scaled = image.astype(float) / 255
    return float(((scaled - scaled.mean()) ** 2).mean() / scaled.mean())


def percent_maximal(image: np.ndarray) -> float:
    return 100.0 * float((image == image.max()).sum()) / image.size


@pytest.fixture(scope="module")
def planes() -> list[np.ndarray]:
    """Planes of all channels that differ in blur, exposure and content."""
    screen = design({"experiments": 2, "plates": 1, "bad_wells": 0.2, "size_px": 128})
    images = [draw(screen, at) for at in range(0, 192, 8)]
    blurred = [
        np.rint(ndimage.gaussian_filter(image.astype(float), (0, s, s))).astype(np.uint8)
        for s, image in zip((0.5, 1, 1.5, 2, 3, 4), images, strict=False)
    ]
    bright = [np.minimum(image.astype(int) * k, 255).astype(np.uint8) for k, image in
              zip((2, 3, 5, 8), images[6:], strict=False)]  # fmt: skip
    return [plane for image in (*images, *blurred, *bright) for plane in image[::2]]


def ranks_agree(ours: list[float], theirs: list[float]) -> float:
    return float(spearmanr(ours, theirs).statistic)


def test_power_log_log_slope_ranks_as_cellprofilers(planes: list[np.ndarray]) -> None:
    ours = [measure(plane[None], ["a"])["power_log_log_slope_a"] for plane in planes]
    theirs = [power_log_log_slope(plane) for plane in planes]
    known = np.isfinite(ours)
    assert known.mean() > 0.9
    assert ranks_agree(np.array(ours)[known], np.array(theirs)[known]) > 0.95


def test_power_log_log_slope_is_the_slope_over_true_radii(planes: list[np.ndarray]) -> None:
    """CellProfiler's flips put negative frequencies one pixel too near; ours do not."""
    frequencies = np.abs(np.fft.fftfreq(128)) * 128
    radii = np.floor(np.sqrt(frequencies[:, None] ** 2 + frequencies[None] ** 2)).astype(int) + 1
    rings = np.arange(2, 16)
    for plane in planes[::7]:
        power = np.abs(np.fft.fft2(plane - plane.mean())) ** 2
        slope = np.polyfit(np.log(rings), np.log(ndimage.sum(power, radii, rings)), 1)[0]
        ours = measure(plane[None], ["a"])["power_log_log_slope_a"]
        assert ours == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_shares_of_extreme_pixels_are_cellprofilers(planes: list[np.ndarray]) -> None:
    ours = [measure(plane[None], ["a"]) for plane in planes]
    assert [m["maximum_percent_a"] for m in ours] == pytest.approx(
        [percent_maximal(plane) for plane in planes]
    )
    assert [m["minimum_percent_a"] for m in ours] == pytest.approx(
        [100.0 * (plane == plane.min()).mean() for plane in planes]
    )


def test_saturation_ranks_as_percent_maximal_does(planes: list[np.ndarray]) -> None:
    """Where the sensor's limit is reached; below it CellProfiler counts the image's own maximum."""
    at_limit = [plane for plane in planes if plane.max() == 255]
    assert len(at_limit) > 20
    ours = [measure(plane[None], ["a"])["saturated_percent_a"] for plane in at_limit]
    assert ranks_agree(ours, [percent_maximal(plane) for plane in at_limit]) > 0.95


def test_intensities_give_focus_score_and_the_quartiles_means(planes: list[np.ndarray]) -> None:
    ours = [measure(plane[None], ["a"]) for plane in planes]
    scores = [m["std_a"] ** 2 / m["mean_a"] / 255 for m in ours]
    assert scores == pytest.approx([focus_score(plane) for plane in planes])
    means = [m["mean_a"] for m in ours]
    assert ranks_agree(means, [float(plane.mean()) for plane in planes]) > 0.999
    medians = [m["percentile_50_a"] for m in ours]
    assert ranks_agree(medians, [float(np.median(plane)) for plane in planes]) > 0.95
