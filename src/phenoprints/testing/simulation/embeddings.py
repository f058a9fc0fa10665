"""Embeddings drawn from a statistical model, without images: many conditions in little time."""

# n wells · D dimensions

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import generator, well_ids
from phenoprints.wells.plates import PLATE_FORMATS, smallest_format, well_name

PLATE_SHAPES = [PLATE_FORMATS[size] for size in (96, 384, 1536)]


@dataclass(frozen=True)
class SimulatedEmbeddings:
    """Wells, their truth and their vectors; also a reader of embeddings, an array an experiment.

    wells, conditions
        As in the contracts of screens.
    truth
        condition_id, truth (full | partial | none), only_in (the experiment of a partial effect).
    vectors
        float32 (n, D), rows in wells-table order.
    """

    wells: pd.DataFrame
    conditions: pd.DataFrame
    truth: pd.DataFrame
    vectors: NDArray[np.float32]
    attributes: dict[str, Any]

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, sorted."""
        return sorted(self.wells["experiment"].unique())

    def read(self, experiment: str) -> NDArray[np.float32]:
        """Return the vectors (n, D) of one experiment's wells, in wells-table order."""
        return self.vectors[(self.wells["experiment"] == experiment).to_numpy()]


def simulate_embeddings(
    *,
    num_conditions: int = 100,
    full_share: float = 0.0,
    partial_share: float = 0.0,
    num_experiments: int = 4,
    num_plates: int = 4,
    num_controls: int = 16,
    dimensions: int = 64,
    effect: float = 5.0,
    batch: float = 1.0,
    position: float = 0.0,
    positions: str = "moving",
    seed: int = 0,
) -> SimulatedEmbeddings:
    """Wells with vectors of noise, effects, position and batch; null conditions by default.

    A vector is A·(noise + effect + position) + b. Noise is standard normal in each dimension; the
    effect of a condition has a direction of its own and length `effect`; A = I + batch·0.3·G/√D
    and b = 5·batch·g belong to the experiment, with standard normal G and g.

    Parameters
    ----------
    num_conditions, num_plates, num_controls
        Every plate holds one well of each condition and `num_controls` controls, half of them
        unperturbed, half negative controls at equal positions on all plates.
    full_share, partial_share
        Shares of conditions with an effect in all experiments, and in one.
    position
        Length of a vector that each position has of its own, the same on all plates.
    positions
        `moving` (a condition stands anywhere on each plate) or `fixed`.

    Raises
    ------
    DataError
        More conditions and controls than positions of a 1536-well plate.
    """
    random = generator(seed, "simulate embeddings")
    shape = _plate_shape(num_conditions + num_controls)
    truth, experiment_of = _truth(num_conditions, full_share, partial_share, num_experiments)
    directions = _unit_rows(random, num_conditions + 1, dimensions)
    directions[-1] = 0.0
    places = position * _unit_rows(random, shape[0] * shape[1], dimensions)
    order = random.permutation(shape[0] * shape[1])
    tables, parts = [], []
    for e in range(num_experiments):
        is_on = (experiment_of < 0) & (truth == "full") | (experiment_of == e)
        lengths = effect * np.append(is_on, False)
        a, b = _batch(random, dimensions, batch)
        for p in range(num_plates):
            table = _plate(e, p, shape, order, num_conditions, num_controls)
            if positions == "moving":
                is_condition = (table["condition"] >= 0).to_numpy()
                at = np.flatnonzero(is_condition)
                table.loc[at, "at"] = random.permutation(table.loc[at, "at"].to_numpy())
            condition = table["condition"].to_numpy()
            x = random.standard_normal((len(table), dimensions))
            x += lengths[condition, None] * directions[condition] + places[table["at"]]
            tables.append(table)
            parts.append((x @ a + b).astype(np.float32))
    return _assemble(tables, parts, shape, truth, experiment_of)


def _plate_shape(num: int) -> tuple[int, int]:
    for rows, columns in PLATE_SHAPES:
        if num <= rows * columns:
            return rows, columns
    raise DataError(f"simulate_embeddings: {num} wells on a plate. Expected at most 1536.")


