"""From a source's raw listing to a screen whose tables conform to their contracts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import Problem, TableError, raise_problems
from phenoprints.foundations.finding import composed
from phenoprints.foundations.randomness import well_ids
from phenoprints.screens.conditions import condition_lists, condition_table, contradictions
from phenoprints.screens.listing import Listing, Notes, Screen
from phenoprints.screens.problems import (
    FILE,
    line_of,
    place,
    shared_keys,
    shared_problem,
    value_problems,
)
from phenoprints.wells.contracts import CONDITIONS, KINDS, MODALITIES, ROLES, SITES, WELLS
from phenoprints.wells.plates import (
    PLATE_FORMATS,
    WellPositions,
    infer_formats,
    is_outside,
    last_well,
    parse_well,
    parse_wells,
)

FORMAT = "plate_format"
TEXTS = ("cell_type", "background", "replicate_group")
"""Well columns in which a missing value means "none"."""


def assemble(
    name: str,
    listing: Listing,
    *,
    plate_format: int | None = None,
    modality: str = "cell-painting",
    include_experiments: Sequence[str] = (),
    max_perturbations: int = 20,
) -> Screen:
    """Return the screen of a listing: checked, sorted, with well and condition ids.

    Parameters
    ----------
    name
        The screen's name; part of every `well_id`.
    listing
        What the source read.
    plate_format
        Wells of a plate; a name outside of it is an error. None takes the listing's column of that
        name, or else, for each plate, the smallest format that holds all but 5 % of its wells; what
        lies outside is an error. Inferred formats are stored as the largest of the screen.
    modality
        `cell-painting` or `brightfield`, for wells whose source does not say.
    include_experiments
        Only these experiments are kept; all when empty.
    max_perturbations
        A well with more of them has an unknown condition, and is counted.

    Raises
    ------
    TableError
        With every problem of the listing: no wells, impossible or duplicated wells, unknown
        roles, kinds or modalities, missing experiments or plates, contradicting perturbations,
        sites that are listed twice.
    """
    listing = _included(listing, include_experiments)
    if listing.wells.empty:
        raise_problems([_empty(listing)])
    positions = parse_wells(listing.wells["well"], max(PLATE_FORMATS))
    formats = _formats(listing.wells, positions, plate_format)
    is_impossible = is_outside(positions, formats)
    wells = _filled(name, listing.wells, positions, modality)
    is_declared = plate_format is not None or FORMAT in listing.wells
    wells[FORMAT] = formats if is_declared else formats.max()
    perturbations = _with_key(listing.perturbations, wells)
    _forget_crowded(perturbations, max_perturbations, listing.notes)
    ids, conditions = condition_table(perturbations)
    raise_problems(
        [
            *_impossible_wells(listing, formats, positions),
            *_missing_values(listing),
            *_duplicated_wells(listing, wells, is_impossible),
            *_merging_names(listing, wells),
            *_duplicated_sites(listing, wells),
            *_strangers(listing, wells["role"], "role", ROLES),
            *_strangers(listing, wells["modality"], "modality", MODALITIES),
            *_strange_kinds(listing),
            *contradictions(perturbations, ids, listing.origin),
        ]
    )
    is_unperturbed = (wells["role"] == "unperturbed").to_numpy()
    well_row = perturbations["well_row"].to_numpy(dtype=np.int64)
    lists = condition_lists(well_row, ids, is_unperturbed)
    wells["conditions"] = pd.Series(lists.to_pandas(), dtype=object)
    return _screen(name, listing, wells, conditions)


def _merging_names(listing: Listing, wells: pd.DataFrame) -> list[Problem]:
    """Return the names that are one on file systems without case, or that compose letters.

    Experiments and plates name files: two that such a system takes for one would share an array.
    """
    problems = []
    for column, within in (("experiment", []), ("plate", ["experiment"])):
        names = wells[[*within, column]].dropna().drop_duplicates()
        folded = names[column].astype(str).map(lambda text: composed(text.casefold()))
        keys = [names[each] for each in within] + [folded]
        for _, group in names.groupby(keys, sort=True):
            if len(group) > 1:
                found = ", ".join(f'"{name}"' for name in sorted(group[column].astype(str)))
                what = f"the {column}s {found} differ only in case or in how letters are composed"
                fix = "write them alike where they are one, else rename all but one"
                expected = "names that every file system tells apart"
                problems.append(Problem(listing.origin, what, expected, fix))
    return problems


def _screen(name: str, listing: Listing, wells: pd.DataFrame, conditions: pd.DataFrame) -> Screen:
    order = wells.sort_values(["experiment", "plate", "well"], kind="stable").index.to_numpy()
    raw_ids = well_ids(name, wells["experiment"], wells["plate"], wells["well"])
    wells["well_id"] = raw_ids
    if not pd.Index(raw_ids).is_unique:
        raise TableError(
            f"{listing.origin}: two wells share a well_id. Rename the screen {name!r}: the id is "
            "a hash of screen, experiment, plate and well."
        )
    sorted_wells = wells.loc[order, WELLS.schema.names].reset_index(drop=True)
    sites = _sites(listing.sites, raw_ids, order)
    extras = dict(listing.extras)
    if len(listing.left_out):
        extras["left_out"] = listing.left_out.reset_index(drop=True)
    notes = _notes(listing, sorted_wells, sites, conditions)
    inputs = tuple(listing.inputs)
    return Screen(name, sorted_wells, sites, conditions, notes, extras, inputs, order)


def _filled(name: str, raw: pd.DataFrame, positions: WellPositions, modality: str) -> pd.DataFrame:
    wells = pd.DataFrame(
        {
            "screen": name,
            "experiment": raw["experiment"],
            "plate": raw["plate"],
            "well": positions.name,
            "row": positions.row,
            "column": positions.column,
            "role": raw["role"],
        }
    ).reset_index(drop=True)
    for column in TEXTS:
        wells[column] = raw[column].fillna("").to_numpy() if column in raw else ""
    wells["modality"] = modality
    if "modality" in raw:
        wells["modality"] = raw["modality"].fillna(modality).to_numpy()
    return wells


def _with_key(perturbations: pd.DataFrame, wells: pd.DataFrame) -> pd.DataFrame:
    """Return the perturbations of perturbed wells, with their wells' cell type and background."""
    row = perturbations["well_row"].to_numpy(dtype=np.int64)
    keep = (wells["role"] != "unperturbed").to_numpy()[row]
    kept: pd.DataFrame = perturbations[keep].copy()
    for column in ("cell_type", "background"):
        kept[column] = wells[column].to_numpy()[row[keep]]
    return kept


