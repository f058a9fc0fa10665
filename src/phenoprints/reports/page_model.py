"""What a page is made of, as plain data: sections of text, facts, figures, tables and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from markupsafe import Markup

from phenoprints.reports import numbers
from phenoprints.reports.tables import Table
from phenoprints.reports.verdicts import Verdict


@dataclass(frozen=True)
class Fact:
    """One figure of summary.json: its path there, its value, and how a page shows it.

    `note` is said beside it: the interval, n, the baseline. `headline` facts are shown large.
    """

    path: tuple[str, ...]
    label: str
    value: int | float | str | bool | None
    text: str = ""
    note: str = ""
    headline: bool = False

    @property
    def shown(self) -> str:
        """The value as a person reads it."""
        if self.text:
            return self.text
        if isinstance(self.value, (bool, str)):
            return str(self.value)
        return numbers.number(self.value)

    @property
    def key(self) -> str:
        """The path in one line, as the page prints it."""
        return " › ".join(self.path)

    @property
    def stored(self) -> int | float | str | bool | None:
        """The value as JSON holds it: NaN is null."""
        return None if numbers.is_missing(self.value) else self.value


@dataclass(frozen=True)
class Text:
    """A paragraph; `items` follow it as a list."""

    text: str
    items: Sequence[str] = ()
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Figure:
    """A picture whose title is its finding and whose caption says what, n, unit and what is good.

    `numbers_table` holds the same numbers for those who do not see the picture.
    """

    anchor: str
    title: str
    caption: str
    picture: Markup
    numbers_table: Table | None = None
    is_wide: bool = False
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Gallery:
    """Small pictures of one kind, side by side or stacked, with one caption and one legend."""

    anchor: str
    title: str
    caption: str
    pictures: Sequence[Markup]
    legend: Markup = field(default_factory=Markup)
    is_stacked: bool = False
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Box:
    """Stands where something is missing or needs attention, and says why."""

    title: str
    text: str
    status: str = "NOT RUN"
    anchor: str = ""
    kind: ClassVar[str] = "box"


@dataclass(frozen=True)
class Passage:
    """Preformatted text to copy: commands, BibTeX, settings."""

    anchor: str
    title: str
    text: str
    is_open: bool = False
    kind: ClassVar[str] = "passage"


@dataclass(frozen=True)
class Section:
    """A heading, a sentence that says what good looks like, and parts, which may be folded."""

    anchor: str
    title: str
    parts: Sequence[Any]
    lead: str = ""
    is_folded: bool = False


@dataclass(frozen=True)
class Page:
    """One page: the question it answers, the answer in a sentence, facts, verdicts, sections."""

    name: str
    title: str
    question: str
    answer: str
    sections: Sequence[Section]
    facts: Sequence[Fact] = ()
    verdicts: Sequence[Verdict] = ()
    next_steps: Sequence[str] = ()
    all_verdicts: Sequence[Verdict] = ()
    nav: str = ""
    has_verdict: bool = True

    @property
    def short_title(self) -> str:
        """What links to the page say."""
        return self.nav or self.title

    @property
    def counted(self) -> Sequence[Verdict]:
        """The verdicts that the page counts: those it shows, or more where it shows a choice."""
        return self.all_verdicts or self.verdicts

    @property
    def headlines(self) -> list[Fact]:
        """The facts that are shown large."""
        return [fact for fact in self.facts if fact.headline]
