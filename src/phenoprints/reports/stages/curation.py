"""The page of curation: the funnel with its reasons, and which conditions have a phenoprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.curation.measured import REASON_TEXTS
from phenoprints.reports import numbers, rules
from phenoprints.reports.figures import funnel_chart, p_value_histogram, qq_plot
from phenoprints.reports.frames import has_values, is_true, records
from phenoprints.reports.links import neighbours_of, searched, tests_of
from phenoprints.reports.page_model import Box, Fact, Figure, Page, Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.stage_status import look_for
from phenoprints.reports.stages.guard import (
    guard_facts,
    guard_verdict,
    is_measured,
    range_of,
    rule_guard,
)
from phenoprints.reports.stages.phenoprint_examples import phenoprint_examples
from phenoprints.reports.stages.phenoprint_tables import (
    count_phenoprints,
    decided_by_clip,
    funnel_steps,
    funnel_warnings,
    judges_of,
    nominal_rate,
)
from phenoprints.reports.stages.thinning import thinning_parts
from phenoprints.reports.stages.truth import truth_facts, truth_parts, truth_verdicts
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import CHECK, FAIL, NOT_RUN, PASS, Verdict

NAME, TITLE = "curation", "Curation"
QUESTION = "Which wells are worth learning from, and why did the others leave?"
MAX_CLIP_SHARE = 0.02

CONDITION_COLUMNS = {
    "perturbation": Column("perturbation", "Perturbation"),
    "gene": Column("gene", "Gene"),
    "guide": Column("guide", "Guide"),
    "concentration_um": Column("concentration_um", "Concentration", "number", "µM"),
    "cell_type": Column("cell_type", "Cell type"),
    "background": Column("background", "Background"),
}


def page(run: Run) -> Page:
    """Return the page, from the funnel and the phenoprints of every manifest."""
    judged = sorted(
        run.plan.manifests, key=lambda name: not run.config["manifests"][name]["judges"]
    )
    wanted = [{"manifest": name} for name in judged]
    found = look_for(run, "funnel", wanted, "manifest")
    facts: list[Fact] = []
    verdicts = [found.verdict(rules.CURATION_RAN, NAME)]
    sections = [Section("missing", "Not run", boxes)] if (boxes := found.boxes()) else []
    sentences = []
    for names in found.there:
        manifest = names["manifest"]
        steps = funnel_steps(run, manifest)
        phenoprints = run.table("phenoprints", manifest=manifest)
        facts += _facts(run, manifest, steps, phenoprints)
        verdicts += _verdicts(run, manifest, steps, phenoprints)
        sections.append(_section(run, manifest, steps, phenoprints))
        sentences.append(sentence(manifest, steps, phenoprints))
    answer = " ".join(sentences) or "No manifest was made."
    return Page(NAME, TITLE, QUESTION, answer, sections, facts, verdicts)


def sentence(manifest: str, steps: pd.DataFrame, phenoprints: pd.DataFrame | None) -> str:
    """Summarise what the manifest keeps and how many conditions have a phenoprint."""
    if steps.empty:
        return f"The funnel of {manifest} cannot be read."
    wells_in, wells_out = steps["wells_in"].iloc[0], steps["wells_out"].iloc[-1]
    text = (
        f"Manifest {manifest} keeps {numbers.count(wells_out)} of {numbers.count(wells_in)} wells"
    )
    counted = count_phenoprints(phenoprints)
    if counted is None:
        return f"{text}; no judge was asked."
    has, testable = counted
    share = numbers.percent(has / testable) if testable else numbers.MISSING
    return f"{text}; {has:,} of {testable:,} tested conditions ({share}) have a phenoprint."


def _facts(
    run: Run, manifest: str, steps: pd.DataFrame, phenoprints: pd.DataFrame | None
) -> list[Fact]:
    path = ("curation", manifest)
    facts = []
    for step in records(steps):
        place = (*path, "steps", step["step"])
        for key, label in (
            ("wells_in", "Wells into"),
            ("wells_out", "Wells out of"),
            ("conditions_in", "Conditions into"),
            ("conditions_out", "Conditions out of"),
        ):
            facts.append(
                Fact((*place, key), f"{label} step {step['step']}, {manifest}", _int(step[key]))
            )
        for reason, wells in sorted(step["reasons"].items()):
            facts.append(
                Fact(
                    (*place, "reasons", reason),
                    f"Wells that left {manifest}: {reason}",
                    _int(wells),
                )
            )
    if len(steps):
        kept, came = _int(steps["wells_out"].iloc[-1]), _int(steps["wells_in"].iloc[0])
        facts.append(
            Fact(
                (*path, "wells_kept"),
                f"Wells of {manifest}",
                kept,
                note=f"of {numbers.count(came)}",
                headline=bool(run.config["manifests"][manifest]["judges"])
                or len(run.plan.manifests) == 1,
            )
        )
    return facts + _phenoprint_facts(run, manifest, phenoprints) + truth_facts(run, manifest)


def _phenoprint_facts(run: Run, manifest: str, phenoprints: pd.DataFrame | None) -> list[Fact]:
    counted = count_phenoprints(phenoprints)
    if phenoprints is None or counted is None:
        return []
    path, (has, testable) = ("curation", manifest), counted
    nominal = nominal_rate(run, manifest)
    facts = [
        Fact(
            (*path, "phenoprints"),
            f"Conditions with a phenoprint, {manifest}",
            has,
            note=f"of {testable:,} tested conditions",
            headline=True,
        ),
        Fact((*path, "tested_conditions"), f"Tested conditions, {manifest}", testable),
        Fact((*path, "conditions"), f"Conditions of {manifest}", len(phenoprints)),
        Fact(
            (*path, "nominal_false_rate"),
            f"False phenoprints that the rule allows, {manifest}",
            nominal,
            numbers.percent(nominal),
        ),
        Fact(
            (*path, "decided_by_clip"),
            f"Conditions decided by the clip, {manifest}",
            int(decided_by_clip(phenoprints).sum()),
        ),
    ]
    guard = rule_guard(run.document("funnel", manifest=manifest))
    if guard is not None:
        facts += guard_facts((*path, "false_phenoprints"), manifest, guard, nominal)
    genes = run.table("genes", manifest=manifest)
    if genes is not None and len(genes):
        has_genes = int(is_true(genes["has_phenoprint"]).sum())
        facts.append(
            Fact(
                (*path, "genes_with_phenoprint"),
                f"Genes with a phenoprint, {manifest}",
                has_genes,
                note=f"of {len(genes):,} genes",
                headline=True,
            )
        )
    return facts


def _int(value: Any) -> int | None:
    return None if numbers.is_missing(value) else int(value)


def _verdicts(
    run: Run, manifest: str, steps: pd.DataFrame, phenoprints: pd.DataFrame | None
) -> list[Verdict]:
    kept = _int(steps["wells_out"].iloc[-1]) if len(steps) else 0
    size = Verdict(
        rules.MANIFEST_SIZE,
        PASS if kept else FAIL,
        manifest,
        f"{numbers.plural(kept or 0, 'well')} kept",
        numbers.count(kept),
        "1",
        0,
        NAME,
        f"{manifest}-funnel",
    )
    return [
        size,
        _warnings_verdict(run, manifest),
        *_phenoprint_verdicts(run, manifest, phenoprints),
        *_guard_verdicts(run, manifest, phenoprints),
        *truth_verdicts(run, manifest),
    ]


def _warnings_verdict(run: Run, manifest: str) -> Verdict:
    count = len(funnel_warnings(run, manifest))
    return Verdict(
        rules.FUNNEL_WARNINGS,
        CHECK if count else PASS,
        manifest,
        numbers.plural(count, "warning"),
        f"{count:,}",
        "0",
        count,
        NAME,
        f"{manifest}-warnings" if count else f"{manifest}-funnel",
    )


def _phenoprint_verdicts(
    run: Run, manifest: str, phenoprints: pd.DataFrame | None
) -> list[Verdict]:
    counted = count_phenoprints(phenoprints)
    place: dict[str, Any] = {"page": NAME, "anchor": f"{manifest}-phenoprints"}
    if phenoprints is None or counted is None:
        text = "no judge was asked, so step 5 did not run"
        return [Verdict(rules.PHENOPRINTS_FOUND, NOT_RUN, manifest, text, page=NAME)]
    has, testable = counted
    expected = nominal_rate(run, manifest) * testable
    status = FAIL if not has else CHECK if has <= 2 * expected else PASS
    found = Verdict(
        rules.PHENOPRINTS_FOUND,
        status,
        manifest,
        f"{has:,} of {numbers.plural(testable, 'tested condition')} have a phenoprint",
        f"{has:,}",
        f"more than twice {expected:.1f}",
        0,
        **place,
    )
    clip = int(decided_by_clip(phenoprints).sum())
    share = clip / len(phenoprints) if len(phenoprints) else 0.0
    clipped = Verdict(
        rules.DECIDED_BY_CLIP,
        CHECK if share > MAX_CLIP_SHARE else PASS,
        manifest,
        f"{numbers.plural(clip, 'condition')} decided by the upper clip",
        numbers.percent(share),
        numbers.percent(MAX_CLIP_SHARE, 0),
        clip,
        **place,
    )
    return [found, clipped]


def _guard_verdicts(run: Run, manifest: str, phenoprints: pd.DataFrame | None) -> list[Verdict]:
    """How often the rule of the manifest calls control wells."""
    if count_phenoprints(phenoprints) is None:
        return []
    guard = rule_guard(run.document("funnel", manifest=manifest))
    place = {"page": NAME, "anchor": f"{manifest}-phenoprints"}
    nominal = nominal_rate(run, manifest)
    return [guard_verdict(rules.FALSE_RATE_OF_RULE, manifest, guard, nominal, **place)]


def _section(
    run: Run, manifest: str, steps: pd.DataFrame, phenoprints: pd.DataFrame | None
) -> Section:
    parts: list[Any] = []
    if steps.empty:
        parts.append(Box("No funnel", "funnel.json holds no step.", FAIL, f"{manifest}-funnel"))
    else:
        parts += [
            funnel_figure(manifest, steps, manifest),
            _steps_table(manifest, steps),
            _reasons_table(manifest, steps),
        ]
    warnings = funnel_warnings(run, manifest)
    if len(warnings):
        parts.append(_warnings_table(manifest, warnings))
    parts += truth_parts(run, manifest)
    if phenoprints is None or not judges_of(phenoprints):
        text = "No judge was asked, so the funnel ends after step 4 and no condition was tested."
        parts.append(Box("No phenoprints", text, anchor=f"{manifest}-no-phenoprints"))
    else:
        parts += _phenoprint_parts(run, manifest, phenoprints)
    parts += thinning_parts(run, manifest, phenoprints)
    return Section(f"{manifest}-section", f"Manifest {manifest}", parts, _lead(run, manifest))


def _lead(run: Run, manifest: str) -> str:
    settings = run.config["manifests"][manifest]
    judges = settings["judges"]
    if not judges:
        return (
            "Steps 1 to 4: quality, known perturbations, enough replicates, under-sampled controls."
        )
    return (
        f"Judged by {' and '.join(judges)}: a condition has a phenoprint when its combined p is "
        f"below {settings['p_value']}{' for any of them' if judges[1:] else ''}. "
        f"{_false_sentence(run, manifest)}"
    )


def _false_sentence(run: Run, manifest: str) -> str:
    """Report the rule's false-phenoprint rate: expected, and measured on control wells."""
    document = run.document("funnel", manifest=manifest) or {}
    rate = numbers.percent(nominal_rate(run, manifest))
    most = "at most " if (document.get("expected_false") or {}).get("is_upper_bound") else ""
    text = f"Without any effect, and if only chance played a part, it calls {most}{rate}."
    guard = rule_guard(document)
    if guard is None:
        return text
    if not is_measured(guard):
        return f"{text} The real rate was not measured: {REASON_TEXTS[guard['reason']]}."
    return (
        f"{text} Control wells with the designs of the conditions are called in "
        f"{numbers.percent(guard['rate'])} of the cases (95{numbers.NBSP}% interval "
        f"{range_of(guard)}): chance, plates and positions together."
    )


