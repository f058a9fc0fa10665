"""The page of training: losses, learning rate and throughput; readable while training runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from phenoprints.foundations.provenance import artefact_path
from phenoprints.reports import numbers, rules
from phenoprints.reports.examples import num_images
from phenoprints.reports.figures import line_chart
from phenoprints.reports.image_tiles import block_panel, reconstruction_panel
from phenoprints.reports.page_model import Box, Fact, Figure, Page, Section
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import Found
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.training_logs import training_fidelity, training_metrics
from phenoprints.reports.verdicts import CHECK, FAIL, NOT_RUN, PASS, Verdict

NAME, TITLE = "training", "Training"
QUESTION = "Did the encoders learn, and at what cost?"
PANELS = "reconstructions.npz"
MAX_PANEL_BYTES = 20_000_000
MAX_POINTS = 400
MIN_LINE = 3
"""A line of so few points is drawn with points too, or it could not be seen."""


def page(run: Run) -> Page:
    """Return the page, from the metrics beside every encoder; unfinished ones are shown too."""
    wanted = [{"encoder": name} for name in run.plan.trained_encoders]
    there = [names for names in wanted if run.has("encoder", **names)]
    found = Found(there, [names for names in wanted if names not in there], "trained encoder")
    facts: list[Fact] = []
    verdicts = [found.verdict(rules.TRAINING_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    for names in wanted:
        metrics = training_metrics(run, names["encoder"])
        if metrics is None:
            continue
        facts += _facts(names["encoder"], metrics)
        verdicts.append(_loss_verdict(names["encoder"], metrics))
        fidelity = training_fidelity(run, names["encoder"])
        if fidelity is not None:
            facts.append(_fidelity_fact(names["encoder"], fidelity))
            verdicts.append(_fidelity_verdict(names["encoder"], fidelity))
        section = _section(run, names["encoder"], metrics, fidelity, is_done=names in there)
        sections.append(section)
    sections += [
        Section(f"{name}-section", f"Encoder {name}", panels)
        for name in run.plan.plain_encoders
        if (panels := _panels(run, name))
    ]
    answer = (
        f"{len(there)} of {numbers.plural(len(wanted), 'encoder')} trained."
        if wanted
        else "This run trains no encoder."
    )
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def loss_columns(metrics: pd.DataFrame) -> list[str]:
    """Columns that hold a loss."""
    return [str(name) for name in metrics.columns if "loss" in str(name)]


def _facts(encoder: str, metrics: pd.DataFrame) -> list[Fact]:
    path = ("training", encoder)
    facts = [Fact((*path, "steps"), f"Steps of {encoder}", int(metrics["step"].max()))]
    for name in loss_columns(metrics):
        values = metrics[name].dropna()
        if len(values):
            facts.append(
                Fact(
                    (*path, f"last_{name}"),
                    f"Last {name.replace('_', ' ')} of {encoder}",
                    float(values.iloc[-1]),
                    headline=name in ("loss", "train_loss"),
                )
            )
    return facts


def _loss_verdict(encoder: str, metrics: pd.DataFrame) -> Verdict:
    names = [n for n in loss_columns(metrics) if "val" not in n]
    place: dict[str, Any] = {"page": NAME, "anchor": f"{encoder}-loss"}
    if not names:
        return Verdict(rules.LOSS_FALLS, NOT_RUN, encoder, "no loss was logged", **place)
    values = metrics[names[0]].dropna().to_numpy(float)
    if not np.isfinite(values).all() or not len(values):
        return Verdict(rules.LOSS_FALLS, FAIL, encoder, "the loss is not finite", **place)
    tenth = max(1, len(values) // 10)
    first, last = float(values[:tenth].mean()), float(values[-tenth:].mean())
    text = f"the loss went from {numbers.number(first)} to {numbers.number(last)}"
    status = PASS if last < first else CHECK
    return Verdict(
        rules.LOSS_FALLS,
        status,
        encoder,
        text,
        numbers.number(last),
        numbers.number(first),
        **place,
    )


def _fidelity_fact(encoder: str, fidelity: pd.DataFrame) -> Fact:
    label = f"Explained variance of hidden patches by {encoder}"
    path = ("training", encoder, "explained_variance")
    return Fact(path, label, float(fidelity["explained"].iloc[0]), headline=True)


def _fidelity_verdict(encoder: str, fidelity: pd.DataFrame) -> Verdict:
    """Compare the explained variance with the linear predictor's, or with 0 where it has none."""
    whole = fidelity.iloc[0]
    explained, linear = float(whole["explained"]), float(whole["linear"])
    reference = linear if np.isfinite(linear) else 0.0
    status = PASS if explained > reference else CHECK
    if explained <= 0 or explained < reference / 2:
        status = FAIL
    of_linear = f"; a linear predictor explains {numbers.number(linear)}" if reference else ""
    return Verdict(
        rules.HIDDEN_EXPLAINED,
        status,
        encoder,
        f"{numbers.number(explained)} of the variance of hidden patches is explained{of_linear}",
        numbers.number(explained),
        numbers.number(reference / 2),
        page=NAME,
        anchor=f"{encoder}-fidelity",
    )


