"""Align new experiments against the stored part of an alignment, which stays as it is."""

# N wells · A arms

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.aligned import Alignment
from phenoprints.alignment.batches import Batches, ControlVectors
from phenoprints.alignment.chromosome_arms import ChromosomeArmCorrection
from phenoprints.alignment.corrections import ArmCorrection
from phenoprints.alignment.fitting import on_controls
from phenoprints.alignment.settings import AlignmentSettings
from phenoprints.foundations.errors import DataError
from phenoprints.wells import EmbeddingsReader, control_wells


def place_experiments(
    frozen: Alignment,
    wells: pd.DataFrame,
    reader: EmbeddingsReader,
    *,
    is_usable: NDArray[np.bool_] | None = None,
    arms: ChromosomeArmCorrection | None = None,
    genes: NDArray[np.object_] | None = None,
    reference_wells: int | None = None,
) -> Alignment:
    """Return the alignment of new experiments under the shared part of another one.

    Only what belongs to a batch is fitted, on the controls of the new wells, with the settings of
    `frozen`: batch parts, effects of position, and the batch parts without each fold. Aligned
    vectors have the components of `frozen`, in which nothing changes.

    Parameters
    ----------
    frozen
        A fitted or stored alignment.
    wells, reader, is_usable
        As for `fit_alignment`; the controls have the role that `frozen` was fitted on.
    arms, genes
        Where `frozen` corrects chromosome arms: the arm of each gene (unfitted), and the gene that
        was cut in each well. The offsets are those of `frozen`.
    reference_wells
        For TVN: how many control wells of a batch the covariance of all controls of `frozen` counts
        for, in the covariance of a new batch; by default as many as there are components. With few
        controls the batch's own covariance takes away directions of its controls that the colour
        of `frozen` does not put back. With 0 only its own counts, and an experiment that `frozen`
        was fitted on gets the map that is stored.

    Raises
    ------
    DataError
        `frozen` was stored by version 0.1, the features are not those it was fitted on, or a batch
        has too few controls.
    """
    settings = AlignmentSettings(**_settings(frozen))
    batches = Batches(wells, reader, settings.batch)
    is_control, role = control_wells(wells, frozen.attributes["controls"], is_usable)
    method, weight = settings.method_to_fit(), reference_wells
    if method is not None:
        weight = frozen.num_components if weight is None else weight
        method = method.for_new_batches(weight)
    controls = ControlVectors(batches, is_control)
    fitted = None
    if method is not None and frozen.shared is not None:
        _check_features(frozen, batches)
        fitted = method.fit_frozen(controls, frozen.shared, np.float32)
    alignment = on_controls(settings, wells, controls, method, fitted)
    alignment.attributes |= {"controls": role, "reference_wells": weight or 0}
    if frozen.attributes.get("arms"):
        alignment = _with_stored_arms(alignment, frozen, batches, arms, genes)
    return alignment


def _settings(frozen: Alignment) -> dict[str, Any]:
    settings = frozen.attributes["settings"]
    if frozen.shared is None and settings["method"] != "none":
        raise DataError(
            "alignment: the part that all batches share is not stored, so no experiment can be "
            "placed; version 0.1 did not store it.\n"
            "  To fix: delete the alignment and its .provenance.json, and run snakemake align."
        )
    return dict(settings)


def _check_features(frozen: Alignment, batches: Batches) -> None:
    expected = int(frozen.attributes["num_features"])
    for name in batches.rows:
        found = batches.read(name).shape[1]
        if found != expected:
            raise DataError(
                f'alignment: embeddings of experiment "{name}" have {found} features. Expected '
                f"{expected}, as those that the stored alignment was fitted on."
            )


def _with_stored_arms(
    alignment: Alignment,
    frozen: Alignment,
    batches: Batches,
    arms: ChromosomeArmCorrection | None,
    genes: NDArray[np.object_] | None,
) -> Alignment:
    if arms is None or genes is None:
        raise DataError(
            "alignment: the stored alignment removes the bias of chromosome arms.\n"
            "  To fix: pass arms and genes, the arm of each gene and the gene of each well."
        )
    stored = next(of.arm for of in frozen.corrections.values() if of.arm is not None)
    known = replace(arms)
    known.arms_ = sorted(frozen.attributes["arms"])
    codes = known.codes([str(gene) for gene in genes])
    attributes = {key: frozen.attributes[key] for key in ("arm_basis", "arms")}
    placed = alignment.with_arms(
        {name: ArmCorrection(codes[index], stored.offsets) for name, index in batches.rows.items()},
        attributes,
    )
    if placed.cross_fit is None:
        return placed
    folds = tuple(replace(part, arm_offsets=stored.offsets) for part in placed.cross_fit.folds)
    return replace(placed, cross_fit=replace(placed.cross_fit, folds=folds))
