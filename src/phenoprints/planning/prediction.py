"""Predict what a design finds: simulated screens through alignment, null model, rule and guard."""

# N wells · C conditions · G lengths of the grid · R screens

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.curation import Rules, phenoprints_table
from phenoprints.curation.measured import measured_false
from phenoprints.foundations.randomness import generator
from phenoprints.planning.designs import Design, designs_of
from phenoprints.planning.pilot import Effects, Pilot, estimate_pilot
from phenoprints.simulation import SimulatedVectors, lay_out
from phenoprints.wells import PERTURBED_ROLES, single_condition

Floats = NDArray[np.float64]

SCREENS = 3
"""Simulated screens per design."""

WANTED_POWER = 0.8

MOSTLY_ACTIVE = 0.8
"""Share of active conditions above which predictions are not to be relied on."""
JUDGE = "plan"


@dataclass(frozen=True)
class PlanSettings:
    """How designs are judged: as the workflow would judge the screen."""

    alignment: AlignmentSettings
    consistency: ConsistencySettings
    p_value: float = 0.01
    screens: int = SCREENS
    seed: int = 0

    @classmethod
    def default(cls) -> PlanSettings:
        """Return the defaults of the workflow."""
        return cls(AlignmentSettings(), ConsistencySettings())


def predict(
    pilot: Pilot, designs: Sequence[Design], settings: PlanSettings | None = None
) -> pd.DataFrame:
    """Predict the phenoprints of every design.

    Every design is laid out, vectors are drawn with the pilot's noise and effects, and the screens
    go through the real alignment, consistency test, combination and control guard. Power at each
    effect length is the share of simulated conditions of that length that are found; the pilot's
    distribution of lengths weights it.

    Directions of effects are independent. Where most conditions are active and share mechanisms,
    as in BBBC021, the numbers are far too high.

    Returns
    -------
    DataFrame
        A row per design: `design`, `wells`, `plates`, `conditions`, `expected` phenoprints with
        `low` and `high` (90 % interval of one screen: chance and the uncertainty of the pilot),
        `share` with `share_low` and `share_high`, `power` (a list over the grid of lengths),
        `smallest_effect` that is found with probability 0.8 (NaN where none is), `false_rate` of
        conditions without effect among `without_effect` simulated ones, and `guard`: the share of
        screens in which the control guard could measure it.
    """
    chosen = settings or PlanSettings.default()
    return pd.DataFrame([_predicted(pilot, design, chosen) for design in designs])


def fitted_pilot(
    wells: pd.DataFrame, vectors: NDArray[np.floating], settings: PlanSettings | None = None
) -> Pilot:
    """Estimate a pilot from aligned vectors, and correct it for being aligned once more.

    Designs are simulated and then aligned, as the pilot has been already; fitting on few controls
    adds noise, which would enter twice. So the pilot's own design is simulated from the first
    estimate and aligned, the same is estimated from it, and the ratios correct the lengths of
    effects, plates and positions. Arguments and errors are those of `estimate_pilot`.
    """
    chosen = settings or PlanSettings.default()
    first = estimate_pilot(wells, vectors, seed=chosen.seed)
    rng = generator(chosen.seed, "planning", "refinement")
    condition = single_condition(wells["conditions"])
    lengths = first.effects.lengths[_levels(first.effects, int(condition.max()) + 1, rng)]
    drawn = draw_screen(first, wells, lengths, rng)
    reader = fit_alignment(wells, drawn, chosen.alignment).of(drawn)
    again = estimate_pilot(wells, reader.read_all(), seed=chosen.seed, bootstraps=1)

    def ratio(value: float, found: float) -> float:
        return float(np.clip(value / found, 0.5, 2.0)) if found > 0 else 1.0

    squared = [float(p.effects.share @ p.effects.lengths**2) for p in (first, again)]
    scale = {
        "effects": np.sqrt(ratio(*squared)),
        "plate": ratio(first.plate, again.plate),
        "position": ratio(first.position, again.position),
    }
    return replace(
        first,
        effects=replace(first.effects, lengths=first.effects.lengths * scale["effects"]),
        plate=first.plate * scale["plate"],
        position=first.position * scale["position"],
        intervals={
            name: (low * scale[name], high * scale[name])
            for name, (low, high) in first.intervals.items()
        },
    )


