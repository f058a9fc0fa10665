"""One page as one self-contained HTML file under a strict content-security policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from phenoprints import __version__
from phenoprints.foundations.printable import for_xml
from phenoprints.reports import numbers
from phenoprints.reports.page_model import Page
from phenoprints.reports.tables import MAX_ROWS, SHOWN_ROWS, Table
from phenoprints.reports.verdicts import GLYPHS, counts_sentence, overall

MAX_PAGE_BYTES = 6_000_000
"""A page stays below this, or it is split by experiment or plate."""


@cache
def asset(name: str) -> str:
    """Return the text of our constant style or script, stripped, since its hash stands in the
    policy.
    """
    folder = resources.files("phenoprints.reports") / "templates"
    return (folder / name).read_text(encoding="utf-8").strip()


def policy() -> str:
    """Return the policy of every page: nothing loads but our own style and script and inline
    images.
    """
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(asset('style.css'))}'; "
        f"script-src '{_hash(asset('script.js'))}'; base-uri 'none'; form-action 'none'"
    )


def render(
    page: Page,
    *,
    run: str,
    site: Sequence[Page],
    files: Mapping[str, str] | None = None,
    stale: Sequence[str] = (),
) -> str:
    """Return the page as HTML, with links to the other pages of the site.

    `files` names, by the anchor of a table, the CSV beside the page that holds all its rows;
    `stale` are lines on artefacts that the present configuration would make in another way. Where
    long tables would make the page larger than MAX_PAGE_BYTES, it carries fewer of their rows.
    Equal contents give equal bytes: nothing of the time or the machine is written.
    """
    max_rows = MAX_ROWS
    while True:
        text = _rendered(page, run, site, files=files or {}, max_rows=max_rows, stale=stale)
        if len(text.encode("utf-8")) <= MAX_PAGE_BYTES or max_rows <= SHOWN_ROWS:
            return text
        max_rows //= 2


def _rendered(
    page: Page,
    run: str,
    site: Sequence[Page],
    *,
    files: Mapping[str, str],
    max_rows: int,
    stale: Sequence[str],
) -> str:
    linked: dict[str, list[str]] = {}
    for verdict in page.verdicts:
        codes = linked.setdefault(verdict.anchor, [])
        if verdict.page == page.name and verdict.rule.code not in codes:
            codes.append(verdict.rule.code)
    return for_xml(
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            run=run,
            site=site,
            files=files,
            max_rows=max_rows,
            stale=stale,
            policy=policy(),
            style=Markup(asset("style.css")),  # noqa: S704  (our constant file)
            script=Markup(asset("script.js")),  # noqa: S704  (our constant file)
            status=overall(page.counted),
            verdict_sentence=counts_sentence(page.counted),
            verdict_links={anchor: codes for anchor, codes in linked.items() if anchor and codes},
            rules=sorted({verdict.rule for verdict in page.verdicts}, key=lambda rule: rule.code),
            glyphs=GLYPHS,
            version=__version__,
        )
    )


def tables_of(page: Page) -> list[Table]:
    """Every table of the page that shows only its first rows, and so needs a file beside it."""
    parts = [part for section in page.sections for part in section.parts]
    tables = [part for part in parts if isinstance(part, Table)]
    tables += [
        part.numbers_table for part in parts if getattr(part, "numbers_table", None) is not None
    ]
    return [table for table in tables if table.num_rows > SHOWN_ROWS]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phenoprints.reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["rows"] = lambda value: numbers.plural(value, "row")
    return environment


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
