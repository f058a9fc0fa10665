"""Changed image files change the stamp of their unit, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

from phenoprints.embeddings.forward import Site
from phenoprints.embeddings.stamps import image_stamp
from phenoprints.screens.images import ScreenImages
from phenoprints.screens.images.locators import FilesLocator, ParquetLocator, ZarrLocator


def site(locator: object) -> Site:
    return Site(0, 1, str(locator), ("DNA",), "e1")


def test_size_and_time_of_every_file_count(tmp_path: Path) -> None:
    names = ["a.tiff", "b.tiff", "t.parquet", "p.zarr/c/3/0/0/0"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"pixels")
    sites = [
        site(FilesLocator(("a.tiff", "b.tiff"))),
        site(ParquetLocator((("t.parquet", 0), ("t.parquet", 1)))),
        site(ZarrLocator("p.zarr", 3)),
    ]
    images = ScreenImages(str(tmp_path))
    stamps = [image_stamp(images, sites)]

    for name in names:
        assert image_stamp(images, sites) == stamps[-1]
        os.utime(tmp_path / name, ns=(5, 5 + len(stamps)))
        stamps.append(image_stamp(images, sites))
    (tmp_path / "a.tiff").unlink()
    stamps.append(image_stamp(images, sites))
    stamps.append(image_stamp(ScreenImages(str(tmp_path), {"e1": {"DNA": (0, 9)}}), sites))

    assert len(set(stamps)) == len(stamps)
    other = ScreenImages(str(tmp_path), {"e2": {"DNA": (0, 9)}})
    assert image_stamp(other, sites) == stamps[-2]


def test_a_screen_may_be_moved_and_bad_locators_are_left_to_reading(tmp_path: Path) -> None:
    stamps = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.tiff").write_bytes(b"x")
        os.utime(tmp_path / folder / "a.tiff", ns=(7, 7))
        places = [site(FilesLocator(("a.tiff",))), site('files:["../../etc/passwd"]'), site("x:y")]
        stamps.append(image_stamp(ScreenImages(str(tmp_path / folder)), places))

    assert stamps[0] == stamps[1]
