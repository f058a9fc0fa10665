"""The first page: what was run, with what verdict, and what to do next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from phenoprints import __version__
from phenoprints.freshness import version_text, versions_of_stages
from phenoprints.reports import rules
from phenoprints.reports.frames import records
from phenoprints.reports.methods import bibliography, methods
from phenoprints.reports.page_model import Box, Fact, Page, Passage, Section, Text
from phenoprints.reports.runs import Run
from phenoprints.reports.stages import (
    benchmarks,
    curation,
    paper,
    phenoprint_tables,
    probes,
    quality,
    quality_tables,
    screens,
)
from phenoprints.reports.stages.consistency_tests import p_value_threshold
from phenoprints.reports.stages.cost import cost_facts, cost_of, cost_section
from phenoprints.reports.stages.quality_drift import failures_by_experiment
from phenoprints.reports.stages.trust import trust_facts, trust_section
from phenoprints.reports.tables import Column, Table
from phenoprints.reports.verdicts import (
    CHECK,
    FAIL,
    NOT_RUN,
    PASS,
    Verdict,
    by_severity,
    counts,
)

NAME, TITLE = "index", "Overview"
QUESTION = "What was run, can it be trusted, and what should be done next?"
MAX_STEPS = 4
HEADLINES = {
    screens.NAME: 2, quality.NAME: 2, curation.NAME: 6, benchmarks.NAME: 2,
}  # fmt: skip
"""How many of a page's large figures stand on the first page too."""

COMMAND = (
    "snakemake --configfile <your configuration> -- all\n"
    "# the resolved configuration of this run stands below, and in config.json in its folder"
)


def page(run: Run, pages: Sequence[Page]) -> Page:
    """Return the first page, from the run and all other pages."""
    verdicts = [verdict for other in pages for verdict in other.verdicts]
    verdicts += [*_unreadable_verdicts(run), *_stale_verdicts(run)]
    spent = cost_of(run)
    facts = [*_headlines(pages), *trust_facts(pages), *_verdict_facts(verdicts)]
    facts += cost_facts(spent)
    sections = [
        *_funnel_sections(run),
        trust_section(run),
        _experiments_section(run),
        *_benchmark_section(run),
        cost_section(spent),
        _methods_section(run),
        _provenance_section(run),
    ]
    title = str((run.config.get("reports") or {}).get("title") or f"Run {run.name}")
    shown = [v for v in by_severity(verdicts) if v.status != PASS or v.rule in ALWAYS_SHOWN]
    return Page(
        NAME,
        title,
        QUESTION,
        _answer(pages, verdicts),
        sections,
        facts,
        shown,
        _next_steps(run, verdicts),
        verdicts,
        TITLE,
    )


ALWAYS_SHOWN = (
    rules.FALSE_PHENOPRINTS,
    rules.FALSE_RATE_OF_RULE,
    rules.PHENOPRINTS_FOUND,
    rules.TRUTH_RECALL,
    rules.TRUTH_FALSE,
)


def _headlines(pages: Sequence[Page]) -> list[Fact]:
    """Return the large figures of the other pages that answer what was run, found and reached."""
    by_name = {page.name: page for page in pages}
    facts = [
        fact
        for name, number in HEADLINES.items()
        if name in by_name
        for fact in by_name[name].headlines[:number]
    ]
    return [fact for fact in facts if fact.value != 0 or "assessed_wells" not in fact.path]


def _answer(pages: Sequence[Page], verdicts: Sequence[Verdict]) -> str:
    number = counts(verdicts)
    by_name = {page.name: page for page in pages}
    found = by_name["curation"].answer if "curation" in by_name else ""
    check = f"{number[FAIL]} FAIL, {number[CHECK]} CHECK, {number[PASS]} PASS"
    missing = f", {number[NOT_RUN]} NOT RUN" if number[NOT_RUN] else ""
    return f"{found} Verdicts: {check}{missing}."