def _fidelity_table(encoder: str, fidelity: pd.DataFrame) -> Table:
    columns = [
        Column("group", "Wells", "text"),
        Column("wells", "Number of wells", "number"),
        Column("crops", "Crops", "number"),
        Column("explained", "Explained variance", "number"),
        Column("linear", "Linear predictor", "number"),
        Column("fourier_ratio", "Fourier error relative to predicting 0", "number"),
    ]
    title = f"How {encoder} predicts hidden patches of wells kept aside"
    return Table(f"{encoder}-fidelity", title, columns, fidelity)


def _section(
    run: Run,
    encoder: str,
    metrics: pd.DataFrame,
    fidelity: pd.DataFrame | None,
    *,
    is_done: bool,
) -> Section:
    parts: list[Any] = []
    if not is_done:
        text = "Training has not ended; what it has logged so far stands below."
        parts.append(Box("Unfinished", text, CHECK))
    losses = loss_columns(metrics)
    if losses:
        parts.append(_lines(encoder, metrics, losses, "loss", "Loss"))
    if fidelity is not None:
        parts.append(_fidelity_table(encoder, fidelity))
    others = {
        "learning_rate": "Learning rate",
        "crops_per_s": "Throughput in crops per second",
        "waiting": "Share of time spent waiting for data",
        "mfu": "Model FLOP utilisation",
    }
    for name, label in others.items():
        if name in metrics and metrics[name].notna().any():
            parts.append(_lines(encoder, metrics, [name], name.replace("_", "-"), label))
    parts += _panels(run, encoder)
    columns = [
        Column(str(name), str(name).replace("_", " ").capitalize(), "number")
        for name in metrics.columns
        if pd.api.types.is_numeric_dtype(metrics[name])
    ]
    parts.append(Table(f"{encoder}-metrics", "Everything that was logged", columns, metrics))
    return Section(f"{encoder}-section", f"Encoder {encoder}", parts)


def _lines(encoder: str, metrics: pd.DataFrame, names: list[str], what: str, label: str) -> Figure:
    long = pd.concat(
        [
            pd.DataFrame(
                {"x": metrics["step"], "y": metrics[name], "group": name.replace("_", " ")}
            ).dropna()
            for name in names
        ]
    )
    thinned = long.groupby("group", sort=False, group_keys=False)[["x", "y", "group"]].apply(
        lambda part: part.iloc[:: max(1, len(part) // MAX_POINTS)]
    )
    has_points = int(thinned.groupby("group").size().min()) <= MIN_LINE
    values = metrics[names[0]].dropna()
    first, last = numbers.number(values.iloc[0]), numbers.number(values.iloc[-1])
    title = f"{label} of {encoder}: from {first} to {last}"
    return Figure(
        f"{encoder}-{what}",
        title,
        f"By optimiser step, at most {MAX_POINTS} points a line.",
        line_chart(
            thinned.astype({"x": float, "y": float}),
            title=title,
            x_title="step",
            y_title=label,
            has_points=has_points,
            is_whole=True,
        ),
    )


def _panels(run: Run, encoder: str) -> list[Figure]:
    """Return panels of the input, the mask, the prediction and the difference."""
    path = artefact_path(run.path("encoder", encoder=encoder)) / PANELS
    if not path.is_file() or path.stat().st_size > MAX_PANEL_BYTES or not num_images(run):
        return []
    try:
        with np.load(path, allow_pickle=False) as arrays:
            hidden, channels = arrays["is_hidden"], [str(name) for name in arrays["channels"]]
            figures = [_panel_of_crops(encoder, arrays, hidden, channels)]
            if "by_block" in arrays:
                figures.append(_panel_of_blocks(encoder, arrays, hidden, channels))
    except (OSError, ValueError, KeyError, IndexError) as error:
        run.unreadable[run.shown(path)] = f"not readable ({error})"
        return []
    return figures


def _panel_of_crops(encoder: str, arrays: Any, hidden: Any, channels: list[str]) -> Figure:
    title = f"Reconstructions of {encoder}"
    return Figure(
        f"{encoder}-reconstructions",
        f"What {encoder} predicts of hidden patches",
        "One row per channel; for each crop from left to right the input, what the encoder saw "
        "(hidden patches in plain grey), its prediction, and prediction minus input. All at one "
        "range: 3 standard deviations below to above the mean of the crop's channel. Good looks "
        "like predictions with the cells' outlines and a flat difference.",
        reconstruction_panel(arrays["target"], arrays["prediction"], hidden, channels, title=title),
        is_wide=True,
    )


def _panel_of_blocks(encoder: str, arrays: Any, hidden: Any, channels: list[str]) -> Figure:
    title = f"Reconstructions by the blocks of {encoder}"
    return Figure(
        f"{encoder}-reconstructions-by-block",
        f"What the decoder makes of each block of {encoder}",
        "One crop, one row per channel: the input, what the encoder saw, and what the decoder "
        "predicts from the tokens after each block. It has learned to read the last one only, so "
        "early blocks look wrong even where they know much.",
        block_panel(arrays["target"], arrays["by_block"], hidden, channels, title=title),
        is_wide=True,
    )
