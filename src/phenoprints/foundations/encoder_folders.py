"""What an encoder's folder says about itself, read without any network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.errors import CorruptionError, MissingInputError

FORMAT = 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


def read_config(folder: str | Path) -> dict[str, Any]:
    """config.json of an encoder's folder as a dictionary.

    Raises MissingInputError where it is not there, and CorruptionError where it is not ours.
    """
    path = Path(folder) / CONFIG
    if not path.exists():
        raise MissingInputError(f"{path}: not there, so {folder} is no model folder of ours.")
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorruptionError(f"{path}: not JSON ({error}).") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise CorruptionError(f"{path}: expected a configuration of format {FORMAT}.")
    return described


def training_flops(folder: str | Path) -> float | None:
    """Floating-point operations that the training of an encoder took, forward and backward.

    All crops of the training, and those of the encoder that it started from. 0 for an untrained
    network; None where nobody has counted them: weights of others. A trimmed encoder has taken
    the training of the one that it comes from.
    """
    flops = read_config(folder).get("training", {}).get("flops")
    return None if flops is None else float(flops)


def training_flops_of(folders: Mapping[str, str | Path]) -> pd.Series:
    """`training_flops` of several encoders by name, as float64; NaN where they are not known.

    The names of encoders without a network (precomputed, random) are left out by their owners.
    """
    known = {name: training_flops(folder) for name, folder in folders.items()}
    values = [np.nan if flops is None else flops for flops in known.values()]
    return pd.Series(values, index=list(known), dtype=np.float64, name="flops")
