"""Reading sites from files, Parquet shards and OME-Zarr; windows from 16 to 8 bits."""

from __future__ import annotations

import json

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile

from phenoprints.foundations.errors import DataError, ImageError, MissingInputError
from phenoprints.screens.images import ScreenImages, read_site, site_header
from phenoprints.screens.images.decoding import decode_plane
from phenoprints.screens.images.headers import read_header
from phenoprints.screens.images.windows import look_up_tables, to_uint8, window, windows
from phenoprints.screens.preparing import measure_windows, prepare_images

RNG = np.random.default_rng(7)
EIGHT = RNG.integers(0, 256, (13, 17)).astype(np.uint8)
SIXTEEN = RNG.integers(0, 65536, (13, 17)).astype(np.uint16)


def encoded(name: str) -> tuple[bytes, np.ndarray]:
    """An image in one of the formats, and its pixels."""
    kind, depth = name.split()
    image = EIGHT if depth == "8" else SIXTEEN
    if kind == "png":
        return imagecodecs.png_encode(image), image
    if kind == "jp2":
        return imagecodecs.jpeg2k_encode(image, level=0, reversible=True), image
    if kind == "j2k":
        content = imagecodecs.jpeg2k_encode(image, level=0, reversible=True, codecformat="j2k")
        return content, image
    import io

    stream = io.BytesIO()
    compression = None if kind == "tiff" else kind.removeprefix("tiff-")
    tifffile.imwrite(stream, image, compression=compression)
    return stream.getvalue(), image


FORMATS = [
    f"{kind} {depth}"
    for kind in ("png", "jp2", "j2k", "tiff", "tiff-lzw", "tiff-zlib", "tiff-zstd", "tiff-packbits")
    for depth in ("8", "16")
]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_by_its_content_and_not_by_its_name(name):
    content, image = encoded(name)
    header = read_header(content, "image.txt")
    assert (header.height, header.width, header.samples) == (13, 17, 1)
    assert header.bits == (8 if image is EIGHT else 16)
    pixels = decode_plane(content, "image.txt", shape=(13, 17))
    assert pixels.dtype == image.dtype
    assert (pixels == image).all()


@pytest.mark.parametrize("name", FORMATS)
def test_a_header_that_disagrees_is_refused_before_decoding(name, monkeypatch):
    import phenoprints.screens.images.decoding as module

    content, _ = encoded(name)
    monkeypatch.setattr(module, "_DECODERS", {})
    with pytest.raises(ImageError, match="13 × 17 pixels, the screen declares 13 × 18"):
        decode_plane(content, "x", shape=(13, 18))


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_image_is_an_image_error(name):
    content, _ = encoded(name)
    for cut in (0, 5, 30, len(content) // 2):
        with pytest.raises(ImageError):
            decode_plane(content[:cut], "x")


def test_images_that_are_no_grey_planes_are_refused():
    colour = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(ImageError, match="one grey channel"):
        decode_plane(imagecodecs.png_encode(colour), "x")
    with pytest.raises(ImageError, match="one grey channel"):
        decode_plane(imagecodecs.jpeg2k_encode(colour, level=0), "x")
    import io

    for image, words in (
        (np.zeros((3, 9, 9), np.uint16), "several planes"),
        (np.zeros((9, 9), np.float32), "sample format 3"),
        (np.zeros((9, 9), np.uint32), "32 bits"),
    ):
        stream = io.BytesIO()
        tifffile.imwrite(stream, image, photometric="minisblack")
        with pytest.raises(ImageError, match=words):
            decode_plane(stream.getvalue(), "x")


def files(*paths: str) -> str:
    return "files:" + json.dumps(list(paths))


def test_channels_that_differ_or_are_missing_are_named(tmp_path):
    for name, image in (("a.png", EIGHT), ("b.png", EIGHT), ("c.png", SIXTEEN)):
        (tmp_path / name).write_bytes(imagecodecs.png_encode(image))
    assert read_site(tmp_path, files("a.png", "b.png"), ["DNA", "ER"]).shape == (2, 13, 17)
    assert site_header(tmp_path, files("a.png", "b.png")) == (13, 17)
    with pytest.raises(ImageError, match="its channels differ"):
        read_site(tmp_path, files("a.png", "c.png"), ["DNA", "ER"])
    with pytest.raises(ImageError, match="it has 2 channels, the screen declares 1"):
        read_site(tmp_path, files("a.png", "b.png"), ["DNA"])
    with pytest.raises(MissingInputError, match="the image is not there"):
        read_site(tmp_path, files("a.png", "d.png"), ["DNA", "ER"])
    with pytest.raises(ImageError, match="0 channels"):
        read_site(tmp_path, files("a.png"), [])


def test_illumination_functions_must_be_positive_matrices_of_the_same_size(tmp_path):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(SIXTEEN))
    for name, function in (
        ("ok", np.full((13, 17), 2.0)),
        ("zero", np.zeros((13, 17))),
        ("size", np.ones((5, 5))),
        ("whole", np.ones((13, 17), np.int64)),
    ):
        np.save(tmp_path / f"{name}.npy", function)
    (tmp_path / "pickle.npy").write_bytes(b"\x80\x04N.")

    def read(function: str) -> np.ndarray:
        payload = {"files": ["a.png"], "illumination": [function]}
        return read_site(tmp_path, "files:" + json.dumps(payload), ["DNA"])

    assert (read("ok.npy")[0] == np.rint(SIXTEEN / 2.0)).all()
    for name, words in (
        ("zero", "positive everywhere"), ("size", r"\(5, 5\) pixels"),
        ("whole", "matrix of floats"), ("pickle", "not a readable illumination"),
    ):  # fmt: skip
        with pytest.raises(ImageError, match=words):
            read(f"{name}.npy")
    with pytest.raises(MissingInputError, match="illumination function is not there"):
        read("none.npy")


