"""The page of screens: which wells are there, what was done to them, where the controls stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from phenoprints.reports import numbers, rules
from phenoprints.reports.figures import line_chart
from phenoprints.reports.frames import has_values
from phenoprints.reports.page_model import Fact, Figure, Gallery, Page, Section, Text
from phenoprints.reports.platemaps import category_legend, category_map
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for
from phenoprints.reports.stages.table_notes import table_notes
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, FAIL, PASS, Verdict
from phenoprints.wells import (
    PERTURBED_ROLES,
    compositions,
    control_role,
    design_table,
    single_condition,
)
from phenoprints.wells.plates import largest_shape

NAME, TITLE = "screens", "Screens"
QUESTION = "Which wells are there, what was done to them, and where do they stand?"
MAX_PLATES = 24
"""Plates that a page draws; the layout of the rest is in wells.parquet."""

ROLE_FILLS = dict(
    zip(
        ("treatment", "negative_control", "positive_control", "unperturbed"),
        ("#56B4E9", "#999999", "#D55E00", "#F0E442"),
        strict=True,
    )
)
ROLE_WORDS = {role: role.replace("_", " ") for role in ROLE_FILLS}
ROLE_WORD_FILLS = {ROLE_WORDS[role]: fill for role, fill in ROLE_FILLS.items()}
MAX_UNKNOWN = 0.10
MAX_DESIGNS = 20
WELL_COLUMNS = (
    "well_id",
    "experiment",
    "plate",
    "well",
    "plate_format",
    "row",
    "column",
    "role",
    "conditions",
    "cell_type",
    "background",
)


def page(run: Run) -> Page:
    """Return the page, from wells and conditions of every screen."""
    found = look_for(run, "screen_wells", [{"screen": s} for s in run.plan.screens], "screen")
    facts, verdicts = [], [found.verdict(rules.SCREENS_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    counts = []
    for names in found.there:
        wells = run.table("screen_wells", WELL_COLUMNS, **names)
        conditions = run.table("screen_conditions", **names)
        if wells is None or conditions is None:
            continue
        screen = names["screen"]
        facts += _facts(screen, wells, conditions)
        verdicts += _verdicts(run, screen, wells)
        section = _section(screen, wells, conditions)
        parts = [*section.parts, *table_notes(run, screen)]
        sections.append(replace(section, parts=parts))
        counts.append((len(wells), wells["experiment"].nunique()))
    answer = (
        f"{numbers.plural(len(counts), 'screen')} with "
        f"{numbers.plural(sum(n for n, _ in counts), 'well')} in "
        f"{numbers.plural(sum(e for _, e in counts), 'experiment')}."
    )
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def experiments_table(wells: pd.DataFrame) -> pd.DataFrame:
    """One row per experiment: plates, wells, conditions and wells of every role."""
    by_experiment = wells.groupby("experiment", sort=True)
    table = by_experiment.agg(plates=("plate", "nunique"), wells=("well", "size"))
    exploded = wells[["experiment", "conditions"]].explode("conditions").dropna()
    table["conditions"] = exploded.groupby("experiment")["conditions"].nunique()
    for role in ROLE_FILLS:
        table[role] = (wells["role"] == role).groupby(wells["experiment"]).sum()
    return table.fillna({"conditions": 0}).reset_index()


def is_unknown(wells: pd.DataFrame) -> pd.Series:
    """Whether a well's perturbation is not known (null), as opposed to unperturbed (empty)."""
    return wells["conditions"].isna()


def _facts(screen: str, wells: pd.DataFrame, conditions: pd.DataFrame) -> list[Fact]:
    path = ("screens", screen)
    facts = [
        Fact((*path, "wells"), f"Wells of {screen}", len(wells), headline=True),
        Fact((*path, "experiments"), f"Experiments of {screen}", wells["experiment"].nunique()),
        Fact(
            (*path, "plates"),
            f"Plates of {screen}",
            wells.groupby(["experiment", "plate"]).ngroups,
        ),
        Fact((*path, "conditions"), f"Conditions of {screen}", len(conditions), headline=True),
        Fact(
            (*path, "unknown_wells"),
            f"Wells of unknown perturbation in {screen}",
            int(is_unknown(wells).sum()),
        ),
    ]
    roles = wells["role"].value_counts()
    return facts + [
        Fact((*path, "roles", role), f"Wells of role {role} in {screen}", int(roles.get(role, 0)))
        for role in ROLE_FILLS
    ]


