"""A small run with real vectors, images and provenance, from wells to map."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from phenoprints import configuration
from phenoprints.alignment import fit_alignment, open_aligned, save_alignment
from phenoprints.consistency import ConsistencySettings, screen_consistency
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.curation import Rules, genes_table, phenoprints_table, unite_conditions
from phenoprints.curation.manifest import figures, write_manifest
from phenoprints.curation.parts import JoinedParts
from phenoprints.curation.screen_files import ScreenFiles, Tables
from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.writing import write_rows
from phenoprints.foundations.provenance import provenance_path, write_provenance
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.maps import map_tables, perturbation_map, save_map
from phenoprints.matches import map_neighbours
from phenoprints.quality.contracts import QUALITY
from phenoprints.screens.images.opening import images_content
from phenoprints.wells import CONDITIONS, SITES, WELLS

CHANNELS = ["DNA", "ER"]
HOSTILE = "</script><img src=x onerror=alert(1)>"
ABSENT = 20
"""The row of the well whose image is not there."""

CONFIGURATION = {
    "run": "shared",
    "screens": {"s": {"source": "simulated"}},
    "encoders": {"judge": {"kind": "untrained", "architecture": "vit-tiny"}},
    "manifests": {
        "everything": {"screens": ["s"]},
        "phenoprints": {
            "screens": ["s"], "judges": ["judge"], "min_experiments": 2, "min_wells": 4,
        },
    },
    "evaluation": {"screens": ["s"], "encoders": ["judge"]},
}  # fmt: skip


def conditions_table() -> pd.DataFrame:
    """Twelve guides of six genes, four compounds at three doses, and DMSO."""
    genes = [f"GENE{at}" for at in range(6)]
    guides = [(f"{g}_{n}", "crispr", g, f"{g}_{n}", np.nan) for g in genes for n in (1, 2)]
    names = [HOSTILE, "compound-1", "compound-2", "compound-3"]
    doses = [(name, "compound", None, None, um) for name in names for um in (0.1, 1.0, 10.0)]
    rows = [*guides, *doses, ("DMSO", "compound", None, None, np.nan)]
    columns = ["perturbation", "kind", "gene", "guide", "concentration_um"]
    table = pd.DataFrame(rows, columns=columns)
    pathway = ["ribosome"] * 6 + ["mitochondria"] * 6 + [""] * 13
    return table.assign(
        condition_id=np.arange(25, dtype=np.int32), cell_type="U2OS", background="",
        pathway=pathway,
    )  # fmt: skip


def wells_table() -> pd.DataFrame:
    """Two experiments of two plates: 14 controls, 2 positive controls and 48 treatments each."""
    rng, rows = np.random.default_rng(1), []
    for experiment in ("e1", "e2"):
        for plate in ("p1", "p2"):
            treated = rng.permutation(np.repeat(np.arange(24), 2)).tolist()
            listed = [24] * 14 + [23] * 2 + treated
            roles = ["negative_control"] * 14 + ["positive_control"] * 2 + ["treatment"] * 48
            for at, place in enumerate(rng.permutation(64)):
                row, column = divmod(int(place), 8)
                rows.append((experiment, plate, row + 1, column + 1, roles[at], [listed[at]]))
    table = pd.DataFrame(rows, columns=["experiment", "plate", "row", "column", "role",
                                        "conditions"])  # fmt: skip
    table["well"] = [f"{chr(64 + r)}{c:02d}" for r, c in zip(table["row"], table["column"],
                                                            strict=True)]  # fmt: skip
    table = table.assign(
        well_id=np.arange(1, 257, dtype=np.uint64) * 10**17 // 7, screen="s", cell_type="U2OS",
        background="", modality="cell-painting", replicate_group="",
    )  # fmt: skip
    return WELLS.completed(table.sort_values(["experiment", "plate", "well"], ignore_index=True))


def vectors_of(wells: pd.DataFrame) -> np.ndarray:
    """Sixteen features: one direction a pathway, one a gene, one a compound that grows by dose."""
    rng = np.random.default_rng(2)
    directions = rng.standard_normal((12, 16))
    x = rng.standard_normal((len(wells), 16))
    for at, listed in enumerate(wells["conditions"]):
        condition = listed[0]
        if condition < 12:
            x[at] += 1.5 * directions[condition // 2] + 2 * directions[6 + condition // 6]
        elif condition < 21:
            x[at] += (0.2, 1.5, 3)[condition % 3] * directions[8 + (condition - 12) // 3]
    return x.astype(np.float32)


def write_images(screen: Path, wells: pd.DataFrame) -> pd.DataFrame:
    """One site of two channels per well; one file is absent."""
    rng, rows = np.random.default_rng(3), []
    (screen / "pixels").mkdir(parents=True)
    for at, well in wells.iterrows():
        names = [f"pixels/{at}-{channel}.tif" for channel in CHANNELS]
        for name in names:
            pixels = rng.integers(10, 200, (40, 40), dtype=np.uint8)
            tifffile.imwrite(screen / name, pixels)
        text = "files:[" + ",".join(f'"{name}"' for name in names) + "]"
        rows.append((well["well_id"], 1, text, 40, 40, CHANNELS))
    (screen / f"pixels/{ABSENT}-ER.tif").unlink()
    publish_json(screen / "images.json", images_content(None, {}))
    return pd.DataFrame(rows, columns=SITES.schema.names)


def write_run(base: Path) -> Path:
    """Write the run below `base/results`; return its folder."""
    run = base / "results/shared"
    configuration.write_frozen(run / "config.json", configuration.load(CONFIGURATION))
    screen, wells, conditions = run / "screens/s", wells_table(), conditions_table()
    WELLS.write(screen / "wells.parquet", wells)
    CONDITIONS.write(screen / "conditions.parquet", conditions)
    SITES.write(screen / "sites.parquet", write_images(screen, wells))
    quality = pd.DataFrame(
        {"well_id": wells["well_id"], "site": -1, "verdict": "pass",
         "num_cells": np.linspace(100, 300, len(wells))}
    )  # fmt: skip
    quality["reasons"] = [[] for _ in range(len(wells))]
    QUALITY.write(run / "quality/s.parquet", quality)
    for name in ("wells", "conditions", "sites"):
        _provenance(screen / f"{name}.parquet", "screens")
    _provenance(screen / "images.json", "screens")
    _provenance(run / "quality/s.parquet", "quality", screen / "wells.parquet")
    attributes = {"screen": "s", "encoder": "judge", "encoder_fingerprint": "f"}
    store = run / "embeddings/s/judge"
    write_rows(store, wells, vectors_of(wells), attributes=attributes)
    _provenance(store, "embeddings", screen / "wells.parquet")
    embeddings = open_embeddings(store)
    save_alignment(fit_alignment(wells, embeddings), run / "alignment/s/judge")
    _provenance(run / "alignment/s/judge", "alignment", provenance_path(store))
    reader = open_aligned(embeddings, run / "alignment/s/judge")
    aligned = provenance_path(run / "alignment/s/judge")
    settings = ConsistencySettings(num_null=1000)
    table = screen_consistency(wells, conditions, reader, settings=settings, workers=1)
    CONSISTENCY.write(run / "consistency/s/judge.parquet", table)
    _provenance(run / "consistency/s/judge.parquet", "consistency", aligned)
    _curate(run, settings)
    built = perturbation_map(wells, conditions, reader)
    tables = map_tables(built, wells, conditions, reader)
    tables["calibrated"] = map_neighbours(built, wells, conditions, reader)
    save_map(run / "maps/s/judge", built, tables)
    _provenance(run / "maps/s/judge", "maps", aligned, screen / "wells.parquet")
    return run


def _curate(run: Path, settings: ConsistencySettings) -> None:
    screen, config = run / "screens/s", configuration.thaw(run / "config.json")
    for name, section in config["manifests"].items():
        rules = Rules.from_section(section)
        union, ids = unite_conditions({"s": CONDITIONS.read(screen / "conditions.parquet")})
        path = run / "consistency/s/judge.parquet"
        tests = {judge: {"s": CONSISTENCY.read(path)} for judge in rules.judges}
        judged = phenoprints_table(tests, union, rules, new_ids=ids, settings={"s": settings})
        genes = genes_table(tests, rules, settings={"s": settings})
        tables = Tables(
            screen / "wells.parquet", screen / "sites.parquet", run / "quality/s.parquet"
        )
        parts = JoinedParts([ScreenFiles(tables, ids["s"], {})])
        folder = run / "curation" / name
        funnel = write_manifest(parts, judged, rules, folder / "manifest", folder / "reasons")
        publish_table(folder / "phenoprints.parquet", judged)
        publish_table(folder / "genes.parquet", genes)
        counted = figures(funnel, judged, genes, tests, rules, {"s": settings}, ids)
        publish_json(folder / "funnel.json", counted)
        for file in ("phenoprints.parquet", "genes.parquet", "funnel.json", "manifest", "reasons"):
            _provenance(folder / file, "curation", path, screen / "wells.parquet")


def _provenance(artefact: Path, stage: str, *inputs: Path) -> None:
    """Write provenance with inputs relative to where `results` lies, as the workflow does."""
    base = next(parent.parent for parent in artefact.parents if parent.name == "results")
    names = [path.relative_to(base) for path in inputs]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        write_provenance(artefact.relative_to(base), stage, settings={}, inputs=names)


@pytest.fixture(scope="session")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run; do not write into it."""
    return write_run(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def run_copy(shared_run: Path, tmp_path: Path) -> Path:
    """A copy of the run to damage."""
    return Path(shutil.copytree(shared_run.parents[1], tmp_path / "copy")) / "results/shared"
