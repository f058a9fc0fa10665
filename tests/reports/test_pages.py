"""Pages: self-contained, under a strict policy, hostile text stays text, bytes are fixed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from phenoprints.reports.figures import p_value_histogram
from phenoprints.reports.page_model import Box, Fact, Figure, Page, Passage, Section, Text
from phenoprints.reports.pages import asset, policy, render, tables_of
from phenoprints.reports.tables import Column, Table, script_json
from phenoprints.reports.verdicts import CHECK, NOT_RUN, PASS, Rule, Verdict

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
RULE = Rule("CO101", "Position effects", "They look like phenoprints.", "few", "the threshold")


def table(num_rows: int) -> Table:
    frame = pd.DataFrame(
        {
            "name": [f"{HOSTILE}{at}" for at in range(num_rows)],
            "p": [at / 7 for at in range(num_rows)],
            "status": [CHECK, PASS, NOT_RUN] * (num_rows // 3) + [PASS] * (num_rows % 3),
            "href": [""] * (num_rows - 1) + ["#content"],
        }
    )
    columns = [
        Column("name", "Name", link="href"),
        Column("p", "p", "number"),
        Column("status", "Verdict", "verdict"),
    ]
    return Table("genes", "Genes", columns, frame)


def page(num_rows: int = 250) -> Page:
    histogram = p_value_histogram([0.1, 0.2], title="p-values")
    return Page(
        "index",
        f"Title {HOSTILE}",
        "Can it be trusted?",
        f"Two of {HOSTILE}",
        [
            Section(
                "details",
                "Details",
                [
                    Text("A paragraph", ["and", HOSTILE]),
                    Figure("p-values", "A finding", "A caption.", histogram, table(5)),
                    table(num_rows),
                    Box("No probes", f"The stage failed: {HOSTILE}"),
                    Passage("command", "Command", f"snakemake # {HOSTILE}"),
                ],
            )
        ],
        [Fact(("wells", "read"), "Wells read", 632, headline=True), Fact(("a",), "A", 0.25)],
        [Verdict(RULE, CHECK, HOSTILE, f"found {HOSTILE}", "6 %", "2 %", 3, anchor="p-values")],
        [f"Look at {HOSTILE}"],
    )


class Reader(HTMLParser):
    """Collects what a browser would run or load, and the tree's balance."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.data: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.is_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.is_script = tag == "script"
        if "id" in dict(attrs):
            self.ids.append(str(dict(attrs)["id"]))

    def handle_endtag(self, tag: str) -> None:
        self.is_script = False

    def handle_data(self, data: str) -> None:
        if self.is_script:
            self.scripts.append((self.tags[-1][1], data))


@pytest.fixture(scope="module")
def html() -> str:
    return render(page(), run="demo", site=[page()], files={"genes": "tables/genes.csv"})


@pytest.fixture(scope="module")
def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_hostile_text_stays_text(read: Reader) -> None:
    names = {tag for tag, _ in read.tags}
    assert "img" not in names
    assert not [a for _, attributes in read.tags for a in attributes if a.startswith("on")]
    programs = [text for attributes, text in read.scripts if "type" not in attributes]
    assert programs == [asset("script.js")]


