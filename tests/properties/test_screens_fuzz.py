"""Whatever bytes come in, only our own errors come out, and shuffled rows change nothing."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pandas as pd
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprints.foundations.errors import PhenoprintsError
from phenoprints.foundations.table_files import read_names as read_table
from phenoprints.screens import read
from phenoprints.screens.assembly import assemble, conforms
from phenoprints.screens.images.decoding import decode_plane
from phenoprints.screens.images.locators import parse_locator
from phenoprints.screens.images.windows import look_up_tables, to_uint8, windows
from phenoprints.screens.listing import Listing
from phenoprints.screens.sources.harmony import read_index
from phenoprints.testing.conformance.screens import shuffled_listing
from phenoprints.wells.plates import PLATE_FORMATS, parse_well, well_name

PLANE = np.arange(30 * 20, dtype=np.uint16).reshape(30, 20)


def valid_images() -> list[bytes]:
    import io

    images = [imagecodecs.png_encode(PLANE)]
    images += [imagecodecs.jpeg2k_encode(PLANE, level=0, reversible=True)]
    for compression in (None, "lzw", "zlib"):
        stream = io.BytesIO()
        tifffile.imwrite(stream, PLANE, compression=compression)
        images.append(stream.getvalue())
    return images


VALID = valid_images()
changes = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=8 * settings.default.max_examples)
@given(st.sampled_from(VALID), changes, st.integers(0, 2000))
def test_damaged_images_are_read_or_refused(content, edits, length):
    damaged = bytearray(content)
    for position, value in edits:
        damaged[position % min(len(damaged), 400)] = value
    try:
        plane = decode_plane(bytes(damaged[: max(length, 8)] if length < 1500 else damaged), "x")
    except PhenoprintsError:
        return
    assert plane.ndim == 2
    assert plane.dtype in (np.uint8, np.uint16)


MAGICS = [b"II*\x00", b"\x89PNG\r\n\x1a\n", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  \r\n\x87\n"]


@given(st.binary(max_size=300), st.sampled_from(MAGICS))
def test_random_bytes_after_a_magic_are_refused(content, magic):
    try:
        decode_plane(magic + content, "x")
    except PhenoprintsError:
        return


@given(st.text(max_size=80), st.sampled_from(["", "zarr:", "files:", "parquet:", "ome-zarr:"]))
def test_random_locators_are_parsed_or_refused(text, reader):
    try:
        place = parse_locator(reader + text)
    except PhenoprintsError:
        return
    assert parse_locator(str(place)) == place


@given(st.binary(max_size=400), st.sampled_from([".csv", ".csv.gz", ".tsv", ".parquet"]))
def test_random_tables_are_read_or_refused(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("table") / f"wells{suffix}"
    path.write_bytes(content)
    config = {"source": "profiles-table", "root": str(path.parent), "wells": path.name,
              "columns": {"experiment": {"value": "e"}, "plate": {"value": "p"}, "well": "w",
                          "perturbation": "d"}}  # fmt: skip
    for call in (lambda: read_table(path), lambda: read(config)):
        try:
            call()
        except PhenoprintsError:
            continue


cells = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\r\n\"',", exclude_categories=["Cs"]),
    max_size=6,
)


@given(st.lists(st.tuples(cells, cells, cells, cells), max_size=8))
def test_random_cells_give_a_screen_or_our_errors(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "wells.csv"
    lines = ["e,w,d,r", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    role = {"column": "r", "default": "treatment"}
    columns = {"experiment": "e", "plate": {"value": "p"}, "well": "w", "perturbation": "d"}
    config = {"source": "profiles-table", "root": str(path.parent), "wells": path.name}
    config["columns"] = {**columns, "role": role}
    try:
        screen = read(config)
    except PhenoprintsError:
        return
    conforms(screen)


INDEX = (
    "<E><Plates><Plate><PlateID>P1</PlateID></Plate></Plates><Images><Image><URL>a.tiff</URL>"
    "<Row>1</Row><Col>2</Col><FieldID>1</FieldID><ChannelID>1</ChannelID></Image></Images></E>"
)


@given(
    st.lists(st.tuples(st.integers(0, len(INDEX) - 1), st.characters(codec="ascii")), max_size=5)
)
def test_damaged_indexes_are_read_or_refused(tmp_path_factory, edits):
    text = list(INDEX)
    for position, character in edits:
        text[position] = character
    path = tmp_path_factory.mktemp("index") / "Index.xml"
    path.write_text("".join(text))
    try:
        table = read_index(path, path.parent)
    except PhenoprintsError:
        return
    assert len(table) >= 1


# --- properties --------------------------------------------------------------------------------


@given(st.sampled_from(sorted(PLATE_FORMATS)), st.data())
def test_a_well_keeps_its_place_in_any_spelling(size, data):
    rows, columns = PLATE_FORMATS[size]
    row, column = data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns))
    name = well_name(row, column)
    letters, digits = name.rstrip("0123456789"), str(column)
    zeros = data.draw(st.integers(0, 3)) * "0"
    spelling = data.draw(st.sampled_from([letters, letters.lower()])) + zeros + digits
    assert parse_well(spelling, size) == (row, column)


@st.composite
def listings(draw) -> Listing:
    """Up to 12 wells of two experiments with up to three perturbations each."""
    num = draw(st.integers(1, 12))
    roles = st.sampled_from(["treatment", "negative_control", "unperturbed"])
    wells = pd.DataFrame(
        {
            "experiment": draw(st.lists(st.sampled_from("ab"), min_size=num, max_size=num)),
            "plate": "1",
            "well": [f"A{i + 1}" for i in range(num)],
            "role": draw(st.lists(roles, min_size=num, max_size=num)),
        }
    )
    pairs = st.tuples(st.integers(0, num - 1), st.sampled_from(["x", "y", "z", None]),
                      st.sampled_from([0.1, 1.0, float("nan")]))  # fmt: skip
    rows = draw(st.lists(pairs, max_size=3 * num))
    perturbations = pd.DataFrame(rows, columns=["well_row", "perturbation", "concentration_um"])
    perturbations = perturbations.astype({"well_row": "int64", "perturbation": object})
    return Listing(wells, perturbations.assign(kind="compound", gene=None, guide=None), "a listing")


@given(listings(), st.integers(0, 5))
def test_row_order_changes_nothing(listing, seed):
    first = assemble("s", listing)
    second = assemble("s", shuffled_listing(listing, seed))
    for name in ("wells", "sites", "conditions"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))


@given(listings())
def test_condition_ids_keep_the_order_of_their_keys(listing):
    conditions = assemble("s", listing).conditions
    keys = conditions[["perturbation", "concentration_um"]].fillna({"concentration_um": np.inf})
    rows = list(keys.itertuples(index=False, name=None))
    assert rows == sorted(rows)
    assert len(set(rows)) == len(rows)


@given(st.integers(0, 65_534), st.integers(1, 65_535))
def test_windows_keep_the_order_of_pixels(low, span):
    high = min(low + span, 65_535)
    image = np.sort(np.random.default_rng(low).integers(0, 65_536, 500)).astype(np.uint16)
    eight = to_uint8(image.reshape(1, 1, -1), look_up_tables([(low, high)]))[0, 0]
    assert (np.diff(eight.astype(int)) >= 0).all()
    assert (eight[image <= low] == 0).all()
    assert (eight[image >= high] == 255).all()


@given(st.integers(0, 1000), st.integers(1, 5))
def test_windows_do_not_depend_on_how_images_are_split(seed, parts):
    image = np.random.default_rng(seed).integers(0, 60_000, (2, 40, 10)).astype(np.uint16)
    pieces = np.array_split(image, parts, axis=1)
    assert windows([image]) == windows(pieces) == windows(pieces[::-1])