def plan(
    pilot: Pilot,
    designs: Sequence[Mapping[str, Any]] | str | Path,
    *,
    settings: PlanSettings | None = None,
) -> pd.DataFrame:
    """Predict what each design finds, given a pilot.

    Parameters
    ----------
    pilot
        From `fitted_pilot` (aligned vectors of a screen) or `assumed_pilot`.
    designs
        Mappings with the keys of `PlateLayout`, or a YAML file with a list of them; a list as value
        makes one design per entry.
    settings
        How the screen will be judged; the workflow's defaults.

    Returns
    -------
    DataFrame
        As from `predict`; `recommended` puts it into a sentence.
    """
    return predict(pilot, designs_of(designs), settings)


def _predicted(pilot: Pilot, design: Design, settings: PlanSettings) -> dict[str, object]:
    found, lengths, shares, measured = [], [], [], []
    for number in range(settings.screens):
        level, is_found, is_measured = simulate_screen(pilot, design, settings, number)
        lengths.append(level)
        found.append(is_found)
        shares.append(is_found.mean())
        measured.append(is_measured)
    power = power_curve(np.concatenate(lengths), np.concatenate(found), pilot.effects)
    share = float(pilot.effects.share @ power)
    low, high = _interval(pilot.effects, power, np.array(shares), design.layout.conditions)
    none = np.concatenate(found)[np.concatenate(lengths) == 0]
    count = design.layout.conditions
    return {
        "design": design.name,
        "wells": design.num_wells,
        "plates": design.num_plates,
        "conditions": count,
        "expected": share * count,
        "low": low * count,
        "high": high * count,
        "share": share,
        "share_low": low,
        "share_high": high,
        "power": power.tolist(),
        "smallest_effect": smallest_effect(power, pilot.effects.lengths),
        "false_rate": float(none.mean()) if len(none) else np.nan,
        "without_effect": len(none),
        "guard": float(np.mean(measured)),
    }


def simulate_screen(
    pilot: Pilot, design: Design, settings: PlanSettings, number: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_], bool]:
    """Return the level of the grid of each condition, whether it is found, and the guard's status.

    Conditions of a screen are stratified over the grid, so that few screens cover the lengths.
    """
    wells, conditions = lay_out(design.layout, seed=settings.seed + number)
    rng = generator(settings.seed, "planning", design.name, number)
    level = _levels(pilot.effects, len(conditions), rng)
    vectors = draw_screen(pilot, wells, pilot.effects.lengths[level], rng)
    reader = fit_alignment(wells, vectors, settings.alignment).of(vectors)
    table = screen_consistency(
        wells, conditions, reader, settings=settings.consistency, seed=settings.seed + number
    )
    tests = {JUDGE: {"plan": table}}
    rules = Rules(judges=(JUDGE,), p_value=settings.p_value, min_experiments=1, min_wells=1)
    by_screen = {"plan": settings.consistency}
    phenoprints = phenoprints_table(tests, conditions, rules, settings=by_screen)
    guard = measured_false(tests, rules, conditions=conditions, settings=by_screen)
    is_found = phenoprints["has_phenoprint"].to_numpy(np.bool_)
    return level, is_found, guard[JUDGE]["status"] == "RUN"


