"""Images behind an address: a web server with ranges, and a bucket, both on this machine."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
import tifffile
import zarr

from phenoprints.foundations import remote
from phenoprints.foundations.errors import (
    ConfigurationError,
    ImageError,
    MissingInputError,
    RemoteError,
    UnsafeInputError,
)
from phenoprints.screens import read
from phenoprints.screens.images import open_images, read_site
from phenoprints.screens.preparing import keyed_sites, prepare_images
from phenoprints.screens.storing import write_screen


class Handler(BaseHTTPRequestHandler):
    """Gives files, whole or by range; lists a bucket by prefix; notes what it sent."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        path = self.server.folder / unquote(url.path).lstrip("/")
        if self.server.fails:
            self.answer(403, b"no")
        elif "list-type" in query:
            self.answer(200, self.listing(path, query.get("prefix", [""])[0]))
        elif not path.is_file():
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.file(path.read_bytes())

    def file(self, content: bytes) -> None:
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not found:
            self.answer(200, content)
            return
        first, last = found.groups()
        start = int(first) if first else len(content) - int(last)
        stop = min(int(last) + 1 if first and last else len(content), len(content))
        self.answer(206, content[start:stop], f"bytes {start}-{stop - 1}/{len(content)}")

    def listing(self, bucket: Path, prefix: str) -> bytes:
        files = sorted(p.relative_to(bucket).as_posix() for p in bucket.rglob("*") if p.is_file())
        keys = "".join(
            f"<Contents><Key>{name}</Key><Size>1</Size></Contents>"
            for name in files
            if name.startswith(prefix)
        )
        count = keys.count("<Key>")
        return (f'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>'
                f"<KeyCount>{count}</KeyCount>{keys}</ListBucketResult>").encode()  # fmt: skip

    def answer(self, code: int, content: bytes, content_range: str = "") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"1"')
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
            self.server.sent.append((unquote(urlsplit(self.path).path), len(content)))

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    for name in (*remote.CREDENTIALS, "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.folder, made.sent, made.fails = tmp_path / "served", [], False
        made.address = f"http://127.0.0.1:{made.server_port}"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.address)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setattr(remote, "RETRIES", {"max_retries": 1, "initial_delay": "1ms"})
        remote._store.cache_clear()
        yield made
        made.shutdown()


NAMES = [f"P 1/x_A0{column}_s1_w{c}.tif" for column in (1, 2, 3) for c in (1, 2)]


def image(name: str) -> np.ndarray:
    return np.random.default_rng(len(name) + ord(name[6]) + ord(name[-5])).integers(
        1, 200, (40, 44)
    ).astype(np.uint8)  # fmt: skip


@pytest.fixture
def images(server):
    for bucket in ("", "my-bucket/screens"):
        for name in NAMES:
            path = server.folder / bucket / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, image(name))
    return server


def config(tmp_path, **settings) -> dict:
    return {"source": "imagexpress", "root": str(tmp_path), **settings}


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("kind", ["http", "s3"])
def test_files_behind_an_address_are_the_pixels(kind, pack, images, tmp_path):
    place = {
        "http": {"image_root": images.address, "images": NAMES},
        "s3": {"image_root": "s3://my-bucket/screens", "images": "**/*.TIF"},
    }[kind]
    settings = config(tmp_path, pack=pack, **place)
    write_screen(read(settings, "s"), tmp_path / "s")
    prepare_images(tmp_path / "s", settings, name="s")
    sites, opened = keyed_sites(tmp_path / "s"), open_images(tmp_path / "s/images.json")
    assert len(sites) == 3
    for number, site in enumerate(sites.itertuples()):
        pixels = opened.read(site.locator, list(site.channels), experiment=site.experiment)
        assert (pixels == np.stack([image(n) for n in NAMES[2 * number : 2 * number + 2]])).all()


def test_a_bucket_is_listed_without_globs(images, tmp_path):
    (images.folder / "my-bucket/screens/notes.txt").write_text("x")
    screen = read(config(tmp_path, image_root="s3://my-bucket/screens"))
    assert len(screen.sites) == 3
    assert "files_of_other_names" not in screen.notes["counts"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_ome_zarr_behind_an_address_is_read_by_ranges(zarr_format, server, layouts, tmp_path):
    version = {2: "0.4", 3: "0.5"}[zarr_format]
    layouts.ome_zarr(server.folder, version=version)
    settings = {"source": "ome-zarr", "root": str(tmp_path), "image_root": server.address,
                "images": "BR1.zarr"}  # fmt: skip
    screen = read(settings)
    assert len(screen.sites) == 4
    site = screen.sites.iloc[1]
    pixels = read_site(server.address, site["locator"], site["channels"])
    expected = [layouts.pixels("C/3", 1, c, dtype="uint16") for c in range(3)]
    assert (pixels == np.stack(expected)).all()


def test_of_a_shard_only_the_wanted_ranges_are_sent(server, layouts, tmp_path):
    layouts.ome_zarr(server.folder)
    place = server.folder / "BR1.zarr/C/3/0/0"
    data = np.random.default_rng(0).integers(0, 4000, (1, 3, 1, 256, 256)).astype(np.uint16)
    array = zarr.create_array(
        place, shape=data.shape, dtype="uint16", chunks=(1, 1, 1, 64, 64),
        shards=data.shape, overwrite=True, compressors=None,
    )  # fmt: skip
    array[:] = data
    locator = 'ome-zarr:["BR1.zarr/C/3/0/0",0,[1],0,null,null]'
    server.sent.clear()
    assert (read_site(server.address, locator, ["ER"])[0] == data[0, 1, 0]).all()
    shards = [size for path, size in server.sent if "/0/c/" in path]
    assert 0 < sum(shards) < data.nbytes / 2


def test_what_cannot_be_had_is_named(images, tmp_path):
    with pytest.raises(ConfigurationError, match="a web server does not list its files"):
        read(config(tmp_path, image_root=images.address))
    with pytest.raises(UnsafeInputError, match="does not stay inside"):
        read_site(images.address, 'files:["../secret.tif"]', ["w1"])
    with pytest.raises(MissingInputError, match=r"http://127.*P 1/gone.tif: the file is not there"):
        read_site(images.address, 'files:["P 1/gone.tif"]', ["w1"])
    with pytest.raises(ImageError, match="no image of the screen can be read"):
        read(config(tmp_path, image_root=images.address, images=["P 1/gone_A01.tif"]))
    images.fails = True
    with pytest.raises(RemoteError, match="it cannot be read"):
        read_site(images.address, f'files:["{NAMES[0]}"]', ["w1"])
    with pytest.raises(RemoteError, match="it cannot be listed"):
        read(config(tmp_path, image_root="s3://my-bucket/screens"))


@pytest.mark.parametrize(
    ("pattern", "path", "is_found"),
    [
        ("**/*.tif", "a/b/c.TIF", True),
        ("**/*.tif", "c.tif", True),
        ("*.tif", "a/c.tif", False),
        ("a/*/c?.tif", "a/b/c1.tif", True),
        ("a/[bc]/*.tif", "a/d/c.tif", False),
        ("a.tif", "abtif", False),
    ],
)
def test_globs_of_keys(pattern, path, is_found):
    assert bool(remote._matcher(pattern)(path)) == is_found
