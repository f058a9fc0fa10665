"""Further pages of quality, one per experiment: every metric on every plate."""

from __future__ import annotations

import pandas as pd

from phenoprints.reports import numbers
from phenoprints.reports.page_model import Gallery, Page, Section
from phenoprints.reports.platemaps import ColourScale, Plate, colour_bar
from phenoprints.reports.runs import Run
from phenoprints.reports.stages.quality_tables import metric_columns, well_quality
from phenoprints.reports.tables import Column, Table
from phenoprints.wells.plates import largest_shape

MAX_METRIC_MAPS = 640
MAX_METRIC_PAGES = 12


def metric_pages(run: Run) -> list[Page]:
    """Further pages, one per experiment with images: every metric on every plate."""
    pages = []
    for screen in run.plan.screens:
        table = well_quality(run, screen)
        metrics = [] if table is None else metric_columns(table)
        if table is None or not metrics:
            continue
        scales = {metric: ColourScale.of(table[metric].to_numpy(float)) for metric in metrics}
        for name, experiment in metric_page_names(screen, table).items():
            part = table[table["experiment"] == experiment]
            pages.append(_metric_page(name, screen, experiment, part, scales))
    return pages


def metric_page_names(screen: str, table: pd.DataFrame) -> dict[str, str]:
    """Return experiments that get a page of metrics, by the page's name: most failures first."""
    failed = (table["verdict"] == "fail").groupby(table["experiment"].astype(str)).sum()
    worst = failed.sort_values(ascending=False, kind="stable").index[:MAX_METRIC_PAGES]
    return {f"quality-{screen}-{at:03d}": name for at, name in enumerate(sorted(worst), start=1)}


def metric_links(screen: str, table: pd.DataFrame) -> list[Table]:
    """Where the further pages are, one per experiment."""
    if not metric_columns(table):
        return []
    names = metric_page_names(screen, table)
    frame = pd.DataFrame(
        {"experiment": list(names.values()), "page": [f"{name}.html" for name in names]}
    )
    columns = [Column("experiment", "Experiment", link="page")]
    note = "The experiments with most failures." if len(names) == MAX_METRIC_PAGES else ""
    return [
        Table(f"{screen}-pages", "Every metric on every plate, a page each", columns, frame, note)
    ]


def _metric_page(
    name: str, screen: str, experiment: str, part: pd.DataFrame, scales: dict[str, ColourScale]
) -> Page:
    shape = largest_shape(part)
    groups = list(part.groupby("plate", sort=True))
    plates = [(f"plate {name}", Plate(wells, shape), wells) for name, wells in groups]
    room = max(1, MAX_METRIC_MAPS * 96 // max(1, shape[0] * shape[1]))
    shown = list(scales)[: max(1, room // max(1, len(plates)))]
    sections = [
        Section(
            f"metric-{number}",
            metric,
            [
                Gallery(
                    f"plates-{number}",
                    f"{metric} on {numbers.plural(len(plates), 'plate')}",
                    "Colour limits are the 1st and 99th percentile over all plates of the screen.",
                    [
                        plate.numbers(wells[metric].to_numpy(), title=title, scale=scales[metric])
                        for title, plate, wells in plates
                    ],
                    colour_bar(scales[metric], metric),
                )
            ],
        )
        for number, metric in enumerate(shown, start=1)
    ]
    anchors = [f"#metric-{number}" for number, _ in enumerate(shown, start=1)]
    metrics = pd.DataFrame({"metric": shown, "place": anchors})
    contents = Table(
        "metrics", "Metrics on this page", [Column("metric", "Metric", link="place")], metrics
    )
    sections.insert(0, Section("contents", "Contents", [contents]))
    left = (
        f" The first {len(shown)} of {len(scales)} metrics are drawn."
        if len(shown) < len(scales)
        else ""
    )
    return Page(
        name,
        f"Quality of {experiment}",
        f"How does every metric look on the plates of {experiment} (screen {screen})?",
        f"{numbers.plural(len(shown), 'metric')} on {numbers.plural(len(plates), 'plate')}.{left}",
        sections,
        has_verdict=False,
    )
