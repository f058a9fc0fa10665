"""Curation from end to end on a simulated screen of the shape of RxRx3."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_EXPERIMENTS = 180
NUM_PLATES = 9
NUM_GENES, NUM_GUIDES = 194, 6
NUM_EMPTY, NUM_CONTROLS = 120, 76
WELLS_PER_PLATE = NUM_GENES * NUM_GUIDES + NUM_EMPTY + NUM_CONTROLS
NUM_FEATURES = 128
JUDGES = ("one", "two")
WORKERS = 2


def conditions() -> pd.DataFrame:
    """Guides of genes, each gene in two experiments, and one non-targeting guide."""
    gene = np.repeat(np.arange(NUM_EXPERIMENTS // 2 * NUM_GENES), NUM_GUIDES)
    table = pd.DataFrame(
        {
            "condition_id": np.arange(len(gene) + 1, dtype=np.int32),
            "perturbation": [*(f"guide-{i:06}" for i in range(len(gene))), "non-targeting"],
            "kind": "crispr",
            "gene": [*(f"gene-{i:05}" for i in gene), ""],
            "guide": [*(str(i % NUM_GUIDES) for i in range(len(gene))), ""],
            "concentration_um": np.nan,
            "cell_type": "HUVEC",
            "background": "",
        }
    )
    return table.sort_values("condition_id", ignore_index=True)


def wells_of(number: int, num_conditions: int) -> pd.DataFrame:
    """The wells of one experiment, sorted by plate and well."""
    from phenoprints.foundations.randomness import well_ids

    rng = np.random.default_rng(number)
    first = number // 2 * NUM_GENES * NUM_GUIDES
    guides = np.arange(first, first + NUM_GENES * NUM_GUIDES)
    content = np.concatenate([guides, np.full(NUM_CONTROLS, num_conditions - 1),
                              np.full(NUM_EMPTY, -1)])  # fmt: skip
    number_in_plate = np.arange(WELLS_PER_PLATE)
    row, column = number_in_plate // 48 + 1, number_in_plate % 48 + 1
    names = [f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[(r - 1) % 26]}{'' if r <= 26 else r}{c:02}"
             for r, c in zip(row, column, strict=True)]  # fmt: skip
    plates = []
    for plate in range(NUM_PLATES):
        here = rng.permutation(content)
        plates.append(
            pd.DataFrame(
                {
                    "plate": str(plate),
                    "well": names,
                    "row": row,
                    "column": column,
                    "role": np.select(
                        [here < 0, here == num_conditions - 1],
                        ["unperturbed", "negative_control"],
                        "treatment",
                    ),
                    "conditions": [[] if c < 0 else [int(c)] for c in here],
                }
            ).sort_values("well")
        )
    table = pd.concat(plates, ignore_index=True)
    experiment = f"gene-{number:03}"
    ids = well_ids("rxrx3", [experiment] * len(table), table["plate"], table["well"])
    return table.assign(
        well_id=ids, screen="rxrx3", experiment=experiment, cell_type="HUVEC", background="",
        modality="cell-painting", replicate_group="",
    )  # fmt: skip


def prepare(folder: Path) -> None:
    """Write the tables and, for each judge, a store whose every fifth gene has an effect."""
    from phenoprints.embeddings.store import create_store, plan_units, write_unit
    from phenoprints.screens.contracts import CONDITIONS, WELLS

    guides = conditions()
    CONDITIONS.write(folder / "conditions.parquet", guides)
    parts = [wells_of(number, len(guides)) for number in range(NUM_EXPERIMENTS)]
    WELLS.write(folder / "wells.parquet", pd.concat(parts, ignore_index=True))
    gene = pd.factorize(guides["gene"])[0]
    for judge in JUDGES:
        rng = np.random.default_rng(len(judge))
        effects = rng.standard_normal((gene.max() + 1, NUM_FEATURES), dtype=np.float32) / 4
        effects[np.arange(len(effects)) % 5 > 0] = 0.0
        ids = {part["experiment"].iloc[0]: part["well_id"].to_numpy() for part in parts}
        create_store(folder / judge, ids, (NUM_FEATURES,), attributes={"encoder": judge})
        units = plan_units({name: len(each) for name, each in ids.items()})
        vectors = {}
        for part in parts:
            x = rng.standard_normal((len(part), NUM_FEATURES), dtype=np.float32)
            condition = np.array([c[0] if c else -1 for c in part["conditions"]])
            x[condition >= 0] += effects[gene[condition[condition >= 0]]]
            vectors = {part["experiment"].iloc[0]: x + rng.standard_normal(NUM_FEATURES)}
            for unit in units:
                if unit.experiment in vectors:
                    write_unit(folder / judge, unit, vectors[unit.experiment][unit.rows])


def curate(folder: Path) -> Timing:
    """TVN, tests and funnel with two judges, from stored embeddings to a manifest."""
    from phenoprints.alignment import AlignmentSettings, fit_alignment
    from phenoprints.consistency import screen_consistency
    from phenoprints.curation import Rules, genes_table, phenoprints_table
    from phenoprints.curation.manifest import figures, write_manifest
    from phenoprints.curation.parts import TableParts, screen_parts
    from phenoprints.embeddings import open_embeddings
    from phenoprints.screens.contracts import CONDITIONS, WELLS

    stopwatch = Stopwatch()
    wells = WELLS.read(folder / "wells.parquet")
    guides = CONDITIONS.read(folder / "conditions.parquet")
    tests = {}
    for judge in JUDGES:
        reader = open_embeddings(folder / judge)
        aligned = fit_alignment(wells, reader, AlignmentSettings()).of(reader)
        tests[judge] = {"rxrx3": screen_consistency(wells, guides, aligned, workers=WORKERS)}
    rules = Rules(judges=JUDGES, min_experiments=2, min_wells=12)
    table = phenoprints_table(tests, guides, rules)
    genes = genes_table(tests, rules)
    new_ids = guides["condition_id"].to_numpy()
    funnel = write_manifest(
        TableParts(screen_parts(wells, new_ids)), table, rules,
        folder / "manifest", folder / "reasons", workers=WORKERS,
    )  # fmt: skip
    counts = figures(funnel, table, genes, tests, rules, {})
    return stopwatch.timing(
        f"({len(wells):,} wells, {funnel.after['wells']:,} kept, "
        f"{counts['genes']['with_phenoprint']:,} genes with a phenoprint)"
    )


@benchmark("curation-rxrx3-shaped", max_memory_gb=4.0, prepares=True)
def rxrx3_shaped(how: str, folder: Path) -> Timing | None:
    """2.2 million wells in 180 experiments, 128 features: TVN, two judges, funnel; two threads."""
    return prepare(folder) if how == "prepare" else curate(folder)
