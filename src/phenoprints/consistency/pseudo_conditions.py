"""Pseudo-conditions: control wells chosen so that they copy the design of a tested condition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from phenoprints.foundations.randomness import generator

NUM_TESTS = 400
"""Pseudo-conditions of a screen that rounds go on for, once every design was copied."""

MAX_ROUNDS = 64
"""Rounds at most: a round uses no control well twice, so few controls give many small rounds."""

MAX_CONDITIONS = 1_000
"""Conditions whose designs are copied; of more, a random sample."""

TRIES = 4
"""Random choices before a fold counts as unable to copy a design."""

COPY_REASONS = ("no_controls", "too_few_controls", "positions_differ")
"""Why no pseudo-condition copies a design: a plate without controls; no fold with as many controls
on every plate; no control positions that repeat over plates as the condition's positions do."""

Plate = tuple[str, str]
"""(experiment, plate)."""

Member = tuple[int, int, int, int, int]
"""A chosen well: condition_id, round, copy, fold, row."""


@dataclass(frozen=True)
class Layout:
    """Which plates a condition's wells are on, in sets of wells that share one position.

    Wells whose positions need not be copied are sets of one.
    """

    sets: tuple[tuple[Plate, ...], ...]

    @classmethod
    def of(cls, wells: pd.DataFrame) -> Layout:
        """Return the layout of the wells of one condition: columns experiment, plate, well.

        Positions are copied where they repeat by design: at most one position for two wells.
        """
        plates = list(zip(wells["experiment"], wells["plate"], strict=True))
        if wells["well"].nunique() * 2 > len(wells):
            return cls(tuple(sorted((plate,) for plate in plates)))
        by_position: dict[str, list[Plate]] = defaultdict(list)
        for plate, position in zip(plates, wells["well"], strict=True):
            by_position[position].append(plate)
        sets = (tuple(sorted(each)) for each in by_position.values())
        return cls(tuple(sorted(sets, key=lambda each: (-len(each), each))))

    @cached_property
    def needed(self) -> Counter[Plate]:
        """The number of wells on each plate."""
        return Counter(plate for each in self.sets for plate in each)

    @cached_property
    def num_tries(self) -> int:
        """Random choices before a fold counts as unable: one where any wells of a plate will do."""
        return 1 if all(len(each) == 1 for each in self.sets) else TRIES


class Controls:
    """The control wells that are left in a round, by fold, plate and position.

    Built from a table with the columns experiment, plate, well and fold; rows by its index.
    """

    def __init__(self, controls: pd.DataFrame) -> None:
        self.rows: dict[tuple[int, Plate], dict[str, int]] = defaultdict(dict)
        columns = (controls[name].tolist() for name in ("fold", "experiment", "plate", "well"))
        listed = zip(*columns, controls.index.tolist(), strict=True)
        for fold, experiment, plate, well, row in sorted(listed):
            self.rows[fold, (experiment, plate)][well] = row
        self.folds = sorted({fold for fold, _ in self.rows})
        self.start_round()

    def start_round(self) -> None:
        """Give all wells back."""
        self._used: set[int] = set()
        self._left = Counter({key: len(wells) for key, wells in self.rows.items()})

    def on(self, fold: int, plate: Plate) -> Mapping[str, int]:
        """Return the rows of the controls of a fold on a plate, by position."""
        return self.rows.get((fold, plate), {})

    def could_hold(self, layout: Layout, fold: int) -> bool:
        """Whether enough wells of a fold are left on every plate, whatever their positions."""
        return all(self._left[fold, plate] >= n for plate, n in layout.needed.items())

    def take(self, layout: Layout, fold: int, random: np.random.Generator) -> list[int] | None:
        """Take unused rows of one fold that copy a layout; None, and nothing taken, without."""
        if not self.could_hold(layout, fold):
            return None
        for _ in range(layout.num_tries):
            rows = self._chosen(layout, fold, random)
            if rows is not None:
                self._used.update(rows)
                self._left.subtract({(fold, plate): n for plate, n in layout.needed.items()})
                return rows
        return None

    def _chosen(self, layout: Layout, fold: int, random: np.random.Generator) -> list[int] | None:
        chosen: list[int] = []
        for plates in layout.sets:
            positions = self._free_positions(fold, plates, chosen)
            if not positions:
                return None
            position = positions[int(random.integers(len(positions)))]
            chosen += [self.on(fold, plate)[position] for plate in plates]
        return chosen

    def _free_positions(self, fold: int, plates: Sequence[Plate], chosen: list[int]) -> list[str]:
        def is_free(row: int | None) -> bool:
            return row is not None and row not in self._used and row not in chosen

        first, *others = (self.on(fold, plate) for plate in plates)
        return [
            position
            for position, row in first.items()
            if is_free(row) and all(is_free(each.get(position)) for each in others)
        ]


@dataclass(frozen=True)
class PseudoConditions:
    """Control wells that copy designs.

    Attributes
    ----------
    members
        A row per well: condition_id (whose design is copied), round, copy, fold, and row (the index
        of the control). A pseudo-condition is a condition_id with a round and a copy; all of its
        wells are of one fold, and no well occurs twice in a round.
    uncopied
        A row per condition that no fold can copy: condition_id and reason, one of COPY_REASONS.
    """

    members: pd.DataFrame
    uncopied: pd.DataFrame


