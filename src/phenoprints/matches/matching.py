"""Place new experiments on a frozen reference, and find what their conditions resemble."""

# N wells · D features · K components · G perturbations

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from phenoprints.alignment import Alignment, cut_genes, place_experiments
from phenoprints.alignment.batches import Batches, ControlVectors
from phenoprints.consistency import Design, experiment_consistency
from phenoprints.consistency.facts import well_facts
from phenoprints.foundations.errors import DataError
from phenoprints.maps.perturbations import annotation_columns, group_wells
from phenoprints.matches.checks import check_comparable, refuse_misfits
from phenoprints.matches.contracts import MATCHES
from phenoprints.matches.control_fit import judge_controls
from phenoprints.matches.neighbours import calibrated_neighbours, q_values
from phenoprints.matches.reference import Reference, open_reference
from phenoprints.matches.settings import MatchSettings
from phenoprints.wells import ArrayEmbeddings, EmbeddingsReader, control_wells, describe_wells

NEAREST = 5
"""Neighbours whose places are averaged, weighted by cosine, for a place in two dimensions."""

PHENOPRINT_P = 0.01
"""p-value of consistency below which a condition has a phenoprint."""


@dataclass(frozen=True)
class Matches:
    """What new conditions resemble.

    Attributes
    ----------
    table
        A row per condition and neighbour (contract MATCHES).
    fits
        batch, measure, value, limit, num_batches, status: how the controls of every batch fit.
    alignment
        The alignment of the new experiments; aligned vectors are comparable with the map.
    attributes
        The reference's name, counts, settings and notes.
    """

    table: pd.DataFrame
    fits: pd.DataFrame
    alignment: Alignment
    attributes: Mapping[str, Any] = field(default_factory=dict)


