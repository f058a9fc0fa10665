"""What tests of training share, also those that run in processes of their own."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from phenoprints import training
from phenoprints.wells import CONDITIONS, SITES, Screen

Tables = tuple[pd.DataFrame, pd.DataFrame]
MAE = training.EncoderPlan("mae", "vit-tiny")
AGNOSTIC = training.EncoderPlan("mae", "ca-vit-tiny")
VIT_CLASSIFIER = training.EncoderPlan("weakly-supervised", "vit-tiny", pool="class")
CLASSIFIER = training.EncoderPlan("weakly-supervised", "cnn-tiny")
LABELS = pd.Series({c: f"condition-{c}" for c in range(5)})


def images(num: int = 64, channels: int = 2) -> list[np.ndarray]:
    """Images whose stripes follow the well's condition, in the order of the well ids."""
    stream = np.random.default_rng(5)
    rows = np.arange(48)[:, None]
    return [
        (stream.integers(0, 120, (channels, 48, 64)) + 100 * (rows % (2 + i % 5) == 0)).astype(
            np.uint8
        )
        for i in range(num)
    ]


def in_order(tables: Tables) -> Tables:
    """The tables with conditions that follow the images."""
    wells = tables[0].sort_values("well_id", ignore_index=True)
    return wells.assign(conditions=[[i % 5] for i in range(len(wells))]), tables[1]


def of_two_screens(tables: Tables) -> tuple[Tables, training.ArrayImages]:
    """Every other well has other channels, one of which both screens have."""
    wells, sites = in_order(tables)
    order = wells["well_id"].rank().astype(int).to_numpy() - 1
    sets = {
        w: ["er", "mito", "dna"] if i % 2 else ["dna", "rna"]
        for w, i in zip(wells["well_id"], order, strict=True)
    }
    mixed = wells, sites.assign(channels=[sets[w] for w in sites["well_id"]])
    return mixed, training.ArrayImages(
        [image[: 3 if i % 2 else 2] for i, image in enumerate(images(channels=3))]
    )


def fit(
    folder: Path, tables: Tables, settings: object, plan: object = MAE, **options: object
) -> training.Outcome:
    labels = LABELS if plan in (CLASSIFIER, VIT_CLASSIFIER) else None
    corpus = training.build_corpus(*in_order(tables), labels=labels)
    source = options.pop("source", training.ArrayImages(images()))
    return training.train(corpus, source, folder, plan=plan, settings=settings, **options)


def losses(folder: Path) -> list[float]:
    with open(folder / "losses.csv", newline="") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def write_screen(
    folder: Path,
    wells: pd.DataFrame,
    sites: pd.DataFrame,
    conditions: pd.DataFrame,
    quality: pd.DataFrame,
) -> Screen:
    """The tables as a stored screen with its quality."""
    wells.to_parquet(folder / "wells.parquet")
    SITES.write(folder / "sites.parquet", sites)
    given = {"kind": "compound", "concentration_um": 1.0, **conditions}
    empty = dict.fromkeys(CONDITIONS.schema.names, "")
    CONDITIONS.write(folder / "conditions.parquet", pd.DataFrame({**empty, **given}))
    quality.to_parquet(folder / "quality.parquet")
    return Screen.open(folder, folder / "quality.parquet")
