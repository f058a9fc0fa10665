"""Screens: tables of JUMP, packing, reading of crops and wells."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_CONDITIONS = 1_000_000
WELLS_PER_PART = 930_000
WELLS_PER_EXPERIMENT = 9_300

# --- tables ------------------------------------------------------------------------------------


@benchmark("screens-jump-tables", max_seconds=10, max_memory_gb=1.0)
def jump_tables(_how: str, folder: Path) -> Timing:
    """The 742,825 wells of JUMP's tables (December 2022) become a screen."""
    from phenoprints.screens import read

    data = Path(os.environ["PHENOPRINTS_TEST_DATA"]) / "metadata/jump_cpg0016"
    (folder / "metadata").symlink_to(data)
    stopwatch = Stopwatch()
    screen = read({"source": "jump-cp", "root": str(folder)})
    return stopwatch.timing(f"({len(screen.wells):,} wells)")


# --- images ------------------------------------------------------------------------------------

SIDE, CHANNELS, CROP = 2048, [f"c{i}" for i in range(6)], 256
NUM_SITES = 8
NUM_READ = 48


def site_pixels(number: int) -> np.ndarray:
    """Smooth cells over noise: zstd-1 finds about as much to save as in real images."""
    rng = np.random.default_rng(number)
    coarse = rng.gamma(2.0, 12.0, (6, SIDE // 8, SIDE // 8))
    smooth = np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)
    return np.clip(smooth + rng.normal(0, 2, smooth.shape), 0, 255).astype(np.uint8)


def origins(num: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "well_id": np.arange(num, dtype=np.uint64),
            "site": np.int32(1),
            "locator": [f"simulated:{i}" for i in range(num)],
            "height": SIDE,
            "width": SIDE,
            "channels": [CHANNELS] * num,
            "experiment": "e",
            "plate": "p",
            "packed": [f"zarr:images/e/p.zarr#{i}" for i in range(num)],
        }
    )


def prepare_stores(folder: Path) -> None:
    from phenoprints.screens.images import pack

    images = [site_pixels(i) for i in range(NUM_SITES)]
    for compression in ("none", "zstd"):
        pack(origins(NUM_SITES), folder / compression, lambda row: images[int(row.well_id)],
             compression=compression)  # fmt: skip
    np.stack(images).tofile(folder / "memmap.bin")


def requests(num: int) -> list[tuple[int, int, int]]:
    rng = np.random.default_rng(0)
    top = SIDE - CROP + 1
    return list(zip(rng.integers(0, NUM_SITES, num).tolist(), rng.integers(0, top, num).tolist(),
                    rng.integers(0, top, num).tolist(), strict=True))  # fmt: skip


def random_crops(how: str, folder: Path, compression: str, num: int = 512) -> Timing | None:
    """Seconds for `num` crops in batches of 64; the files are in the page cache for all."""
    if how == "prepare":
        prepare_stores(folder)
        return None
    wanted = requests(num)
    path = folder / compression / "images/e/p.zarr"
    batches = [wanted[i : i + 64] for i in range(0, num, 64)]
    if how == "ours":
        from phenoprints.screens.images import ScreenImages

        images = ScreenImages(str(folder / compression))

        def batch(places: list) -> np.ndarray:
            locators = [f"zarr:images/e/p.zarr#{site}" for site, _, _ in places]
            return images.crops(locators, [(y, x) for _, y, x in places], CROP, channels=CHANNELS)
    else:
        if how == "zarr-python":
            import zarr

            array = zarr.open_array(path, mode="r")
        else:
            shape = (NUM_SITES, 6, SIDE, SIDE)
            array = np.memmap(folder / "memmap.bin", np.uint8, "r", shape=shape)

        def batch(places: list) -> np.ndarray:
            return np.stack([array[s, :, y : y + CROP, x : x + CROP] for s, y, x in places])

    batch(batches[0])
    stopwatch = Stopwatch()
    for places in batches:
        batch(places)
    timing = stopwatch.timing()
    return Timing(timing.seconds, f"({num / timing.seconds:,.0f} crops/s)", timing.cpu_seconds)


@benchmark(
    "screens-random-crops-none", min_ratios={"zarr-python": 3, "memory map": None}, prepares=True
)
def crops_none(how: str, folder: Path) -> Timing | None:
    """512 random crops of 256 × 256 × 6 from an uncompressed store, batches of 64."""
    return random_crops(how, folder, "none")


@benchmark(
    "screens-random-crops-zstd", min_ratios={"zarr-python": None, "memory map": None}, prepares=True
)
def crops_zstd(how: str, folder: Path) -> Timing | None:
    """512 random crops of 256 × 256 × 6 from a compressed store, batches of 64."""
    return random_crops(how, folder, "zstd")


