"""Verdicts with stable rule codes: what was found, against what, and why it matters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

PASS, CHECK, FAIL, NOT_RUN = "PASS", "CHECK", "FAIL", "NOT RUN"
GLYPHS = {PASS: "✓", CHECK: "!", FAIL: "✗", NOT_RUN: "–"}
"""Word and glyph always stand together, so that no verdict rests on colour alone."""

SEVERITY = {FAIL: 0, CHECK: 1, NOT_RUN: 2, PASS: 3}


@dataclass(frozen=True)
class Rule:
    """One question that a page answers with a verdict: its code never changes its meaning.

    `cure` says what to do about a CHECK or FAIL.
    """

    code: str
    title: str
    why: str
    good: str
    threshold_from: str
    cure: str = ""


@dataclass(frozen=True)
class Verdict:
    """The answer to one rule for one scope (a run, a screen, an encoder, an experiment).

    `value` and `threshold` are written as a person reads them; `num_affected` counts what breaks
    the rule; `page` and `anchor` say where the evidence is shown.
    """

    rule: Rule
    status: str
    scope: str
    finding: str
    value: str = ""
    threshold: str = ""
    num_affected: int = 0
    page: str = "index"
    anchor: str = ""

    def __post_init__(self) -> None:
        if self.status not in GLYPHS:
            raise ValueError(f'"{self.status}" is not a verdict: {", ".join(GLYPHS)}')

    @property
    def glyph(self) -> str:
        """The sign that stands beside the word."""
        return GLYPHS[self.status]

    @property
    def link(self) -> str:
        """Where the evidence is, relative to the folder of the pages."""
        return f"{self.page}.html" + (f"#{self.anchor}" if self.anchor else "")

    def as_record(self) -> dict[str, Any]:
        """Return the verdict as plain values for verdicts.json."""
        record = asdict(self)
        rule = record.pop("rule")
        return {**record, "link": self.link, **{f"rule_{key}": rule[key] for key in sorted(rule)}}

    def as_line(self) -> str:
        """Return the verdict as one line of a log: the same words as on the page."""
        return f"{self.status} {self.glyph} {self.rule.code} {self.scope}: {self.finding}"


def by_severity(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """FAIL first, then CHECK, NOT RUN and PASS; then by code and scope."""
    return sorted(verdicts, key=lambda v: (SEVERITY[v.status], v.rule.code, v.scope, v.finding))


def counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many verdicts there are of each word, in order of severity."""
    return {word: sum(v.status == word for v in verdicts) for word in SEVERITY}


def overall(verdicts: Sequence[Verdict]) -> str:
    """Return the worst verdict that was reached; NOT RUN when nothing was judged."""
    judged = [v.status for v in verdicts if v.status != NOT_RUN]
    return min(judged, key=SEVERITY.__getitem__, default=NOT_RUN)


def counts_sentence(verdicts: Sequence[Verdict]) -> str:
    """`1 FAIL, 2 CHECK, 0 NOT RUN, 14 PASS`."""
    return ", ".join(f"{number} {word}" for word, number in counts(verdicts).items())
