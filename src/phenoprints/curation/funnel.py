"""The curation funnel: from all wells to those worth learning from, with a reason for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.curation.counts import Counts
from phenoprints.curation.encoding import Encoded, encode
from phenoprints.curation.exclusion import ConditionFacts, condition_flags, count, reasons
from phenoprints.curation.parts import Parts, TableParts
from phenoprints.curation.rules import Rules, check_held_out
from phenoprints.curation.steps import REASON_WORDS, STEP_WORDS, Reason
from phenoprints.curation.wells_with_quality import screen_parts
from phenoprints.curation.writing import MemorySink, Sink
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.progress import Progress

Thin = Callable[[NDArray[np.uint64]], NDArray[np.int8]]
"""Returns a reason, or KEPT, for each of the wells that are left."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Funnel:
    """What the funnel did.

    Attributes
    ----------
    steps
        Per step: its name, what leaves there, counts of wells, conditions, perturbations,
        experiments and roles before and after, and wells by reason.
    reached
        By kind of perturbation, the most wells and experiments that a condition has after step 2.
    judged_wells
        Treatment wells that reach step 5, by their number of conditions: 0, 1, 2, ...
    reasons
        well_id, step and reason of every well that left; None where they were written to files.
    is_kept
        Per well, in the order of the input, whether it stays; None where written to files.
    """

    steps: list[dict[str, Any]]
    reached: dict[str, dict[str, int]] = field(default_factory=dict)
    judged_wells: tuple[int, ...] = ()
    reasons: pd.DataFrame | None = field(default=None, repr=False)
    is_kept: NDArray[np.bool_] | None = field(default=None, repr=False)

    @property
    def before(self) -> dict[str, Any]:
        """Counts of what went in."""
        before: dict[str, Any] = self.steps[0]["before"]
        return before

    @property
    def after(self) -> dict[str, Any]:
        """Counts of what is left."""
        after: dict[str, Any] = self.steps[-1]["after"]
        return after


def curate(
    wells: pd.DataFrame,
    phenoprints: pd.DataFrame,
    rules: Rules,
    *,
    quality: pd.DataFrame | None = None,
    sites: pd.DataFrame | None = None,
    seed: int = 0,
) -> Funnel:
    """Which wells are worth learning from, and why the others are not.

    Parameters
    ----------
    wells
        As in phenoprints.wells.contracts.WELLS; condition ids are those of `phenoprints`.
    phenoprints
        As from phenoprints_table; a plain conditions table where the rules name no judge.
    rules
        The rules of the manifest.
    quality, sites
        Tables of their contracts; without them no well fails quality or has unusual images.
    seed
        Of the sample of controls; together with the well_id it decides about each well alone.

    Returns
    -------
    Funnel
        With `reasons` and `is_kept` in the order of `wells`.
    """
    order = np.lexsort((wells["experiment"], wells["screen"]))
    num_ids = int(phenoprints["condition_id"].max()) + 1 if len(phenoprints) else 0
    new_ids = np.full(num_ids, -1, dtype=np.int32)
    new_ids[phenoprints["condition_id"]] = np.arange(len(phenoprints), dtype=np.int32)
    parts = screen_parts(wells.iloc[order], new_ids, quality=quality, sites=sites)
    sink = MemorySink()
    funnel = curate_parts(TableParts(parts), phenoprints, rules, sink, seed=seed)
    reason = np.full(len(wells), Reason.KEPT, dtype=np.int8)
    if sink.reasons:
        reason[order] = np.concatenate([sink.reasons[i] for i in range(len(parts))])
    is_kept = reason == Reason.KEPT
    left = reason[~is_kept]
    table = pd.DataFrame(
        {
            "well_id": wells["well_id"].to_numpy()[~is_kept],
            "step": np.array(STEP_WORDS, dtype=object)[left],
            "reason": np.array(REASON_WORDS, dtype=object)[left],
        }
    )
    return replace(funnel, reasons=table, is_kept=is_kept)


