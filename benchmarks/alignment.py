"""TVN: in memory against EFAAR_benchmarking 1.0, and out of core over a store."""

from __future__ import annotations

import os
from pathlib import Path

import efaar
import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

NUM_BATCHES = 20
NUM_EXPERIMENTS = 360


def screen(num_wells: int, num_features: int, num_batches: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Correlated vectors with an offset per batch; a fifth of the wells are controls."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((num_features, num_features), dtype=np.float32)
    batch = np.sort(rng.integers(0, num_batches, num_wells))
    x = np.empty((num_wells, num_features), np.float32)
    for number in range(num_batches):
        rows = np.flatnonzero(batch == number)
        x[rows] = rng.standard_normal((len(rows), num_features), dtype=np.float32) @ mixing
        x[rows] += rng.standard_normal(num_features, dtype=np.float32)
    wells = pd.DataFrame({"batch": batch, "pert": rng.choice(["control", *"abcd"], num_wells)})
    return x, wells


def tvn(how: str, num_features: int) -> Timing:
    x, wells = screen(100_000, num_features, NUM_BATCHES)
    if how == "ours":
        from phenoprints.alignment import TypicalVariationNormalization

        watch = Stopwatch()
        is_control = (wells["pert"] == "control").to_numpy()
        TypicalVariationNormalization().fit_transform(x, is_control, wells["batch"])
        return watch.timing()
    reference = efaar.load("efaar")
    if how == "EFAAR 1.0":
        x = x.astype(np.float64)  # as pandas gives it the columns of a csv file
    watch = Stopwatch()
    reference.tvn_on_controls(x, wells, "pert", "control", "batch")
    return watch.timing("(no re-colouring: its form does less)")


@benchmark("alignment-100k-d384", min_ratios={"EFAAR 1.0": 8, "EFAAR 1.0, float32": None})
def wells_100k_384(how: str, _folder: Path) -> Timing:
    """TVN of 100,000 wells of 384 features in 20 batches, in memory."""
    return tvn(how, 384)


@benchmark("alignment-100k-d1024", min_ratios={"EFAAR 1.0": 8, "EFAAR 1.0, float32": None})
def wells_100k_1024(how: str, _folder: Path) -> Timing:
    """TVN of 100,000 wells of 1,024 features in 20 batches, in memory."""
    return tvn(how, 1024)


@benchmark("alignment-center-scale-100k", min_ratios={"pycytominer": None})
def center_scale(how: str, _folder: Path) -> Timing:
    """Centre and scale 100,000 wells of 384 features on the controls of 20 batches."""
    x, wells = screen(100_000, 384, NUM_BATCHES)
    is_control = (wells["pert"] == "control").to_numpy()
    if how == "ours":
        from phenoprints.alignment import CenterScale

        watch = Stopwatch()
        CenterScale().fit_transform(x, is_control, wells["batch"])
        return watch.timing()
    from pycytominer import normalize

    names = [f"Cells_{k}" for k in range(384)]
    table = pd.DataFrame(x, columns=names)
    table["Metadata_batch"], table["Metadata_pert"] = wells["batch"], wells["pert"]
    watch = Stopwatch()
    for _, batch in table.groupby("Metadata_batch"):
        normalize(
            batch.reset_index(drop=True), features=names,
            meta_features=["Metadata_batch", "Metadata_pert"],
            samples="Metadata_pert == 'control'", method="standardize",
        )  # fmt: skip
    return watch.timing()


@benchmark("alignment-500k-out-of-core", max_seconds=15, max_memory_gb=1, prepares=True)
def wells_500k(how: str, folder: Path) -> Timing:
    """TVN of 500,000 wells of 384 features in 360 experiments: fit, store, align on reading."""
    from phenoprints.alignment import fit_alignment, open_aligned, save_alignment
    from phenoprints.embeddings import open_embeddings

    if how == "prepare":
        prepare(folder)
        return Timing(0.0)
    wells = pd.read_parquet(folder / "wells.parquet")
    watch = Stopwatch()
    reader = open_embeddings(folder / "embeddings")
    save_alignment(fit_alignment(wells, reader), folder / "alignment")
    aligned = open_aligned(reader, folder / "alignment")
    total = sum(float(aligned.read(name)[:, 0].sum()) for name in aligned.experiments)
    assert np.isfinite(total)
    return watch.timing()


def prepare(folder: Path) -> None:
    from phenoprints.embeddings.writing import write_rows

    x, wells = screen(500_000, 384, NUM_EXPERIMENTS)
    wells["experiment"] = wells.pop("batch").map("e{:03d}".format)
    wells["role"] = np.where(wells.pop("pert") == "control", "negative_control", "treatment")
    wells["plate"], wells["row"] = "p", 1
    wells["column"] = wells.groupby("experiment").cumcount()
    wells["well_id"] = np.arange(len(wells), dtype=np.uint64)
    wells.to_parquet(folder / "wells.parquet")
    write_rows(folder / "embeddings", wells, x, attributes={})


WITHOUT = "without folds"


def cross_fitting(how: str, folder: Path, shape: tuple[int, int, int]) -> Timing:
    """Fit and store the alignment of plates in a store, with the default folds or without any."""
    from phenoprints.alignment import AlignmentSettings, fit_alignment, save_alignment
    from phenoprints.embeddings import open_embeddings
    from phenoprints.embeddings.writing import write_rows

    num_experiments, num_controls, num_features = shape
    if how == "prepare":
        rng = np.random.default_rng(0)
        well = np.tile(np.arange(384 + num_controls), num_experiments)
        wells = pd.DataFrame(
            {
                "experiment": np.char.mod("e%03d", np.arange(num_experiments)).repeat(
                    384 + num_controls
                ),
                "plate": "p", "row": well // 24 + 1, "column": well % 24 + 1,
                "well_id": np.arange(len(well), dtype=np.uint64),
                "role": np.where(well < num_controls, "negative_control", "treatment"),
            }
        )  # fmt: skip
        mixing = rng.standard_normal((num_features, num_features), dtype=np.float32)
        x = rng.standard_normal((len(wells), num_features), dtype=np.float32) @ mixing
        wells.to_parquet(folder / "wells.parquet")
        write_rows(folder / "embeddings", wells, x, attributes={})
        return Timing(0.0)
    wells = pd.read_parquet(folder / "wells.parquet")
    settings = AlignmentSettings() if how == "ours" else AlignmentSettings(folds=0)
    watch = Stopwatch()
    reader = open_embeddings(folder / "embeddings")
    save_alignment(fit_alignment(wells, reader, settings), folder / f"alignment of {how}")
    return watch.timing()


@benchmark("alignment-folds-180-d384", min_ratios={WITHOUT: 1 / 1.6}, prepares=True)
def folds_180(how: str, folder: Path) -> Timing:
    """Fit and store TVN with its folds: 180 experiments of 48 controls, 384 features."""
    return cross_fitting(how, folder, (180, 48, 384))


@benchmark("alignment-folds-16-d1024", min_ratios={WITHOUT: 1 / 1.6}, prepares=True)
def folds_16(how: str, folder: Path) -> Timing:
    """Fit and store TVN with its folds: 16 experiments of 48 controls, 1,024 features."""
    return cross_fitting(how, folder, (16, 48, 1024))


@benchmark("alignment-folds-16-d384-dense", min_ratios={WITHOUT: 1 / 4}, prepares=True)
def folds_dense(how: str, folder: Path) -> Timing:
    """Fit and store TVN with its folds: 16 experiments of 400 controls, 384 features."""
    return cross_fitting(how, folder, (16, 400, 384))


@benchmark("alignment-jump-742825", max_memory_gb=3, prepares=True)
def jump(how: str, folder: Path) -> Timing:
    """JUMP's real well table (742,825 wells) with 384 random features: align and build the map."""
    from phenoprints.alignment import AlignmentSettings, fit_alignment
    from phenoprints.embeddings import open_embeddings
    from phenoprints.maps import MapSettings, perturbation_map

    if how == "prepare":
        prepare_jump(folder)
        return Timing(0.0)
    wells = pd.read_parquet(folder / "wells.parquet")
    conditions = pd.read_parquet(folder / "conditions.parquet")
    watch = Stopwatch()
    reader = open_embeddings(folder / "embeddings")
    alignment = fit_alignment(wells, reader, AlignmentSettings(small_batches="skip"))
    settings = MapSettings(levels=("gene", "compound"))
    built = perturbation_map(wells, conditions, alignment.of(reader), settings)
    assert len(built.table) > 100_000
    return watch.timing(f"({len(wells):,} wells, {len(built.table):,} perturbations)")


def prepare_jump(folder: Path) -> None:
    from phenoprints.embeddings.writing import write_rows

    tables = Path(os.environ["PHENOPRINTS_TEST_DATA"]) / "metadata/jump_cpg0016"
    raw = pd.read_csv(tables / "well_2022-12-21.csv.gz", dtype=str)
    raw = raw.merge(pd.read_csv(tables / "plate.csv.gz", dtype=str), how="left")
    controls = pd.read_csv(tables / "perturbation_control.csv", dtype=str)
    negative = set(controls.loc[controls["Metadata_pert_type"] == "negcon", "Metadata_JCP2022"])
    crispr = pd.read_csv(tables / "crispr.csv.gz", dtype=str)
    orf = pd.read_csv(tables / "orf.csv.gz", dtype=str)
    gene = {
        **dict(zip(orf["Metadata_JCP2022"], orf["Metadata_Symbol"], strict=True)),
        **dict(zip(crispr["Metadata_JCP2022"], crispr["Metadata_Symbol"], strict=True)),
    }
    names, code = np.unique(raw["Metadata_JCP2022"].to_numpy(str), return_inverse=True)
    wells = pd.DataFrame(
        {
            "experiment": raw["Metadata_Batch"].fillna("none").to_numpy(),
            "plate": raw["Metadata_Plate"].to_numpy(),
            "row": raw["Metadata_Well"].str[0].map(ord).to_numpy(),
            "column": raw["Metadata_Well"].str[1:].astype(int).to_numpy(),
            "role": np.where(
                raw["Metadata_JCP2022"].isin(negative), "negative_control", "treatment"
            ),
            "conditions": [[np.int32(k)] for k in code],
            "well_id": np.arange(len(raw), dtype=np.uint64),
        }
    ).sort_values(["experiment", "plate"], kind="stable", ignore_index=True)
    symbol = [gene.get(name) for name in names]
    conditions = pd.DataFrame(
        {
            "condition_id": np.arange(len(names), dtype=np.int32), "perturbation": names,
            "kind": ["compound" if s is None else "orf" for s in symbol],
            "gene": [s or "" for s in symbol], "guide": "", "concentration_um": np.nan,
            "cell_type": "U2OS", "background": "",
        }
    )  # fmt: skip
    wells.to_parquet(folder / "wells.parquet")
    conditions.to_parquet(folder / "conditions.parquet")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((len(wells), 384), dtype=np.float32)
    write_rows(folder / "embeddings", wells, x, attributes={})