def _verdicts(run: Run, screen: str, wells: pd.DataFrame) -> list[Verdict]:
    unknown = int(is_unknown(wells).sum())
    share = unknown / max(len(wells), 1)
    first = Verdict(
        rules.UNKNOWN_CONDITIONS,
        CHECK if share > MAX_UNKNOWN else PASS,
        screen,
        f"{numbers.plural(unknown, 'well')} of unknown perturbation",
        numbers.percent(share),
        numbers.percent(MAX_UNKNOWN, 0),
        unknown,
        NAME,
        f"{screen}-experiments",
    )
    return [first, _controls_verdict(run, screen, wells)]


def _controls_verdict(run: Run, screen: str, wells: pd.DataFrame) -> Verdict:
    settings = run.config.get("alignment", {})
    least, warn = settings.get("min_controls", 4), settings.get("warn_controls", 16)
    role = control_role(wells, settings.get("controls", "auto"), min_controls=least)
    controls = wells[wells["role"] == role].groupby("experiment").size()
    controls = controls.reindex(wells["experiment"].unique(), fill_value=0)
    fewest = int(controls.min()) if len(controls) else 0
    status = FAIL if fewest < least else CHECK if fewest < warn else PASS
    low = int((controls < warn).sum())
    text = f"{fewest} control wells ({role}) in the experiment with the fewest"
    return Verdict(
        rules.FEW_CONTROLS,
        status,
        screen,
        text,
        str(fewest),
        f"{warn} (error below {least})",
        low,
        NAME,
        f"{screen}-experiments",
    )


def _section(screen: str, wells: pd.DataFrame, conditions: pd.DataFrame) -> Section:
    experiments = experiments_table(wells)
    columns = [
        Column("experiment", "Experiment"),
        *(
            Column(name, label, "count")
            for name, label in (
                ("plates", "Plates"),
                ("wells", "Wells"),
                ("conditions", "Conditions"),
                ("treatment", "Treatments"),
                ("negative_control", "Negative controls"),
                ("positive_control", "Positive controls"),
                ("unperturbed", "Unperturbed"),
            )
        ),
    ]
    parts: list[Any] = [
        Table(f"{screen}-experiments", f"Experiments of {screen}", columns, experiments),
        _layout_gallery(screen, wells),
        _replication_figure(screen, wells),
        _designs_table(screen, wells),
        _conditions_table(screen, wells, conditions),
    ]
    return Section(screen, f"Screen {screen}", parts)


def _layout_gallery(screen: str, wells: pd.DataFrame) -> Gallery | Text:
    if not len(wells):
        return Text("The screen has no well.")
    shape = largest_shape(wells)
    layouts: dict[str, tuple[pd.DataFrame, list[str]]] = {}
    for (experiment, plate), part in wells.groupby(["experiment", "plate"], sort=True):
        part = part.sort_values(["row", "column"])
        key = "|".join(part["well"] + part["role"])
        layouts.setdefault(key, (part, []))[1].append(f"{experiment} / {plate}")
    pictures = [
        category_map(
            part[["row", "column", "role"]].assign(value=part["role"].map(ROLE_WORDS)),
            title=f"{names[0]}" + (f" and {len(names) - 1} more alike" if names[1:] else ""),
            fills=ROLE_WORD_FILLS,
            shape=shape,
        )
        for part, names in list(layouts.values())[:MAX_PLATES]
    ]
    num_plates = sum(len(names) for _, names in layouts.values())
    left = f" The first {MAX_PLATES} layouts are drawn." if len(layouts) > MAX_PLATES else ""
    return Gallery(
        f"{screen}-layouts",
        f"{numbers.plural(num_plates, 'plate')} in {numbers.plural(len(layouts), 'layout')} of "
        "roles",
        "Each plate in its physical shape; plates with the same roles at the same positions are "
        f"drawn once.{left} Good looks like controls spread over the plate, not only at its edge.",
        pictures,
        category_legend(ROLE_WORD_FILLS),
    )


