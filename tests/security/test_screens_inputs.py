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
from phenoprints.screens.images import ScreenImages, read_site, site_header, sites
from phenoprints.screens.images.headers import read_header
from phenoprints.screens.images.stores import (
    SiteWriter,
    array_metadata,
    create_array,
    forget_opened,
    plate_store,
)

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
    from phenoprints.screens.listing import Notes
    from phenoprints.screens.sources.jump_cp import load_data_sites

    (root / "load_data.csv").write_text(
        "Metadata_Plate,Metadata_Well,Metadata_Site,FileName_OrigDNA,PathName_OrigDNA\n"
        "P1,A01,1,secret.png,..\nP1,A02,1,passwd,/etc\nP1,A03,1,secret.png,s3://b/../\n"
    )
    sites = load_data_sites(root / "load_data.csv", ".", ["DNA"], illumination=True, notes=Notes())
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


def zarr_v2(place, shape, chunks, dtype="|u1", **more):
    """A Zarr v2 array without chunks; a declared compressor needs none either."""
    place.mkdir(parents=True, exist_ok=True)
    array = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": dtype, "filters": None,
             "compressor": {"id": "zlib", "level": 9}, "fill_value": 0, "order": "C"}  # fmt: skip
    (place / ".zarray").write_text(json.dumps(array | more))


def zarr_v3(place, shape, chunks, inner=None):
    """A Zarr v3 array without chunks, sharded where `inner` is given."""
    place.mkdir(parents=True)
    array = array_metadata((1, 1, 16, 16)) | {"shape": shape}
    del array["dimension_names"]
    array["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    plain = [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 9}}]
    if inner is None:
        array["codecs"] = plain
    else:
        sharding = array["codecs"][0]["configuration"]
        sharding |= {"chunk_shape": inner, "codecs": plain}
    (place / "zarr.json").write_text(json.dumps(array))


@pytest.mark.parametrize(
    ("chunks", "inner"),
    [
        ([100, 5000, 5000], None),  # 2.5 GB for 16 x 16 pixels
        ([1, 2**20, 2**20], [1, 2**15, 2**16]),
        ([1, 2**12, 2**12], [1, 1, 1]),  # an index of 268 MB
    ],
)
def test_fields_of_huge_chunks_are_refused(tmp_path, chunks, inner):
    zarr_v3(tmp_path / "three", [1, 16, 16], chunks, inner)
    names = ["three"]
    if inner is None:
        zarr_v2(tmp_path / "two", [1, 16, 16], chunks)
        names.append("two")
    for name in names:
        with pytest.raises(UnsafeInputError, match="a plane would decode"):
            read_site(tmp_path, f'ome-zarr:["{name}",[0],null,null]', ["DNA"], shape=(16, 16))
        with pytest.raises(UnsafeInputError, match="write the array with chunks of one plane"):
            site_header(tmp_path, f'ome-zarr:["{name}",[0],null,null]')


def test_fields_of_too_many_chunks_are_refused(tmp_path):
    zarr_v2(tmp_path / "a", [1, 30_000, 30_000], [1, 1, 1])
    zarr_v2(tmp_path / "b", [4000, 10_000, 10_000], [4000, 10, 10])
    for name in "ab":
        with pytest.raises(UnsafeInputError, match="a plane would decode"):
            read_site(tmp_path, f'ome-zarr:["{name}",[0],null,null]', ["DNA"])


@pytest.mark.parametrize("index", ["null,null,null", "null,0,null", "null,null,[0]", "0,0,0"])
def test_an_index_that_leaves_more_than_a_plane_is_refused_unread(tmp_path, index):
    zarr_v2(tmp_path / "a", [60, 10_000, 10_000], [1, 1000, 1000])
    with pytest.raises(ImageError, match="is not the field that the screen declares"):
        read_site(tmp_path, f'ome-zarr:["a",{index}]', ["DNA"])


def test_usual_fields_pass(tmp_path):
    zarr_v2(tmp_path / "a", [3, 5, 2160, 2160], [3, 5, 1024, 1024], dtype="<u2")
    zarr_v3(tmp_path / "b", [3, 5, 2160, 2160], [1, 5, 4096, 4096], [1, 1, 512, 512])
    for name in "ab":
        assert site_header(tmp_path, f'ome-zarr:["{name}",0,[0],null,null]') == (2160, 2160)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": [1, 1, 16, 16], "chunks": [100, 1, 5000, 5000]}, "a shard for each site"),
        ({"shape": [1, 1, 16, 16], "chunks": [1, 1, 50_000, 50_000]}, "a shard for each site"),
        ({"shape": [1, 1, 16, 16], "chunks": [1, 1, 8, 8]}, "a shard for each site"),
        ({"shape": [1, 1, 4096, 4096], "inner": [1, 1, 1, 1]}, "in chunks of"),
        ({"shape": [1, 16, 16], "chunks": [1, 16, 16]}, "is no image store"),
    ],
)
def test_stores_of_other_shards_are_refused(tmp_path, change, words):
    chunks = change.get("chunks", change["shape"])
    zarr_v3(tmp_path / "a.zarr", change["shape"], chunks, change.get("inner"))
    with pytest.raises(CorruptionError, match=words):
        read_site(tmp_path, "zarr:a.zarr#0", ["DNA"])


@pytest.mark.parametrize("separator", [".", None])
def test_stores_that_name_their_files_otherwise_are_refused(tmp_path, separator):
    array = array_metadata((1, 1, 16, 16))
    other = {"name": "v2"} if separator is None else {"name": "default"}
    array["chunk_key_encoding"] = other | (
        {"configuration": {"separator": separator}} if separator else {}
    )
    create_array(tmp_path / "a.zarr", array)
    with pytest.raises(CorruptionError, match="names with /"):
        read_site(tmp_path, "zarr:a.zarr#0", ["DNA"])


