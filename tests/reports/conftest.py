"""A small run of every stage, written by its contracts, that the pages are built from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from phenoprints import configuration
from phenoprints.benchmarks.contracts import BENCHMARKS
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.foundations.publishing import publish_json, publish_table, publish_text
from phenoprints.probes.contracts import ACCURACIES, CONFUSIONS
from phenoprints.quality.contracts import QUALITY
from phenoprints.wells.contracts import CONDITIONS, SITES, WELLS

HOSTILE = '<img src=x onerror="alert(1)">'
EXPERIMENTS = ("experiment-1", f"experiment-2 {HOSTILE}")
NUM_CONDITIONS = 30
JUDGES = ("everything-mae", "wsl")
ENCODERS = ("untrained", "chance", "phenoprints-mae")

CONFIGURATION: dict[str, Any] = {
    "run": "demo",
    "screens": {"demo": {"source": "simulated"}},
    "encoders": {
        "everything-mae": {
            "kind": "mae", "architecture": "vit-tiny", "manifest": "everything", "recipe": "demo",
        },
        "wsl": {
            "kind": "weakly-supervised", "architecture": "densenet161", "screen": "demo",
            "recipe": "demo",
        },
        "phenoprints-mae": {
            "kind": "mae", "architecture": "vit-tiny", "manifest": "phenoprints", "recipe": "demo",
        },
        "untrained": {"kind": "untrained", "architecture": "vit-tiny"},
        "chance": {"kind": "random"},
    },
    "manifests": {
        "everything": {"screens": ["demo"]},
        "phenoprints": {"screens": ["demo"], "judges": list(JUDGES)},
    },
    "evaluation": {"screens": ["demo"], "encoders": list(ENCODERS), "probes": ["pathway"]},
}  # fmt: skip


def wells_table() -> pd.DataFrame:
    """Two experiments of two 96-well plates, of 80 wells each: 20 controls, 60 treatments."""
    rows = []
    for experiment in EXPERIMENTS:
        for plate in ("p1", "p2"):
            for at in range(80):
                row, column = divmod(at, 10)
                role = "negative_control" if at < 16 else "treatment"
                role = "positive_control" if 16 <= at < 20 else role
                condition = [(at - 20) % NUM_CONDITIONS] if at >= 20 else [NUM_CONDITIONS]
                rows.append((experiment, plate, row + 1, column + 1, role, condition))
    table = pd.DataFrame(
        rows, columns=["experiment", "plate", "row", "column", "role", "conditions"]
    )
    table["conditions"] = table["conditions"].astype(object)
    table.at[25, "conditions"] = None
    names = [f"{chr(64 + r)}{c:02d}" for r, c in zip(table["row"], table["column"], strict=True)]
    return table.assign(
        well_id=np.arange(1, len(table) + 1, dtype=np.uint64) * 10**15, screen="demo", well=names,
        cell_type="U2OS", background="", modality="cell-painting", replicate_group="",
    )  # fmt: skip


def conditions_table() -> pd.DataFrame:
    """Thirty guides of fifteen genes and DMSO; one gene has a hostile name."""
    genes = [f"GENE{at // 2:02d}" if at > 1 else HOSTILE for at in range(NUM_CONDITIONS)]
    guides = [f"{gene}_{at % 2}" for at, gene in enumerate(genes)]
    return pd.DataFrame(
        {
            "condition_id": np.arange(NUM_CONDITIONS + 1),
            "perturbation": [*guides, "DMSO"],
            "kind": ["crispr"] * NUM_CONDITIONS + ["compound"],
            "gene": [*genes, ""],
            "guide": [*guides, ""],
            "concentration_um": np.nan,
            "cell_type": "U2OS",
            "background": "",
            "pathway": ["one", "two", "three"] * (NUM_CONDITIONS // 3) + [""],
        }
    )


def quality_table(wells: pd.DataFrame, *, has_images: bool) -> pd.DataFrame:
    """Every 29th well fails; two metrics."""
    is_bad = np.arange(len(wells)) % 29 == 7
    verdict = np.where(is_bad, "fail", "pass") if has_images else "not assessed"
    reasons = (
        [["QC012"] if bad else [] for bad in is_bad] if has_images else [["QC000"]] * len(wells)
    )
    table = pd.DataFrame({"well_id": wells["well_id"], "site": -1, "verdict": verdict})
    table["reasons"] = reasons
    if has_images:
        table["focus_dna"] = np.sin(np.arange(len(wells)))
        table["intensity_er"] = np.where(is_bad, np.nan, np.arange(len(wells)))
    return table


def consistency_table(seed: int, *, share_true: float) -> pd.DataFrame:
    """Conditions, genes and pseudo-conditions of both experiments with p-values."""
    generator = np.random.default_rng(seed)
    rows = []
    for experiment in EXPERIMENTS:
        for at in range(NUM_CONDITIONS):
            p = 1e-4 if at < share_true * NUM_CONDITIONS else generator.uniform(0.02, 1)
            rows.append(("condition", experiment, at, "", 4, 1 - p, p, False, ""))
        for at in range(NUM_CONDITIONS // 2):
            p = generator.uniform(0, 1)
            rows.append(("gene", experiment, -1, f"GENE{at:02d}", 8, 0.5, p, False, ""))
        for at in range(NUM_CONDITIONS):
            p = 1e-4 if at < 4 else generator.uniform(0.1, 0.9)
            rows.append(("control", experiment, at, "0/0", 2, 0.3, p, True, ""))
    rows.append(
        ("condition", EXPERIMENTS[0], NUM_CONDITIONS, "", 1, np.nan, np.nan, True, "too_few_wells")
    )
    later = {"num_sets": 1e15, "smallest_p": 1e-4, "single_plate": False}
    names = [name for name in CONSISTENCY.schema.names if name not in later]
    return pd.DataFrame(rows, columns=names).assign(**later)


def judged(units: pd.DataFrame, share_true: float) -> pd.DataFrame:
    """The columns of every judge as curation writes them."""
    table = units.copy()
    has = np.arange(len(table)) < share_true * len(table)
    for judge in JUDGES:
        p = np.where(has, 1e-4, np.linspace(0.02, 1, len(table)))
        table[f"p_value_{judge}"] = p
        table[f"smallest_p_value_{judge}"] = p
        table[f"q_value_{judge}"] = np.minimum(1, p * 2)
        table[f"num_experiments_{judge}"] = np.int32(2)
        table[f"depends_on_clip_{judge}"] = np.arange(len(table)) == 1
    table["is_testable"] = pd.array([True] * len(table), dtype="boolean")
    table["has_phenoprint"] = pd.array(has, dtype="boolean")
    return table


def funnel_document(manifest: str, *, kept: int) -> dict[str, Any]:
    """funnel.json as curation writes it."""
    counts = [320, 320, 309, 305, 305, 280, kept]
    steps = ("held_out", "quality", "information", "replicates", "sampling", "phenoprints")
    return {
        "steps": [
            {
                "step": step,
                "leaves": f"what leaves at {step}",
                "before": {"wells": counts[at], "conditions": 31},
                "after": {"wells": counts[at + 1], "conditions": 31 - at},
                "reasons": {f"reason_of_{step}": counts[at] - counts[at + 1]},
            }
            for at, step in enumerate(steps)
        ],
        "expected_false": {
            "rate": 0.0199, "units": 30, "count": 0.597, "is_upper_bound": True, "wells": None,
        },
        "measured_false": {
            "any": {
                "status": "RUN", "reason": "", "rate": 0.1, "low": 0.02, "high": 0.3, "tests": 40,
                "below": 4, "separate": 20.0, "conditions": 30, "of": 30,
            }
        },
        "overlap": [], "warnings": [], "manifest": manifest,
    }  # fmt: skip


def map_tables(encoder: str) -> dict[str, pd.DataFrame]:
    """map, layout and neighbours of fifteen genes."""
    generator = np.random.default_rng(len(encoder))
    names = [f"GENE{at:02d}" if at else HOSTILE for at in range(15)]
    keys = {"level": "gene", "name": names, "kind": "crispr", "cell_type": "U2OS", "background": ""}
    table = pd.DataFrame({**keys, "num_wells": 8, "num_experiments": 2, "pathway": list("abc") * 5})
    table["vector"] = list(generator.normal(size=(15, 4)).astype(np.float32))
    layout = pd.DataFrame({**keys, "x": np.arange(15.0), "y": np.arange(15.0) ** 2})
    layout["position"] = np.arange(15, dtype=np.int32)[::-1]
    neighbours = table[["level", "name", "kind"]].assign(
        rank=1, neighbour=names[::-1], neighbour_kind="crispr", cosine=0.5
    )
    return {"map": table, "layout": layout, "neighbours": neighbours}


def benchmark_rows(encoder: str) -> pd.DataFrame:
    """Recall and magnitude with sd; the trained encoder has seen the screen."""
    value = {"chance": 0.1, "untrained": 0.2}.get(encoder, 0.7)
    seen = "none" if encoder in ("chance", "untrained") else "experiments"
    rows = [
        ("relationships", "screen", "recall_0.05_0.95", value, 0.02, 45, 0.1, 0.02, ""),
        ("magnitude", "gene", "energy_distance", 10 * value, 0.3, 15, 1.0, 0.3, ""),
        ("compound-gene", "", "", np.nan, np.nan, 0, np.nan, np.nan, f"no compounds {HOSTILE}"),
    ]
    columns = ["benchmark", "source", "metric", "value", "sd", "n", "random", "random_sd", "reason"]
    table = pd.DataFrame(rows, columns=columns).assign(
        context="", encoder=encoder, block="4", seen=seen
    )
    is_drawn = table["benchmark"] == "relationships"
    table["significance"] = ((table["value"] - table["random"]) / table["random_sd"]).where(
        is_drawn
    )
    spread = np.hypot(table["sd"], table["random_sd"])
    return table.assign(z=(table["value"] - table["random"]) / spread)


def write_store(folder: Path, experiments: dict[str, int]) -> None:
    """The metadata of a store of embeddings (the pages read no vector)."""
    listed = {}
    for at, (name, num_wells) in enumerate(experiments.items()):
        publish_json(folder / f"wells/{at}" / "zarr.json", {"shape": [num_wells, 16]})
        listed[name] = {"array": f"wells/{at}", "num_wells": num_wells}
    publish_json(folder / "zarr.json", {"attributes": {"experiments": listed}})


def provenance(path: Path, stage: str) -> None:
    """A provenance file as later stages see it."""
    document = {"stage": stage, "sha256": "ab" * 32, "code": {"commit": "cd" * 20}, "settings": {}}
    publish_json(path, document)


def write_run(root: Path, *, has_images: bool = True, share_true: float = 0.4) -> Path:
    """Every artefact of the run below `root`; the folder of the run is returned."""
    run = root / "demo"
    wells, conditions = wells_table(), conditions_table()
    screen = run / "screens/demo"
    WELLS.write(screen / "wells.parquet", wells)
    CONDITIONS.write(screen / "conditions.parquet", conditions)
    SITES.write(screen / "sites.parquet", pd.DataFrame(columns=SITES.schema.names))
    truth = conditions.iloc[:NUM_CONDITIONS].assign(
        truth=["full"] * 12 + ["partial"] * 3 + ["none"] * 15
    )
    publish_table(screen / "truth.parquet", truth)
    QUALITY.write(run / "quality/demo.parquet", quality_table(wells, has_images=has_images))
    sizes = {str(k): int(v) for k, v in wells.groupby("experiment").size().items()}
    for encoder in {*JUDGES, *ENCODERS}:
        write_store(run / f"embeddings/demo/{encoder}", sizes)
        provenance(run / f"embeddings/demo/{encoder}.provenance.json", "embeddings")
        publish_json(
            run / f"alignment/demo/{encoder}/index.json",
            {
                "experiments": {name: {"reason": ""} for name in sizes},
                "attributes": {
                    "num_controls": dict.fromkeys(sizes, 32), "num_features": 16,
                    "num_components": 12, "settings": {"method": "tvn"}, "notes": ["a note"],
                },
            },
        )  # fmt: skip
        provenance(run / f"alignment/demo/{encoder}.provenance.json", "alignment")
    for seed, judge in enumerate(JUDGES):
        table = consistency_table(seed, share_true=share_true)
        CONSISTENCY.write(run / f"consistency/demo/{judge}.parquet", table)
    for manifest in ("everything", "phenoprints"):
        folder = run / "curation" / manifest
        kept = 280 if manifest == "everything" else 150
        publish_json(folder / "funnel.json", funnel_document(manifest, kept=kept))
        provenance(folder / "manifest.provenance.json", "curation")
    publish_table(run / "curation/phenoprints/phenoprints.parquet", judged(conditions, share_true))
    genes = pd.DataFrame({"gene": [HOSTILE, *(f"GENE{at:02d}" for at in range(1, 15))]})
    publish_table(run / "curation/phenoprints/genes.parquet", judged(genes, share_true))
    write_learning(run)
    for encoder in ENCODERS:
        for name, table in map_tables(encoder).items():
            publish_table(run / f"maps/demo/{encoder}/{name}.parquet", table)
        provenance(run / f"maps/demo/{encoder}.provenance.json", "maps")
        BENCHMARKS.write(run / f"benchmarks/demo/{encoder}.parquet", benchmark_rows(encoder))
    durations = run / "durations/fit_alignment/demo.tsv"
    durations.parent.mkdir(parents=True)
    durations.write_text("s\th:m:s\tmax_rss\n1.5\t0:00:01\t120.5\n", encoding="utf-8")
    return run


def write_learning(run: Path) -> None:
    """Encoders with their metrics, and the accuracies of probes."""
    for encoder in ("everything-mae", "wsl", "phenoprints-mae"):
        step = np.arange(1, 51)
        losses = pd.DataFrame({"step": step, "crops": step * 8, "loss": 1 / step})
        speeds = pd.DataFrame({"step": step, "crops_per_s": 500.0, "waiting": 0.1, "mfu": None})
        publish_text(run / f"encoders/{encoder}/losses.csv", losses.to_csv(index=False))
        publish_text(run / f"encoders/{encoder}.training/speed.csv", speeds.to_csv(index=False))
        provenance(run / f"encoders/{encoder}.provenance.json", "training")
    for encoder in ("untrained", "phenoprints-mae"):
        block = np.arange(1, 5)
        dip = 0.25 * (block == 4) * (encoder != "untrained")
        names = {
            "encoder": encoder, "task": "pathway", "screen": "demo", "cell_type": "U2OS",
            "background": "",
        }  # fmt: skip
        accuracy = 0.2 + 0.1 * block - dip
        table = pd.DataFrame(
            {
                **names, "block": block, "balanced_accuracy": accuracy - 0.01,
                "validation_accuracy": accuracy, "standard_error": 0.01, "train_accuracy": 1.0,
                "num_iterations": 9, "has_converged": True, "num_classes": 3, "num_train": 9,
                "num_validation": 9, "num_test": 9,
            }
        )  # fmt: skip
        ACCURACIES.write(run / f"probes/pathway/accuracies/{encoder}.parquet", table)
        pairs = [(a, b, 1 + (a == b)) for a in "xyz" for b in "xyz"]
        confusions = pd.DataFrame(pairs, columns=["label", "predicted", "num_wells"])
        confusions = confusions.assign(**names, block=3)
        CONFUSIONS.write(run / f"probes/pathway/confusions/{encoder}.parquet", confusions)
        chosen = {"block": 3, "mean_rank": [1.0], "savings": {"parameters": 0.25}}
        publish_json(run / f"probes/chosen/{encoder}.json", chosen)
    split = pd.DataFrame({"well_id": [1, 2, 3], "label": ["a", "b", "c"]})
    publish_table(run / "probes/pathway/split.parquet", split)


@pytest.fixture(scope="session")
def config() -> dict[str, Any]:
    """The resolved configuration of the run."""
    return configuration.load(json.loads(json.dumps(CONFIGURATION)))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of every stage; do not write into it."""
    return write_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run_copy(whole_run: Path, tmp_path: Path) -> Path:
    """A copy of the run to damage."""
    return Path(shutil.copytree(whole_run, tmp_path / "demo"))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write another run."""
    return lambda **options: write_run(tmp_path, **options)
