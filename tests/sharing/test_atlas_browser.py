"""The atlas in a real browser, opened from disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.browsing import Browser, serious, started
from tests.sharing.conftest import HOSTILE

from phenoprints.cli import main
from phenoprints.sharing.atlas import write_page
from phenoprints.sharing.atlas_files import write_index, write_view
from phenoprints.sharing.atlas_view import View, clusters

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, or a skip that says why there is none."""
    yield from started()


@pytest.fixture(scope="module")
def page(shared_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("browsed") / "an atlas"
    assert main(["export-atlas", str(shared_run), "-o", str(target)]) == 0
    return target / "index.html"


def until(browser: Browser, script: str, seconds: float = 10) -> Any:
    """The first true value of a script's `return`."""
    end = time.monotonic() + seconds
    while not (value := browser.ask(script)):
        assert time.monotonic() < end, script
        time.sleep(0.05)
    return value


def open_page(browser: Browser, page: Path, anchor: str = "", **options: Any) -> None:
    browser.open(page, anchor=anchor, **options)
    until(browser, "return document.body.dataset.ready")


def text(browser: Browser, place: str) -> str:
    return str(browser.ask(f"return document.querySelector('{place}').innerText"))


def view_of(browser: Browser, level: str) -> int:
    script = "return index.views.findIndex((each) => each.title.level === arguments[0])"
    return int(browser.ask(script, level))


def open_level(browser: Browser, page: Path, level: str, more: str = "") -> None:
    open_page(browser, page)
    open_page(browser, page, f"#view={view_of(browser, level)}{more}")


def selected(browser: Browser) -> str:
    return str(until(browser, "return document.querySelector('#panel h2')?.textContent"))


def test_it_opens_quietly_and_asks_for_files_of_its_folder_only(
    browser: Browser, page: Path
) -> None:
    open_level(browser, page, "gene", "&name=GENE0&list=GENE0,GENE1")
    until(browser, "return document.querySelector('.heat')")
    asked = browser.requests()
    assert len(asked) > 5
    assert all(url.startswith(page.parent.as_uri() + "/") for url in asked)
    assert browser.messages() == []
    assert browser.colours() > 5


def test_search_finds_names_and_annotations(browser: Browser, page: Path) -> None:
    open_level(browser, page, "gene")
    box = browser.driver.find_element("id", "search")
    box.send_keys("gene4")
    assert text(browser, "#results") == "GENE4"
    box.clear()
    box.send_keys("ribosome")
    assert text(browser, "#results").split() == ["GENE0", "GENE1", "GENE2"]
    assert text(browser, "#found") == "3 perturbations found."
    box.clear()
    box.send_keys("no such thing")
    assert "Nothing on this map" in text(browser, "#found")


def test_a_click_on_the_map_selects_the_point(browser: Browser, page: Path) -> None:
    from selenium.webdriver import ActionChains

    open_level(browser, page, "gene")
    x, y = browser.ask("return map.position(find('GENE2', ''))")
    canvas = browser.driver.find_element("id", "points")
    width, height = canvas.size["width"], canvas.size["height"]
    where = int(x - width / 2), int(y - height / 2)
    ActionChains(browser.driver).move_to_element_with_offset(canvas, *where).click().perform()
    assert selected(browser) == "GENE2 (crispr)"
    shown = text(browser, "#panel")
    for words in ("Nearest perturbations", "Consistency of replicates", "Images", "plate p1",
                  "ribosome"):  # fmt: skip
        assert words in shown, words
    assert browser.ask("return document.querySelectorAll('#panel img').length") >= 12
    loaded = "return [...document.querySelectorAll('#panel img')].some((i) => i.naturalWidth > 40)"
    until(browser, loaded)
    assert "name=GENE2" in browser.ask("return location.hash")


def test_neighbours_lead_on_and_the_address_keeps_the_state(browser: Browser, page: Path) -> None:
    open_level(browser, page, "gene", "&name=GENE0&colour=pathway")
    first = until(browser, "return document.querySelector('#panel td button')?.textContent")
    browser.ask("document.querySelector('#panel td button').click()")
    until(browser, f"return document.querySelector('#panel h2').textContent.startsWith('{first}')")
    address = browser.ask("return location.hash")
    open_page(browser, page, address)
    assert selected(browser) == f"{first} (crispr)"
    assert browser.ask("return document.getElementById('colour').value") == "pathway"


def test_the_keyboard_moves_over_the_map_and_reaches_the_panel(
    browser: Browser, page: Path
) -> None:
    from selenium.webdriver.common.keys import Keys

    open_level(browser, page, "compound", "&name=compound-2")
    before = selected(browser)
    body = browser.driver.find_element("tag name", "body")
    body.send_keys("/")
    assert browser.ask("return document.activeElement.id") == "search"
    canvas = browser.driver.find_element("id", "points")
    for key in (Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_DOWN):
        canvas.send_keys(key)
    until(browser, f"return document.querySelector('#panel h2').textContent !== {before!r}")
    canvas.send_keys("+", "0", Keys.ENTER)
    assert browser.ask("return document.activeElement.id") == "panel"


def test_a_pasted_list_gives_a_heat_map_and_names_what_it_lacks(
    browser: Browser, page: Path
) -> None:
    open_level(browser, page, "gene")
    browser.driver.find_element("id", "names").send_keys("gene0, GENE1\nGENE5\nXYZ1")
    browser.driver.find_element("id", "compare").click()
    until(browser, "return document.querySelectorAll('.heat tbody tr').length === 3")
    assert text(browser, "#unmatched") == "1 of 4 names match nothing on this map: XYZ1."
    cosines = browser.ask(
        "return [...document.querySelectorAll('.heat tbody td')].map((cell) => Number(cell.title))"
    )
    table = np.array(cosines).reshape(3, 3)
    np.testing.assert_allclose(table, table.T)
    np.testing.assert_allclose(np.diag(table), 1, atol=0.01)
    assert table[0, 1] > table[0, 2]  # one pathway
    browser.ask("document.getElementById('names').value = 'a, b'")
    browser.driver.find_element("id", "compare").click()
    until(browser, "return !document.querySelector('.heat')")
    assert "2 of 2 names match nothing" in text(browser, "#unmatched")


def test_hostile_names_are_text(browser: Browser, page: Path) -> None:
    open_level(browser, page, "compound")
    browser.driver.find_element("id", "search").send_keys("onerror")
    browser.ask("document.querySelector('#results button').click()")
    assert selected(browser) == f"{HOSTILE} (compound)"
    assert "Dose response" in text(browser, "#panel")
    assert browser.ask("return document.querySelectorAll('img[src=x]').length") == 0


def test_an_unknown_name_in_a_link_is_named(browser: Browser, page: Path) -> None:
    open_page(browser, page, "#name=nobody")
    assert text(browser, "#panel") == "No perturbation of this map is called “nobody”."


@pytest.mark.parametrize("options", [{}, {"is_dark": True}, {"width": 390}])
def test_nothing_serious_for_axe_and_nothing_too_wide(
    browser: Browser, page: Path, options: dict[str, Any]
) -> None:
    open_page(browser, page)
    at = view_of(browser, "compound")
    open_page(browser, page, f"#view={at}&name=compound-1&list=compound-1,compound-2", **options)
    until(browser, "return document.querySelector('.heat') && document.querySelector('#panel h2')")
    assert serious(browser) == []
    assert browser.ask("return document.documentElement.scrollWidth - innerWidth") <= 0


def large_view(num_perturbations: int, num_wells: int) -> View:
    """A view of random places, vectors and wells."""
    rng = np.random.default_rng(0)
    names = np.array([f"GENE{at:06d}" for at in range(num_perturbations)], object)
    vectors = rng.standard_normal((num_perturbations, 128)).astype(np.float32)
    near = pd.DataFrame({"entry": np.repeat(np.arange(num_perturbations), 10)}).assign(
        neighbour=rng.integers(0, num_perturbations, num_perturbations * 10), reason=""
    )
    for name in ("cosine", "low", "high", "p_value", "q_value"):
        near[name] = rng.random(len(near))
    plates = pd.DataFrame({"experiment": [f"e{at // 9}" for at in range(5800)],
                           "plate": [f"p{at}" for at in range(5800)]})  # fmt: skip
    place = rng.integers(0, len(plates), num_wells)
    wells = plates.iloc[place].reset_index(drop=True).assign(
        entry=np.sort(rng.integers(0, num_perturbations, num_wells)),
        row=rng.integers(1, 17, num_wells), column=rng.integers(1, 25, num_wells),
        cells=rng.integers(50, 500, num_wells).astype(float), well_id=np.arange(num_wells),
    )  # fmt: skip
    tests = pd.DataFrame({"entry": np.arange(num_perturbations)}).assign(
        judge="j", experiment="e", p_value=0.5, num_wells=12, reason=""
    )
    doses = ["entry", "concentration_um", "length", "null_length", "p_value", "is_active"]
    title = {"screen": "large", "encoder": "mae", "level": "gene", "cell_type": "HUVEC",
             "background": ""}  # fmt: skip
    colours = {"pathway": np.array([f"pathway {at % 40}" for at in range(num_perturbations)],
                                   object),
               "cell count": rng.random(num_perturbations)}  # fmt: skip
    return View(
        title=title, names=names, kinds=np.full(num_perturbations, "crispr", object),
        xy=rng.standard_normal((num_perturbations, 2)), vectors=vectors, colours=colours,
        neighbours=near, wells=wells, tests=tests, doses=pd.DataFrame(columns=doses),
        plates=plates.assign(rows=16, columns=24),
    )  # fmt: skip


def write_large(folder: Path, num_perturbations: int, num_wells: int) -> Path:
    line = write_view(folder, 0, large_view(num_perturbations, num_wells), {})
    write_index(folder, {"run": "large", "version": "", "views": [line], "absent": 0})
    write_page(folder)
    return folder / "index.html"


@pytest.mark.parametrize(
    ("num_perturbations", "num_wells"),
    [(10_000, 220_000), pytest.param(100_000, 2_200_000, marks=pytest.mark.slow)],
)
def test_a_large_atlas_opens_in_three_seconds_and_stays_below_200_mb(
    browser: Browser, tmp_path: Path, num_perturbations: int, num_wells: int
) -> None:
    page = write_large(tmp_path, num_perturbations, num_wells)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size < 200e6 * num_perturbations / 100_000 + 1e6
    start = time.monotonic()
    open_page(browser, page, f"#name=GENE{num_perturbations - 1:06d}")
    assert selected(browser).startswith("GENE")
    assert time.monotonic() - start < 3
    search = time.monotonic()
    browser.driver.find_element("id", "search").send_keys("GENE000077")
    assert text(browser, "#results") == "GENE000077"
    assert time.monotonic() - search < 3


def test_clusters_are_named_from_the_largest() -> None:
    rng = np.random.default_rng(0)
    centres = 8 * rng.standard_normal((2, 8))
    x = np.concatenate(
        [centres[0] + rng.standard_normal((5, 8)), centres[1] + rng.standard_normal((15, 8))]
    )
    found = clusters(x.astype(np.float32))
    assert set(found[:5]).isdisjoint(found[5:])
    assert found[5] == "1"
