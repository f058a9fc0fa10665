"""No plate, well or locator leaves its root; no header exhausts the machine."""

from __future__ import annotations

import json
import struct
import zlib

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from phenoprints.foundations.errors import (
    CorruptionError,
    ImageError,
    MissingInputError,
    TableError,
    UnsafeInputError,
)
from phenoprints.foundations.names import below, file_name, inside
from phenoprints.screens import read
from phenoprints.screens.images import read_site
from phenoprints.screens.images.headers import read_header
from phenoprints.screens.images.stores import array_metadata, create_array, plate_store

IMAGE = imagecodecs.png_encode(np.zeros((8, 8), np.uint8))
LEAVING = ["../secret.png", "/etc/passwd", "a/../../secret.png", "link.png", "folder/secret.png",
           "a\x00b", "", ".", "..", "x" * 5000]  # fmt: skip


@pytest.fixture
def root(tmp_path):
    """A root with links to the outside, and an image outside of it."""
    (tmp_path / "secret.png").write_bytes(IMAGE)
    place = tmp_path / "root"
    place.mkdir()
    (place / "inner.png").write_bytes(IMAGE)
    (place / "link.png").symlink_to(tmp_path / "secret.png")
    (place / "folder").symlink_to(tmp_path)
    (place / "loop").symlink_to(place / "loop")
    return place


@pytest.mark.parametrize("path", LEAVING)
def test_no_path_of_a_locator_leaves_the_root(root, path):
    for locator in (
        "files:" + json.dumps([path]),
        "files:" + json.dumps({"files": ["inner.png"], "illumination": [path]}),
        f"zarr:{path}#0",
        "parquet:" + json.dumps([[path, 0]]),
        "ome-zarr:" + json.dumps([path, None, None]),
    ):
        with pytest.raises(UnsafeInputError):
            read_site(root, locator, ["DNA"])
    assert read_site(root, 'files:["inner.png"]', ["DNA"]).shape == (1, 8, 8)


def test_a_loop_of_links_is_refused(root):
    with pytest.raises((UnsafeInputError, MissingInputError)):
        read_site(root, 'files:["loop/x.png"]', ["DNA"])


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "..", "%2e%2e", "a\x00b", "Ünï", "~"])
def test_names_of_plates_become_one_file_name(name):
    encoded = file_name(name)
    assert "/" not in encoded
    assert not encoded.startswith(".")
    assert encoded.isascii()
    assert plate_store(name, name).count("/") == 1


def test_names_that_cannot_be_files_are_refused():
    for name in ("", "x" * 201, "ü" * 50):
        with pytest.raises(UnsafeInputError, match="as a file name"):
            file_name(name, "plate")
    assert len({file_name(n) for n in ("a/b", "a%2Fb", "a b", "a_b")}) == 4


def test_below_and_inside(root):
    assert below(root, root / "inner.png") == "inner.png"
    assert inside(root, "inner.png") == (root / "inner.png").resolve()
    for path in (root / "link.png", root.parent, root):
        with pytest.raises(UnsafeInputError):
            below(root, path)


# --- metadata that points outside --------------------------------------------------------------


def test_an_index_cannot_name_files_outside(root):
    images = root / "P1/Images"
    images.mkdir(parents=True)
    for url in ("../../../secret.png", "/etc/passwd", "../../link.png"):
        (images / "Index.xml").write_text(
            "<E><Plates><Plate><PlateID>P1</PlateID></Plate></Plates><Images><Image>"
            f"<URL>{url}</URL><Row>1</Row><Col>1</Col><FieldID>1</FieldID>"
            "<ChannelID>1</ChannelID></Image></Images></E>"
        )
        with pytest.raises((UnsafeInputError, TableError)):
            read({"source": "harmony", "root": str(root)})


def test_an_index_cannot_declare_entities(root):
    images = root / "P1/Images"
    images.mkdir(parents=True)
    lol = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
    (images / "Index.xml").write_text(f'<!DOCTYPE E [<!ENTITY l0 "lol">{lol}]><E>&l9;</E>')
    with pytest.raises(UnsafeInputError, match="declares no entities"):
        read({"source": "harmony", "root": str(root)})


def test_linked_images_outside_are_refused(root):
    (root / "BR1").mkdir()
    (root / "BR1/HTS_A01_s1_w1.tif").symlink_to(root.parent / "secret.png")
    with pytest.raises(UnsafeInputError, match="lies outside of it"):
        read({"source": "imagexpress", "root": str(root)})


def test_a_platemap_cannot_be_read_from_elsewhere(root):
    (root.parent / "secret.txt").write_text("well_position\tbroad_sample\nA1\tx\n")
    (root / "b.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nP1,../../secret\n")
    config = {"source": "profiles-table", "root": str(root), "barcode_platemap": "b.csv"}
    with pytest.raises(UnsafeInputError):
        read(config)


def test_load_data_cannot_name_files_outside(root):
    from phenoprints.screens.sources.jump_cp import load_data_sites

    (root / "load_data.csv").write_text(
        "Metadata_Plate,Metadata_Well,Metadata_Site,FileName_OrigDNA,PathName_OrigDNA\n"
        "P1,A01,1,secret.png,..\nP1,A02,1,passwd,/etc\nP1,A03,1,secret.png,s3://b/../\n"
    )
    sites = load_data_sites(root / "load_data.csv", ".", ["DNA"], True)
    for locator in sites["locator"]:
        with pytest.raises(UnsafeInputError):
            read_site(root, locator, ["DNA"])