# --- links inside of arrays --------------------------------------------------------------------


@pytest.mark.parametrize("part", ["zarr.json", "c", "c/0", "c/0/0", "c/0/0/0", "c/0/0/0/0"])
def test_no_part_of_a_store_may_be_a_link(tmp_path, part):
    root, secret = tmp_path / "root", tmp_path / "secret"
    array = array_metadata((2, 1, 16, 16), compression="none")
    create_array(root / "a.zarr", array)
    with SiteWriter(root / "a.zarr") as writer:
        writer.write(0, np.full((1, 16, 16), 7, np.uint8))
        writer.write(1, np.full((1, 16, 16), 8, np.uint8))
    assert (read_site(root, "zarr:a.zarr#0", ["DNA"]) == 7).all()
    (root / "a.zarr" / part).rename(secret)
    (root / "a.zarr" / part).symlink_to(secret)
    forget_opened()
    with pytest.raises(UnsafeInputError, match=rf"a\.zarr/{part}: a link inside of an array"):
        read_site(root, "zarr:a.zarr#0", ["DNA"])
    images = ScreenImages(str(root))
    with pytest.raises(UnsafeInputError, match="replace the link by what it points to"):
        images.crops(["zarr:a.zarr#0"], [(0, 0)], 8, channels=["DNA"])
    if part.startswith("c/0"):
        assert (read_site(root, "zarr:a.zarr#1", ["DNA"]) == 8).all()


@pytest.mark.parametrize("link", ["0/0/0", "0/0", "0"])
@pytest.mark.parametrize("to", ["outside", "loop"])
def test_no_chunk_of_a_field_is_read_outside_of_the_root(tmp_path, link, to):
    root, secret = tmp_path / "root", tmp_path / "secret"
    zarr_v2(root / "p/0", [1, 16, 16], [1, 16, 16], compressor=None, dimension_separator="/")
    (root / "p/0/0/0").mkdir(parents=True)
    (root / "p/0/0/0/0").write_bytes(b"S" * 256)
    place = root / "p/0" / link
    place.rename(secret)
    place.symlink_to(secret if to == "outside" else place)
    with pytest.raises(UnsafeInputError, match=r"lies outside of it|a link inside of an array"):
        read_site(root, 'ome-zarr:["p/0",[0],null,null]', ["DNA"])


def test_a_chunk_that_is_a_link_within_the_root_is_read(tmp_path):
    zarr_v2(tmp_path / "p/0", [1, 16, 16], [1, 16, 16], compressor=None)
    (tmp_path / "annex").write_bytes(b"S" * 256)
    (tmp_path / "p/0/0.0.0").symlink_to(tmp_path / "annex")
    assert (read_site(tmp_path, 'ome-zarr:["p/0",[0],null,null]', ["DNA"]) == ord("S")).all()


# --- image files and shards --------------------------------------------------------------------


def tiff(tags, data=b""):
    """A TIFF of some tags (number, type, value) after its data, at byte 8."""
    entries = sorted((*tags, (258, 3, 8), (262, 3, 1), (277, 3, 1)))
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, v) for tag, kind, v in entries)
    data += b"\0" * (len(data) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + struct.pack("<I", 0)


@pytest.mark.parametrize(("height", "width"), [(24_000, 24_000), (16, 2**31), (2**20, 16)])
def test_a_small_tiff_in_a_huge_tile_is_refused(tmp_path, height, width):
    data = zlib.compress(bytes(1 << 20))
    size = [(256, 4, 16), (257, 4, 16), (259, 3, 8)]
    tile = [(322, 4, width), (323, 4, height), (324, 4, 8), (325, 4, len(data))]
    (tmp_path / "t.tif").write_bytes(tiff([*size, *tile], data))
    with pytest.raises(UnsafeInputError, match=r"t\.tif: .* 16 × 16 pixels in tiles of"):
        read_site(tmp_path, 'files:["t.tif"]', ["DNA"], shape=(16, 16))


def test_a_strip_that_is_longer_than_its_pixels_is_not_inflated(tmp_path):
    data = zlib.compress(bytes(64 << 20), 9)
    size = [(256, 4, 16), (257, 4, 16), (259, 3, 8)]
    strip = [(273, 4, 8), (278, 4, 16), (279, 4, len(data))]
    (tmp_path / "s.tif").write_bytes(tiff([*size, *strip], data))
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_site(tmp_path, 'files:["s.tif"]', ["DNA"], shape=(16, 16))


def test_an_image_inside_of_a_tiff_is_refused(tmp_path):
    inner = imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint8), level=0)
    for number in (7, 33003, 34712, 50001):
        size = [(256, 4, 16), (257, 4, 16), (259, 3, number)]
        strip = [(273, 4, 8), (278, 4, 16), (279, 4, len(inner))]
        (tmp_path / "j.tif").write_bytes(tiff([*size, *strip], inner))
        with pytest.raises(ImageError, match=rf"its compression is number {number}; expected none"):
            read_site(tmp_path, 'files:["j.tif"]', ["DNA"])


def test_an_image_that_stands_in_every_row_of_a_shard_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sites, "ALWAYS_BYTES", 1 << 20)
    image = pa.array([b"x" * 500_000], pa.binary())
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), image)
    pq.write_table(pa.table({"jp2": column}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 2000
    with pytest.raises(UnsafeInputError, match=r"row group 0 would become more than 1,048,576"):
        read_site(tmp_path, 'parquet:[["a.parquet",0]]', ["DNA"])


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