def funnel_figure(anchor: str, steps: pd.DataFrame, manifest: str) -> Figure:
    """Return the funnel as bars: what stays after each step."""
    first = steps.iloc[0]
    rows = [
        {
            "step": "read",
            "kept": first["wells_in"],
            "text": f"{numbers.count(first['wells_in'])} wells",
        }
    ]
    for step in records(steps):
        left = int(step["wells_in"]) - int(step["wells_out"])
        if step["step"].startswith("0") and not left:
            continue
        text = f"{step['wells_out']:,} wells, {step['conditions_out']:,} conditions"
        more = f" (−{left:,})" if left else ""
        rows.append({"step": step["step"], "kept": step["wells_out"], "text": text + more})
    last = steps["wells_out"].iloc[-1]
    share = numbers.percent(last / first["wells_in"]) if first["wells_in"] else numbers.MISSING
    title = (
        f"Manifest {manifest} keeps {numbers.count(last)} of {numbers.count(first['wells_in'])} "
        "wells "
        f"({share})"
    )
    return Figure(
        f"{anchor}-funnel",
        title,
        "Wells after each step of the funnel; in brackets what left. Good looks like a step 5 that "
        "takes much and steps 1 to 3 that take little.",
        funnel_chart(pd.DataFrame(rows), title=title),
        is_wide=True,
    )


