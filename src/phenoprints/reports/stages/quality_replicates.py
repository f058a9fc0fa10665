"""Do replicates look more alike than wells of different conditions, before any encoder is asked."""

from __future__ import annotations

import pandas as pd

from phenoprints.quality.replicates import DIFFERENT, REPLICATES, percent_replicating
from phenoprints.reports import numbers
from phenoprints.reports.figures import step_histograms
from phenoprints.reports.page_model import Box, Fact, Figure
from phenoprints.reports.proportions import Share
from phenoprints.reports.runs import Run


def replicate_facts(run: Run, screen: str) -> list[Fact]:
    """Return the share of conditions whose replicates are more alike than 95 % of random sets."""
    table = _table(run, screen)
    if table is None:
        return []
    above, total, limit = percent_replicating(table)
    path, label = ("quality", screen, "replicates"), f"Conditions of {screen} that replicate"
    share = Share(above, total)
    return [
        Fact((*path, "value"), label, share.value, share.shown, _note(share)),
        Fact((*path, "count"), f"{label}: count", above),
        Fact((*path, "of"), f"{label}: out of", total),
        Fact((*path, "limit"), f"{label}: correlation that random sets reach in 5 %", limit),
    ]


def replicate_figure(run: Run, screen: str) -> Figure | Box:
    """Correlations of replicates beside those of random sets, or a box that says why not."""
    anchor = f"{screen}-replicates"
    table = _table(run, screen)
    if table is None:
        text = "No two conditions of this screen have wells enough that pass, or none was compared."
        return Box("No correlations of replicates", text, anchor=anchor)
    above, total, limit = percent_replicating(table)
    share = Share(above, total)
    groups = {
        kind: table.loc[table["kind"] == kind, "correlation"].to_numpy(float)
        for kind in (REPLICATES, DIFFERENT)
    }
    title = f"The wells of {share.shown} of the conditions are more alike than random wells"
    return Figure(
        anchor,
        title,
        f"Median correlation between the metrics of the wells of each of {total:,} conditions, and "
        f"of {len(groups[DIFFERENT]):,} random sets of wells of different conditions. The dashed "
        f"line is the 95th percentile of the random sets, {numbers.number(limit)}. Metrics are "
        "compared with the wells of their own plate; no encoder is involved. Good looks like "
        "replicates far to the right; subtle effects need an encoder and may stay under the line.",
        step_histograms(
            groups,
            title=title,
            x_title="median correlation within a set of wells",
            y_title="share of the sets",
            reference=limit,
        ),
    )


def _table(run: Run, screen: str) -> pd.DataFrame | None:
    table = run.table("quality_replicates", screen=screen)
    return None if table is None or table.empty else table


def _note(share: Share) -> str:
    return f"{share.count:,} of {share.total:,}; {share.range}"
