"""The image store: tensorstore and zarr-python read the same, damage is named, work resumes."""

from __future__ import annotations

import json
import pickle
import tempfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprints.foundations.errors import (
    CorruptionError,
    ImageError,
    MissingDependencyError,
    MissingInputError,
)
from phenoprints.screens.images import ScreenImages, open_images, pack, with_packed_locators
from phenoprints.screens.images.opening import images_content
from phenoprints.screens.images.packing import damaged_files, num_sites_marked
from phenoprints.screens.images.planes import CODECS, PlaneArray, register_with_zarr
from phenoprints.screens.images.stores import (
    COMPRESSIONS,
    array_metadata,
    create_array,
    forget_opened,
    open_array,
    opened,
    plate_store,
    shard_path,
)
from phenoprints.screens.listing import Screen

CHANNELS = ["DNA", "ER", "Mito"]


@pytest.fixture(autouse=True)
def _fresh_handles():
    forget_opened()
    yield
    forget_opened()


def image_of(row) -> np.ndarray:
    """Pixels that depend on the site alone; one quarter is zeros, like an empty field."""
    pixels = np.random.default_rng(int(row.well_id)).integers(0, 256, (3, 70, 90), dtype=np.uint8)
    pixels[:, :32, :32] = 0
    return pixels


def screen(num_plates: int = 2, num_wells: int = 5) -> Screen:
    num = num_plates * num_wells
    wells = pd.DataFrame(
        {
            "well_id": np.arange(1, num + 1, dtype=np.uint64),
            "experiment": "e/1",
            "plate": np.repeat([f"..{i}" for i in range(num_plates)], num_wells),
        }
    )
    sites = pd.DataFrame(
        {
            "well_id": wells["well_id"],
            "site": np.int32(1),
            "locator": [f"simulated:{i}" for i in range(num)],
            "height": np.int32(70),
            "width": np.int32(90),
            "channels": [CHANNELS] * num,
        }
    )
    return Screen("s", wells, sites, pd.DataFrame(), {}, {})


def packed(folder, *, read=image_of, **settings):
    moved = with_packed_locators(screen())
    return moved, pack(moved.extras["origins"], folder, read, chunk_px=32, **settings)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_packed_is_read_back_by_both_readers(tmp_path, compression, threads):
    import zarr

    register_with_zarr()
    moved, failures = packed(tmp_path, compression=compression, threads=threads)
    assert failures.empty
    images = ScreenImages(str(tmp_path))
    for row in moved.sites.itertuples():
        pixels = images.read(row.locator, CHANNELS, shape=(70, 90))
        assert (pixels == image_of(row)).all()
        path, _, index = row.locator.removeprefix("zarr:").rpartition("#")
        portable = zarr.open_array(tmp_path / path, mode="r")
        assert (portable[int(index)] == pixels).all()
    assert portable.metadata.dimension_names == ("site", "channel", "y", "x")


@pytest.mark.parametrize(
    ("sides", "chunk", "shard"),
    [
        ((2048, 2048), [256, 256], [2048, 2048]),
        ((1080, 1104), [270, 276], [1080, 1104]),  # 4 parts, not 5 with padding
        ((1000, 100), [250, 100], [1000, 100]),
        ((997, 383), [250, 383], [1000, 383]),  # a prime side is padded by 3 pixels
    ],
)
def test_a_site_is_cut_into_equal_chunks(sides, chunk, shard):
    metadata = array_metadata((10, 5, *sides))
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [1, 5, *shard]
    assert metadata["codecs"][0]["configuration"]["chunk_shape"] == [1, 5, *chunk]


