"""The pictures of README and tour are those of BBBC021, made anew from its public profiles.

With PHENOPRINTS_WRITE_PICTURES=1 the test writes them into `docs/images`.
"""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.browsing import Browser, started

from phenoprints.cli import main

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs/images"
MAX_DIFFERENCE = 0.06
"""Of the mean grey of small pictures: fonts differ between machines, contents do not."""

ADDRESSES = {
    "tour-overview": "reports:index.html",
    "tour-curation": "reports:curation.html",
    "tour-benchmarks": "reports:benchmarks.html",
    "atlas": "atlas:index.html#view=2&name=taxol+%40+1+%C2%B5M&colour=mechanism",
    "tour-list": "atlas:index.html#view=0&list=taxol%2Cepothilone+B%2Cdocetaxel%2Cvincristine%2C"
    "demecolcine%2Cnocodazole%2Ccolchicine",
}  # fmt: skip
"""Pictures by name: which folder and which page."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, or a skip that says why there is none."""
    yield from started()


@pytest.fixture(scope="module")
def folders(
    workflow: Callable[..., object], test_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The reports and the atlas of a run of the example."""
    base = tmp_path_factory.mktemp("tour")
    config = yaml.safe_load((ROOT / "config/examples/bbbc021.yaml").read_text("utf-8"))
    config["screens"]["bbbc021"]["root"] = str(test_data / "profiles/bbbc021")
    (base / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    run = base / "results/bbbc021"
    workflow(base, "--configfile", str(base / "config.yaml"), "--", "curate", "report", "map")
    assert main(["export-atlas", str(run), "-o", str(base / "atlas")]) == 0
    return {"reports": run / "reports", "atlas": base / "atlas"}


def picture(browser: Browser, folders: dict[str, Path], address: str) -> Image.Image:
    """The first screen of a page; of the list, the part of the page that shows it."""
    place, _, rest = address.partition(":")
    file, _, state = rest.partition("#")
    browser.open(folders[place] / file, anchor=f"#{state}" if state else "")
    if place == "atlas":
        end = time.monotonic() + 20
        while not browser.ask("return document.body.dataset.ready"):
            assert time.monotonic() < end, "the atlas does not open"
            time.sleep(0.05)
        if "list=" in state:
            browser.ask("document.getElementById('list').scrollIntoView()")
    time.sleep(0.5)
    return Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")


def small(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((32, 22), Image.Resampling.BOX), float) / 255


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.browser
@pytest.mark.parametrize("name", ADDRESSES)
def test_pictures_are_those_of_a_run(browser: Browser, folders: dict[str, Path], name: str) -> None:
    made, stored = picture(browser, folders, ADDRESSES[name]), IMAGES / f"{name}.png"
    if os.environ.get("PHENOPRINTS_WRITE_PICTURES"):
        made.quantize(256).save(stored, optimize=True)
    with Image.open(stored) as kept:
        assert kept.size == made.size
        assert np.abs(small(kept.convert("RGB")) - small(made)).mean() < MAX_DIFFERENCE


def test_every_picture_of_readme_and_tour_is_made_by_this_test_or_shown_elsewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "docs/tour.md"):
        shown = set(re.findall(r"images/([a-z-]+)\.png", page.read_text("utf-8")))
        assert shown <= set(ADDRESSES), page.name
        assert all((IMAGES / f"{name}.png").is_file() for name in shown)
