"""A new experiment matched with a reference of the size of RxRx3-core, from folder to table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_WELLS, NUM_FEATURES, NUM_EXPERIMENTS, NUM_CONTROLS = 222_601, 384, 180, 60
NUM_GENES, NUM_COMPOUNDS, NUM_DOSES = 736, 1674, 8
NUM_NEW, NUM_NEW_CONTROLS, NUM_NEW_PLATES = 1300, 100, 4


def prepare(folder: Path) -> None:
    """Write the reference, as `phenoprints freeze` does; its controls and vectors are random."""
    from phenoprints.alignment import Alignment, AlignmentSettings
    from phenoprints.alignment.statistics import ControlStatistics
    from phenoprints.maps import PerturbationMap
    from phenoprints.matches import Reference, save_reference
    from phenoprints.matches.control_fit import chosen_controls, left_out_batches

    rng = np.random.default_rng(0)
    settings = AlignmentSettings(method="pca-center-scale", folds=0)
    controls = {
        f"e{k}": rng.standard_normal((NUM_CONTROLS, NUM_FEATURES), np.float32)
        + 0.3 * rng.standard_normal(NUM_FEATURES, np.float32)
        for k in range(NUM_EXPERIMENTS)
    }
    method = settings.method_to_fit()
    assert method is not None
    shared = method.share(
        ControlStatistics.of_rows(np.concatenate(list(controls.values()))).summed()
    )
    levels = ["gene"] * NUM_GENES + ["condition"] * NUM_COMPOUNDS * NUM_DOSES
    table = pd.DataFrame({"level": levels, "name": [f"r{k}" for k in range(len(levels))]})
    table["kind"] = np.where(table["level"] == "gene", "crispr", "compound")
    table = table.assign(cell_type="HUVEC", background="", x=0.0, y=0.0)
    vectors = rng.standard_normal((len(table), NUM_FEATURES), np.float32)
    attributes = {
        "settings": settings.plain(), "num_features": NUM_FEATURES,
        "num_components": shared.num_components, "controls": "negative_control",
    }  # fmt: skip
    screen = {"num_wells": NUM_WELLS, "num_controls": len(controls) * NUM_CONTROLS,
              "num_experiments": NUM_EXPERIMENTS, "cell_types": ["HUVEC"],
              "levels": table["level"].value_counts().to_dict()}  # fmt: skip
    reference = Reference(
        about={"name": "shaped", "license": "CC0-1.0", "encoder": {}, "screen": screen,
               "controls": "negative_control"},
        alignment=Alignment({}, attributes, None, shared),
        origin=np.zeros(NUM_FEATURES),
        map=PerturbationMap(table, vectors, {}),
        controls=np.concatenate(list(chosen_controls(controls).values())),
        left_out=left_out_batches(controls, method),
        well_ids=np.sort(rng.integers(0, 2**63, NUM_WELLS, dtype=np.uint64)),
    )  # fmt: skip
    save_reference(reference, folder / "reference")


def new_screen() -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return wells, conditions and vectors of 1,300 new wells: four plates of 300 conditions."""
    from phenoprints.screens import from_table

    rng = np.random.default_rng(1)
    treated = (NUM_NEW - NUM_NEW_CONTROLS) // NUM_NEW_PLATES
    names = ["DMSO"] * (NUM_NEW_CONTROLS // NUM_NEW_PLATES) + [f"c{k}" for k in range(treated)]
    rows = [
        ("new", f"p{plate}", f"{chr(65 + i // 24)}{i % 24 + 1:02d}", name)
        for plate in range(NUM_NEW_PLATES)
        for i, name in enumerate(names)
    ]
    table = pd.DataFrame(rows, columns=["experiment", "plate", "well", "perturbation"])
    table = table.assign(cell_type="HUVEC")
    screen = from_table(table, roles={"DMSO": "negative_control"}, plate_format=384)
    return screen.wells, screen.conditions, rng.standard_normal((len(table), NUM_FEATURES))


@benchmark("matches-rxrx3-core", prepares=True, max_seconds=60, max_memory_gb=2)
def rxrx3_core(how: str, folder: Path) -> Timing:
    """Match 1,300 new wells with a reference of 222,601 wells, 384 features, 14,128 vectors."""
    if how == "prepare":
        prepare(folder)
        return Timing(0)
    from phenoprints.matches import match

    wells, conditions, vectors = new_screen()
    watch = Stopwatch()
    result = match(folder / "reference", wells, vectors, conditions)
    return watch.timing(f"({result.table['condition_id'].nunique()} conditions)")
