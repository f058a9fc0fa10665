"""Which wells an alignment is fitted on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.methods import MIN_CONTROLS
from phenoprints.foundations.errors import DataError


def choose_controls(
    wells: pd.DataFrame, controls: str = "auto", is_usable: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.bool_], str]:
    """A mask over the wells table, and the role it selects.

    `auto` takes the unperturbed wells where every experiment has at least 4 of them, else the
    negative controls. Wells that are not usable (quality `fail`) are never controls.
    """
    role = wells["role"].to_numpy(dtype=object)
    usable = np.ones(len(wells), dtype=bool) if is_usable is None else is_usable
    chosen = _automatic(wells, role, usable) if controls == "auto" else controls
    mask: NDArray[np.bool_] = (role == chosen) & usable
    if not mask.any():
        raise DataError(
            f'alignment: no usable well has the role "{chosen}".\n'
            f"  Roles in the screen: {', '.join(sorted(set(role)))}.\n"
            "  To fix: name the controls in the screen's column mapping, or set alignment.controls."
        )
    return mask, chosen


def _automatic(wells: pd.DataFrame, role: NDArray[np.object_], usable: NDArray[np.bool_]) -> str:
    is_unperturbed = pd.Series((role == "unperturbed") & usable)
    counts = is_unperturbed.groupby(wells["experiment"].to_numpy(dtype=object)).sum()
    return "unperturbed" if (counts >= MIN_CONTROLS).all() else "negative_control"
