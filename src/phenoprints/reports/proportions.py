"""A share of something with its Wilson interval, as every page states it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from phenoprints.reports import numbers
from phenoprints.reports.page_model import Fact


@dataclass(frozen=True)
class Share:
    """`count` of `total`: its value (NaN of none) and its 95 % Wilson interval."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share itself; NaN where the total is 0."""
        return self.count / self.total if self.total else np.nan

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The ends of the interval; NaN where the total is 0."""
        low, high = numbers.wilson_interval(self.count, self.total)
        return low, high

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.interval[0]

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.interval[1]

    @property
    def shown(self) -> str:
        """The share as per cent."""
        return numbers.percent(self.value)

    @property
    def range(self) -> str:
        """`95 % CI 1.2 % to 3.4 %`."""
        return f"95{numbers.NBSP}% CI {self.ends}"

    @property
    def ends(self) -> str:
        """`1.2 % to 3.4 %`: the interval alone."""
        return f"{numbers.percent(self.low)} to {numbers.percent(self.high)}"

    def facts(
        self,
        path: tuple[str, ...],
        label: str,
        *,
        keys: tuple[str, str, str] = ("value", "count", "of"),
        note: str = "",
    ) -> list[Fact]:
        """Five figures: the share shown large, the ends of its interval, count and total.

        `keys` are the last parts of the paths of share, count and total.
        """
        value, count, total = keys
        said = note or f"{self.count:,} of {self.total:,}; {self.range}"
        return [
            Fact((*path, value), label, self.value, self.shown, said, headline=True),
            Fact((*path, "low"), f"{label}: lower end", self.low),
            Fact((*path, "high"), f"{label}: upper end", self.high),
            Fact((*path, count), f"{label}: count", self.count),
            Fact((*path, total), f"{label}: out of", self.total),
        ]