def _levels(effects: Effects, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a level for each condition: quantiles of the distribution, in random order."""
    at = (np.arange(count) + rng.random()) / count
    levels = np.searchsorted(np.cumsum(effects.share), at).clip(0, len(effects.share) - 1)
    return rng.permutation(levels)


def draw_screen(
    pilot: Pilot, wells: pd.DataFrame, lengths: Floats, rng: np.random.Generator
) -> SimulatedVectors:
    """Draw the vectors of a screen; `lengths` (C,) are the effects of its conditions.

    Only perturbed wells have an effect: controls that name a condition, such as DMSO, have none.
    """
    x = pilot.well.draw(rng, len(wells))
    for name, keys in {
        "experiment": ["experiment"], "plate": ["experiment", "plate"],
        "position": ["row", "column"],
    }.items():  # fmt: skip
        length = np.float32(getattr(pilot, name))
        code = wells.groupby(keys, sort=True).ngroup().to_numpy()
        x += length * pilot.well.draw(rng, int(code.max()) + 1, is_normal=True)[code]
    directions = pilot.effects.directions.draw(rng, len(lengths), is_normal=True)
    norm = np.linalg.norm(directions, axis=1, keepdims=True)
    effect = directions / np.where(norm > 0, norm, 1.0) * lengths[:, None] * pilot.noise_length
    condition = single_condition(wells["conditions"])
    treated = (condition >= 0) & wells["role"].isin(PERTURBED_ROLES).to_numpy()
    x[treated] += effect[condition[treated]].astype(np.float32)
    return SimulatedVectors(wells, x)


def power_curve(level: NDArray[np.int64], is_found: NDArray[np.bool_], effects: Effects) -> Floats:
    """Return the probability (G,) to find an effect of each length, rising with the length.

    Shares of found conditions by length, made monotone by isotonic regression weighted with their
    numbers; lengths without a condition take the neighbours' values.
    """
    from sklearn.isotonic import IsotonicRegression

    num = np.bincount(level, minlength=len(effects.lengths))
    rate = np.bincount(level, is_found, len(num)) / np.maximum(num, 1)
    seen = np.flatnonzero(num)
    line = IsotonicRegression(y_min=0.0, y_max=1.0).fit(seen, rate[seen], num[seen])
    curve = line.predict(seen)
    return np.asarray(np.interp(np.arange(len(num)), seen, curve))


def smallest_effect(power: Floats, lengths: Floats) -> float:
    """Return the effect length with a power of 0.8, by interpolation; NaN where none has it."""
    above = np.flatnonzero(power >= WANTED_POWER)
    if not len(above):
        return np.nan
    first = int(above[0])
    if not first or power[first] == power[first - 1]:
        return float(lengths[first])
    part = (WANTED_POWER - power[first - 1]) / (power[first] - power[first - 1])
    return float(lengths[first - 1] + part * (lengths[first] - lengths[first - 1]))


def _interval(effects: Effects, power: Floats, shares: Floats, count: int) -> tuple[float, float]:
    """Return the 90 % interval of the share of one screen.

    The variance is that of a binomial count, of screens of this design around their mean (plates
    are shared by conditions), and of the pilot's distribution of effects.
    """
    mean = float(effects.share @ power)
    by_pilot = float(np.var(effects.samples @ power))
    chance = mean * (1.0 - mean) / count
    between = float(shares.var(ddof=1)) if len(shares) > 1 else 0.0
    width = 1.645 * np.sqrt(max(chance, between) + by_pilot)
    return max(0.0, mean - width), min(1.0, mean + width)


def recommended(
    table: pd.DataFrame, budget_wells: int | None = None, *, p_value: float = 0.01
) -> str:
    """Return a sentence that names the design with most phenoprints within a budget of wells.

    Designs that call clearly more conditions without effect than `p_value` (one-sided test at 5 %)
    are left out, and named.
    """
    within = table if budget_wells is None else table[table["wells"] <= budget_wells]
    if within.empty:
        least = int(table["wells"].min())
        return f"No design fits into {budget_wells:,} wells; the smallest takes {least:,}."
    limit = p_value + 1.645 * np.sqrt(p_value / within["without_effect"].clip(lower=1))
    is_false = within["false_rate"] > limit
    left_out = [
        f"{row.design} is left out: it calls {row.false_rate:.1%} of the conditions without effect."
        for row in within[is_false].itertuples()
    ]
    if is_false.all():
        return " ".join(["No design can be recommended.", *left_out])
    ordered = within[~is_false].sort_values(["expected", "wells"], ascending=[False, True])
    best = ordered.iloc[0]
    budget = "" if budget_wells is None else f"With at most {budget_wells:,} wells, "
    text = f"{budget}choose {best['design']}: about {best['expected']:.0f} phenoprints"
    text += f" ({best['low']:.0f} to {best['high']:.0f}) among {best['conditions']:,} conditions,"
    text += f" on {best['plates']:,} plates with {best['wells']:,} wells."
    return " ".join([text[0].upper() + text[1:], *left_out])


def cautions(pilot: Pilot) -> list[str]:
    """Return sentences on why predictions from this pilot are not to be relied on; empty if none.

    Null sets of a screen in which most conditions are active hold effects, and resemble each other
    where conditions share mechanisms; simulated effects have independent directions.
    """
    active = pilot.effects.active[0]
    if active <= MOSTLY_ACTIVE:
        return []
    return [
        f"Caution: {active:.0%} of the pilot's conditions are active. Where they share mechanisms, "
        "fewer phenoprints are found than predicted here."
    ]
