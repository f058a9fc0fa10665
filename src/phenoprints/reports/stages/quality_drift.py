"""How quality moves over experiments: shares of failed wells, and the controls' metrics."""

from __future__ import annotations

import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.figures import heat_map, interval_chart
from phenoprints.reports.page_model import Figure
from phenoprints.reports.proportions import Share
from phenoprints.reports.stages.quality_tables import metric_columns
from phenoprints.reports.tables import Column, Table

MAX_DRIFTING, MAX_EXPERIMENTS = 20, 60
"""Metrics and experiments of the picture of drift."""


def failures_by_experiment(table: pd.DataFrame) -> pd.DataFrame:
    """Per experiment: assessed wells, failed ones, their share with its Wilson interval."""
    assessed = table[table["verdict"] != "not assessed"]
    grouped = assessed.groupby("experiment", sort=True)["verdict"]
    frame = pd.DataFrame(
        {"wells": grouped.size(), "failed": grouped.agg(lambda v: (v == "fail").sum())}
    )
    shares = [Share(int(f), int(n)) for f, n in zip(frame["failed"], frame["wells"], strict=True)]
    for name in ("value", "low", "high"):
        frame[name] = [getattr(share, name) for share in shares]
    return frame.reset_index()


def drift_figure(screen: str, table: pd.DataFrame) -> Figure:
    """Return the share of failed wells by experiment, with its interval."""
    shares = failures_by_experiment(table).rename(columns={"experiment": "name"})
    shown = shares.head(60)
    return Figure(
        f"{screen}-drift",
        f"Between {numbers.percent(shares['value'].min())} and "
        f"{numbers.percent(shares['value'].max())} of an experiment's wells fail",
        "Share of failed wells with its 95 % Wilson interval, by experiment. Good looks like "
        "intervals that overlap.",
        interval_chart(
            shown,
            title=f"Failed wells of {screen} by experiment",
            value_title="share of wells that fail",
        ),
        Table(
            f"{screen}-drift-numbers",
            "Failed wells by experiment",
            [
                Column("name", "Experiment"),
                Column("wells", "Assessed", "count"),
                Column("failed", "Failed", "count"),
                Column("value", "Share", "percent"),
                Column("low", "Low", "percent"),
                Column("high", "High", "percent"),
            ],
            shares,
        ),
    )


def metric_drift(screen: str, table: pd.DataFrame) -> list[Figure | Table]:
    """How far the controls' median of each metric moves over experiments, and these medians."""
    metrics = metric_columns(table)
    if not metrics:
        return []
    controls = table[(table["role"] != "treatment") & (table["verdict"] != "fail")]
    source = controls if len(controls) else table
    medians = source.groupby("experiment", sort=True)[metrics].median().T
    medians.columns = [str(name) for name in medians.columns]
    shifts = _shifts(source, medians)
    return [*_shifts_figure(screen, shifts), _medians_table(screen, medians)]


def _shifts(wells: pd.DataFrame, medians: pd.DataFrame) -> pd.DataFrame:
    """Medians of experiments minus their median, over the usual spread within an experiment."""
    names = list(medians.index)
    own = wells.groupby("experiment")[names].transform("median")
    within = 1.4826 * (wells[names] - own).abs().median()
    spread = within.where(within > 0)
    return medians.sub(medians.median(axis=1), axis=0).div(spread, axis=0)


def _shifts_figure(screen: str, shifts: pd.DataFrame) -> list[Figure]:
    known = shifts.dropna(how="all")
    if known.empty or known.shape[1] < 2:
        return []
    farthest = known.abs().max(axis=1).sort_values(ascending=False, kind="stable")
    shown = known.loc[farthest.index[:MAX_DRIFTING]].iloc[:, :MAX_EXPERIMENTS]
    cells = shown.rename_axis(index="row").reset_index()
    cells = cells.melt("row", var_name="column", value_name="value").dropna()
    name, far = str(farthest.index[0]), float(farthest.iloc[0])
    title = f"{name} drifts most: up to {numbers.number(far)} spreads of the controls"
    more = f" The first {MAX_EXPERIMENTS} experiments." if known.shape[1] > MAX_EXPERIMENTS else ""
    return [
        Figure(
            f"{screen}-shifts",
            title,
            f"The {len(shown)} metrics that move most: the median over good controls of each "
            "experiment, minus that of all experiments, in robust spreads of control wells within "
            f"an experiment; colours end at 3.{more} Good looks pale; a dark column is an "
            "experiment unlike the others.",
            heat_map(cells, title=title, value_title="shift", limits=(-3, 3), step=18),
            is_wide=known.shape[1] > 12,
        )
    ]


def _medians_table(screen: str, medians: pd.DataFrame) -> Table:
    frame = medians.reset_index(names="metric")
    columns = [
        Column("metric", "Metric"),
        *(Column(str(n), str(n), "number") for n in medians.columns[:12]),
    ]
    note = "The first 12 experiments stand here." if medians.shape[1] > 12 else ""
    caption = f"Median of every metric over the good controls of each experiment of {screen}"
    return Table(f"{screen}-metrics", caption, columns, frame, note)
