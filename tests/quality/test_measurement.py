"""The metrics of one image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from phenoprints.foundations.errors import ConfigurationError, DataError
from phenoprints.quality import measure
from phenoprints.quality.artefacts import copied_percent
from phenoprints.quality.nuclei import measure_nuclei
from phenoprints.testing.simulation import CHANNELS, design, draw

SEED = np.random.default_rng(5)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    screen = design({"experiments": 1})
    return draw(screen, screen.kinds.index(""))


def noise(shape: tuple[int, ...] = (2, 64, 64), high: int = 200) -> np.ndarray:
    return SEED.integers(10, high, shape).astype(np.uint8)


def test_every_channel_has_its_metrics_by_name(image: np.ndarray) -> None:
    metrics = measure(image, CHANNELS)
    for metric in ("mean", "power_log_log_slope", "laplacian_variance", "saturated_percent"):
        assert {f"{metric}_{c.lower()}" for c in CHANNELS} <= metrics.keys()
    assert {"nuclei_count", "debris_percent", "correlation_dna_mito"} <= metrics.keys()
    numbers = [value for key, value in metrics.items() if key != "fingerprint"]
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_intensities_are_those_of_numpy(dtype: type) -> None:
    plane = SEED.gamma(2.0, 20.0, (50, 70)).astype(dtype)
    plane[:5] = np.iinfo(dtype).max
    metrics = measure(plane[None], ["a"])
    assert metrics["mean_a"] == pytest.approx(plane.mean())
    assert metrics["std_a"] == pytest.approx(plane.std())
    for p in (1, 5, 50, 95, 99):
        assert metrics[f"percentile_{p}_a"] == np.percentile(plane, p, method="inverted_cdf")
    assert metrics["saturated_percent_a"] == pytest.approx(100 * 5 / 50)
    assert metrics["maximum_percent_a"] == pytest.approx(100 * 5 / 50)
    assert metrics["minimum_percent_a"] == pytest.approx(100 * (plane == plane.min()).mean())


def test_blur_lowers_sharpness_and_steepens_the_spectrum(image: np.ndarray) -> None:
    sharp = measure(image, CHANNELS)
    soft = measure(ndimage.gaussian_filter(image, (0, 2, 2)), CHANNELS)
    for c in map(str.lower, CHANNELS):
        assert soft[f"sharpness_{c}"] < 0.5 * sharp[f"sharpness_{c}"]
        assert soft[f"power_log_log_slope_{c}"] < sharp[f"power_log_log_slope_{c}"]


def test_a_gradient_of_light_is_its_unevenness() -> None:
    ramp = np.linspace(50, 150, 128)
    image = np.round(np.tile(ramp, (128, 1))).astype(np.uint8)[None]
    # The blocks' centres span 7/8 of the ramp.
    assert measure(image)["illumination_unevenness_channel_1"] == pytest.approx(0.875, abs=0.02)


def test_a_constant_channel_has_no_slope_and_no_correlation() -> None:
    image = noise()
    image[1] = 7
    metrics = measure(image, ["a", "b"])
    assert metrics["std_b"] == 0
    assert np.isnan([metrics[k] for k in ("power_log_log_slope_b", "correlation_a_b")]).all()


def test_equal_channels_correlate_fully() -> None:
    image = noise()
    image[1] = image[0]
    assert measure(image, ["a", "b"])["correlation_a_b"] == pytest.approx(1.0)


def test_a_pasted_region_is_found_and_noise_is_not() -> None:
    plane = noise((96, 96))
    assert copied_percent(plane) == 0.0
    plane[50:90, 40:90] = plane[5:45, 3:53]
    # 33 × 43 blocks on either side of all 89 × 89.
    assert copied_percent(plane) == pytest.approx(100 * 2 * 33 * 43 / 89**2, rel=0.25)


def test_flat_background_is_no_copy() -> None:
    plane = np.full((64, 64), 3, np.uint8)
    plane[::9] += 1
    assert copied_percent(plane) == 0.0
    plane[5::20, 7::24] = 255  # hot pixels
    assert copied_percent(plane) == 0.0


def test_smooth_images_of_8_bits_hold_no_copy_until_one_is_made() -> None:
    smooth = ndimage.gaussian_filter(noise((512, 512)).astype(np.float64), 6)
    for levels in (20, 60, 120):
        plane = np.rint((smooth - smooth.min()) * levels / np.ptp(smooth)).astype(np.uint8)
        assert copied_percent(plane) < 0.2, levels
        plane[300:400, 350:450] = plane[20:120, 40:140]
        assert copied_percent(plane) > 3.0, levels


def test_the_share_of_a_copy_is_the_same_for_8_and_16_bits() -> None:
    plane = noise((160, 160))
    plane[90:130, 20:70] = plane[5:45, 3:53]
    shares = [copied_percent(p) for p in (plane, plane.astype(np.uint16), plane * np.uint16(257))]
    assert shares == pytest.approx([100 * 2 * 33 * 43 / 153**2] * 3, rel=0.25)


def test_a_block_that_stands_three_times_counts_three_times() -> None:
    plane = noise((160, 160))
    plane[60:100, 40:90] = plane[110:150, 80:130] = plane[5:45, 3:53]
    assert copied_percent(plane) == pytest.approx(100 * 3 * 33 * 43 / 153**2, rel=0.25)


def disks(centres: list[tuple[int, int]], radius: int, level: float) -> np.ndarray:
    y, x = np.mgrid[:200, :200]
    plane = 10.0 + SEED.normal(0.0, 1.0, (200, 200))
    for cy, cx in centres:
        plane[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] += level
    return np.rint(plane).astype(np.uint8)


def test_nuclei_are_counted_with_area_and_intensity() -> None:
    centres = [(30, 30), (30, 100), (100, 60), (160, 160), (150, 40)]
    areas, intensities = measure_nuclei(disks(centres, 12, 90.0))
    assert len(areas) == 5
    assert np.allclose(areas, np.pi * 144, rtol=0.1)
    assert np.allclose(intensities, 90.0, rtol=0.1)


def test_touching_nuclei_are_split() -> None:
    centres = [(40, 40), (40, 61), (120, 60), (160, 160), (90, 150), (150, 90)]
    assert len(measure_nuclei(disks(centres, 12, 90.0))[0]) == 6


def test_noise_alone_has_no_nuclei() -> None:
    assert len(measure_nuclei(disks([], 1, 0.0))[0]) == 0
    metrics = measure(np.full((1, 64, 64), 4, np.uint8), ["DNA"])
    assert metrics["nuclei_count"] == 0
    assert np.isnan(metrics["nuclei_area"])


def test_the_nucleus_channel_is_found_by_name_or_given() -> None:
    image = np.stack([noise((200, 200), 14), disks([(50, 50), (100, 120)], 9, 90.0)])
    image = image.astype(np.uint8)
    assert measure(image, ["ER", "Hoechst 33342"])["nuclei_count"] == 2
    assert measure(image, ["ER", "blue"], nucleus_channel="blue")["nuclei_count"] == 2
    with pytest.raises(ConfigurationError, match="nucleus_channel: 'red' is no channel"):
        measure(image, ["ER", "blue"], nucleus_channel="red")


@pytest.mark.parametrize(
    ("image", "channels", "message"),
    [
        (np.zeros((2, 64, 64)), None, "float64 of shape"),
        (np.zeros((64, 64), np.uint8), None, "Expected uint8 or uint16"),
        (np.zeros((2, 8, 64), np.uint8), None, "at least 32 on each side"),
        (np.zeros((2, 64, 64), np.uint8), ["a"], "one distinct name each"),
        (np.zeros((2, 64, 64), np.uint8), ["DNA", "dna"], "one distinct name each"),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray, channels: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure(image, channels)