def _included(listing: Listing, experiments: Sequence[str]) -> Listing:
    """Return the listing with only these experiments, its rows counted anew."""
    if not experiments:
        return listing
    there = set(listing.wells["experiment"].dropna())
    raise_problems(
        Problem(
            "include_experiments",
            f'"{name}" is not an experiment of {listing.origin}',
            f"one of {', '.join(sorted(there)[:40])}",
        )
        for name in experiments
        if name not in there
    )
    keep = listing.wells["experiment"].isin(experiments).to_numpy()
    moved = np.cumsum(keep) - 1

    def kept(table: pd.DataFrame) -> pd.DataFrame:
        row = table["well_row"].to_numpy(dtype=np.int64)
        moved_rows = moved[row[keep[row]]]
        rows: pd.DataFrame = table[keep[row]].assign(well_row=moved_rows).reset_index(drop=True)
        return rows

    return replace(
        listing,
        wells=listing.wells[keep].reset_index(drop=True),
        perturbations=kept(listing.perturbations),
        sites=kept(listing.sites),
    )


def _forget_crowded(perturbations: pd.DataFrame, limit: int, notes: Notes) -> None:
    """Make the perturbations of wells with more than `limit` of them unknown, in place."""
    num_rows = perturbations.groupby("well_row")["well_row"].transform("size")
    is_crowded = (num_rows > limit).to_numpy()
    perturbations.loc[is_crowded, "perturbation"] = None
    if is_crowded.any():
        crowded = perturbations.loc[is_crowded, "well_row"].nunique()
        notes.count("wells_with_too_many_perturbations", crowded)
        notes.warn(f"{crowded} wells have more than {limit} perturbations and count as unknown.")


