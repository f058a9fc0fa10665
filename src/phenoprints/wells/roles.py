"""Roles of wells, and the set of controls that each stage uses."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.foundations.errors import DataError

PERTURBED_ROLES = ("treatment", "positive_control")
"""Wells whose perturbation is expected to act: tested, mapped and classified."""

CONTROL_ROLES = ("unperturbed", "negative_control")
"""Wells without an expected effect."""

MIN_CONTROLS = 4
"""Default of the control wells that an alignment needs in each batch."""


def control_role(
    wells: pd.DataFrame,
    controls: str = "auto",
    *,
    is_usable: NDArray[np.bool_] | None = None,
    min_controls: int = MIN_CONTROLS,
) -> str:
    """Return the role of the wells that an alignment is fitted on.

    Parameters
    ----------
    wells
        Columns `experiment` and `role`.
    controls
        A role, which is returned unchanged, or ``auto``: unperturbed wells where every experiment
        has at least `min_controls` usable ones, else negative controls.
    is_usable
        One entry per well, False where quality says `fail`; all wells are usable by default.
    """
    if controls != "auto":
        return controls
    usable = True if is_usable is None else is_usable
    is_unperturbed = pd.Series((wells["role"] == "unperturbed").to_numpy() & usable)
    counts = is_unperturbed.groupby(wells["experiment"].to_numpy(dtype=object)).sum()
    return "unperturbed" if (counts >= min_controls).all() else "negative_control"


def control_wells(
    wells: pd.DataFrame,
    controls: str = "auto",
    is_usable: NDArray[np.bool_] | None = None,
    *,
    min_controls: int = MIN_CONTROLS,
) -> tuple[NDArray[np.bool_], str]:
    """Return a mask of the usable wells that an alignment is fitted on, and their role.

    Arguments are those of `control_role`. Raises DataError where no usable well has the role.
    """
    role = control_role(wells, controls, is_usable=is_usable, min_controls=min_controls)
    usable = np.ones(len(wells), dtype=bool) if is_usable is None else is_usable
    mask: NDArray[np.bool_] = (wells["role"] == role).to_numpy() & usable
    if not mask.any():
        raise DataError(
            f'alignment: no usable well has the role "{role}".\n'
            f"  Roles in the screen: {', '.join(sorted(set(wells['role'])))}.\n"
            "  To fix: name the controls in the screen's column mapping, or set alignment.controls."
        )
    return mask, role


def inactive_role(role: ArrayLike) -> str:
    """Return the role of the wells that stand for treatments without an effect.

    Negative controls are handled like treatments, so they are taken where there is any;
    unperturbed wells otherwise.

    >>> inactive_role(["treatment", "unperturbed", "negative_control"])
    'negative_control'
    """
    has_negative = (np.asarray(role, dtype=object) == "negative_control").any()
    return "negative_control" if has_negative else "unperturbed"