def _steps_table(manifest: str, steps: pd.DataFrame) -> Table:
    columns = [
        Column("step", "Step"),
        Column("what", "What leaves"),
        Column("wells_in", "Wells in", "count"),
        Column("wells_out", "Wells out", "count"),
        Column("conditions_in", "Conditions in", "count"),
        Column("conditions_out", "Conditions out", "count"),
    ]
    return Table(f"{manifest}-steps", "The funnel, step by step", columns, steps)


def _reasons_table(manifest: str, steps: pd.DataFrame) -> Table:
    rows = [
        {"step": step["step"], "reason": reason.replace("_", " "), "wells": wells}
        for step in records(steps)
        for reason, wells in step["reasons"].items()
    ]
    frame = pd.DataFrame(rows, columns=["step", "reason", "wells"])
    columns = [
        Column("step", "Step"),
        Column("reason", "Reason"),
        Column("wells", "Wells", "count"),
    ]
    note = "Every well with its reason stands in curation/<manifest>/reasons."
    return Table(f"{manifest}-reasons", "Why wells left", columns, frame, note)


def _warnings_table(manifest: str, warnings: pd.DataFrame) -> Table:
    columns = [
        Column("where", "Where"),
        Column("what", "What"),
        Column("expected", "Expected"),
        Column("fix", "To fix"),
    ]
    return Table(f"{manifest}-warnings", "What the funnel warns of", columns, warnings)


