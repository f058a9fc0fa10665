"""How many folds of controls, and which shrinkage, suit how many controls? The tables of the docs.

    python -m benchmarks.few_controls folds
    python -m benchmarks.few_controls shrinkage
    PHENOPRINTS_TEST_DATA=… python -m benchmarks.few_controls bbbc021

Each prints a table in Markdown. One core, about 20 minutes for the first, 10 for the second.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.bbbc021 import read_profiles

from phenoprints.alignment import AlignedEmbeddings, AlignmentSettings, fit_alignment
from phenoprints.benchmarks import mechanism_accuracy, relationship_recall
from phenoprints.maps import aggregate

NUM_CONTROLS, NUM_FEATURES = (16, 48, 96, 400), (96, 384, 1024)
FOLDS = (2, 3, 4, 5, 8)
NUM_BATCHES, NUM_TREATED, NUM_SEEDS = 4, 300, 2
NUM_CONDITIONS, GROUP, RANK = 120, 4, 24


class Screen:
    """Wells of a simulated screen in memory, with its vectors by experiment."""

    def __init__(self, wells: pd.DataFrame, x: np.ndarray) -> None:
        self.wells, self.x = wells, x.astype(np.float32)
        self.rows = wells.groupby("experiment").indices
        self.attributes: dict[str, object] = {}

    @property
    def experiments(self) -> list[str]:
        return sorted(self.rows)

    def read(self, experiment: str) -> np.ndarray:
        return self.x[self.rows[experiment]]

    def align(self, **settings: object) -> AlignedEmbeddings:
        precomputed = bool(settings.pop("is_precomputed", False))
        chosen = AlignmentSettings(min_controls=2, **settings)
        return fit_alignment(self.wells, self, chosen, is_precomputed=precomputed).of(self)


def simulated(
    num_controls: int, num_features: int, seed: int, effect: float = 0.0, rank: int = RANK
) -> Screen:
    """Correlated wells with a decaying spectrum, an offset per batch, effects of groups.

    Half of the conditions have an effect of length `effect` times the noise; the groups of `GROUP`
    conditions share half of it. Effects are spread over the `rank` directions of the largest
    variance. Conditions have one well in every batch.
    """
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, num_features + 1) ** -0.5
    mixing = np.linalg.qr(rng.normal(size=(num_features,) * 2))[0] * spectrum[:, None]
    per_batch = num_controls + (NUM_CONDITIONS if effect else NUM_TREATED)
    batch = np.repeat(np.arange(NUM_BATCHES), per_batch)
    place = np.tile(np.arange(per_batch), NUM_BATCHES)
    condition = np.where(place < num_controls, -1, place - num_controls)
    z = (
        rng.normal(size=(len(batch), num_features))
        + rng.normal(size=(NUM_BATCHES, num_features))[batch]
    )
    if effect:
        z += _effects(rng, num_features, effect, rank)[condition] * (condition >= 0)[:, None]
    wells = pd.DataFrame(
        {
            "experiment": np.char.add("e", batch.astype(str)), "plate": "p",
            "row": 1, "column": place,
            "well_id": np.arange(len(batch), dtype=np.uint64), "condition": condition,
            "role": np.where(condition < 0, "negative_control", "treatment"),
        }
    )  # fmt: skip
    return Screen(wells, z @ mixing)


def _effects(rng: np.random.Generator, num_features: int, effect: float, rank: int) -> np.ndarray:
    """Effects (C, D) along the first directions; the second half of the conditions has none."""
    shared = rng.normal(size=(NUM_CONDITIONS // GROUP, rank)).repeat(GROUP, axis=0)
    effects = np.zeros((NUM_CONDITIONS, num_features))
    effects[:, :rank] = shared + rng.normal(size=shared.shape)
    effects *= effect * np.sqrt(num_features) / np.linalg.norm(effects, axis=1, keepdims=True)
    effects[NUM_CONDITIONS // 2 :] = 0
    return effects


def mean_length(y: np.ndarray) -> float:
    return float(np.linalg.norm(y, axis=1).mean())


def mean_cosine(y: np.ndarray) -> float:
    """The mean cosine of pairs of different rows."""
    unit = y / np.linalg.norm(y, axis=1, keepdims=True)
    total = unit.sum(axis=0)
    return float((total @ total - len(y)) / (len(y) * (len(y) - 1)))


def folds() -> Iterator[dict[str, object]]:
    """Held-out controls against treatments of the plain map, and of the same fold's map."""
    for method in ("tvn", "pca-center-scale"):
        for num_features in NUM_FEATURES:
            for num_controls in NUM_CONTROLS:
                screens = [simulated(num_controls, num_features, seed) for seed in range(NUM_SEEDS)]
                for num_folds in FOLDS:
                    rows = [_agreement(s, num_folds, method) for s in screens]
                    yield {
                        "method": method, "features": num_features, "controls": num_controls,
                        "folds": num_folds, "in a fold": num_controls // num_folds,
                        **{k: np.mean([row[k] for row in rows]) for k in rows[0]},
                    }  # fmt: skip