# --- windows -----------------------------------------------------------------------------------


def reference_window(pixels: np.ndarray, percentiles: tuple[float, float]) -> tuple[int, int]:
    ordered = np.sort(pixels.ravel())
    ranks = [max(int(np.ceil(p / 100 * len(ordered))), 1) - 1 for p in percentiles]
    return int(ordered[ranks[0]]), int(ordered[ranks[1]])


@pytest.mark.parametrize("percentiles", [(0.1, 99.9), (0.0, 100.0), (5.0, 90.0)])
def test_a_window_is_the_percentiles_of_the_pixels(percentiles):
    images = [RNG.integers(100, 9000, (2, 40, 50)).astype(np.uint16) for _ in range(3)]
    found = windows(images, percentiles)
    for channel, limits in enumerate(found):
        together = np.concatenate([image[channel].ravel() for image in images])
        assert limits == reference_window(together, percentiles)


def test_sixteen_bits_become_eight_linearly_and_saturate():
    tables = look_up_tables([(100, 355), (0, 65535)])
    image = np.array([[[0, 100, 101, 228, 355, 9999]]] * 2, np.uint16)
    eight = to_uint8(image, tables)
    assert eight[0].tolist() == [[0, 0, 1, 128, 255, 255]]
    assert eight[1].tolist() == [[0, 0, 0, 1, 1, 39]]
    with pytest.raises(DataError, match="2 channels, windows for 1"):
        to_uint8(image, tables[:1])


def test_eight_bits_that_were_scaled_to_sixteen_come_back():  # pitfall 6
    image = (EIGHT.astype(np.uint16) * 257)[None]
    (limits,) = windows([image])
    assert limits == (0, 65535)
    assert (to_uint8(image, look_up_tables([limits]))[0] == EIGHT).all()


def test_a_constant_channel_has_a_window():
    counts = np.zeros(65536, np.int64)
    counts[700] = 10
    assert window(counts) == (700, 701)
    with pytest.raises(DataError, match="at least one pixel"):
        window(np.zeros(65536, np.int64))
    with pytest.raises(DataError, match="at least one image"):
        windows([])


def sites_table(num: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "well_id": np.arange(num, dtype=np.uint64),
            "site": 1,
            "locator": [files(f"{i}.png") for i in range(num)],
            "height": 13,
            "width": 17,
            "channels": [["DNA"]] * num,
            "experiment": [f"e{i % 2}" for i in range(num)],
        }
    )


