"""Wells of the strongest phenoprints and of none, beside a control of the same plate."""

from __future__ import annotations

from typing import Any

import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.examples import Example, bad_wells, example_gallery
from phenoprints.reports.frames import is_true, records
from phenoprints.reports.page_model import Box, Gallery
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.phenoprint_tables import judges_of
from phenoprints.wells import CONTROL_ROLES, single_condition

NUM_STRONG = 3


def phenoprint_examples(run: Run, manifest: str, phenoprints: pd.DataFrame) -> list[Gallery | Box]:
    """Wells of the strongest phenoprints and of none, beside a control of the same plate."""
    with_images = [
        screen
        for screen in run.config["manifests"][manifest]["screens"]
        if screen not in run.plan.screens_without_images
    ]
    if not with_images:
        return []
    screen = with_images[0]
    wells = run.table("screen_wells", screen=screen)
    if wells is not None:
        wells = wells[~wells["well_id"].isin(bad_wells(run, screen))]
    conditions = run.table("screen_conditions", screen=screen)
    if wells is None or conditions is None:
        return []
    ranked = phenoprints.assign(
        smallest=phenoprints[[f"p_value_{judge}" for judge in judges_of(phenoprints)]].min(axis=1)
    ).sort_values("smallest", kind="stable")
    chosen = [*_rows(ranked[is_true(ranked["has_phenoprint"])], NUM_STRONG, "phenoprint")]
    chosen += _rows(ranked[~is_true(ranked["has_phenoprint"])].iloc[::-1], 1, "no phenoprint")
    examples = _wells_of(chosen, wells, conditions)
    return [
        example_gallery(
            run,
            screen,
            examples,
            anchor=f"{manifest}-examples",
            title="What a phenoprint looks like, beside what has none",
            caption="The strongest phenoprints, a condition without, and a control of one plate; "
            "only wells that passed quality control.",
        )
    ]


def _rows(ranked: pd.DataFrame, number: int, what: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the first `number` conditions of different perturbations, with what is
    said of them.
    """
    first = ranked.dropna(subset=["smallest"]).drop_duplicates("perturbation").head(number)
    return [(f"{what}, p {numbers.number(row['smallest'])}", row) for row in records(first)]


def _wells_of(
    chosen: list[tuple[str, dict[str, Any]]], wells: pd.DataFrame, conditions: pd.DataFrame
) -> list[Example]:
    """One well of each condition, all on the first plate that has the first of them."""
    names = conditions.set_index("condition_id")[["perturbation", "concentration_um"]]
    coded = wells.assign(code=single_condition(wells["conditions"]))
    keyed = coded[coded["code"] >= 0].merge(names, left_on="code", right_index=True)
    examples: list[Example] = []
    plate: tuple[str, str] | None = None
    for what, row in chosen:
        dose = row["concentration_um"]
        same = keyed["perturbation"] == row["perturbation"]
        same &= (
            keyed["concentration_um"].isna() if pd.isna(dose) else keyed["concentration_um"] == dose
        )
        part = keyed[same]
        if plate is not None:
            here = (part["experiment"] == plate[0]) & (part["plate"] == plate[1])
            part = part[here] if here.any() else part
        if len(part):
            well = part.iloc[0]
            plate = plate or (str(well["experiment"]), str(well["plate"]))
            told = (
                f"{row['perturbation']} ({what}): {well['experiment']} / {well['plate']} / "
                f"{well['well']}"
            )
            examples.append(Example(int(well["well_id"]), told))
    return examples + _control_of(wells, plate)


def _control_of(wells: pd.DataFrame, plate: tuple[str, str] | None) -> list[Example]:
    if plate is None:
        return []
    here = (wells["experiment"] == plate[0]) & (wells["plate"] == plate[1])
    controls = wells[here & wells["role"].isin(CONTROL_ROLES)]
    if controls.empty:
        return []
    well = controls.iloc[0]
    told = f"control: {plate[0]} / {plate[1]} / {well['well']}"
    return [Example(int(well["well_id"]), told)]
