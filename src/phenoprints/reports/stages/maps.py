"""The page of maps: one vector per perturbation, who stands near whom, at which dose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.provenance import artefact_path
from phenoprints.reports import numbers, rules
from phenoprints.reports.figures import heat_map, line_chart
from phenoprints.reports.links import place_of
from phenoprints.reports.page_model import Box, Fact, Figure, Page, Section
from phenoprints.reports.runs import Run
from phenoprints.reports.scatter import point_map
from phenoprints.reports.stage_status import look_for, pairs
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, PASS, Verdict

NAME, TITLE = "maps", "Maps"
QUESTION = "Which perturbations look alike?"
SHOWN_LEVELS = ("gene", "compound", "concentration", "condition", "guide")
"""In the order in which one of them is drawn: the first that a map has."""

MAX_HEAT = 60
MAX_DOSES = 6
DOSE_REASONS = {
    "no_controls": "no control on its plates",
    "too_few_sets": "too few controls on its plates",
}
MAX_NEIGHBOURS = 5
TABLE_COLUMNS = ("level", "name", "kind", "cell_type", "background", "num_wells", "num_experiments")


def page(run: Run) -> Page:
    """Return the page, from the tables that stand in the folder of every map."""
    found = look_for(run, "map", pairs(run.plan.evaluated_pairs), "map")
    facts: list[Fact] = []
    verdicts = [found.verdict(rules.MAPS_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    for names in found.there:
        folder = artefact_path(run.path("map", **names))
        table = run.table_at(folder / "map.parquet")
        if table is None:
            continue
        facts += _facts(names, table)
        verdicts.append(_size_verdict(run, names, table))
        sections.append(_section(run, names, folder, table))
    answer = f"{numbers.plural(len(found.there), 'map')}." if found.there else "No map was made."
    if facts:
        answer = (
            f"{numbers.plural(len(found.there), 'map')}; {facts[0].label.lower()}: "
            f"{facts[0].shown}."
        )
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def main_level(table: pd.DataFrame) -> str:
    """Return the level that a page draws: genes before compounds, doses and conditions."""
    present = set(table["level"])
    return next((level for level in SHOWN_LEVELS if level in present), "")


def anchor(names: dict[str, str], what: str) -> str:
    """Return the anchor of something about a map."""
    return place_of(names, what)


def _facts(names: dict[str, str], table: pd.DataFrame) -> list[Fact]:
    path = ("maps", names["screen"], names["encoder"])
    counts = table["level"].value_counts()
    return [
        Fact(
            (*path, level),
            f"Vectors of level {level}, {names['screen']} by {names['encoder']}",
            int(counts[level]),
            headline=level == main_level(table),
        )
        for level in SHOWN_LEVELS
        if level in counts
    ]


def _size_verdict(run: Run, names: dict[str, str], table: pd.DataFrame) -> Verdict:
    settings = run.config.get("benchmarks", {}).get("relationships", {})
    least = int(settings.get("min_perturbations", 20))
    level = main_level(table)
    size = int((table["level"] == level).sum())
    return Verdict(
        rules.SMALL_MAP,
        CHECK if size < least else PASS,
        f"{names['screen']}, {names['encoder']}",
        f"{size} perturbations of level {level or 'none'}",
        str(size),
        str(least),
        0,
        NAME,
        anchor(names, "layout"),
    )


def _section(run: Run, names: dict[str, str], folder: Path, table: pd.DataFrame) -> Section:
    level = main_level(table)
    rows = table[table["level"] == level].reset_index(drop=True)
    layout = run.table_at(folder / "layout.parquet")
    neighbours = run.table_at(folder / "neighbours.parquet")
    doses = run.table_at(folder / "doses.parquet")
    parts: list[Any] = [
        _layout_figure(names, rows, layout, level),
        _heat_figure(names, rows, layout, level),
    ]
    if neighbours is not None:
        parts.append(_neighbours_table(names, neighbours, level))
    if doses is not None and len(doses):
        parts += [_doses_figure(names, doses), _doses_table(run, names, doses)]
    parts.append(_vectors_table(names, table))
    return Section(anchor(names, "section"), f"{names['screen']} by {names['encoder']}", parts)


def _layout_figure(
    names: dict[str, str], rows: pd.DataFrame, layout: pd.DataFrame | None, level: str
) -> Figure | Box:
    if layout is None or rows.empty:
        return Box(
            "No layout",
            "The map has no table of two-dimensional positions.",
            anchor=anchor(names, "layout"),
        )
    flat = layout[layout["level"] == level].merge(_groups(rows), on="name", how="left")
    return Figure(
        anchor(names, "layout"),
        f"{numbers.plural(len(flat), 'perturbation')} of level {level} in two dimensions",
        "Coordinates of the map's own layout (principal components or t-SNE); distances between "
        "far points mean little. Coloured by annotation where the screen has one, largest first.",
        point_map(
            flat["x"].to_numpy(float),
            flat["y"].to_numpy(float),
            title="Map in two dimensions",
            x_title="first axis",
            y_title="second axis",
            group=list(flat["group"].fillna("other")),
            radius=3.0,
        ),
    )


def _groups(rows: pd.DataFrame) -> pd.DataFrame:
    """Columns name and group: the five largest values of the first annotation, else `other`."""
    known = {
        *TABLE_COLUMNS,
        "perturbation",
        "gene",
        "guide",
        "concentration_um",
        "experiments",
        "condition_id",
        "vector",
    }
    annotations = [
        name for name in rows.columns if name not in known and rows[name].dtype == object
    ]
    filled = [name for name in annotations if (rows[name].fillna("") != "").any()]
    if not filled:
        return rows[["name"]].assign(group="all")
    values = rows[filled[0]].fillna("").replace("", "other")
    largest = values[values != "other"].value_counts().index[:5]
    group = values.where(values.isin(largest), "other")
    frame: pd.DataFrame = rows[["name"]].assign(group=group).drop_duplicates("name")
    return frame


def _heat_figure(
    names: dict[str, str], rows: pd.DataFrame, layout: pd.DataFrame | None, level: str
) -> Figure | Box:
    if rows.empty or "vector" not in rows:
        return Box("No heat map", "The map has no vectors.", anchor=anchor(names, "heat"))
    order = _clustered(rows, layout, level)[:MAX_HEAT]
    vectors = np.stack([np.asarray(v, dtype=float) for v in rows["vector"].iloc[order]])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1)
    cosine = np.round(unit @ unit.T, 3)
    labels = _distinct(rows["name"].iloc[order].astype(str).tolist())
    size = len(order)
    frame = pd.DataFrame(
        {"row": np.repeat(labels, size), "column": np.tile(labels, size), "value": cosine.ravel()}
    ).dropna()
    more = (
        f" The first {MAX_HEAT} of {len(rows)} in the order of the clustering."
        if len(rows) > MAX_HEAT
        else ""
    )
    return Figure(
        anchor(names, "heat"),
        f"Cosines between {size} perturbations, similar ones side by side",
        "Average linkage with optimal leaf order; limits -1 and 1, centred on the controls at "
        f"0.{more} "
        "Good looks like blocks along the diagonal.",
        heat_map(
            frame,
            title="Clustered heat map",
            value_title="cosine",
            limits=(-1, 1),
            step=11 if size > 30 else 16,
        ),
        is_wide=size > 40,
    )


def _clustered(rows: pd.DataFrame, layout: pd.DataFrame | None, level: str) -> list[int]:
    if layout is None:
        return list(range(len(rows)))
    keys = ["name", "kind", "cell_type", "background"]
    part = layout.loc[layout["level"] == level, [*keys, "position"]]
    position = rows[keys].merge(part, on=keys, how="left")["position"]
    return [int(at) for at in position.fillna(-1).to_numpy().argsort(kind="stable")]


def _distinct(labels: list[str]) -> list[str]:
    """Labels with a number behind those that stand twice (two cell types, say)."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return result