def _replication(wells: pd.DataFrame) -> pd.DataFrame:
    """By condition: in how many experiments and wells it stands."""
    rows = wells[["experiment", "well_id", "conditions"]].explode("conditions").dropna()
    grouped = rows.groupby("conditions")
    return grouped.agg(experiments=("experiment", "nunique"), wells=("well_id", "nunique"))


def _replication_figure(screen: str, wells: pd.DataFrame) -> Figure:
    counts = _replication(wells)["wells"].value_counts().sort_index()
    running = counts.iloc[::-1].cumsum().iloc[::-1]
    frame = pd.DataFrame({"x": running.index.astype(float), "y": running.to_numpy(dtype=float)})
    median = _replication(wells)["wells"].median()
    return Figure(
        f"{screen}-replication",
        f"The median condition has {numbers.number(median)} wells",
        "Conditions with at least so many wells, over all experiments, controls included. Good "
        "looks like a plateau that ends beyond the funnel's minimum.",
        line_chart(
            frame,
            title=f"Conditions of {screen} by least number of wells",
            x_title="wells of a condition, at least",
            y_title="conditions",
            is_log=bool(len(frame)),
            has_points=True,
            is_whole=True,
        ),
    )


def _designs_table(screen: str, wells: pd.DataFrame) -> Table:
    """How many conditions of an experiment have how many wells on how many plates."""
    condition = pd.Series(single_condition(wells["conditions"]), index=wells.index)
    is_tested = (condition >= 0) & wells["role"].isin(PERTURBED_ROLES)
    design = design_table(wells, condition.where(is_tested))
    shapes = compositions(design).map(lambda pairs: tuple(sorted(n for _, n in pairs)[::-1]))
    counts = shapes.value_counts().head(MAX_DESIGNS)
    frame = pd.DataFrame(
        {
            "design": [" + ".join(map(str, shape)) for shape in counts.index],
            "wells": [sum(shape) for shape in counts.index],
            "plates": [len(shape) for shape in counts.index],
            "conditions": counts.to_numpy(),
        }
    )
    columns = [
        Column("design", "Wells on each plate"),
        Column("wells", "Wells", "count"),
        Column("plates", "Plates", "count"),
        Column("conditions", "Conditions", "count"),
    ]
    note = "Perturbed wells with a single condition; a condition counts once in each experiment."
    return Table(f"{screen}-designs", "Designs of conditions", columns, frame, note)


def _conditions_table(screen: str, wells: pd.DataFrame, conditions: pd.DataFrame) -> Table:
    replication = _replication(wells)
    frame = conditions.set_index("condition_id", drop=False)
    frame = frame.assign(
        experiments=replication["experiments"], wells=replication["wells"]
    ).reset_index(drop=True)
    frame = frame.fillna({"experiments": 0, "wells": 0})
    known = {
        "perturbation": Column("perturbation", "Perturbation"),
        "kind": Column("kind", "Kind"),
        "gene": Column("gene", "Gene"),
        "concentration_um": Column("concentration_um", "Concentration", "number", "µM"),
        "cell_type": Column("cell_type", "Cell type"),
        "background": Column("background", "Background"),
    }
    shown = [column for name, column in known.items() if has_values(frame[name])]
    skip = {*known, "condition_id", "guide", "experiments", "wells"}
    shown += [
        Column(name, name.replace("_", " ").capitalize())
        for name in frame.columns
        if name not in skip and has_values(frame[name])
    ]
    shown += [Column("experiments", "Experiments", "count"), Column("wells", "Wells", "count")]
    return Table(f"{screen}-conditions", f"Conditions of {screen}", shown, frame)
