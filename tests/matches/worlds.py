"""Simulated references and new experiments that share the directions of their effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.maps import MapSettings, perturbation_map
from phenoprints.maps.layout import layout_table
from phenoprints.matches import freeze_reference
from phenoprints.screens import from_table
from phenoprints.simulation import Noise
from phenoprints.wells import ArrayEmbeddings

WIDTH = 48


@dataclass
class World:
    """What screens of one simulated biology share: noise, and a direction for every number."""

    seed: int = 0
    length: float = 2.2
    batch_offset: float = 0.5

    def __post_init__(self):
        self.noise = Noise.of(WIDTH, self.seed)
        directions = np.random.default_rng([self.seed, 1]).normal(size=(500, WIDTH))
        self.directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def screen(self, name, effects, *, experiments=1, plates=4, controls=12, seed=1, cell="U2OS"):
        """Return a screen with one well of each perturbation on each plate, and its features.

        `effects` maps a perturbation to the number of its direction, None for no effect.
        """
        rng = np.random.default_rng([self.seed, seed, 2])
        rows, parts, size = [], [], np.sqrt(np.trace(self.noise.covariance()))
        for experiment in range(experiments):
            batch = self.batch_offset * self.noise.draw(rng, 1)
            for plate in range(plates):
                names = ["DMSO"] * controls + list(effects)
                order = rng.permutation(len(names))
                x = self.noise.draw(rng, len(names)) + batch + 0.2 * self.noise.draw(rng, 1)
                for row, effect in enumerate([None] * controls + list(effects.values())):
                    if effect is not None:
                        x[row] += self.length / np.sqrt(8) * size * self.directions[effect]
                parts.append(x)
                rows += [
                    (
                        f"{name}-{experiment}",
                        f"p{plate}",
                        f"{chr(65 + i // 24)}{i % 24 + 1:02d}",
                        of,
                    )
                    for i, of in zip(order, names, strict=True)
                ]
        table = pd.DataFrame(rows, columns=["experiment", "plate", "well", "compound"])
        table["cell"] = cell
        screen = from_table(
            table, name=name, columns={"perturbation": "compound", "cell_type": "cell"},
            roles={"DMSO": "negative_control"},
        )  # fmt: skip
        return screen, np.concatenate(parts)[screen.source_rows].astype(np.float32)

    def reference(self, effects, *, settings=None, experiments=6, **options):
        screen, x = self.screen("old", effects, experiments=experiments, seed=0, **options)
        return freeze(screen, x, settings), (screen, x)


def freeze(screen, x, settings=None, **about):
    """Return the reference that a screen and its features give."""
    wells, conditions = screen.wells, screen.conditions
    reader = ArrayEmbeddings(wells, x, {"features": [f"f{k}" for k in range(x.shape[1])]})
    alignment = fit_alignment(wells, reader, settings or AlignmentSettings(folds=0))
    built = perturbation_map(
        wells, conditions, alignment.of(reader), MapSettings(levels=["condition"])
    )
    return freeze_reference(
        wells, conditions, reader, alignment, built,
        about={"name": "old", "license": "CC0-1.0", **about},
        layout=layout_table(built.table, built.vectors),
    )  # fmt: skip
