"""BBBC021's published profiles with compound, concentration and mechanism of every well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

PROFILES = "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz"


def read_profiles(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the wells, sorted by experiment (the week), and their profiles (N, D) float64.

    `folder` holds the profiles, BBBC021_v1_image.csv.gz and BBBC021_v1_moa.csv. Beside compound,
    concentration and moa (missing where unknown), wells have the columns that an alignment reads.
    """
    profiles = pd.read_csv(folder / PROFILES)
    images = pd.read_csv(folder / "BBBC021_v1_image.csv.gz")
    keys = ["Image_Metadata_Plate", "Image_Metadata_Well"]
    images = images.rename(columns={f"{key}_DAPI": key for key in keys})
    images = images[[*keys, "Image_Metadata_Compound", "Image_Metadata_Concentration"]]
    images.columns = pd.Index([*keys, "compound", "concentration"])
    moa = pd.read_csv(folder / "BBBC021_v1_moa.csv")
    wells = profiles[keys].merge(images.drop_duplicates(), how="left").merge(moa, how="left")
    plate, well = (wells.pop(key) for key in keys)
    wells["experiment"], wells["plate"] = plate.str.split("_").str[0], plate
    wells["row"], wells["column"] = well.str[0].map(ord) - 64, well.str[1:].astype(int)
    wells["role"] = np.where(wells["compound"] == "DMSO", "negative_control", "treatment")
    wells["well_id"] = np.arange(len(wells), dtype=np.uint64)
    order = np.argsort(wells["experiment"].to_numpy(str), kind="stable")
    x = profiles.drop(columns=keys).to_numpy(np.float64)
    return wells.iloc[order].reset_index(drop=True), x[order]