def test_windows_are_measured_per_experiment_and_without_regard_to_order(tmp_path):
    sites = sites_table(8)
    for i in range(8):
        image = (SIXTEEN // 4 + (i % 2) * 20_000).astype(np.uint16)
        (tmp_path / f"{i}.png").write_bytes(imagecodecs.png_encode(image))
    found = measure_windows(str(tmp_path), sites, [0.1, 99.9])
    assert found["e1"]["DNA"][0] >= 20_000 > found["e0"]["DNA"][1]
    assert measure_windows(str(tmp_path), sites.iloc[::-1], [0.1, 99.9]) == found
    (tmp_path / "0.png").unlink()
    assert set(measure_windows(str(tmp_path), sites, [0.1, 99.9])) == {"e0", "e1"}
    for i in (2, 4, 6):
        (tmp_path / f"{i}.png").unlink()
    with pytest.raises(ImageError, match="experiment e0: none of 4 sites can be read"):
        measure_windows(str(tmp_path), sites, [0.1, 99.9])


def test_eight_bit_images_need_no_window_and_sixteen_bit_ones_do(tmp_path):
    (tmp_path / "0.png").write_bytes(imagecodecs.png_encode(EIGHT))
    (tmp_path / "1.png").write_bytes(imagecodecs.png_encode(SIXTEEN))
    assert measure_windows(str(tmp_path), sites_table(1), [0.1, 99.9]) == {}
    images = ScreenImages(str(tmp_path))
    assert (images.read(files("0.png"), ["DNA"])[0] == EIGHT).all()
    with pytest.raises(ImageError, match="its header says 16 bits"):
        images.read(files("1.png"), ["DNA"], experiment="e1")


def test_crops_of_sites_that_are_not_in_a_store(tmp_path):
    (tmp_path / "0.png").write_bytes(imagecodecs.png_encode(EIGHT))
    images = ScreenImages(str(tmp_path))
    crops = images.crops([files("0.png")] * 2, [(1, 2), (5, 9)], 8, channels=["DNA"])
    assert (crops[0, 0] == EIGHT[1:9, 2:10]).all()
    assert (crops[1, 0] == EIGHT[5:13, 9:17]).all()
    with pytest.raises(DataError, match="leaves the image"):
        images.crops([files("0.png")], [(6, 0)], 8, channels=["DNA"])


@pytest.mark.parametrize("pack", [True, False])
def test_preparing_a_screen_of_files_gives_the_same_pixels_packed_or_not(pack, layouts, tmp_path):
    from phenoprints.screens import read
    from phenoprints.screens.images import open_images
    from phenoprints.screens.storing import write_screen

    root = layouts.harmony(tmp_path / "export")
    config = {"source": "harmony", "root": str(root), "channels": layouts.CHANNEL_MAP,
              "pack": pack, **layouts.TABLE}  # fmt: skip
    screen = read(config, name="own")
    write_screen(screen, tmp_path / "screen")
    done = prepare_images(tmp_path / "screen", config, name="own", threads=2)
    assert (done["sites"], done["unreadable"]) == (6, 0)
    assert set(done["windows"]) == {"b1"}
    images = open_images(tmp_path / "screen/images.json")
    tables = look_up_tables([done["windows"]["b1"][c] for c in ("AGP", "Mito", "DNA")])
    rows = screen.sites.merge(screen.wells[["well_id", "plate", "well"]])
    row = rows.query("plate == 'BR2' and site == 2").iloc[0]
    assert list(row["channels"]) == ["AGP", "Mito", "DNA"]
    raw = np.stack([layouts.pixels(2, 3, 3, 2, c, dtype="uint16") for c in (2, 1, 5)])
    pixels = images.read(row["locator"], row["channels"], experiment="b1", shape=layouts.SHAPE)
    assert (pixels == to_uint8(raw, tables)).all()
    assert row["locator"].startswith("zarr:" if pack else "files:")


def test_a_screen_of_mixed_depths_has_that_of_most_images(tmp_path):
    sites = sites_table(6).assign(experiment="e")
    for i in range(6):
        image = EIGHT if i < 2 else SIXTEEN
        (tmp_path / f"{i}.png").write_bytes(imagecodecs.png_encode(image))
    found = measure_windows(str(tmp_path), sites, [0.1, 99.9])
    assert found == measure_windows(str(tmp_path), sites.iloc[2:], [0.1, 99.9])
    assert measure_windows(str(tmp_path), sites.iloc[:3], [0.1, 99.9]) == {}
    images = ScreenImages(str(tmp_path), found)
    assert images.read(files("5.png"), ["DNA"], experiment="e").dtype == np.uint8
    with pytest.raises(ImageError, match="says 8 bits a pixel"):
        images.read(files("0.png"), ["DNA"], experiment="e")
