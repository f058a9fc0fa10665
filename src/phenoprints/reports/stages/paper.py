"""The paper's tables and figures of benchmarks in its own form, ours beside its published rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.benchmarks.published import WHOLE_GENOME, published_results
from phenoprints.reports import numbers
from phenoprints.reports.figures import interval_lines, named_points, spread_chart
from phenoprints.reports.frames import has_values, records
from phenoprints.reports.page_model import Figure, Section, Text
from phenoprints.reports.tables import Column, Table

OURS, PUBLISHED = "this run", "published"
MATCHES = {
    **WHOLE_GENOME,
    "average_precision": ("compound-gene", "max", "average_precision"),
    "average_precision_z": ("compound-gene", "max", "average_precision"),
    "energy_distance": ("magnitude", None, "energy_distance"),
    "energy_distance_z": ("magnitude", None, "energy_distance"),
}
"""The benchmark, source (None: of the first level) and metric that a published value is of."""

LABELS = {
    "recall_corum": "CORUM", "recall_humap": "hu.MAP", "recall_reactome": "Reactome",
    "recall_stringdb": "StringDB", "replicate_ks": "KS", "replicate_cvm": "CVM",
    "average_precision": "Average precision", "average_precision_z": "z",
    "energy_distance": "Energy distance", "energy_distance_z": "z of it",
}  # fmt: skip
SPREADS = ("p5", "p25", "p50", "p75", "p95")
TRIMMED = ".trimmed"
MAX_ENCODERS = 6
"""Encoders that a figure can tell apart by colour and shape."""


def is_spread(table: pd.DataFrame) -> pd.Series:
    """Which rows hold percentiles of a distribution, which only a figure can show."""
    flags: pd.Series = table["metric"].str.fullmatch(r"energy_distance_p\d+")
    return flags


def paper_sections(table: pd.DataFrame) -> list[Section]:
    """Tables 1, 2, 3 and 6 with our rows above the published ones, and Figures 1, 5 and 6."""
    published = published_results()
    parts: list[Any] = [
        Text(
            "Published rows are the paper's own, on its own screens and alignments: a scale to "
            "read ours by, not a result of this run. Ours stand above them."
        ),
        *_consistency_and_recall(table, published),
        *_compounds_by_dose(table, published),
        *_magnitudes(table),
    ]
    names = published.loc[published["metric"].isin(list(MATCHES)), "table"].drop_duplicates()
    parts += [_paper_table(table, published, str(name)) for name in names]
    parts.append(_probes_table(published))
    return [Section("published-section", "Beside the paper", parts)]


def our_values(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Our rows of a published metric: screen, encoder, block, seen and the value."""
    benchmark, source, own = MATCHES[metric]
    rows = table[(table["benchmark"] == benchmark) & (table["metric"] == own)]
    if source is None:
        rows = rows[rows["source"] == rows["source"].min()] if len(rows) else rows
    else:
        rows = rows[rows["source"] == source]
    value = "z" if metric.endswith("_z") else "value"
    kept = rows[["screen", "context", "encoder", "block", "seen", value]]
    return kept.rename(columns={value: metric})


def _paper_table(table: pd.DataFrame, published: pd.DataFrame, name: str) -> Table:
    """One table of the paper: a row per encoder, a column per measure, ours first."""
    theirs = published[published["table"] == name]
    metrics = [metric for metric in MATCHES if metric in set(theirs["metric"])]
    wide = theirs.pivot_table(
        "value", ["encoder", "block", "is_trimmed"], "metric", "first", sort=False
    ).reset_index()
    wide["from"], wide["screen"] = PUBLISHED, name.partition("(")[2].rstrip(")")
    frame = pd.concat([_ours_wide(table, metrics), wide], ignore_index=True)
    frame["trimmed"] = np.where(frame["is_trimmed"].astype(bool), "yes", "no")
    columns = [
        Column("from", "From"),
        Column("screen", "Screen"),
        Column("encoder", "Encoder"),
        Column("block", "Block"),
        Column("trimmed", "Trimmed"),
        *(Column(metric, LABELS[metric], "number") for metric in metrics),
        Column("seen", "Seen of the screen"),
    ]
    told = [column for column in columns if column.name in frame and has_values(frame[column.name])]
    number = name.split()[1]
    caption = f"Table {number} of the paper with ours"
    note = f"{PUBLISHED.capitalize()} on {wide['screen'].iloc[0]}. – is not measured."
    return Table(f"published-{number}", caption, told, frame, note)