def match(
    reference: Reference | str | Path,
    wells: pd.DataFrame,
    vectors: EmbeddingsReader | pd.DataFrame | ArrayLike,
    conditions: pd.DataFrame,
    *,
    settings: MatchSettings | None = None,
    is_usable: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> Matches:
    """Compare new experiments with a frozen reference, which does not change.

    The new wells are aligned on their own controls under the reference's shared part, their
    controls are compared with those of its batches, each condition is tested for consistency and
    compared with the perturbations of the reference's map.

    Parameters
    ----------
    reference
        A reference, or its folder.
    wells, conditions
        Tables of the new screen, such as `screen.wells` and `screen.conditions`.
    vectors
        Embeddings before alignment, (N, D) in the order of `wells`, or a reader. The columns of a
        table are names of features, and compared with the reference's.
    settings
        Levels, null model and numbers; what happens to misfits and other cell types.
    is_usable
        One entry per well: False where quality failed.
    seed
        Key of the random streams.

    Returns
    -------
    Matches
        Conditions of one well have n 1, p NaN and the reason. `is_novel` marks conditions with a
        phenoprint (p below 0.01) and without a neighbour at q below `max_q`.

    Raises
    ------
    DataError
        Another encoder, other features, channels or cell types, wells that the reference holds, too
        few controls, or controls outside the range of the reference's.
    CorruptionError
        The reference is damaged, or of a newer version.
    """
    settings = settings or MatchSettings()
    reference = reference if isinstance(reference, Reference) else open_reference(reference)
    reader = _reader(wells, vectors)
    usable = np.ones(len(wells), dtype=bool) if is_usable is None else is_usable
    facts = _facts(wells, conditions, usable)
    cell_types = sorted(set(facts.loc[facts["is_tested"], "cell_type"]))
    strict = () if settings.other_cell_types == "allow" else cell_types
    check_comparable(reference, wells, reader, strict)
    placed = place_experiments(
        reference.alignment, wells, reader, is_usable=usable,
        arms=reference.arm_correction(),
        genes=cut_genes(wells, conditions) if reference.arms else None,
    )  # fmt: skip
    fits = _fits(reference, wells, reader, placed, usable)
    if settings.misfit == "refuse":
        refuse_misfits(fits)
    aligned = placed.of(reader)
    y = np.concatenate([aligned.read(name) for name in aligned.experiments])
    facts["is_tested"] &= ~_can_spare(facts, y)
    parts = [
        _search(reference, facts, y, (facts["cell_type"] == name).to_numpy(), name, settings, seed)
        for name in cell_types
    ]
    table = _described(_judged(parts, settings), facts, conditions, wells, fits)
    about = {
        "reference": reference.about["name"],
        "reference_license": reference.about["license"],
        "settings": settings.plain(),
        "num_references": {name: len(_rows(reference, settings, name)) for name in cell_types},
        "num_conditions": int(table["condition_id"].nunique()),
        "notes": placed.attributes["notes"],
    }
    return Matches(table, fits, placed, about)


def _reader(wells: pd.DataFrame, vectors: Any) -> EmbeddingsReader:
    if isinstance(vectors, pd.DataFrame):
        return ArrayEmbeddings(wells, vectors.to_numpy(), {"features": list(vectors.columns)})
    if hasattr(vectors, "read"):
        reader: EmbeddingsReader = vectors
        return reader
    return ArrayEmbeddings(wells, vectors)


def _facts(
    wells: pd.DataFrame, conditions: pd.DataFrame, usable: NDArray[np.bool_]
) -> pd.DataFrame:
    facts = well_facts(wells, conditions, wells["well_id"][~usable])
    facts["cell_type"] = describe_wells(wells, conditions, ["cell_type"])["cell_type"].to_numpy()
    if not facts["is_tested"].any():
        raise DataError(
            "match: no usable well has the role treatment or positive_control and a single "
            "condition, so there is nothing to compare."
        )
    return facts


def _fits(
    reference: Reference,
    wells: pd.DataFrame,
    reader: EmbeddingsReader,
    placed: Alignment,
    usable: NDArray[np.bool_],
) -> pd.DataFrame:
    is_control, _ = control_wells(wells, placed.attributes["controls"], usable)
    batches = Batches(wells, reader, placed.attributes["settings"]["batch"])
    vectors = ControlVectors(batches, is_control)
    controls = {}
    for name in vectors:
        x = vectors.vectors(name)
        if name not in placed.attributes["skipped"]:
            controls[name] = x[np.isfinite(x).all(axis=1)]
    fits = judge_controls(controls, reference.shared, reference.controls, reference.left_out)
    experiment = {name: place[0] for name, place in vectors.places.items()}
    return fits.assign(experiment=fits["batch"].map(experiment))


def _can_spare(facts: pd.DataFrame, y: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the wells without a vector whose condition has other wells with one."""
    is_whole = pd.Series(np.isfinite(y).all(axis=1), index=facts.index)
    has_others = (is_whole & facts["is_tested"]).groupby(facts["condition_id"]).transform("any")
    return (~is_whole & has_others).to_numpy()


def _rows(reference: Reference, settings: MatchSettings, cell_type: str) -> NDArray[np.intp]:
    """Return the rows of the map that conditions of a cell type are compared with.

    Each kind of perturbation is taken from the first of the levels that has it. An unstated cell
    type is compared with all, and so is one that the reference does not have.
    """
    table = reference.map.table
    kept = np.zeros(len(table), dtype=bool)
    seen: set[str] = set()
    for level in settings.levels:
        of_level = (table["level"] == level) & ~table["kind"].isin(seen)
        kept |= of_level.to_numpy()
        seen |= set(table.loc[of_level, "kind"])
    is_alike = table["cell_type"].isin([cell_type, ""]).to_numpy()
    if cell_type and (kept & is_alike).any():
        kept &= is_alike
    rows = np.flatnonzero(kept & np.isfinite(reference.map.vectors).all(axis=1))
    if not len(rows):
        known = sorted(set(table["level"]))
        raise DataError(
            f"match.levels: the reference has no perturbation of level "
            f"{' or '.join(settings.levels)}. Expected one of {', '.join(known)}."
        )
    return rows


def _search(
    reference: Reference,
    facts: pd.DataFrame,
    y: NDArray[np.float32],
    is_part: NDArray[np.bool_],
    cell_type: str,
    settings: MatchSettings,
    seed: int,
) -> pd.DataFrame:
    """Test and compare the conditions of one cell type."""
    used = is_part & facts["is_tested"].to_numpy()
    own, x = facts[used], y[used]
    condition = own["condition_id"].to_numpy()
    design = Design(
        experiment=own["experiment"].to_numpy(object),
        well_id=own["well_id"].to_numpy(),
        plate=own["plate"].to_numpy(object),
        edge=own["edge"].to_numpy(),
    )
    tests = experiment_consistency(
        x, condition, design, null_model=settings.null_model, num_null=settings.num_null, seed=seed
    )
    rows = _rows(reference, settings, cell_type)
    found = calibrated_neighbours(
        x - reference.origin.astype(np.float32), condition, reference.map.vectors[rows], design,
        settings=settings, seed=seed,
    )  # fmt: skip
    found["reference"] = np.where(found["reference"] >= 0, rows[found["reference"]], -1)
    tests = tests.set_index("condition")[["p_value", "reason"]].add_prefix("consistency_")
    return _with_neighbours(found.join(tests, on="condition"), reference.map.table)


def _with_neighbours(found: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Add what is known of each neighbour, and the place of each condition."""
    known = table.iloc[found["reference"].to_numpy().clip(0)].reset_index(drop=True)
    is_found = (found["reference"] >= 0).to_numpy()
    taken = {"level": "level", "name": "neighbour", "kind": "neighbour_kind"}
    for name, column in {**taken, "cell_type": "neighbour_cell_type"}.items():
        found[column] = known[name].where(is_found, "").to_numpy()
    found["annotation"] = _annotations(known).where(is_found, "").to_numpy()
    is_near = is_found & (found["rank"] <= NEAREST).to_numpy() & known["x"].notna().to_numpy()
    weight = np.where(is_near, found["cosine"].fillna(0).clip(lower=0), 0.0)
    for axis in ("x", "y"):
        weighted = pd.Series(weight * known[axis].fillna(0).to_numpy())
        total = pd.Series(weight).groupby(found["condition"].to_numpy()).transform("sum")
        place = weighted.groupby(found["condition"].to_numpy()).transform("sum")
        found[axis] = np.where(total > 0, place / total.where(total > 0, 1), np.nan)
    return found


def _annotations(known: pd.DataFrame) -> pd.Series:
    """Return what is known of perturbations as text: `mechanism: tubulin`, and so on."""
    own = {
        "level", "name", "kind", "cell_type", "background", "perturbation", "gene", "guide",
        "experiments",
    }  # fmt: skip
    columns = [n for n in known.columns if known[n].dtype == object and n not in own]
    text = pd.Series("", index=known.index)
    for name in columns:
        value = known[name].fillna("").astype(str)
        sign = text.where(text == "", text + "; ")
        text = text.where(value == "", sign + name + ": " + value)
    return text


def _judged(parts: list[pd.DataFrame], settings: MatchSettings) -> pd.DataFrame:
    """Return one table, with q-values over all conditions and what is novel."""
    table = pd.concat(parts, ignore_index=True)
    table["q_value"] = q_values(table["p_value"], table["rank"] == 1)
    is_like = (table["q_value"] < settings.max_q).groupby(table["condition"]).transform("any")
    is_tested = table["p_value"].notna().groupby(table["condition"]).transform("any")
    has_phenoprint = table["consistency_p_value"] < PHENOPRINT_P
    return table.assign(is_novel=has_phenoprint & is_tested & ~is_like)


def _described(
    table: pd.DataFrame,
    facts: pd.DataFrame,
    conditions: pd.DataFrame,
    wells: pd.DataFrame,
    fits: pd.DataFrame,
) -> pd.DataFrame:
    """Add what is known of each condition, and whether an experiment of it does not fit."""
    described = describe_wells(wells, conditions)
    described["condition_id"] = facts["condition_id"].where(facts["is_tested"], -1).to_numpy()
    names = group_wells(described, "condition", tuple(annotation_columns(conditions))).table
    known = conditions.set_index("condition_id")
    table = table.rename(columns={"condition": "condition_id"})
    ids = table["condition_id"]
    table["name"] = ids.map(names.set_index("condition_id")["name"]).fillna("")
    for name in ("perturbation", "kind", "gene", "concentration_um", "cell_type", "background"):
        table[name] = ids.map(known[name]).to_numpy()
    failed = set(fits.loc[fits["status"] == "FAIL", "experiment"])
    bad = facts[facts["is_tested"] & facts["experiment"].isin(failed)]["condition_id"]
    table["is_misfit"] = ids.isin(set(bad))
    table = table.sort_values(["condition_id", "rank"], kind="stable", ignore_index=True)
    result: pd.DataFrame = MATCHES.conform(table).to_pandas()
    return result
