"""Plans: twenty designs in half a minute, and predictions against new screens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from registry import Stopwatch, Timing, benchmark

DESIGNS = [
    {"experiments": e, "plates": 4, "replicates": r, "controls": c, "conditions": 100}
    for e in (1, 2)
    for r in (2, 4)
    for c in (8, 12, 16, 24, 32)
]
CHECKED = [
    {"experiments": e, "plates": p, "replicates": r, "controls": c, "conditions": 300}
    for e, p, r, c in [(1, 6, 4, 16), (2, 4, 2, 16), (2, 6, 3, 24), (3, 4, 2, 8), (4, 2, 2, 24)]
]
NEW_SCREENS = 20


@benchmark("planning-20-designs", max_seconds=30, max_memory_gb=1.0, threads=2)
def twenty_designs(_how: str, _folder: Path) -> Timing:
    """Predict twenty designs of at most 2,000 wells in 64 components; two threads."""
    from phenoprints.planning import assumed_pilot, plan

    pilot = assumed_pilot(features=64)
    plan(pilot, DESIGNS[:1])
    watch = Stopwatch()
    table = plan(pilot, DESIGNS)
    assert len(table) == 20
    assert table["wells"].max() <= 2000
    return watch.timing()


@benchmark("planning-predictions")
def predictions(_how: str, _folder: Path) -> Timing:
    """Predict designs from simulated pilots, against the mean of 20 new screens of each."""
    from phenoprints.alignment import fit_alignment
    from phenoprints.consistency import screen_consistency
    from phenoprints.curation import Rules, phenoprints_table
    from phenoprints.planning import PlanSettings, fitted_pilot, plan
    from phenoprints.simulation import Noise, PlateLayout, VectorEffects, draw_vectors, lay_out

    settings, watch = PlanSettings.default(), Stopwatch()
    rules = Rules(judges=("m",), min_experiments=1, min_wells=1)

    def screened(layout: PlateLayout, effects: VectorEffects, seed: int):
        wells, conditions = lay_out(layout, seed)
        vectors = draw_vectors(wells, Noise.of(64, 7), effects, seed=seed)
        return wells, conditions, fit_alignment(wells, vectors, settings.alignment).of(vectors)

    def share(layout: PlateLayout, effects: VectorEffects, seed: int) -> float:
        wells, conditions, reader = screened(layout, effects, seed)
        table = screen_consistency(
            wells, conditions, reader, settings=settings.consistency, seed=seed
        )
        by_screen = {"s": settings.consistency}
        found = phenoprints_table({"m": {"s": table}}, conditions, rules, settings=by_screen)
        return float(found["has_phenoprint"].mean())

    apart, inside = [], []
    for effect in (0.5, 0.8, 1.2):
        effects = VectorEffects(plate=0.3, position=0.2, active=0.3, effect=effect)
        layout = PlateLayout(experiments=3, plates=4, conditions=300, replicates=2, controls=24)
        wells, _, reader = screened(layout, effects, 1)
        table = plan(fitted_pilot(wells, reader.read_all()), CHECKED)
        for row, design in zip(table.itertuples(), CHECKED, strict=True):
            shares = [share(PlateLayout(**design), effects, 100 + s) for s in range(NEW_SCREENS)]
            apart.append(abs(row.share - np.mean(shares)))
            inside += [row.share_low <= each <= row.share_high for each in shares]
    note = (
        f"{len(apart)} designs: median {100 * np.median(apart):.1f}, largest "
        f"{100 * max(apart):.1f} points apart; {np.mean(inside):.0%} of screens inside"
    )
    timing = watch.timing()
    return Timing(timing.seconds, note, timing.cpu_seconds)