def test_plate_names_cannot_leave_the_store(tmp_path):
    packed(tmp_path)
    assert plate_store("e/1", "..0") == "e%2F1/%2E.0.zarr"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images"]
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == ["e%2F1"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_random_crops_are_cut_where_they_should(tmp_path, compression):
    moved, _ = packed(tmp_path, compression=compression)
    images = pickle.loads(pickle.dumps(ScreenImages(str(tmp_path))))
    rng = np.random.default_rng(0)
    rows = moved.sites.iloc[rng.integers(0, len(moved.sites), 20)]
    corners = [(int(y), int(x)) for y, x in rng.integers(0, (70 - 24 + 1, 90 - 24 + 1), (20, 2))]
    crops = images.crops(list(rows["locator"]), corners, 24, channels=CHANNELS)
    for row, (y, x), crop in zip(rows.itertuples(), corners, crops, strict=True):
        assert (crop == image_of(row)[:, y : y + 24, x : x + 24]).all()
    with pytest.raises(CorruptionError, match="do not exist"):
        images.crops([rows["locator"].iloc[0]], [(60, 0)], 24, channels=CHANNELS)
    with pytest.raises(ImageError, match="it has 3 channels, expected 1"):
        images.crops([rows["locator"].iloc[0]], [(0, 0)], 24, channels=["DNA"])


def test_another_size_or_number_of_channels_is_refused(tmp_path):
    moved, _ = packed(tmp_path)
    images, locator = ScreenImages(str(tmp_path)), moved.sites["locator"].iloc[0]
    with pytest.raises(ImageError, match="3 channels, the screen declares 2"):
        images.read(locator, ["DNA", "ER"])
    with pytest.raises(ImageError, match="70 × 90 pixels"):
        images.read(locator, CHANNELS, shape=(64, 64))


@pytest.mark.parametrize("compression", ["zstd", *CODECS])
@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "index", "emptied"])
def test_damage_is_named_and_never_zeros(tmp_path, damage, compression):
    moved, _ = packed(tmp_path, compression=compression)
    locator = moved.sites["locator"].iloc[3]
    shard = shard_path(tmp_path / "images" / plate_store("e/1", "..0"), 3)
    content = bytearray(shard.read_bytes())
    if damage == "missing":
        shard.unlink()
    elif damage == "truncated":
        shard.write_bytes(content[: len(content) // 2])
    else:
        at = {"flipped": len(content) // 3, "index": len(content) - 30}.get(damage, 0)
        content[at] ^= 0x10
        shard.write_bytes(b"" if damage == "emptied" else content)
    with pytest.raises(CorruptionError, match="site 3 is missing or damaged") as caught:
        ScreenImages(str(tmp_path)).read(locator, CHANNELS)
    assert str(shard) in str(caught.value)


def test_a_second_run_reads_nothing_and_a_lost_shard_is_made_again(tmp_path):
    seen = []

    def counting(row):
        seen.append(int(row.well_id))
        return image_of(row)

    packed(tmp_path, read=counting)
    packed(tmp_path, read=counting)
    assert len(seen) == 10
    shard_path(tmp_path / "images" / plate_store("e/1", "..1"), 0).unlink()
    packed(tmp_path, read=counting)
    assert seen[10:] == [6, 7, 8, 9, 10]
    packed(tmp_path, read=counting, settings={"windows": "other"})
    assert len(seen) == 25


@pytest.mark.parametrize("compression", ["zstd", *CODECS])
def test_killed_packing_ends_with_the_same_bytes(tmp_path, compression):
    def tree(folder):
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def dying(row):
        if int(row.well_id) == 8:
            raise KeyboardInterrupt
        return image_of(row)

    packed(tmp_path / "whole", compression=compression)
    with pytest.raises(KeyboardInterrupt):
        packed(tmp_path / "broken", read=dying, compression=compression)
    assert len(list((tmp_path / "broken").rglob("*.json"))) < 4
    packed(tmp_path / "broken", compression=compression)
    assert tree(tmp_path / "broken") == tree(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["flipped", "swapped", "truncated", "emptied", "deleted"])
def test_damage_of_a_store_is_found_by_its_markers_without_decoding(tmp_path, damage):
    packed(tmp_path, compression="none")
    marker, other = sorted((tmp_path / "images").glob("*/*.units/*.json"))
    store = tmp_path / "images" / plate_store("e/1", "..1")
    shard, next_one = shard_path(store, 0), shard_path(store, 1)
    content, swapped = shard.read_bytes(), next_one.read_bytes()
    assert list(damaged_files(marker)) == list(damaged_files(other)) == []
    assert num_sites_marked(tmp_path) == 10
    shard.unlink()
    if damage != "deleted":
        flipped = bytes([content[0] ^ 1]) + content[1:]
        kinds = {"flipped": flipped, "swapped": swapped, "truncated": content[:99], "emptied": b""}
        shard.write_bytes(kinds[damage])
    ((file, expected, found),) = [*damaged_files(marker), *damaged_files(other)]
    assert file == shard
    assert len(expected) == 64
    assert (found == "") == (damage == "deleted")


def test_a_damaged_marker_is_found_and_its_unit_made_again(tmp_path):
    packed(tmp_path)
    marker = sorted((tmp_path / "images").glob("*/*.units/*.json"))[0]
    whole = marker.read_bytes()
    marker.write_bytes(whole.replace(b"failures", b"failurez"))
    assert [file for file, _, _ in damaged_files(marker)] == [marker]
    packed(tmp_path)
    assert marker.read_bytes() == whole


def test_unreadable_sites_are_recorded_and_too_many_of_them_fail(tmp_path):
    def failing(row):
        if int(row.well_id) in (2, 9):
            raise ImageError(f"well {row.well_id}: broken.\n  Details.")
        return image_of(row)

    moved, failures = packed(tmp_path, read=failing, max_failed_fraction=0.2)
    assert failures["well_id"].tolist() == [2, 9]
    assert failures["reason"].str.contains("broken").all()
    with pytest.raises(CorruptionError, match="site 1 is missing"):
        ScreenImages(str(tmp_path)).read(moved.sites["locator"].iloc[1], CHANNELS)
    with pytest.raises(ImageError, match=r"2 of 10 sites cannot be read, .*share of 0.1") as caught:
        packed(tmp_path, read=failing, max_failed_fraction=0.1)
    assert "simulated:8: well 9: broken." in str(caught.value)


def test_a_site_of_another_size_is_a_failure_with_its_reason(tmp_path):
    def odd(row):
        return image_of(row)[:, :60] if int(row.well_id) == 4 else image_of(row)

    _, failures = packed(tmp_path, read=odd, max_failed_fraction=0.2)
    assert failures["reason"].tolist() == [
        "the site is (3, 60, 90) uint8, its plate's array (3, 70, 90) uint8"
    ]


def test_a_store_of_another_form_is_made_anew(tmp_path):
    def tree(folder):
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    packed(tmp_path / "both")
    packed(tmp_path / "both", compression="none")
    packed(tmp_path / "one", compression="none")
    assert tree(tmp_path / "both") == tree(tmp_path / "one")


def test_opening_images(tmp_path):
    place = tmp_path / "images.json"
    with pytest.raises(MissingInputError, match="Run the target `screens`"):
        open_images(place)
    place.write_text(json.dumps(images_content(None, {"e": {"DNA": (1, 2)}})))
    images = open_images(place)
    assert images.root == str(tmp_path)
    assert images.windows == {"e": {"DNA": (1, 2)}}
    for broken in ("{", "[]", '{"format": 2}', '{"format": 1, "root": null, "windows": {"e": 3}}'):
        place.write_text(broken)
        with pytest.raises(CorruptionError, match="not the file of a screen's images"):
            open_images(place)
    with pytest.raises(MissingInputError, match="no image store lies there"):
        images.read("zarr:images/x.zarr#0", CHANNELS)


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_that_is_not_there_names_its_package(name, monkeypatch):
    import imagecodecs

    monkeypatch.setattr(getattr(imagecodecs, name.upper()), "available", False)
    with pytest.raises(MissingDependencyError, match=r"needs the package imagecodecs with"):
        array_metadata((1, 2, 64, 64), compression=name)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_any_region_of_an_array_of_images_is_the_pixels(data):
    """Regions across chunks, padded sides, one pixel or the whole site."""
    height, width = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    top, left = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    size = data.draw(st.tuples(st.integers(1, height - top), st.integers(1, width - left)))
    metadata = array_metadata((1, 2, height, width), chunk_px=16, compression="htj2k")
    array = PlaneArray.of("a", metadata)
    pixels = np.random.default_rng(height * 50 + width).integers(0, 256, (2, height, width))
    with tempfile.NamedTemporaryFile() as file:
        file.write(array.encode(pixels.astype(np.uint8)))
        file.flush()
        found = np.zeros((2, *size), np.uint8)
        array.read(file.name, (top, left), found)
    assert (found == pixels[:, top : top + size[0], left : left + size[1]]).all()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("shape",), [9, 2, 40_000, 64]),
        (("chunk_grid", "configuration", "chunk_shape"), [1, 2, 64, 60]),
        (("codecs", 0, "configuration", "chunk_shape"), [1, 2, 64, 64]),
        (("data_type",), "uint16"),
    ],
)
def test_arrays_of_images_of_another_form_are_refused(tmp_path, where, value):
    metadata = array_metadata((1, 2, 64, 64), compression="htj2k")
    part = metadata
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    create_array(tmp_path / "a.zarr", metadata)
    with pytest.raises(CorruptionError, match="image store"):
        opened(tmp_path / "a.zarr")
    with pytest.raises(CorruptionError):
        open_array(tmp_path / "a.zarr")


def test_a_replaced_or_mended_file_is_packed_again(tmp_path):
    seen = []
    moved = with_packed_locators(screen())
    origins = moved.extras["origins"]
    origins = origins.assign(locator=[f'files:["{i}.tif"]' for i in range(len(origins))])
    for i in range(len(origins)):
        (tmp_path / f"{i}.tif").write_bytes(b"x")

    def counting(row):
        seen.append(row.locator)
        return image_of(row)

    pack(origins, tmp_path / "s", counting, root=str(tmp_path))
    pack(origins, tmp_path / "s", counting, root=str(tmp_path))
    assert len(seen) == 10
    (tmp_path / "7.tif").write_bytes(b"mended")
    pack(origins, tmp_path / "s", counting, root=str(tmp_path))
    assert seen[10:] == [f'files:["{i}.tif"]' for i in range(5, 10)]