def _neighbours_table(names: dict[str, str], neighbours: pd.DataFrame, level: str) -> Table:
    frame = neighbours[(neighbours["level"] == level) & (neighbours["rank"] <= MAX_NEIGHBOURS)]
    columns = [
        Column("name", "Perturbation"),
        Column("rank", "Rank", "count"),
        Column("neighbour", "Neighbour"),
        Column("neighbour_kind", "Kind"),
        Column("cosine", "Cosine", "number"),
    ]
    caption = f"The {MAX_NEIGHBOURS} nearest neighbours of every perturbation (level {level})"
    return Table(anchor(names, "neighbours"), caption, columns, frame, "Search for a name.")


def _doses_figure(names: dict[str, str], doses: pd.DataFrame) -> Figure:
    """Return the compounds that go farthest, over their concentrations."""
    farthest = doses.groupby("perturbation")["length"].max().sort_values(ascending=False)
    shown = list(farthest.index[:MAX_DOSES])
    part = doses[doses["perturbation"].isin(shown) & (doses["concentration_um"] > 0)]
    frame = pd.DataFrame(
        {
            "x": np.log10(part["concentration_um"].to_numpy(float)),
            "y": part["length"].to_numpy(float),
            "group": part["perturbation"].astype(str),
        }
    ).sort_values(["group", "x"], kind="stable")
    tested = doses[doses["p_value"].notna()]
    active = tested.groupby("perturbation")["lowest_active_concentration_um"].first().notna()
    title = f"Active compounds: {int(active.sum())} of {len(active)} tested"
    return Figure(
        anchor(names, "dose-response"),
        title,
        "Distance from the controls over log10 of the concentration in µM, for "
        f"the {numbers.plural(len(shown), 'compound')} that go farthest. Good looks like a rise "
        "towards high doses.",
        line_chart(
            frame.dropna(),
            title=title,
            x_title="log10 concentration (µM)",
            y_title="distance from the controls",
            has_points=True,
        ),
    )