def choose_pseudo_conditions(
    tested: pd.DataFrame, controls: pd.DataFrame, *, seed: int = 0, num_tests: int = NUM_TESTS
) -> PseudoConditions:
    """Choose control wells that copy the design of each tested condition.

    A pseudo-condition has the condition's own number of wells on every plate of every experiment.
    Where the condition's wells share positions over plates, its wells share them alike. Rounds are
    added until every design that can be copied was copied and there are `num_tests`
    pseudo-conditions.

    Parameters
    ----------
    tested : DataFrame
        Tested wells: experiment, plate, well, condition_id, and perturbation (conditions of one
        perturbation are copied in the same round where the controls suffice).
    controls : DataFrame
        Control wells: experiment, plate, well, fold; the index identifies them.
    seed : int
        Key of the random choice; neither the order of rows nor embeddings change it.
    num_tests : int
        Pseudo-conditions that are wanted.

    Returns
    -------
    PseudoConditions
        The chosen wells, and the conditions that cannot be copied, with the reason.
    """
    layouts, perturbation = _layouts(tested, seed)
    available = Controls(controls)
    reasons = _reasons(layouts, available, seed)
    feasible = [condition for condition in layouts if condition not in reasons]
    rounds = _Rounds(layouts, perturbation, available, seed)
    members = rounds.choose(feasible, num_tests)
    columns = ["condition_id", "round", "copy", "fold", "row"]
    return PseudoConditions(
        pd.DataFrame(members, columns=columns).astype(np.int64),
        pd.DataFrame(sorted(reasons.items()), columns=["condition_id", "reason"]),
    )


def copying_reasons(tested: pd.DataFrame, controls: pd.DataFrame, *, seed: int = 0) -> pd.Series:
    """Return why each condition cannot be copied, by condition_id; "" where it can.

    Arguments are those of `choose_pseudo_conditions`.
    """
    layouts, _ = _layouts(tested, seed)
    reasons = _reasons(layouts, Controls(controls), seed)
    return pd.Series({condition: reasons.get(condition, "") for condition in layouts}, dtype=object)


def _layouts(tested: pd.DataFrame, seed: int) -> tuple[dict[int, Layout], dict[int, Hashable]]:
    """Return the layout and the perturbation of each condition of at least two wells in an
    experiment.
    """
    sizes = tested.groupby("condition_id").size()
    conditions = np.sort(sizes[sizes > 1].index.to_numpy())
    if len(conditions) > MAX_CONDITIONS:
        order = generator(seed, "consistency", "guard", "sample").permutation(len(conditions))
        conditions = np.sort(conditions[order[:MAX_CONDITIONS]])
    chosen = tested[tested["condition_id"].isin(conditions)]
    groups = chosen.groupby("condition_id", sort=True)
    layouts = {
        condition: Layout.of(groups.get_group(condition)) for condition in conditions.tolist()
    }
    return layouts, dict(zip(layouts, groups["perturbation"].first().tolist(), strict=True))


def _reasons(layouts: Mapping[int, Layout], controls: Controls, seed: int) -> dict[int, str]:
    """Why conditions cannot be copied, for those that cannot; equal layouts are tried once."""
    by_layout: dict[Layout, str] = {}
    for layout in layouts.values():
        if layout not in by_layout:
            by_layout[layout] = _reason(layout, controls, seed)
    return {condition: by_layout[layout] for condition, layout in layouts.items()
            if by_layout[layout]}  # fmt: skip


def _reason(layout: Layout, controls: Controls, seed: int) -> str:
    controls.start_round()
    random = generator(seed, "consistency", "guard", "reason")
    if any(controls.take(layout, fold, random) is not None for fold in controls.folds):
        return ""
    if any(controls.could_hold(layout, fold) for fold in controls.folds):
        return "positions_differ"
    has_any = (any(controls.on(fold, p) for fold in controls.folds) for p in layout.needed)
    return "too_few_controls" if all(has_any) else "no_controls"


@dataclass
class _Rounds:
    """Rounds of pseudo-conditions without a control well in common."""

    layouts: Mapping[int, Layout]
    perturbation: Mapping[int, Hashable]
    controls: Controls
    seed: int

    def choose(self, conditions: Sequence[int], num_tests: int) -> list[Member]:
        """Return the wells of all rounds."""
        copies = dict.fromkeys(conditions, 0)
        members: list[Member] = []
        for number in range(MAX_ROUNDS if copies else 0):
            random = generator(self.seed, "consistency", "guard", number)
            self.controls.start_round()
            for condition, copy, fold, rows in self._round(copies, random):
                copies[condition] += 1
                members += [(condition, number, copy, fold, row) for row in rows]
            if min(copies.values()) > 0 and sum(copies.values()) >= num_tests:
                break
        return members

    def _round(
        self, copies: Mapping[int, int], random: np.random.Generator
    ) -> Iterator[tuple[int, int, int, list[int]]]:
        """Copy conditions in turn, repeatedly, until no controls are left."""
        waiting, copy = self._order(copies, random), 0
        while waiting:
            found = [(condition, self._copy(condition, random)) for condition in waiting]
            waiting = [condition for condition, each in found if each is not None]
            for condition, each in found:
                if each is not None:
                    yield condition, copy, *each
            copy += 1

    def _order(self, copies: Mapping[int, int], random: np.random.Generator) -> list[int]:
        """Perturbations with the fewest copies first, at random among equals."""
        fewest: dict[Hashable, int] = {}
        for condition, count in copies.items():
            key = self.perturbation[condition]
            fewest[key] = min(count, fewest.get(key, count))
        chance = dict(zip(fewest, random.random(len(fewest)), strict=True))
        own = dict(zip(copies, random.random(len(copies)), strict=True))
        return sorted(
            copies,
            key=lambda c: (fewest[self.perturbation[c]], chance[self.perturbation[c]], own[c]),
        )

    def _copy(self, condition: int, random: np.random.Generator) -> tuple[int, list[int]] | None:
        for fold in random.permutation(self.controls.folds).tolist():
            rows = self.controls.take(self.layouts[condition], fold, random)
            if rows is not None:
                return fold, rows
        return None