def _phenoprint_parts(run: Run, manifest: str, phenoprints: pd.DataFrame) -> list[Any]:
    parts: list[Any] = []
    threshold = float(run.config["manifests"][manifest]["p_value"])
    for judge in judges_of(phenoprints):
        p = phenoprints[f"p_value_{judge}"].dropna().to_numpy(float)
        hits = int((p < threshold).sum())
        anchor = f"{manifest}-{judge.replace('.', '-')}"
        title = f"{judge}: {hits} of {len(p)} combined p-values below {threshold}"
        parts += [
            Figure(
                f"{anchor}-p",
                title,
                "Cauchy-combined over experiments, uncorrected; chance alone gives "
                f"{threshold * len(p):.1f}. "
                "Good looks like a peak at 0 over a flat floor.",
                p_value_histogram(p, title=title),
            ),
            Figure(
                f"{anchor}-qq",
                f"{judge}: combined p-values against chance",
                f"{len(p)} conditions in order, with the band of 95 % of uniform p-values.",
                qq_plot(p, title=f"QQ plot, {judge}"),
            ),
        ]
    genes = run.table("genes", manifest=manifest)
    screens = run.config["manifests"][manifest]["screens"]
    tests = tests_of(run, screens, judges_of(phenoprints))
    leads = {"perturbation": ("consistency", tests), "gene": ("maps", neighbours_of(run, screens))}
    if genes is not None and len(genes):
        caption, known = f"Genes of {manifest}", {"gene": CONDITION_COLUMNS["gene"]}
        parts.append(_judged_table(f"{manifest}-genes", caption, known, genes, leads))
    caption = f"Conditions of {manifest}"
    parts.append(
        _judged_table(f"{manifest}-phenoprints", caption, CONDITION_COLUMNS, phenoprints, leads)
    )
    parts += phenoprint_examples(run, manifest, phenoprints)
    if is_true(phenoprints["has_phenoprint"]).sum() == 0:
        parts.insert(
            0, Text("No condition has a phenoprint: only controls are left in the manifest.")
        )
    return parts


def _judged_table(
    anchor: str,
    caption: str,
    known: Mapping[str, Column],
    table: pd.DataFrame,
    leads: Mapping[str, tuple[str, str]],
) -> Table:
    """Conditions or genes, smallest p first, with every judge's combined p, q and experiments.

    `leads` says for a column on which page and in which table its words can be searched for.
    """
    frame = table.copy()
    told = [c for name, c in known.items() if name in frame and has_values(frame[name])]
    for name, (page_name, place) in leads.items():
        if name not in frame:
            continue
        frame[f"_{name}"] = searched(page_name, place, frame[name]) if place else ""
    columns = [replace(c, link=f"_{c.name}") if c.name in leads else c for c in told]
    columns.append(Column("verdict", "Phenoprint"))
    has = is_true(frame["has_phenoprint"])
    testable = is_true(frame["is_testable"])
    frame["verdict"] = np.where(has, "yes", np.where(testable, "no", "untestable"))
    judges = judges_of(frame)
    for judge in judges:
        columns += [
            Column(f"p_value_{judge}", f"p, {judge}", "number"),
            Column(f"q_value_{judge}", f"q, {judge}", "number"),
            Column(f"num_experiments_{judge}", f"Experiments, {judge}", "count"),
        ]
    frame["_smallest"] = frame[[f"p_value_{judge}" for judge in judges]].min(axis=1)
    frame = frame.sort_values("_smallest", kind="stable", ignore_index=True)
    note = (
        "q is Benjamini-Hochberg over the tested ones; smallest p first. Names lead to tests, "
        "genes to neighbours on the map."
    )
    return Table(anchor, caption, columns, frame, note)
