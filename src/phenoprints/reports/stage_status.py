"""Whether a stage ran: what was asked for, what is there, and a box for what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phenoprints.reports import numbers
from phenoprints.reports.page_model import Box
from phenoprints.reports.runs import Run
from phenoprints.reports.verdicts import FAIL, NOT_RUN, PASS, Rule, Verdict

Names = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Artefacts of one stage: those there, and those that the configuration asks for in vain."""

    there: Sequence[dict[str, str]]
    missing: Sequence[dict[str, str]]
    noun: str

    @property
    def is_asked_for(self) -> bool:
        """Whether the configuration asks for any."""
        return bool(self.there or self.missing)

    def verdict(self, rule: Rule, page: str) -> Verdict:
        """PASS when all are there, FAIL when some are missing, NOT RUN when all are."""
        total = len(self.there) + len(self.missing)
        value = f"{len(self.there)} of {total}"
        place: dict[str, Any] = {"page": page, "anchor": "not-there" if self.missing else ""}
        if not total:
            return Verdict(rule, NOT_RUN, "run", f"no {self.noun} is asked for", "0", page=page)
        if not self.there:
            text = f"none of {numbers.plural(total, self.noun)} is there"
            return Verdict(rule, NOT_RUN, "run", text, value, "all", total, **place)
        if self.missing:
            text = f"{len(self.missing)} of {numbers.plural(total, self.noun)} missing"
            return Verdict(rule, FAIL, "run", text, value, "all", len(self.missing), **place)
        text = (
            f"all {numbers.plural(total, self.noun)} are there"
            if total > 1
            else f"the {self.noun} is there"
        )
        return Verdict(rule, PASS, "run", text, value, "all", page=page)

    def boxes(self) -> list[Box]:
        """One box that says what is not there and why, or none."""
        if not self.is_asked_for:
            text = f"The configuration asks for no {self.noun}, so there is nothing to show."
            return [Box("Not asked for", text, anchor="not-asked-for")]
        if not self.missing:
            return []
        names = ", ".join(" as ".join(item.values()) for item in self.missing[:20])
        more = f" and {len(self.missing) - 20} more" if len(self.missing) > 20 else ""
        text = (
            f"{numbers.plural(len(self.missing), self.noun)} of this configuration not there: "
            f"{names}{more}. The stage has not run yet, or a job of it failed: its log lies in the "
            "run's folder under logs. Run Snakemake again, then the report."
        )
        return [Box("Missing results", text, anchor="not-there")]


def look_for(run: Run, kind: str, wanted: Sequence[dict[str, str]], noun: str) -> Found:
    """Which of the wanted artefacts of a kind are there."""
    there = [names for names in wanted if run.has(kind, **names)]
    return Found(there, [names for names in wanted if names not in there], noun)


def pairs(items: Sequence[Names]) -> list[dict[str, str]]:
    """(screen, encoder) tuples as names of artefacts."""
    return [{"screen": screen, "encoder": encoder} for screen, encoder in items]