def centre_crops(how: str, folder: Path, compression: str) -> Timing | None:
    """Seconds for the centre 36 crops (36, C, 256, 256) of each well, one well at a time."""
    if how == "prepare":
        prepare_stores(folder)
        return None
    first, size = CROP, 6 * CROP
    path = folder / compression / "images/e/p.zarr"
    inside = slice(first, first + size)
    if how == "ours":
        from phenoprints.screens.images import ScreenImages

        images = ScreenImages(str(folder / compression))
        steps = range(first, first + size, CROP)
        corners = [(y, x) for y in steps for x in steps]

        def well(site: int) -> np.ndarray:
            locators = [f"zarr:images/e/p.zarr#{site}"] * len(corners)
            return images.crops(locators, corners, CROP, channels=CHANNELS)
    else:
        if how == "zarr-python":
            import zarr

            array = zarr.open_array(path, mode="r")
        else:
            shape = (NUM_SITES, 6, SIDE, SIDE)
            array = np.memmap(folder / "memmap.bin", np.uint8, "r", shape=shape)

        def well(site: int) -> np.ndarray:
            centre = np.asarray(array[site, :, inside, inside])
            tiles = centre.reshape(6, 6, CROP, 6, CROP).transpose(1, 3, 0, 2, 4)
            return np.ascontiguousarray(tiles).reshape(36, 6, CROP, CROP)

    well(0)
    stopwatch = Stopwatch()
    for number in range(NUM_READ):
        well(number % NUM_SITES)
    timing = stopwatch.timing()
    note = f"({NUM_READ / timing.seconds:,.0f} wells/s)"
    return Timing(timing.seconds, note, timing.cpu_seconds)


@benchmark(
    "screens-centre-36-none", min_ratios={"zarr-python": 3, "memory map": None}, prepares=True
)
def centre_none(how: str, folder: Path) -> Timing | None:
    """The centre 36 crops of 48 reads of wells of 2048 × 2048 × 6, uncompressed store."""
    return centre_crops(how, folder, "none")


@benchmark(
    "screens-centre-36-zstd", min_ratios={"zarr-python": None, "memory map": None}, prepares=True
)
def centre_zstd(how: str, folder: Path) -> Timing | None:
    """The centre 36 crops of 48 reads of wells of 2048 × 2048 × 6, compressed store."""
    return centre_crops(how, folder, "zstd")


# --- packing -----------------------------------------------------------------------------------

NUM_PACKED = 48


def take_memory(file: Path, num_bytes: int) -> None:
    """Have the host of a virtual machine give it the memory of the files that are to be written.

    Hosts give pages when they are first written to, at up to ten times the time of the copy, and
    take them back when they lie free for some seconds.
    """
    block = bytes(1 << 20)
    with file.open("wb", buffering=0) as stream:
        for _ in range(num_bytes >> 20):
            stream.write(block)
    file.unlink()


@benchmark("screens-pack", min_ratios={"decoder alone": 0.8}, prepares=True)
def packing(how: str, folder: Path) -> Timing | None:
    """48 sites of 1080 × 1080 × 5 (16 bits, LZW), with windows, into a zstd store; one decodes."""
    import tifffile

    from phenoprints.screens.images import ScreenImages, pack, read_site
    from phenoprints.screens.images.locators import FilesLocator

    locator = str(FilesLocator(tuple(f"{c}.tiff" for c in CHANNELS[:5])))
    if how == "prepare":
        for number, channel in enumerate(CHANNELS[:5]):
            image = site_pixels(number)[0, :1080, :1080].astype(np.uint16) * 131 + 700
            tifffile.imwrite(folder / f"{channel}.tiff", image, compression="lzw")
        return None
    sites = origins(NUM_PACKED).assign(locator=locator, height=1080, width=1080)
    sites["channels"] = [CHANNELS[:5]] * NUM_PACKED
    limits = {"e": dict.fromkeys(CHANNELS[:5], (700, 30_000))}
    images = ScreenImages(str(folder), limits)

    def read(row: pd.Series) -> np.ndarray:
        return images.read(row.locator, row.channels, experiment="e")

    pack(sites.iloc[:1], folder / "warm", read)
    take_memory(folder / "taken.bin", NUM_PACKED * 5 * 1080 * 1080)
    stopwatch = Stopwatch()
    if how == "ours":
        pack(sites, folder / f"packed-{time.time_ns()}", read)
    else:
        for _ in range(NUM_PACKED):
            read_site(folder, locator, CHANNELS[:5])
    timing = stopwatch.timing()
    # By the clock: sites are compressed and written while the next ones are decoded.
    speed = NUM_PACKED * 5 * 1080 * 1080 * 2 / 1e6 / timing.seconds
    note = f"({speed:,.0f} MB/s of pixels, {timing.cpu_seconds:.2f} s of processors)"
    return Timing(timing.seconds, note)