def curate_parts(
    parts: Parts,
    phenoprints: pd.DataFrame,
    rules: Rules,
    sink: Sink,
    *,
    seed: int = 0,
    workers: int = 1,
    thin: Thin | None = None,
) -> Funnel:
    """Return the funnel over parts of any size: two passes, of which the second writes.

    Condition ids in the parts are the row numbers of `phenoprints`. What is written does not
    depend on `workers` nor on the order of the parts: they are numbered by their first experiment.
    Held in memory are `workers` parts and a few numbers per condition; with `thin`, which receives
    the ids of all wells that are left and returns a reason (or KEPT) for each, a third pass and
    their ids.

    Raises
    ------
    ConfigurationError
        When an experiment to hold out is in no part.
    DataError
        When an experiment stands in two parts, or a part breaks its contract.
    """
    facts = ConditionFacts.of(phenoprints, rules)
    counts = np.zeros((2, len(facts)), dtype=np.int64)
    experiments: dict[int, list[tuple[str, str]]] = {}

    def first_pass(number: int) -> tuple[int, list[tuple[str, str]], NDArray[np.int32]]:
        part = encode(parts.read(number, deciding_only=True), len(facts))
        return number, list(part.experiments), count(part, rules, len(facts))

    counting = Progress("parts", len(parts), name="counting")
    for number, names, part_counts in counting.each(_each(first_pass, range(len(parts)), workers)):
        counts += part_counts
        experiments[number] = names
    order = _order(experiments)
    check_held_out(rules, {each for names in experiments.values() for each in names})
    flags = condition_flags(facts, counts[0], counts[1])
    tally = Counts.empty(len(facts))

    def decided(part: Encoded) -> NDArray[np.int8]:
        return reasons(part, rules, flags, is_judged=facts.is_judged, seed=seed)

    def left(position: int) -> NDArray[np.uint64]:
        part = encode(parts.read(order[position], deciding_only=True), len(facts))
        ids: NDArray[np.uint64] = part.well_id[decided(part) == Reason.KEPT]
        return ids

    later = _Later(np.empty(0, np.uint64), np.empty(0, np.int8))
    if thin is not None:
        ids = np.concatenate([left(position) for position in range(len(order))])
        later = _Later.of(ids, thin(ids))

    def second_pass(position: int) -> Counts:
        table = parts.read(order[position], deciding_only=False)
        part = encode(table, len(facts))
        reason = later.applied(part.well_id, decided(part))
        sink.write(position, table, reason)
        return Counts.of(part, reason, len(facts))

    writing = Progress("parts", len(order), name="writing")
    for part_tally in writing.each(_each(second_pass, range(len(order)), workers)):
        tally.add(part_tally)
    reached = _reached(phenoprints["kind"], counts)
    steps = tally.steps(facts.perturbation, rules.optional_steps)
    return Funnel(steps, reached, tuple(tally.judged.tolist()))


@dataclass(frozen=True)
class _Later:
    """Reasons of wells that leave after all steps that look at each well alone, by sorted id."""

    well_id: NDArray[np.uint64]
    reason: NDArray[np.int8]

    @classmethod
    def of(cls, well_id: NDArray[np.uint64], reason: NDArray[np.int8]) -> _Later:
        rows = np.flatnonzero(reason < Reason.KEPT)
        rows = rows[np.argsort(well_id[rows])]
        return cls(well_id[rows], reason[rows])

    def applied(self, well_id: NDArray[np.uint64], reason: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the reasons of a part with those of the later steps."""
        if not len(self.well_id):
            return reason
        place = np.minimum(np.searchsorted(self.well_id, well_id), len(self.well_id) - 1)
        is_later = self.well_id[place] == well_id
        return np.where(is_later, self.reason[place], reason).astype(np.int8)


def _reached(kind: pd.Series, counts: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    most = (
        pd.DataFrame({"min_wells": counts[0], "min_experiments": counts[1]})
        .groupby(kind.to_numpy())
        .max()
    )
    return {str(kind): {str(k): int(v) for k, v in row.items()} for kind, row in most.iterrows()}


def _each(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Yield the results one by one, never more than `workers` of them waiting."""
    if workers == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(max_workers=workers) as pool:
        waiting = [pool.submit(work, item) for item in items[:workers]]
        for item in items[workers:]:
            yield waiting.pop(0).result()
            waiting.append(pool.submit(work, item))
        for future in waiting:
            yield future.result()


def _order(experiments: dict[int, list[tuple[str, str]]]) -> list[int]:
    """Return the parts by their first experiment; those without wells last."""
    seen: set[tuple[str, str]] = set()
    for names in experiments.values():
        twice = seen.intersection(names)
        if twice:
            screen, experiment = min(twice)
            raise DataError(
                f'experiment "{experiment}" of screen "{screen}" stands in more than one part.'
                "\n  Expected whole experiments in every part."
            )
        seen.update(names)
    return sorted(experiments, key=lambda number: experiments[number][:1] or [("\uffff", "")])