def _next_steps(run: Run, verdicts: Sequence[Verdict]) -> list[str]:
    """At most four sentences: what FAILs first, then what CHECKs, else what comes naturally."""
    open_ones = [v for v in by_severity(verdicts) if v.status in (FAIL, CHECK)]
    steps = []
    for rule in list(dict.fromkeys(verdict.rule for verdict in open_ones))[:MAX_STEPS]:
        first, *others = [verdict for verdict in open_ones if verdict.rule == rule]
        more = f" and {len(others)} more" if others else ""
        steps.append(f"{first.finding} ({first.scope}{more}). {rule.cure}")
    if not steps:
        steps.append("Nothing needs a decision. Read the trust panel below, then use the manifest.")
    manifests = [name for name in run.plan.manifests if run.has("manifest", manifest=name)]
    if manifests:
        steps.append(
            "The wells to learn from lie in "
            f"{', '.join(f'curation/{m}/manifest' for m in manifests)} of the run's folder."
        )
    return steps


def _unreadable_verdicts(run: Run) -> list[Verdict]:
    return [
        Verdict(rules.UNREADABLE, FAIL, path, f"{path}: {reason}", page=NAME)
        for path, reason in sorted(run.unreadable.items())
    ]


def _stale_verdicts(run: Run) -> list[Verdict]:
    return [
        Verdict(rules.STALE, CHECK, line.partition(":")[0], line, page=NAME) for line in run.stale
    ]


def _verdict_facts(verdicts: Sequence[Verdict]) -> list[Fact]:
    return [
        Fact(("verdicts", word), f"Verdicts {word}", number)
        for word, number in counts(verdicts).items()
    ]


def _funnel_sections(run: Run) -> list[Section]:
    figures = []
    for manifest in run.plan.manifests:
        steps = phenoprint_tables.funnel_steps(run, manifest)
        if len(steps):
            figures.append(curation.funnel_figure(f"index-{manifest}", steps, manifest))
    if not figures:
        box = Box("No funnel", "Curation has not run, so no well was chosen.", anchor="no-funnel")
        return [Section("funnel", "Funnel", [box])]
    lead = "How many wells stay after each step; every well that leaves has a reason in a table."
    return [Section("funnel", "Funnel", figures, lead)]


def _experiments_section(run: Run) -> Section:
    rows = [row for screen in run.plan.screens for row in _experiment_rows(run, screen)]
    columns = [
        Column("screen", "Screen"),
        Column("experiment", "Experiment"),
        Column("plates", "Plates", "count"),
        Column("wells", "Wells", "count"),
        Column("failed", "Failed quality", "percent"),
        Column("conditions", "Conditions", "count"),
        Column("controls", "Controls", "count"),
        Column("hits", "Tests below threshold", "percent"),
    ]
    frame = pd.DataFrame(rows, columns=[column.name for column in columns])
    if frame.empty:
        return Section(
            "experiments",
            "Experiments",
            [Box("No experiment", "No screen was read.", anchor="no-experiments")],
        )
    note = (
        "Tests below threshold: over all judges of the screen; – where nothing was tested or "
        "assessed."
    )
    return Section(
        "experiments",
        "Experiments",
        [Table("experiments-table", "One row per experiment", columns, frame, note)],
    )


def _experiment_rows(run: Run, screen: str) -> list[dict[str, Any]]:
    wells = run.table("screen_wells", screens.WELL_COLUMNS, screen=screen)
    if wells is None:
        return []
    table = screens.experiments_table(wells).assign(screen=screen)
    table["controls"] = table["negative_control"] + table["unperturbed"]
    assessed = quality_tables.well_quality(run, screen)
    shares = pd.Series(dtype=float)
    if assessed is not None:
        shares = failures_by_experiment(assessed).set_index("experiment")["value"]
    table["failed"] = table["experiment"].map(shares)
    table["hits"] = table["experiment"].map(_hit_shares(run, screen))
    return [dict(row) for row in records(table)]


def _hit_shares(run: Run, screen: str) -> pd.Series:
    parts = []
    for of, encoder in run.plan.judged_pairs:
        table = run.table("consistency", screen=screen, encoder=encoder) if of == screen else None
        if table is not None:
            tests = table[(table["level"] == "condition") & table["p_value"].notna()]
            limit = p_value_threshold(run.config, screen, encoder)
            parts.append(tests.assign(hit=tests["p_value"] < limit)[["experiment", "hit"]])
    if not parts:
        return pd.Series(dtype=float)
    shares: pd.Series = pd.concat(parts).groupby("experiment")["hit"].mean()
    return shares


