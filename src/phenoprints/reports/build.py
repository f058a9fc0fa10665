"""Write the pages of a run, with their machine-readable twins, in seconds and without a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phenoprints.foundations.fingerprints import fingerprint
from phenoprints.foundations.publishing import publish_json, publish_text
from phenoprints.freshness import settings_as_made, stale_artefacts
from phenoprints.reports.page_model import Page
from phenoprints.reports.pages import render, tables_of
from phenoprints.reports.runs import Run
from phenoprints.reports.stages import (
    alignment,
    benchmarks,
    consistency,
    curation,
    embeddings,
    index,
    maps,
    matches,
    paper_tables,
    probes,
    quality,
    quality_metrics,
    screens,
    training,
)
from phenoprints.reports.verdicts import Verdict, by_severity, counts, counts_sentence, overall

STAGE_PAGES = (
    screens, quality, embeddings, alignment, consistency, curation, training, probes, maps,
    benchmarks,
)  # fmt: skip
"""The modules that make a page each, in the order of the journey."""

PAGE_NAMES = (index.NAME, *(module.NAME for module in STAGE_PAGES))
"""Pages that every run writes, whatever ran."""


@dataclass(frozen=True)
class Report:
    """What was written: where to begin, the verdicts in order of severity, and what they rest on.

    `findings_sha256` is the fingerprint of all figures but the costs, and of all verdicts: two runs
    of the same inputs have the same, however long they took.
    """

    first_page: Path
    verdicts: Sequence[Verdict]
    findings_sha256: str

    @property
    def lines(self) -> list[str]:
        """The verdicts as lines of a log, their counts, and the path of what to open."""
        told = [verdict.as_line() for verdict in self.verdicts]
        return [*told, counts_sentence(self.verdicts), f"Open {self.first_page}"]


def build(
    run_folder: str | Path,
    config: Mapping[str, Any],
    output_folder: str | Path | None = None,
) -> Report:
    """Write every page of a run, `summary.json`, `verdicts.json` and the tables beside the pages.

    Parameters
    ----------
    run_folder
        The folder of the run. Stages without results give pages that say so.
    config
        The resolved configuration of the run.
    output_folder
        Where the pages go; `reports` in the run's folder by default.

    The same tables give the same bytes, but for what was measured while the run went on: cost on
    the first page, speeds on that of training. Nothing imports torch.
    """
    run = _as_made(Path(run_folder), config)
    folder = Path(output_folder) if output_folder is not None else run.folder / "reports"
    stage_pages = [module.page(run) for module in STAGE_PAGES]
    if (config.get("reports") or {}).get("paper"):
        stage_pages.append(paper_tables.page(run))
    if run.plan.matched_pairs:
        stage_pages.append(matches.page(run))
    first = index.page(run, stage_pages)
    site = [first, *stage_pages]
    for page in [*site, *quality_metrics.metric_pages(run)]:
        write_page(folder, page, run.name, site, run.stale)
    verdicts = by_severity(first.all_verdicts)
    figures, judged = summary(site), _verdicts_document(run.name, verdicts)
    publish_json(folder / "summary.json", figures)
    publish_json(folder / "verdicts.json", judged)
    publish_text(folder / "phenoprints_mqc.json", multiqc_row(run.name, first))
    timeless = {key: value for key, value in figures.items() if key != "cost"}
    return Report(folder / "index.html", verdicts, fingerprint([timeless, judged]))


def summary(pages: Sequence[Page]) -> dict[str, Any]:
    """Every figure that the pages show, nested by its path; NaN is null."""
    nested: dict[str, Any] = {}
    for page in pages:
        for fact in page.facts:
            place = nested
            for key in fact.path[:-1]:
                place = place.setdefault(key, {})
            place[fact.path[-1]] = fact.stored
    return nested


def multiqc_row(run: str, first: Page) -> str:
    """Return the headline figures as custom content of MultiQC's general statistics table."""
    import json

    values = {fact.key: fact.stored for fact in first.headlines if fact.stored is not None}
    content = {
        "id": "phenoprints",
        "section_name": "Phenoprints",
        "plot_type": "generalstats",
        "data": {run: values},
    }
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _as_made(folder: Path, config: Mapping[str, Any]) -> Run:
    """Return a run with the settings that its tables were made with, and what is stale."""
    stale = [
        each.line(folder)
        for each in stale_artefacts(folder, config, compared=("job", "inputs"))
        if each.recorded.provenance.get("stage") != "reports"
    ]
    made = settings_as_made(config, folder) if stale else config
    return Run(folder, made, stale=stale, planned=config)


def write_page(
    folder: Path, page: Page, run: str, site: Sequence[Page], stale: Sequence[str] = ()
) -> None:
    """Write a page of a site with the tables that it shows and its machine-readable twin."""
    files = {}
    for table in tables_of(page):
        name = f"tables/{page.name}-{table.anchor}.csv"
        publish_text(folder / name, table.csv_text())
        files[table.anchor] = name
    text = render(page, run=run, site=site, files=files, stale=stale)
    publish_text(folder / f"{page.name}.html", text)
    publish_json(folder / f"{page.name}.report.json", _page_document(page))


def _page_document(page: Page) -> dict[str, Any]:
    return {
        "format": 1,
        "page": page.name,
        "title": page.title,
        "question": page.question,
        "answer": page.answer,
        "status": overall(page.counted),
        "figures": [
            {
                "path": list(fact.path),
                "label": fact.label,
                "value": fact.stored,
                "shown": fact.shown,
            }
            for fact in page.facts
        ],
        "verdicts": [verdict.as_record() for verdict in page.verdicts],
    }


def _verdicts_document(run: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "format": 1,
        "run": run,
        "status": overall(verdicts),
        "counts": counts(verdicts),
        "verdicts": [verdict.as_record() for verdict in verdicts],
    }