def test_policy_names_exactly_our_style_and_script(html: str) -> None:
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert style is not None
    for text in (style.group(1), script[-1]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"sha256-{digest}" in policy()
    assert "unsafe" not in policy()
    assert "default-src 'none'" in policy()


def test_nothing_is_styled_in_place_and_nothing_is_loaded(read: Reader) -> None:
    for tag, attributes in read.tags:
        assert "style" not in attributes, tag
        for key in ("src", "srcset", "data", "poster"):
            assert key not in attributes, tag
        assert tag not in ("iframe", "object", "embed", "form", "base")


def test_anchors_are_unique_and_resolve(read: Reader) -> None:
    repeated = {i for i in read.ids if read.ids.count(i) > 1} - {"genes"}
    assert not repeated
    targets = [a["href"] for tag, a in read.tags if tag == "a" and str(a["href"]).startswith("#")]
    assert targets
    assert {str(target)[1:] for target in targets} <= set(read.ids)


def test_first_hundred_rows_are_html_and_the_rest_json(html: str, read: Reader) -> None:
    blocks = [text for a, text in read.scripts if a.get("type") == "application/json"]
    assert len(blocks) == 1
    rest = json.loads(blocks[0])
    assert len(rest) == 150
    assert rest[0][0] == f"{HOSTILE}100"
    assert rest[-1][0] == [f"{HOSTILE}249", "#content"]
    assert "tables/genes.csv" in html
    assert [t.num_rows for t in tables_of(page())] == [250]


def test_same_contents_same_bytes(html: str) -> None:
    again = render(page(), run="demo", site=[page()], files={"genes": "tables/genes.csv"})
    assert again == html


def test_landmarks_language_and_skip_link(read: Reader) -> None:
    names = [tag for tag, _ in read.tags]
    for name in ("header", "nav", "main", "footer", "h1"):
        assert names.count(name) == 1, name
    assert ("html", {"lang": "en"}) in read.tags
    links = [attributes for tag, attributes in read.tags if tag == "a"]
    assert links[0]["href"] == "#content"


def test_verdict_has_word_glyph_code_value_threshold_and_reason(html: str) -> None:
    for part in ("CHECK", ">!</span>", "CO101", "6 %", "2 %", RULE.why, RULE.good):
        assert part in html


def test_every_fact_is_on_the_page(html: str) -> None:
    assert '<data value="632">632</data>' in html
    assert '<data value="0.25">0.250</data>' in html
    assert "wells › read" in html


def test_a_page_without_anything_still_opens() -> None:
    empty = Page("probes", "Probes", "Which block?", "Not run.", [])
    text = render(empty, run="demo", site=[empty])
    assert "NOT RUN" in text
    assert text.rstrip().endswith("</html>")


def test_csv_cannot_run_in_a_spreadsheet() -> None:
    frame = pd.DataFrame({"name": ["=cmd|' /C calc'!A0", "plain", "a,b"], "n": [-1.5, 2, 3]})
    text = Table("t", "T", [Column("name", "Name"), Column("n", "N", "number", "µM")], frame)
    lines = text.csv_text().splitlines()
    assert lines == ["Name,N (µM)", "'=cmd|' /C calc'!A0,-1.5", "plain,2.0", '"a,b",3.0']


def test_json_block_cannot_be_left() -> None:
    text = script_json(["</script>", "<!--", "\u2028"])
    assert "<" not in text
    assert json.loads(text) == ["</script>", "<!--", "\u2028"]


def test_a_page_that_would_be_too_large_carries_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"name": [f"perturbation number {at}" for at in range(5000)]})
    table = Table("t", "T", [Column("name", "Name")], frame)
    page = Page("p", "P", "?", "!", [Section("s", "S", [table])])
    whole = render(page, run="r", site=[page])
    assert "perturbation number 4999" in whole
    limit = len(whole.encode()) - 50_000
    monkeypatch.setattr("phenoprints.reports.pages.MAX_PAGE_BYTES", limit)
    less = render(page, run="r", site=[page], files={"t": "tables/p-t.csv"})
    assert len(less.encode()) <= limit
    assert "perturbation number 4999" not in less
    assert "perturbation number 999" in less
    assert 'data-rows="5000" data-file="tables/p-t.csv"' in less


def test_designs_of_conditions_count_wells_on_each_plate() -> None:
    from phenoprints.reports.stages.screens import _designs_table

    wells = pd.DataFrame(
        {
            "experiment": "e", "plate": ["p1", "p1", "p2", "p1", "p2", "p1"],
            "well": [f"A0{i}" for i in range(6)], "role": ["treatment"] * 5 + ["negative_control"],
            "conditions": [[1], [1], [1], [2], [2], [0]],
        }
    )  # fmt: skip
    frame = _designs_table("s", wells).frame
    assert frame.to_numpy().tolist() == [["2 + 1", 3, 2, 1], ["1 + 1", 2, 2, 1]]
    assert _designs_table("s", wells[:0]).frame.empty