def _ours_wide(table: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    keys = ["screen", "context", "encoder", "block", "seen"]
    wide = pd.DataFrame(columns=keys)
    for metric in metrics:
        own = our_values(table, metric)
        if len(own):
            wide = own if wide.empty else wide.merge(own, on=keys, how="outer")
    wide["is_trimmed"] = wide["encoder"].astype(str).str.endswith(TRIMMED)
    wide["from"] = OURS
    order = [metric for metric in metrics if metric in wide]
    return wide.sort_values(order, ascending=False) if order else wide


def _probes_table(published: pd.DataFrame) -> Table:
    rows = published[~published["metric"].isin(list(MATCHES))]
    frame = rows.assign(metric=rows["metric"].str.replace("_", " "))
    columns = [
        Column("encoder", "Encoder"),
        Column("block", "Block"),
        Column("metric", "Measure"),
        Column("value", "Value", "number"),
    ]
    return Table("published-probes", "Published probes; ours stand on that page", columns, frame)


def _consistency_and_recall(table: pd.DataFrame, published: pd.DataFrame) -> Iterator[Figure]:
    """Figure 1B: recall of StringDB, or of our first source, over replicate consistency."""
    consistency = our_values(table, "replicate_ks").rename(columns={"replicate_ks": "x"})
    recalls = table[
        (table["benchmark"] == "relationships") & (table["metric"] == "recall_0.05_0.95")
    ]
    if consistency.empty or recalls.empty:
        return
    source = "stringdb" if "stringdb" in set(recalls["source"]) else recalls["source"].iloc[0]
    ours = recalls[recalls["source"] == source].rename(columns={"value": "y"})
    both = consistency.merge(ours[["screen", "context", "encoder", "y"]])
    both = both.assign(name=both["encoder"], group=OURS)
    if source == "stringdb":
        theirs = published[published["table"].str.startswith("table 1 ")].pivot_table(
            "value", ["encoder", "block"], "metric", "first", sort=False
        )
        theirs = theirs.reset_index().rename(columns={"replicate_ks": "x", "recall_stringdb": "y"})
        both = pd.concat([both, theirs.assign(name=theirs["encoder"], group=PUBLISHED)])
    if len(both) < 2:
        return
    best = both.loc[both["group"] == OURS].sort_values("y").iloc[-1]
    title = f"Consistency and recall together: {best['name']} recalls most, {best['y']:.3g}"
    yield Figure(
        "figure-1",
        title,
        f"Recall of {source} pairs over replicate consistency (KS), a point per encoder, as in "
        "Figure 1B of the paper. Good looks like up and to the right.",
        named_points(
            both[["x", "y", "name", "group"]],
            title=title,
            x_title="replicate consistency (KS)",
            y_title=f"recall of {source} pairs",
        ),
        is_wide=True,
    )


def _compounds_by_dose(table: pd.DataFrame, published: pd.DataFrame) -> Iterator[Figure]:
    """Figure 5: average precision of compounds finding their genes, over concentrations."""
    rows = table[(table["benchmark"] == "compound-gene") & (table["metric"] == "average_precision")]
    if rows.empty:
        return
    best_of = rows.groupby("encoder")["value"].max().sort_values(ascending=False)
    rows = rows[rows["encoder"].isin(best_of.index[:MAX_ENCODERS])]
    dose = pd.to_numeric(rows["source"], errors="coerce")
    rows = rows.assign(dose=dose.fillna(np.inf)).sort_values(["dose", "encoder"], kind="stable")
    frame = pd.DataFrame(
        {
            "x": rows["source"].to_numpy(),
            "y": rows["value"].to_numpy(float),
            "low": (rows["value"] - rows["sd"].fillna(0)).to_numpy(float),
            "high": (rows["value"] + rows["sd"].fillna(0)).to_numpy(float),
            "group": rows["encoder"].to_numpy(),
        }
    )
    theirs = published[
        published["table"].str.startswith("table 3") & (published["metric"] == "average_precision")
    ].sort_values("value")
    best = records(rows.sort_values("value", ascending=False, kind="stable").head(1))[0]
    title = f"Compounds find their genes best with {best['encoder']} at {_dose(best['source'])}"
    yield Figure(
        "figure-5",
        title,
        "Mean average precision over compounds by concentration in µM, and of the largest cosine "
        "over concentrations (max), mean ± sd over draws of other genes; the dashed line is the "
        "mean of random scores. As Figure 5 of the paper, whose values at max run from "
        f"{numbers.number(theirs['value'].iloc[0])} (random) to "
        f"{numbers.number(theirs['value'].iloc[-1])} ({theirs['encoder'].iloc[-1]}). Good looks "
        "like intervals above the line."
        + (f" The best {MAX_ENCODERS} encoders." if len(best_of) > MAX_ENCODERS else ""),
        interval_lines(
            frame,
            title=title,
            x_title="concentration (µM)",
            y_title="mean average precision",
            reference=float(rows["random"].mean()),
        ),
        is_wide=True,
    )


def _dose(source: str) -> str:
    return source if source == "max" else f"{source}{numbers.NBSP}µM"


def _magnitudes(table: pd.DataFrame) -> Iterator[Figure]:
    """Figure 6: how far perturbations lie from the controls, as a distribution per encoder."""
    rows = table[(table["benchmark"] == "magnitude") & is_spread(table)]
    for (screen, level), part in rows.groupby(["screen", "source"], sort=True):
        part = part.assign(percent=part["metric"].str.rpartition("_")[2])
        wide = part.pivot_table("value", "encoder", "percent", "first", sort=False)
        random = part.drop_duplicates("percent").set_index("percent")["random"]
        wide = wide.sort_values("p50", ascending=False)
        wide.loc["normal vectors"] = random
        frame = wide[list(SPREADS)].reset_index(names="name")
        first = frame.iloc[0]
        title = (
            f"{first['name']} sets perturbations farthest from the controls of {screen} ({level})"
        )
        yield Figure(
            f"figure-6-{screen}-{level}",
            title,
            f"Energy distance from the controls over {numbers.count(part['n'].max())} "
            "perturbations: the box holds the middle half, the line nine tenths, the mark is the "
            "median. As Figure 6 of the paper. Good looks like boxes clear of the normal vectors, "
            "whose distance above 0 is the bias of small sets.",
            spread_chart(frame, title=title, x_title="energy distance"),
            Table(
                f"figure-6-{screen}-{level}-numbers",
                "Percentiles of the energy distances",
                [Column("name", "Encoder"), *(Column(p, p, "number") for p in SPREADS)],
                frame,
            ),
        )


def index_rows(keys: set[tuple[str, str, str]]) -> pd.DataFrame:
    """For the first page: the weakest and the strongest published row of the measures it shows."""
    published = published_results()
    rows = []
    for metric, (benchmark, source, own) in MATCHES.items():
        if metric.endswith("_z"):
            continue
        shown = {key for key in keys if key[0] == benchmark and key[2] == own}
        shown = {key for key in shown if source in (None, key[1])}
        theirs = published[published["metric"] == metric].sort_values("value", kind="stable")
        for key in sorted(shown)[:1]:
            rows += [
                {
                    "screen": f"{row['table']}", "benchmark": benchmark, "source": key[1],
                    "metric": own, "encoder": row["encoder"], "block": row["block"],
                    "value": row["value"], "sd": row["sd_or_mad"],
                }
                for row in records(theirs.iloc[[0, -1]])
            ]  # fmt: skip
    told = ["screen", "benchmark", "source", "metric", "encoder", "block", "value", "sd"]
    return pd.DataFrame(rows, columns=told)