def _doses_table(run: Run, names: dict[str, str], doses: pd.DataFrame) -> Table:
    columns = [
        Column("perturbation", "Compound"),
        Column("concentration_um", "Concentration", "number", "µM"),
        Column("num_wells", "Wells", "count"),
        Column("num_compared", "Of these beside controls", "count"),
        Column("length", "Distance from the controls", "number"),
        Column("null_length", "Distance without an effect", "number"),
        Column("p_value", "p", "number"),
        Column("reason", "Not tested because"),
        Column("cosine_to_highest", "Cosine with highest dose", "number"),
        Column("lowest_active_concentration_um", "Active from", "number", "µM"),
    ]
    caption = "Dose response: how far every concentration is from the controls"
    settings = _settings(run, names["screen"])
    where = "experiments" if settings.get("null_model") == "experiment" else "plates"
    note = (
        f"Distances are between the mean of the wells and the controls of the same {where}, which "
        "the alignment was fitted without. The distance without an effect is the mean over other "
        f"sets of as many wells from these {where}; p is the share of them that are as far. "
        + _by_chance(settings, int(doses["p_value"].notna().sum()))
    )
    words = doses.assign(reason=doses["reason"].map(DOSE_REASONS).fillna(""))
    return Table(anchor(names, "doses"), caption, columns, words, note)


def _settings(run: Run, screen: str) -> dict[str, Any]:
    """Return the settings of maps of a screen."""
    own: dict[str, Any] = run.config["screens"][screen].get("maps") or run.config.get("maps") or {}
    return own


def _by_chance(settings: dict[str, Any], num_tested: int) -> str:
    """State how many of the tested concentrations would be active if none had an effect."""
    threshold = float(settings.get("activity_p_value", 0.01))
    return (
        f"Active is p below {threshold:g}: of {num_tested} tested concentrations about "
        f"{numbers.number(num_tested * threshold)} would be if none had an effect."
    )


def _vectors_table(names: dict[str, str], table: pd.DataFrame) -> Table:
    columns = [
        Column("level", "Level"),
        Column("name", "Name"),
        Column("kind", "Kind"),
        Column("num_wells", "Wells", "count"),
        Column("num_experiments", "Experiments", "count"),
    ]
    frame = table[[column.name for column in columns]]
    return Table(anchor(names, "vectors"), "Vectors of the map", columns, frame)