def _unit_rows(random: np.random.Generator, num: int, dimensions: int) -> NDArray[np.float64]:
    rows = random.standard_normal((num, dimensions))
    unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _truth(
    num: int, full_share: float, partial_share: float, num_experiments: int
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the truth of each condition, and the experiment of a partial one (else -1)."""
    truth = np.full(num, "none", dtype="<U7")
    num_full, num_partial = round(full_share * num), round(partial_share * num)
    truth[:num_full] = "full"
    truth[num_full : num_full + num_partial] = "partial"
    only_in = np.where(truth == "partial", np.arange(num) % num_experiments, -1)
    return truth, only_in


def _batch(
    random: np.random.Generator, dimensions: int, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mixing = random.standard_normal((dimensions, dimensions)) / np.sqrt(dimensions)
    offset = 5.0 * strength * random.standard_normal(dimensions)
    return np.eye(dimensions) + 0.3 * strength * mixing, offset


def _plate(
    e: int,
    p: int,
    shape: tuple[int, int],
    order: NDArray[np.int64],
    num_conditions: int,
    num_controls: int,
) -> pd.DataFrame:
    """One row per well: `at` is its position, `condition` -1 for controls."""
    num = num_conditions + num_controls
    roles = np.full(num, "treatment", dtype="<U16")
    roles[num_conditions:] = "negative_control"
    roles[num_conditions : num_conditions + num_controls // 2] = "unperturbed"
    condition = np.append(np.arange(num_conditions), np.full(num_controls, -1))
    return pd.DataFrame(
        {
            "experiment": f"experiment-{e + 1:02d}", "plate": f"{p + 1:02d}",
            "at": order[:num], "role": roles, "condition": condition, "columns": shape[1],
        }
    )  # fmt: skip


def _assemble(
    tables: list[pd.DataFrame],
    parts: list[NDArray[np.float32]],
    shape: tuple[int, int],
    truth: NDArray[np.str_],
    experiment_of: NDArray[np.int64],
) -> SimulatedEmbeddings:
    wells = pd.concat(tables, ignore_index=True)
    wells["row"] = (wells["at"] // shape[1] + 1).astype(np.int16)
    wells["column"] = (wells["at"] % shape[1] + 1).astype(np.int16)
    names = [well_name(at // shape[1] + 1, at % shape[1] + 1) for at in range(shape[0] * shape[1])]
    wells["well"] = np.array(names)[wells["at"]]
    control = len(truth)
    numbers = wells["condition"].where(wells["role"] != "negative_control", control)
    wells["conditions"] = [[] if n < 0 else [n] for n in numbers]
    rank = wells.sort_values(["experiment", "plate", "well"]).index
    wells = wells.loc[rank].reset_index(drop=True)
    wells["well_id"] = well_ids("simulated", wells["experiment"], wells["plate"], wells["well"])
    wells = wells.assign(
        screen="simulated", cell_type="", background="", modality="cell-painting",
        replicate_group="all", plate_format=np.int16(smallest_format(*shape)),
    ).drop(columns=["at", "condition", "columns"])  # fmt: skip
    vectors = np.concatenate(parts)[rank]
    only_in = [f"experiment-{e + 1:02d}" if e >= 0 else "" for e in experiment_of]
    ids = np.arange(control, dtype=np.int32)
    facts = pd.DataFrame({"condition_id": ids, "truth": truth, "only_in": only_in})
    attributes = {"dimensions": int(vectors.shape[1]), "encoder": "simulated"}
    return SimulatedEmbeddings(wells, _conditions(control), facts, vectors, attributes)


def _conditions(num: int) -> pd.DataFrame:
    """Compounds `c0000`, … without concentration, and last the negative control."""
    return pd.DataFrame(
        {
            "condition_id": np.arange(num + 1, dtype=np.int32),
            "perturbation": [*(f"c{k:05d}" for k in range(num)), "control"],
            "kind": "compound", "gene": None, "guide": None, "concentration_um": np.nan,
            "cell_type": "", "background": "",
        }
    )  # fmt: skip
