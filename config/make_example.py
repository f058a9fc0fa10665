"""Draw the small screen of `config/config.yaml` (profiles only) into `config/example.csv`.

Four experiments of one 96-well plate: 20 compounds in five mechanisms with three wells each, half
of them without effect, and 24 DMSO wells; every experiment has its own offset and scale.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SEED = 2024
EXPERIMENTS = ("run-1", "run-2", "run-3", "run-4")
NUM_COMPOUNDS, NUM_REPLICATES, NUM_CONTROLS, NUM_FEATURES = 20, 3, 24, 16
NUM_MECHANISMS = 5
PLATE = [f"{row}{column:02d}" for row in "ABCDEFGH" for column in range(1, 13)]


def lines() -> list[str]:
    """Return the table, line by line."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    directions = generator.normal(size=(NUM_MECHANISMS, NUM_FEATURES))
    features = [f"feature_{i:02d}" for i in range(NUM_FEATURES)]
    names = ["Metadata_Batch", "Metadata_Plate", "Metadata_Well", "compound", "mechanism"]
    table = [",".join([*names, *features])]
    for experiment in EXPERIMENTS:
        offset = generator.normal(scale=3.0, size=NUM_FEATURES)
        scale = generator.uniform(0.5, 2.0, size=NUM_FEATURES)
        wells = generator.permutation(PLATE)[: NUM_COMPOUNDS * NUM_REPLICATES + NUM_CONTROLS]
        for position, well in enumerate(wells):
            compound, mechanism, effect = _treatment(position, directions)
            vector = offset + scale * (effect + generator.normal(size=NUM_FEATURES))
            text = [experiment, f"{experiment}-plate", str(well), compound, mechanism]
            table.append(",".join([*text, *(f"{value:.4f}" for value in vector)]))
    return table


def _treatment(position: int, directions: np.ndarray) -> tuple[str, str, np.ndarray]:
    index = position // NUM_REPLICATES
    if index >= NUM_COMPOUNDS:
        return "DMSO", "", np.zeros(NUM_FEATURES)
    mechanism = index % NUM_MECHANISMS
    strength = 1.5 if index < NUM_COMPOUNDS // 2 else 0.0
    return f"compound-{index:02d}", f"mechanism-{mechanism}", strength * directions[mechanism]


if __name__ == "__main__":
    Path(__file__).with_name("example.csv").write_text("\n".join(lines()) + "\n")