def _agreement(screen: Screen, num_folds: int, method: str) -> dict[str, float]:
    aligned = screen.align(folds=num_folds, method=method)
    values: list[tuple[float, ...]] = []
    for name in aligned.experiments:
        is_control = screen.wells["role"].to_numpy()[screen.rows[name]] == "negative_control"
        plain = aligned.read(name)
        treated, in_sample = plain[~is_control], plain[is_control]
        controls = aligned.held_out_controls(name)
        for fold in range(num_folds):
            held_out = controls.vectors[controls.fold == fold]
            same = aligned.read_held_out(name, fold).vectors[~is_control]
            length, cosine = mean_length(held_out), mean_cosine(held_out)
            values.append(
                (
                    mean_length(in_sample) / mean_length(treated),
                    length / mean_length(treated), cosine - mean_cosine(treated),
                    length / mean_length(same), cosine - mean_cosine(same),
                )
            )  # fmt: skip
    means = np.mean(values, axis=0)
    names = ("in-sample length", "length", "cosine", "length, same map", "cosine, same map")
    return dict(zip(names, means.tolist(), strict=True))


def shrinkage() -> Iterator[dict[str, object]]:
    """Ridge against oracle approximating shrinkage on screens with planted effects."""
    for num_features in NUM_FEATURES:
        for num_controls in NUM_CONTROLS:
            for directions, rank in (("leading", RANK), ("all", num_features)):
                for kind in ("ridge", "oas"):
                    rows = [
                        _recovery(simulated(num_controls, num_features, seed, 0.35, rank), kind)
                        for seed in range(NUM_SEEDS)
                    ]
                    yield {
                        "features": num_features, "controls": num_controls,
                        "effects": directions, "shrinkage": kind,
                        **{key: np.mean([row[key] for row in rows]) for key in rows[0]},
                    }  # fmt: skip


def _recovery(screen: Screen, kind: str) -> dict[str, float]:
    aligned = screen.align(shrinkage=kind)
    y = np.concatenate([aligned.read(name) for name in aligned.experiments])
    wells = screen.wells.sort_values("experiment", kind="stable")
    condition = wells["condition"].to_numpy()
    active = (condition >= 0) & (condition < NUM_CONDITIONS // 2)
    inactive = condition >= NUM_CONDITIONS // 2
    return {
        "replicate cosine": _replicates(y[active], condition[active]),
        "without effect": _replicates(y[inactive], condition[inactive]),
        "recall": _recall(y[active], condition[active]),
        "length": _held_out_length(aligned) / mean_length(y[inactive]),
    }


def _replicates(y: np.ndarray, condition: np.ndarray) -> float:
    return float(np.mean([mean_cosine(y[condition == c]) for c in np.unique(condition)]))


def _recall(y: np.ndarray, condition: np.ndarray) -> float:
    names, code = np.unique(condition, return_inverse=True)
    vectors = aggregate(y, code, len(names))
    pairs = [(str(a), str(b)) for a in names for b in names if a < b and a // GROUP == b // GROUP]
    table = pd.DataFrame(pairs, columns=["entity1", "entity2"])
    result = relationship_recall(vectors, [str(name) for name in names], table)
    return float(result.set_index("tails").loc["both", "recall"])


def _held_out_length(aligned: AlignedEmbeddings) -> float:
    controls = [aligned.held_out_controls(name).vectors for name in aligned.experiments]
    return mean_length(np.concatenate(controls))


def bbbc021() -> Iterator[dict[str, object]]:
    """BBBC021's profiles: replicate cosine, mechanism found again, length ratio."""
    screen, moa = _bbbc021()
    wells = screen.wells
    for kind in ("ridge", "oas"):
        for num_controls in (*NUM_CONTROLS[:2], 0):
            thinned = _thinned(screen, num_controls)
            aligned = thinned.align(shrinkage=kind, is_precomputed=True)
            y = np.concatenate([aligned.read(name) for name in aligned.experiments])
            kept = thinned.wells["condition"].to_numpy()
            names = np.unique(kept[kept >= 0])
            vectors = aggregate(
                y, np.where(kept < 0, -1, kept), int(wells["condition"].max()) + 1, how="mean"
            )
            found = mechanism_accuracy(
                vectors[names], [moa[c][0] for c in names], [moa[c][1] for c in names]
            )
            yield {
                "shrinkage": kind, "controls a week": num_controls or "all",
                "components": y.shape[1],
                "replicate cosine": _replicates(y[kept >= 0], kept[kept >= 0]),
                "mechanism": found.accuracy,
                "length": _held_out_length(aligned) / mean_length(y[kept >= 0]),
            }  # fmt: skip


def _thinned(screen: Screen, num_controls: int) -> Screen:
    """The screen with at most so many controls a week (0: all of them)."""
    rank = screen.wells.groupby(["experiment", "role"]).cumcount().to_numpy()
    is_treated = screen.wells["role"].to_numpy() == "treatment"
    kept = is_treated | (rank < num_controls) if num_controls else np.ones(len(rank), bool)
    return Screen(screen.wells[kept].reset_index(drop=True), screen.x[kept])


def _bbbc021() -> tuple[Screen, dict[int, tuple[str, str]]]:
    table, x = read_profiles(Path(os.environ["PHENOPRINTS_TEST_DATA"]) / "profiles/bbbc021")
    is_control = (table["role"] == "negative_control").to_numpy()
    key = table["compound"] + " " + table["concentration"].astype(str)
    condition = np.where(is_control, -1, np.unique(key.to_numpy(str), return_inverse=True)[1])
    facts = {
        int(c): (m, d) for c, m, d in zip(condition, table["moa"], table["compound"], strict=True)
    }
    return Screen(table.assign(condition=condition), x), facts


def main() -> None:
    """Print the table that the command line names, row by row."""
    header = None
    for row in {"folds": folds, "shrinkage": shrinkage, "bbbc021": bbbc021}[sys.argv[1]]():
        if header is None:
            header = list(row)
            print("|", " | ".join(header), "|", flush=True)
            print("|" + "---|" * len(header), flush=True)
        cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
