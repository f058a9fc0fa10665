"""The pages in a real browser: quiet, self-contained, usable with and without scripts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browsing import Browser, serious, started

from phenoprints.reports import PAGE_NAMES, build
from phenoprints.reports.pages import asset

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PHONE_PX = 390
HERE = Path(__file__).resolve().parent
ACCESSIBILITY = (HERE / "accessibility.js").read_text(encoding="utf-8")
CONTRAST = (HERE / "contrast.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, or a skip that says why there is none."""
    yield from started()


@pytest.fixture(scope="module")
def pages(
    whole_run: Path, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("browsed")
    build(whole_run, config, folder)
    return folder


@pytest.fixture(scope="module")
def every_page(pages: Path) -> list[Path]:
    found = sorted(pages.glob("*.html"))
    assert len(found) >= len(PAGE_NAMES)
    return found


def test_no_console_message_and_no_request(browser: Browser, every_page: list[Path]) -> None:
    for path in every_page:
        browser.open(path)
        assert browser.messages() == [], path.name
        assert browser.requests() == [path.as_uri()], path.name


def test_pages_of_a_troubled_run_open_and_say_so(
    browser: Browser, make_run: Callable[..., Path], config: dict[str, Any], tmp_path: Path
) -> None:
    run = make_run(share_true=0.0)
    (run / "quality/demo.parquet").write_bytes(b"damaged")
    (run / "consistency/demo/wsl.parquet").unlink()
    (run / "maps/demo/untrained.provenance.json").unlink()
    shutil.rmtree(run / "probes")
    build(run, config, tmp_path / "out")
    for name in PAGE_NAMES:
        browser.open(tmp_path / "out" / f"{name}.html")
        assert browser.messages() == [], name
    said = {
        "index": "quality/demo.parquet", "curation": "No condition has a phenoprint",
        "probes": "NOT RUN", "maps": "1 of 3 maps missing", "consistency": "demo as wsl",
    }  # fmt: skip
    for name, words in said.items():
        browser.open(tmp_path / "out" / f"{name}.html")
        assert words in browser.ask("return document.querySelector('main').innerText"), name


def test_the_policy_stops_foreign_scripts(browser: Browser, pages: Path, tmp_path: Path) -> None:
    text = (pages / "index.html").read_text(encoding="utf-8")
    forged = text.replace("</main>", "<script>document.title='forged'</script></main>")
    (tmp_path / "forged.html").write_text(forged, encoding="utf-8")
    browser.open(tmp_path / "forged.html")
    assert browser.driver.title != "forged"
    assert any("Content Security Policy" in message for message in browser.messages())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_dark": True},
        {"width": PHONE_PX},
        {"media": "print"},
        {"has_scripts": False},
    ],
    ids=["light", "dark", "phone", "print", "no-scripts"],
)
def test_pages_are_not_blank_and_do_not_overflow(
    browser: Browser, every_page: list[Path], options: dict[str, Any]
) -> None:
    some = [path for path in every_page if path.stem in ("index", "curation", "benchmarks")]
    for path in some if options else every_page:
        browser.open(path, **options)
        assert browser.colours() > 8, path.name
        words = browser.ask("return document.querySelector('main').innerText.length")
        assert words > 100, path.name
        wide = browser.ask("return document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path.name} is {wide} px too wide"


def test_figures_and_first_rows_stand_without_scripts(browser: Browser, pages: Path) -> None:
    browser.open(pages / "curation.html", has_scripts=False)
    shown = browser.ask("return document.querySelectorAll('figure svg').length")
    rows = browser.ask(
        "return document.querySelectorAll('#phenoprints-phenoprints tbody tr').length"
    )
    assert shown >= 5
    assert rows == 31
    assert browser.ask("return document.querySelectorAll('th button, .bar').length") == 0


def column(browser: Browser, table: str, at: int) -> list[str]:
    script = (
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
        ".map((row) => row.cells[arguments[1]].textContent)"
    )
    return [str(text) for text in browser.ask(script, table, at)]


def click_heading(browser: Browser, table: str, at: int) -> None:
    browser.ask(f"document.querySelectorAll('#{table} th button')[{at}].click()")


def test_tables_sort_both_ways_and_say_so(browser: Browser, pages: Path) -> None:
    browser.open(pages / "benchmarks.html")
    headings = browser.ask(
        "return [...document.querySelectorAll('#all th')].map((head) => head.textContent)"
    )
    at = headings.index("Value")
    click_heading(browser, "all", at)
    values = [float(text) for text in column(browser, "all", at)]
    assert values == sorted(values)
    state = f"return document.querySelectorAll('#all th')[{at}].getAttribute('aria-sort')"
    assert browser.ask(state) == "ascending"
    click_heading(browser, "all", at)
    assert [float(text) for text in column(browser, "all", at)] == sorted(values, reverse=True)
    assert browser.ask(state) == "descending"


def search(browser: Browser, table: str, words: str) -> None:
    browser.ask(
        "const field = document.querySelector(`#${arguments[0]} input[type=search]`);"
        "field.value = arguments[1]; field.dispatchEvent(new Event('input'));",
        table, words,
    )  # fmt: skip


def test_search_finds_all_words_and_stays_in_the_address(browser: Browser, pages: Path) -> None:
    browser.open(pages / "screens.html")
    search(browser, "demo-conditions", "gene07 three")
    names = column(browser, "demo-conditions", 0)
    assert names
    assert all("GENE07" in name for name in names)
    address = browser.ask("return location.hash")
    assert address == "#demo-conditions?q=gene07+three"
    browser.open(pages / "screens.html", anchor=address)
    assert column(browser, "demo-conditions", 0) == names


def test_a_gene_of_curation_leads_to_its_neighbours(browser: Browser, pages: Path) -> None:
    browser.open(pages / "curation.html")
    link = browser.ask(
        "return [...document.querySelectorAll('#phenoprints-genes a')]"
        ".find((a) => a.textContent === 'GENE07').getAttribute('href')"
    )
    page, _, anchor = link.partition("#")
    browser.open(pages / page, anchor=f"#{anchor}")
    table = anchor.partition("?")[0]
    rows = zip(column(browser, table, 0), column(browser, table, 2), strict=True)
    assert all("GENE07" in row for row in rows)
    assert column(browser, table, 0)


def test_long_tables_are_paged(browser: Browser, pages: Path) -> None:
    browser.open(pages / "consistency.html")
    table = "demo-wsl-tests"
    number = browser.ask(f"return document.querySelectorAll('#{table} tbody tr').length")
    total = browser.ask(f"return document.querySelector('#{table} .bar span').textContent")
    found = re.fullmatch(r"1–(\d+) of (\d+) rows", total)
    assert found is not None
    assert int(found.group(1)) == number
    search(browser, table, "no such gene at all")
    assert column(browser, table, 0) == []
    assert "0–0 of 0 rows" in browser.ask(
        f"return document.querySelector('#{table} .bar span').textContent"
    )


def test_rows_beyond_the_first_hundred_are_reached(browser: Browser, tmp_path: Path) -> None:
    import pandas as pd

    from phenoprints.reports.page_model import Page, Section
    from phenoprints.reports.pages import render
    from phenoprints.reports.tables import Column, Table

    frame = pd.DataFrame({"name": [f"<b>{at}" for at in range(250)], "n": range(250, 0, -1)})
    columns = [Column("name", "Name"), Column("n", "N", "count")]
    page = Page("p", "P", "?", "!", [Section("s", "S", [Table("t", "T", columns, frame)])])
    (tmp_path / "p.html").write_text(render(page, run="r", site=[page]), encoding="utf-8")
    browser.open(tmp_path / "p.html")
    assert len(column(browser, "t", 0)) == 100
    browser.ask("[...document.querySelectorAll('#t .bar button')].at(-1).click()")
    assert column(browser, "t", 0)[0] == "<b>100"
    click_heading(browser, "t", 1)
    assert column(browser, "t", 1)[:3] == ["1", "2", "3"]
    assert browser.ask("return document.querySelectorAll('#t b').length") == 0


def test_plates_are_read_with_the_arrow_keys(browser: Browser, pages: Path) -> None:
    browser.open(pages / "quality.html")
    press = (
        "const svg = document.querySelector('svg[data-plate]'); svg.focus();"
        "for (const key of arguments[0]) svg.dispatchEvent(new KeyboardEvent('keydown', {key}));"
        "return svg.nextElementSibling.textContent"
    )
    assert browser.ask(press, []).startswith("A01: pass")
    assert re.match(r"B02: (pass|fail)", browser.ask(press, ["ArrowRight", "ArrowDown"]))
    assert re.match(r"B02: ", browser.ask(press, []))


def test_print_opens_what_is_folded(browser: Browser, pages: Path) -> None:
    browser.open(pages / "curation.html")
    browser.ask("dispatchEvent(new Event('beforeprint'))")
    assert browser.ask("return document.querySelectorAll('details:not([open])').length") == 0


def test_accessibility_basics(browser: Browser, every_page: list[Path]) -> None:
    for path in every_page:
        browser.open(path)
        assert browser.ask(ACCESSIBILITY) == [], path.name


def test_axe_finds_nothing_serious(browser: Browser, every_page: list[Path]) -> None:
    found = {}
    for path in every_page:  # contrast has a test of its own, which is quicker
        browser.open(path)
        found[path.stem] = serious(browser)
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_every_text_has_enough_contrast(browser: Browser, pages: Path, is_dark: bool) -> None:
    for name in ("index", "curation", "quality"):
        browser.open(pages / f"{name}.html", is_dark=is_dark)
        ratio, where = browser.ask(CONTRAST)
        assert ratio >= 4.5, f"{name}: {where}"


def test_colours_follow_the_system(browser: Browser, pages: Path) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    browser.open(pages / "index.html")
    light = browser.ask(ground)
    browser.open(pages / "index.html", is_dark=True)
    assert light != browser.ask(ground)
    assert "prefers-color-scheme" in asset("style.css")
