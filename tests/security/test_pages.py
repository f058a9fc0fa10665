"""A perturbation's name is text in every page and harmless in every table."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

import pandas as pd
import pytest

from phenoprints.reports.page_model import Page, Section
from phenoprints.reports.pages import render
from phenoprints.reports.tables import Column, Table

NAMES = [
    "<img src=x onerror=alert(1)>", "</td><script>alert(1)</script>", "<svg/onload=alert(1)>",
    "javascript:alert(1)", '"><a href=\"javascript:alert(1)\">x</a>', "<iframe srcdoc=x>",
    "{{7*7}}", "${7*7}", "</script><script>alert(1)</script>", "<!--", "]]>", "&lt;script&gt;",
]  # fmt: skip
FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", '=HYPERLINK("http://x",1)']


class Seen(HTMLParser):
    """The elements and attributes that a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))


def table(names) -> Table:
    frame = pd.DataFrame({"name": names, "href": "#content"})
    return Table("names", "Names", [Column("name", "Name", link="href")], frame)


def page(names) -> Page:
    section = Section("s", names[0], [table(names)])
    return Page("maps", "Maps", "What?", names[0], [section])


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_in_a_page(name):
    plain, hostile = (
        Seen(render(page([text, text]), run="demo", site=[])) for text in ("a name", name)
    )
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    handlers = [k for _, attributes in hostile.elements for k in attributes if k.startswith("on")]
    assert handlers == []
    links = [str(attributes.get("href", "")) for _, attributes in hostile.elements]
    assert not [link for link in links if link.lower().startswith("javascript")]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_name_is_no_formula_in_a_table(name):
    text = table([name]).csv_text()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == 2
    assert rows[1][0].startswith("'")
    assert rows[1][0].endswith(name.strip())


def test_a_carriage_return_begins_no_row():
    text = table(["a\r=1+1"]).csv_text()
    assert text.splitlines() == ["Name", "a =1+1"]