def _sites(
    raw: pd.DataFrame, raw_ids: NDArray[np.uint64], order: NDArray[np.int64]
) -> pd.DataFrame:
    """Return the sites with their well's id, in the order of the wells table and then by site."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    row = raw["well_row"].to_numpy(dtype=np.int64)
    sites = raw.assign(well_id=raw_ids[row], rank=rank[row])
    sites = sites.sort_values(["rank", "site"], kind="stable")
    sites = sites[SITES.schema.names].reset_index(drop=True)
    typed: pd.DataFrame = sites.astype({"site": "int32", "height": "int32", "width": "int32"})
    return typed


def _notes(
    listing: Listing, wells: pd.DataFrame, sites: pd.DataFrame, conditions: pd.DataFrame
) -> dict[str, Any]:
    unknown = int(wells["conditions"].isna().sum())
    roles = wells["role"].value_counts()
    counts = {
        "wells": len(wells),
        "experiments": wells["experiment"].nunique(),
        "plates": len(wells[["experiment", "plate"]].drop_duplicates()),
        "sites": len(sites),
        "conditions": len(conditions),
        "wells_of_unknown_perturbation": unknown,
        "wells_left_out": len(listing.left_out),
        **{role: int(roles.get(role, 0)) for role in ROLES},
        **listing.notes.counts,
    }
    notes = Notes(counts, list(listing.notes.warnings))
    if unknown:
        notes.warn(f"{unknown} wells have no known perturbation and leave at step 2 of the funnel.")
    if not counts["negative_control"] and not counts["unperturbed"]:
        notes.warn("The screen has no negative controls and no unperturbed wells to align on.")
    return {"counts": notes.counts, "warnings": notes.warnings}


def _empty(listing: Listing) -> Problem:
    left_out = f" ({len(listing.left_out)} were left out)" if len(listing.left_out) else ""
    return Problem(
        listing.origin,
        f"the screen has no wells{left_out}",
        "at least one row",
        "check the path, the filters and the joins of the screen's configuration",
    )


def _formats(
    wells: pd.DataFrame, positions: WellPositions, plate_format: int | None
) -> NDArray[np.int16]:
    if plate_format is not None:
        return np.full(len(wells), plate_format, dtype=np.int16)
    if FORMAT in wells:
        return wells[FORMAT].to_numpy(dtype=np.int16)
    plates = wells.groupby(["experiment", "plate"], sort=False, dropna=False).ngroup()
    return infer_formats(positions, np.asarray(plates, dtype=np.int64))


def _impossible_wells(
    listing: Listing, formats: NDArray[np.int16], positions: WellPositions
) -> list[Problem]:
    """Return wells that lie outside of their plate, and before them those that no format has."""
    raw = listing.wells["well"].reset_index(drop=True)
    problems = value_problems(
        raw, positions.is_impossible, listing.wells, listing.origin, say=_say_no_well
    )
    is_outer = is_outside(positions, formats) & ~positions.is_impossible
    for plate_format in sorted(set(formats[is_outer].tolist())):
        problems += value_problems(
            raw, is_outer & (formats == plate_format), listing.wells, listing.origin,
            say=partial(_say_outside, int(plate_format)),
        )  # fmt: skip
    return problems


def _say_no_well(value: object) -> tuple[str, str, str]:
    largest = max(PLATE_FORMATS)
    what = f'column "well": "{value}" is not a well of any plate format'
    if value is None or value != value:
        what = 'column "well": the value is missing'
    return what, f"A01 to {last_well(largest)}, the last of {largest} wells", "correct the sheet"


def _say_outside(plate_format: int, value: object) -> tuple[str, str, str]:
    larger = [str(size) for size in PLATE_FORMATS if parse_well(str(value), size)]
    what = f'column "well": "{value}" is not a well of a {plate_format}-well plate'
    fix = f"correct the sheet, or set plate_format: {' or '.join(larger)}"
    return what, f"A01 to {last_well(plate_format)}", fix


def _missing_values(listing: Listing) -> list[Problem]:
    problems = []
    for column in ("experiment", "plate"):
        raw = listing.wells[column].reset_index(drop=True)
        is_missing = (raw.isna() | (raw.astype(str) == "")).to_numpy()
        problems += value_problems(
            raw, is_missing, listing.wells, listing.origin,
            say=partial(_say_missing, column),
        )  # fmt: skip
    return problems


def _say_missing(column: str, _: object) -> tuple[str, str, str]:
    return f'column "{column}": the value is missing', "a name", "fill in the sheet"


def _duplicated_wells(
    listing: Listing, wells: pd.DataFrame, is_impossible: NDArray[np.bool_]
) -> list[Problem]:
    keys = ["experiment", "plate", "well"]
    twice = wells[~is_impossible & wells.duplicated(keys, keep=False).to_numpy()]
    problems = []
    for (_, plate, well), group in twice.groupby(keys, sort=False, dropna=False):
        lines = ", ".join(_place_of(listing, group.index, int(i)) for i in group.index[:5])
        what = f"plate {plate}, well {well} stands in {len(group)} rows ({lines})"
        fix = "delete the surplus rows, or map the column that tells them apart"
        problems.append(Problem(listing.origin, what, "one row for each well", fix))
    return problems


def _place_of(listing: Listing, rows: pd.Index[Any], row: int) -> str:
    """Return the line of a row, with its file where the rows stand in several."""
    wells = listing.wells
    is_one_file = FILE not in wells or wells[FILE].iloc[rows].nunique() == 1
    return line_of(wells, row) if is_one_file else place(wells, row, listing.origin)


def _duplicated_sites(listing: Listing, wells: pd.DataFrame) -> Iterator[Problem]:
    sites = listing.sites
    files = sites.get(FILE, listing.origin)
    keyed = sites[["well_row", "site"]].assign(**{FILE: files})
    fix = "narrow the glob of the screen's images so that it matches one file for each plate"
    for one, other, rows in shared_keys(keyed, ["well_row", "site"]):
        named = wells.loc[rows["well_row"].to_numpy(dtype=np.int64), ["plate", "well"]]
        keys = [
            f"plate {plate}, well {well}, site {site}"
            for plate, well, site in zip(named["plate"], named["well"], rows["site"], strict=True)
        ]
        yield shared_problem(one, other, "sites", keys, fix)


WHERE_MAPPED = {"role": "roles", "kind": "columns.kind.map", "modality": "modality"}
"""The setting that gives foreign words their meaning."""


def _strangers(
    listing: Listing, values: pd.Series[Any], column: str, allowed: tuple[str, ...]
) -> list[Problem]:
    def say(value: object) -> tuple[str, str, str]:
        what = f'column "{column}": "{value}" is not a {column}'
        fix = f"give its meaning under {WHERE_MAPPED[column]}"
        return what, f"one of {', '.join(allowed)}", fix

    is_strange = ~values.isin(allowed).to_numpy()
    return value_problems(values, is_strange, listing.wells, listing.origin, say=say)


def _strange_kinds(listing: Listing) -> list[Problem]:
    kinds = listing.perturbations.loc[listing.perturbations["perturbation"].notna(), "kind"]
    counts = kinds[~kinds.isin(KINDS)].value_counts(dropna=False, sort=False)
    return [
        Problem(
            listing.origin,
            f'column "kind": "{kind}" in {count} rows is not a kind of perturbation',
            f"one of {', '.join(KINDS)}",
            f"give its meaning under {WHERE_MAPPED['kind']}",
        )
        for kind, count in counts.items()
    ]


def conforms(screen: Screen) -> None:
    """Return quietly when all three tables of a screen conform to their contracts."""
    for contract, table in ((WELLS, screen.wells), (SITES, screen.sites)):
        contract.conform(table, where=f"{screen.name}: {contract.name}")
    CONDITIONS.conform(screen.conditions, where=f"{screen.name}: {CONDITIONS.name}")
