"""Random input that coverage guides: `python tests/security/guided.py TARGET [libFuzzer options]`.

Needs atheris. Each target takes bytes and lets nothing out but errors of Phenoprints: any other
exception ends the process with the bytes in a file, as libFuzzer does. Without a target their names
are printed. `make soak` runs all of them.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["phenoprints", "tifffile", "yaml"]):
    import tifffile

    from phenoprints.configuration import load, thaw
    from phenoprints.foundations.errors import PhenoprintsError
    from phenoprints.foundations.provenance import read_provenance
    from phenoprints.foundations.table_files import read_names as read_table
    from phenoprints.screens.images.decoding import decode_plane
    from phenoprints.screens.images.headers import read_header
    from phenoprints.screens.images.locators import parse_locator
    from phenoprints.screens.sources.harmony import read_index
    from phenoprints.wells.plates import parse_well

import imagecodecs
import numpy as np

FOLDER = Path(tempfile.mkdtemp(prefix="phenoprints-guided-"))
"""Where targets that read files find theirs; libFuzzer ends the process, so that it stays."""
MAX_DECODED_BYTES = 1 << 16
PLANE = np.arange(12 * 10, dtype=np.uint16).reshape(12, 10)


def written(name: str, content: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path


def image(content: bytes) -> None:
    if read_header(content, "x").num_bytes <= MAX_DECODED_BYTES:
        decode_plane(content, "x")


def locator(content: bytes) -> None:
    place = parse_locator(content.decode("utf-8", "replace"))
    assert parse_locator(str(place)) == place


def well(content: bytes) -> None:
    if place := parse_well(content.decode("utf-8", "replace"), 384):
        assert 1 <= place[0] <= 16
        assert 1 <= place[1] <= 24


def configuration(content: bytes) -> None:
    resolved = load(written("any.yaml", content))
    assert load(resolved) == resolved


def frozen(content: bytes) -> None:
    thaw(written("config.json", content))


def index(content: bytes) -> None:
    read_index(written("Index.xml", content), FOLDER)


def table(content: bytes) -> None:
    read_table(written("wells.csv", content))


def provenance(content: bytes) -> None:
    written("a.parquet.provenance.json", content)
    read_provenance(FOLDER / "a.parquet")


def tiff(compression: str | None) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, PLANE, compression=compression)
    return stream.getvalue()


INDEX = (
    b"<E><Plates><Plate><PlateID>P1</PlateID></Plate></Plates><Images><Image><URL>a.tiff</URL>"
    b"<Row>1</Row><Col>2</Col><FieldID>1</FieldID><ChannelID>1</ChannelID></Image></Images></E>"
)
TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "image": (
        image,
        [
            imagecodecs.png_encode(PLANE),
            imagecodecs.jpeg2k_encode(PLANE, level=0, reversible=True),
            *map(tiff, (None, "lzw", "zlib")),
        ],
    ),
    "locator": (locator, [b"zarr:images/e/p.zarr#3", b"files:a.tiff|b.tiff", b"parquet:a#3"]),
    "well": (well, [b"A01", b"p24", b"B7"]),
    "configuration": (configuration, [b"run: demo\nscreens: {demo: {source: simulated}}\n"]),
    "frozen": (frozen, [b'{"run": "demo", "screens": {"demo": {"source": "simulated"}}}']),
    "index": (index, [INDEX]),
    "table": (table, [b"well,dose\nA01,1.5\nA02,\n"]),
    "provenance": (provenance, [b'{"sha256": "0", "stage": "maps", "inputs": {"a": "1"}}']),
}


def main() -> None:
    if len(sys.argv) == 1:
        sys.stdout.write("".join(f"{name}\n" for name in TARGETS))
        return
    read, seeds = TARGETS[sys.argv[1]]
    corpus = FOLDER / "seeds"
    corpus.mkdir()
    for number, content in enumerate(seeds):
        (corpus / str(number)).write_bytes(content)

    def only_our_errors(content: bytes) -> None:
        try:
            read(content)
        except PhenoprintsError:
            return

    atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus)], only_our_errors)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