def test_ome_metadata_cannot_name_folders_outside(root):
    plate = root / "p.zarr"
    plate.mkdir()
    (root.parent / "A1").mkdir()
    content = {"plate": {"wells": [{"path": "../../A1"}]}}
    (plate / ".zattrs").write_text(json.dumps(content))
    with pytest.raises(UnsafeInputError):
        read({"source": "ome-zarr", "root": str(root)})


# --- bombs -------------------------------------------------------------------------------------


def png_header(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def jp2_header(width: int, height: int, samples: int = 1, depth: int = 7) -> bytes:
    sizes = struct.pack(">HIIIIIIII", 0, width, height, 0, 0, width, height, 0, 0)
    parts = struct.pack(">H", samples) + struct.pack(">BBB", depth, 1, 1) * samples
    return b"\xff\x4f\xff\x51" + struct.pack(">H", 38 + 3 * samples) + sizes + parts


@pytest.mark.parametrize(("width", "height"), [(10**6, 10), (10, 40_000), (32_768, 32_768)])
def test_headers_that_would_decode_to_too_much_are_refused(tmp_path, width, height):
    for name, content in (
        ("bomb.png", png_header(width, height, bits=16)),
        ("bomb.jp2", jp2_header(width, height, depth=15)),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnsafeInputError, match="bytes when decoded"):
            read_site(tmp_path, f'files:["{name}"]', ["DNA"])


def test_a_small_tiff_that_decodes_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "bomb.tif"
    image = np.zeros((1, 1), np.uint16)
    tifffile.imwrite(path, image, compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for tag in ("ImageWidth", "ImageLength"):
            entry = file.pages.first.tags[tag]
            start, size = entry.valueoffset, 2 if entry.dtype == 3 else 4
            content[start : start + size] = (32_000).to_bytes(size, "little")
    path.write_bytes(content)
    with pytest.raises((UnsafeInputError, ImageError)) as caught:
        read_site(tmp_path, 'files:["bomb.tif"]', ["DNA"])
    assert isinstance(caught.value, UnsafeInputError)
    assert path.stat().st_size < 1000


@pytest.mark.parametrize(
    "content",
    [
        png_header(0, 5), png_header(5, 5, bits=1), png_header(5, 5, colour=2),
        png_header(5, 5, colour=9), jp2_header(5, 5, samples=3), jp2_header(0, 5),
        jp2_header(5, 5, depth=0x87), jp2_header(5, 5, depth=37), b"GIF89a", b"", b"II*\x00",
        b"MM\x00*\x00\x00\x00\x08\xff\xff", b"II+\x00\x08\x00\x00\x00",
    ],
)  # fmt: skip
def test_absurd_headers_are_image_errors(content):
    with pytest.raises(ImageError):
        read_header(content, "x")


def test_a_codestream_hidden_before_the_real_one_is_not_believed():
    image = imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint8), level=0)
    fake = jp2_header(4, 4)
    box = struct.pack(">I4s", 8 + len(fake), b"free") + fake
    header = read_header(image[:12] + box + image[12:], "x")
    assert (header.height, header.width) == (64, 64)


def test_absurd_stores_are_refused(tmp_path):
    huge = array_metadata((10, 6, 100_000, 100_000))
    create_array(tmp_path / "huge.zarr", huge)
    with pytest.raises(CorruptionError, match="is no image store"):
        read_site(tmp_path, "zarr:huge.zarr#0", ["DNA"] * 6)
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr/zarr.json").write_text('{"zarr_format": 3}')
    with pytest.raises(CorruptionError, match="cannot be opened"):
        read_site(tmp_path, "zarr:broken.zarr#0", ["DNA"])
    array = {"zarr_format": 2, "shape": [1, 10**9, 10**9], "chunks": [1, 10**9, 10**9],
             "dtype": "|u1", "compressor": None, "fill_value": 0, "order": "C",
             "filters": None}  # fmt: skip
    (tmp_path / "ome").mkdir()
    (tmp_path / "ome/.zarray").write_text(json.dumps(array))
    with pytest.raises(UnsafeInputError, match="is no field"):
        read_site(tmp_path, 'ome-zarr:["ome",[0],null,null]', ["DNA"])


def test_shards_of_parquet_that_are_something_else(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"\xff" * 64 + b"PAR1")
    pq.write_table(pa.table({"other": [1]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"jp2": ["no image"]}), tmp_path / "c.parquet")
    pq.write_table(pa.table({"jp2": pa.array([None], pa.binary())}), tmp_path / "d.parquet")
    for name in "abcd":
        with pytest.raises(ImageError):
            read_site(tmp_path, f'parquet:[["{name}.parquet",0]]', ["DNA"])
    with pytest.raises(ImageError, match="there is no row 7"):
        read_site(tmp_path, 'parquet:[["c.parquet",7]]', ["DNA"])


@pytest.mark.parametrize(
    "locator",
    [
        "", "x", "s3:a", "zarr:a", "zarr:#1", "zarr:a#-1", "zarr:a#１", "zarr:a#99999999999999999",
        "files:", "files:[]", "files:[1]", 'files:["a", null]', 'files:{"a": 1}', 'files:"a"',
        "parquet:[]", 'parquet:[["a"]]', 'parquet:[["a", true]]', 'parquet:{"a": [1]}',
        "ome-zarr:[]", 'ome-zarr:["a", {}]', "files:" + "[" * 9000, "planned:1",
    ],
)  # fmt: skip
def test_malformed_locators_are_refused(tmp_path, locator):
    with pytest.raises(UnsafeInputError):
        read_site(tmp_path, locator, ["DNA"])
