"""The page of quality: which wells failed, by which rule, where on the plate, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from phenoprints.quality.measurement import column_name, find_nucleus_channel
from phenoprints.reports import numbers, palettes, rules
from phenoprints.reports.examples import example_gallery
from phenoprints.reports.frames import has_values, records
from phenoprints.reports.page_model import Box, Fact, Gallery, Page, Section
from phenoprints.reports.platemaps import (
    category_legend,
    category_map,
)
from phenoprints.reports.proportions import Share
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for
from phenoprints.reports.stages.quality_drift import (
    drift_figure,
    failures_by_experiment,
    metric_drift,
)
from phenoprints.reports.stages.quality_examples import EXAMPLES_CAPTION, examples_of
from phenoprints.reports.stages.quality_metrics import metric_links
from phenoprints.reports.stages.quality_replicates import replicate_facts, replicate_figure
from phenoprints.reports.stages.quality_tables import (
    planted,
    plate_checks,
    rule_titles,
    well_quality,
)
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, FAIL, NOT_RUN, PASS, Verdict
from phenoprints.wells.plates import largest_shape

NAME, TITLE = "quality", "Quality"
QUESTION = "Which images can be trusted, and what is wrong with the others?"
MAX_PLATES = 48
MAX_FAILED = 0.20
MIN_FOUND, MAX_ALARMS = 0.98, 0.01


def page(run: Run) -> Page:
    """Return the page, from the quality table of every screen."""
    found = look_for(run, "quality", [{"screen": s} for s in run.plan.screens], "quality table")
    facts: list[Fact] = []
    verdicts = [found.verdict(rules.QUALITY_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    failed = assessed = 0
    for names in found.there:
        table = well_quality(run, names["screen"])
        if table is None:
            continue
        facts += _facts(names["screen"], table)
        facts += replicate_facts(run, names["screen"])
        facts += _planted_facts(run, names["screen"], table)
        verdicts += _verdicts(run, names["screen"], table)
        verdicts += _more_verdicts(run, names["screen"], table)
        sections.append(_section(run, names["screen"], table))
        failed += int((table["verdict"] == "fail").sum())
        assessed += int((table["verdict"] != "not assessed").sum())
    answer = (
        f"{numbers.count(failed)} of {numbers.plural(assessed, 'assessed well')} failed and "
        "are left out of alignment, tests and maps."
        if assessed
        else "No image was assessed: no screen of this run has images."
    )
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def rule_counts(table: pd.DataFrame) -> pd.DataFrame:
    """How many failed wells each rule code names, by role."""
    rows = table.loc[table["verdict"] == "fail", ["well_id", "role", "reasons"]].explode("reasons")
    rows = rows.dropna(subset=["reasons"]).rename(columns={"reasons": "rule"})
    counts = rows.groupby("rule").agg(wells=("well_id", "nunique"))
    counts["controls"] = rows[rows["role"] != "treatment"].groupby("rule")["well_id"].nunique()
    return counts.fillna(0).sort_values("wells", ascending=False).reset_index()


def _facts(screen: str, table: pd.DataFrame) -> list[Fact]:
    counts = table["verdict"].value_counts()
    assessed = int(len(table) - counts.get("not assessed", 0))
    failed = Share(int(counts.get("fail", 0)), assessed)
    path = ("quality", screen)
    facts = [
        Fact((*path, "assessed_wells"), f"Assessed wells of {screen}", assessed, headline=True),
        Fact((*path, "passed_wells"), f"Wells of {screen} that pass", int(counts.get("pass", 0))),
    ]
    if assessed:
        note, label = f"{failed.shown} ({failed.range})", f"Wells of {screen} that fail"
        facts += [
            Fact((*path, "failed_wells"), label, failed.count, note=note, headline=True),
            Fact((*path, "failed_share"), f"Share of {screen} that fails", failed.value),
        ]
    return facts + [
        Fact(
            (*path, "rules", str(row["rule"])),
            f"Wells of {screen} that fail {row['rule']}",
            int(row["wells"]),
        )
        for row in records(rule_counts(table))
    ]


def _why_not_assessed(run: Run, screen: str) -> str:
    if screen in run.plan.screens_without_images:
        return "the screen has no images to assess"
    return "no image of the screen could be assessed"


def _verdicts(run: Run, screen: str, table: pd.DataFrame) -> list[Verdict]:
    assessed = table[table["verdict"] != "not assessed"]
    if assessed.empty:
        return [
            Verdict(
                rules.FAILED_WELLS,
                NOT_RUN if screen in run.plan.screens_without_images else FAIL,
                screen,
                _why_not_assessed(run, screen),
                page=NAME,
                anchor=f"{screen}-none",
            )
        ]
    is_failed = assessed["verdict"] == "fail"
    share, failed = float(is_failed.mean()), int(is_failed.sum())
    wells = Verdict(
        rules.FAILED_WELLS,
        FAIL if share == 1.0 else CHECK if share > MAX_FAILED else PASS,
        screen,
        f"{numbers.plural(failed, 'well')} of {numbers.count(len(assessed))} failed",
        numbers.percent(share),
        numbers.percent(MAX_FAILED, 0),
        failed,
        NAME,
        f"{screen}-plates",
    )
    others = [_controls_verdict(screen, assessed), _uneven_verdict(screen, table)]
    return [wells, *others, _nucleus_verdict(run, screen)]


def _nucleus_verdict(run: Run, screen: str) -> Verdict:
    """Return which channel nuclei were counted in; NOT RUN where none is known."""
    notes = run.document("screen_notes", screen=screen) or {}
    channels = notes.get("geometry", {}).get("channels", [])
    chosen = run.config["screens"][screen]["quality"]["nucleus_channel"]
    found = find_nucleus_channel(channels, chosen) if channels else None
    if found is None:
        named = ", ".join(channels) or "unknown"
        text = (
            f"no name of a channel says that it shows nuclei ({named}); QC020 and QC021 did not run"
        )
        status = NOT_RUN
    else:
        name = next(name for name in channels if column_name(name) == found)
        text, status = f"nuclei are counted in {name}", PASS
    return Verdict(
        rules.NUCLEUS_CHANNEL, status, screen, text, page=NAME, anchor=f"{screen}-plates"
    )


PLANTED_LABELS = {"found": "Planted bad wells found", "false_alarms": "Good wells that fail"}


def _planted_facts(run: Run, screen: str, table: pd.DataFrame) -> list[Fact]:
    path = ("quality", screen, "truth")
    return [
        fact
        for key, share in planted(run, screen, table).items()
        for fact in share.facts((*path, key), f"{PLANTED_LABELS[key]}, {screen}")
    ]


def _more_verdicts(run: Run, screen: str, table: pd.DataFrame) -> list[Verdict]:
    verdicts = []
    checks = plate_checks(run, screen)
    if len(checks):
        failed = int((checks["verdict"] == "fail").sum())
        plates = checks.loc[checks["verdict"] == "fail", ["experiment", "plate"]].drop_duplicates()
        verdicts.append(
            Verdict(
                rules.PLATE_CHECKS,
                CHECK if failed else PASS,
                screen,
                f"failing checks: {failed}, on {numbers.plural(len(plates), 'plate')}",
                str(failed),
                "0",
                failed,
                NAME,
                f"{screen}-checks",
            )
        )
    shares = planted(run, screen, table)
    if shares and all(share.total for share in shares.values()):
        found, alarms = shares["found"], shares["false_alarms"]
        is_good = found.value >= MIN_FOUND and alarms.value <= MAX_ALARMS
        verdicts.append(
            Verdict(
                rules.PLANTED_BAD_WELLS,
                PASS if is_good else CHECK,
                screen,
                f"{found.count} of {found.total} planted bad wells found, {alarms.count} false "
                "alarms",
                f"{found.shown}; {alarms.shown}",
                f"{numbers.percent(MIN_FOUND, 0)}; {numbers.percent(MAX_ALARMS, 0)}",
                found.total - found.count + alarms.count,
                NAME,
                f"{screen}-plates",
            )
        )
    return verdicts


def _plates_table(run: Run, screen: str) -> list[Table]:
    checks = plate_checks(run, screen)
    if checks.empty:
        return []
    order = checks["verdict"].map({"fail": 0, "pass": 1}).fillna(2)
    frame = checks.assign(order=order).sort_values("order", kind="stable", ignore_index=True)
    frame["status"] = frame["verdict"].map({"fail": CHECK, "pass": PASS}).fillna(NOT_RUN)
    columns = [
        Column("status", "Verdict", "verdict"),
        Column("experiment", "Experiment"),
        Column("plate", "Plate"),
        Column("code", "Rule"),
        Column("check", "What would be wrong"),
        Column("value", "Value", "number"),
        Column("threshold", "Threshold", "number"),
        Column("detail", "Detail"),
    ]
    shown = [column for column in columns if has_values(frame[column.name])]
    return [Table(f"{screen}-checks", f"Plates of {screen} as a whole", shown, frame)]


def _controls_verdict(screen: str, assessed: pd.DataFrame) -> Verdict:
    is_control = assessed["role"] != "treatment"
    is_failed = assessed["verdict"] == "fail"
    ours = float(is_failed[is_control].mean()) if is_control.any() else np.nan
    others = float(is_failed[~is_control].mean()) if (~is_control).any() else np.nan
    limit = max(0.05, 2 * (others if np.isfinite(others) else 0.0))
    status = NOT_RUN if np.isnan(ours) else CHECK if ours > limit else PASS
    text = (
        f"{numbers.percent(ours)} of the controls fail, {numbers.percent(others)} of the treatments"
    )
    return Verdict(
        rules.FAILED_CONTROLS,
        status,
        screen,
        text,
        numbers.percent(ours),
        numbers.percent(limit),
        int(is_failed[is_control].sum()),
        NAME,
        f"{screen}-plates",
    )


def _uneven_verdict(screen: str, table: pd.DataFrame) -> Verdict:
    shares = failures_by_experiment(table).set_index("experiment")["value"]
    limit = max(0.10, 3 * float(shares.median()))
    high = shares[shares > limit]
    text = (
        f"{', '.join(map(str, high.index[:5]))} above the limit"
        if len(high)
        else f"at most {numbers.percent(shares.max())} of an experiment's wells fail"
    )
    return Verdict(
        rules.UNEVEN_QUALITY,
        CHECK if len(high) else PASS,
        screen,
        text,
        numbers.percent(shares.max()),
        numbers.percent(limit),
        len(high),
        NAME,
        f"{screen}-drift",
    )


def _section(run: Run, screen: str, table: pd.DataFrame) -> Section:
    if (table["verdict"] == "not assessed").all():
        text = (
            f"{_why_not_assessed(run, screen).capitalize()}, so nothing was measured. Its wells "
            "are used as they are: not assessed is neither pass nor fail."
        )
        return Section(
            screen, f"Screen {screen}", [Box("No images", text, anchor=f"{screen}-none")]
        )
    parts: list[Any] = [
        _verdict_gallery(screen, table),
        _rules_table(run, screen, table),
        *_plates_table(run, screen),
        example_gallery(
            run,
            screen,
            examples_of(run, screen, table),
            anchor=f"{screen}-examples",
            title="What passes and what fails",
            caption=EXAMPLES_CAPTION,
        ),
        drift_figure(screen, table),
        replicate_figure(run, screen),
        *metric_drift(screen, table),
        *metric_links(screen, table),
        _wells_table(screen, table),
    ]
    return Section(screen, f"Screen {screen}", parts)


def _verdict_gallery(screen: str, table: pd.DataFrame) -> Gallery:
    shape = largest_shape(table)
    plates = list(table.groupby(["experiment", "plate"], sort=True))
    plates.sort(key=lambda item: -int((item[1]["verdict"] == "fail").sum()))
    pictures = [
        category_map(
            part[["row", "column", "role"]].assign(value=part["verdict"]),
            title=(
                f"{experiment} / {plate}: "
                f"{numbers.plural(int((part['verdict'] == 'fail').sum()), 'well')} failed"
            ),
            fills=palettes.VERDICT_FILLS,
            shape=shape,
        )
        for (experiment, plate), part in plates[:MAX_PLATES]
    ]
    worst = int((plates[0][1]["verdict"] == "fail").sum()) if plates else 0
    more = (
        f" The {MAX_PLATES} plates with most failures of {len(plates)} are drawn."
        if len(plates) > MAX_PLATES
        else ""
    )
    return Gallery(
        f"{screen}-plates",
        f"{numbers.plural(worst, 'well')} failed on the worst of "
        f"{numbers.plural(len(plates), 'plate')}",
        f"Verdict of every well, worst plates first.{more} Good looks like few failures that form "
        "no row, column, corner or edge.",
        pictures,
        category_legend(palettes.VERDICT_FILLS),
    )


def _rules_table(run: Run, screen: str, table: pd.DataFrame) -> Table:
    columns = [
        Column("rule", "Rule"),
        Column("title", "What"),
        Column("wells", "Failed wells", "count"),
        Column("controls", "of them controls", "count"),
    ]
    counts = rule_counts(table)
    titles = rule_titles(run, screen)
    counts["title"] = [titles.get(str(code), "") for code in counts["rule"]]
    caption = f"Rules that failed wells of {screen} break; a well may break several"
    return Table(f"{screen}-rules", caption, columns, counts)


def _wells_table(screen: str, table: pd.DataFrame) -> Table:
    failed = table[table["verdict"] == "fail"].copy()
    failed["rules"] = [", ".join(map(str, reasons)) for reasons in failed["reasons"]]
    failed["well_id"] = failed["well_id"].astype(str)
    columns = [
        Column("experiment", "Experiment"),
        Column("plate", "Plate"),
        Column("well", "Well"),
        Column("role", "Role"),
        Column("rules", "Rules"),
        Column("well_id", "well_id"),
    ]
    return Table(
        f"{screen}-failed",
        f"Failed wells of {screen}, with every rule that each breaks",
        columns,
        failed,
    )