def _benchmark_section(run: Run) -> list[Section]:
    table = benchmarks.with_values(benchmarks.benchmark_table(run))
    probed = list(probes.best_sentences(run))
    parts: list[Any] = []
    if probed:
        parts.append(Text("Best encoder and block by linear probe, on unseen experiments:", probed))
    if table.empty:
        text = "No benchmark table is there; see the page of benchmarks."
        parts.append(Box("No benchmark", text, anchor="no-benchmark"))
        return [Section("benchmarks", "Best encoder and benchmarks", parts)]
    best = benchmarks.best_rows(table)
    keys = set(zip(best["benchmark"], best["source"], best["metric"], strict=True))
    ours = [*records(best), *records(_baselines(table, best))]
    rows = pd.DataFrame([*ours, *records(paper.index_rows(keys))], columns=[*table.columns])
    rows["rank"] = [_kind(row) for row in records(rows)]
    rows = rows.sort_values(["benchmark", "source", "metric", "rank"], kind="stable")
    note = "Rows marked published are the paper's, on its own screens; all rows stand on the page."
    shown = benchmarks.overview(
        rows.assign(**{"from": [KINDS[at] for at in rows["rank"]]}).reset_index(drop=True),
        "benchmark-table",
        "The best encoder of each benchmark, beside baselines and published values",
        note,
    )
    left_out = ("sd", "n", *benchmarks.BASELINE_COLUMNS)
    told = [column for column in shown.columns if column.name not in left_out]
    columns = [Column("from", "From"), *told]
    parts.append(Table(shown.anchor, shown.caption, columns, shown.frame, note))
    return [Section("benchmarks", "Best encoder and benchmarks", parts)]


KINDS = ("this run", "baseline", "published")


def _kind(row: dict[str, Any]) -> int:
    """0 for our encoders, 1 for random and untrained ones, 2 for published rows (KINDS)."""
    return 2 if pd.isna(row["is_baseline"]) else int(row["is_baseline"])


def _baselines(table: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of baselines on the measures of the best ones."""
    keys = pd.MultiIndex.from_frame(best[benchmarks.KEYS])
    same = pd.MultiIndex.from_frame(table[benchmarks.KEYS]).isin(keys)
    baselines: pd.DataFrame = table[same & table["is_baseline"]]
    return baselines


def _methods_section(run: Run) -> Section:
    text = methods(run)
    if not text:
        return Section(
            "methods",
            "Methods",
            [Box("No methods", "No stage has left results.", anchor="no-methods")],
        )
    return Section(
        "methods",
        "Methods",
        [
            Passage("methods-text", "Paragraph for the Methods section", text, is_open=True),
            Passage("bibtex", "BibTeX of what it cites", bibliography(text)),
        ],
        "Only what ran is described; settings are those of this run.",
    )


def _provenance_section(run: Run) -> Section:
    changed = json.dumps(
        _without_paths(dict(run.config)), indent=2, sort_keys=True, ensure_ascii=False, default=str
    )
    used = {"phenoprints": {__version__: [""]}} | versions_of_stages(run.folder)
    versions = {name: version_text(found) for name, found in used.items()}
    columns = [
        Column("artefact", "Artefact"),
        Column("stage", "Stage"),
        Column("sha256", "sha256"),
        Column("commit", "Commit"),
    ]
    frame = pd.DataFrame(_artefacts(run), columns=[column.name for column in columns])
    return Section(
        "provenance",
        "Provenance and how to repeat it",
        [
            Passage("repeat", "Command", COMMAND, is_open=True),
            Passage("configuration", "Resolved configuration", changed),
            Passage(
                "versions",
                "Versions",
                "\n".join(f"{name} {version}" for name, version in versions.items()),
            ),
            Table("artefacts", "Artefacts with their checksums", columns, frame),
        ],
    )


def _without_paths(value: Any) -> Any:
    """Return the configuration without the folders that lead to a home directory."""
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return f"…/{value.rstrip('/').rsplit('/', 1)[-1]}"
    return value


def _artefacts(run: Run) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(run.folder.rglob("*.provenance.json")):
        document = run.document_at(path)
        if document is None or document.get("stage") == "reports":
            continue
        rows.append(
            {
                "artefact": run.shown(path).removesuffix(".provenance.json"),
                "stage": document.get("stage", ""),
                "sha256": str(document.get("sha256", ""))[:16],
                "commit": str((document.get("code") or {}).get("commit", ""))[:12],
            }
        )
    return rows
