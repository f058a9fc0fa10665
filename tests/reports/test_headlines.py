"""Every headline figure of every page equals what its stored table gives, and is explained."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from phenoprints.reports import build

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/headline-figures.md").read_text(encoding="utf-8")


def headlines(folder: Path) -> Iterator[tuple[str, str, float]]:
    """Page, label and stored value of every large figure."""
    for path in sorted(folder.glob("*.html")):
        found = re.search(r'<dl class="facts">(.*?)</dl>', path.read_text("utf-8"), re.DOTALL)
        pattern = r'<dt>(.*?)</dt><dd><data value="(.*?)">'
        for label, value in re.findall(pattern, found[1] if found else ""):
            yield path.stem, html.unescape(label), float(value)


def read(run: Path, *parts: str) -> pd.DataFrame:
    return pd.read_parquet(run.joinpath(*parts))


def funnel(run: Path, manifest: str) -> dict[str, Any]:
    content = json.loads((run / "curation" / manifest / "funnel.json").read_text("utf-8"))
    return dict(content)


def wells(run: Path, name: str) -> float:
    if (run / "screens" / name).is_dir():
        return len(read(run, "screens", name, "wells.parquet"))
    return float(funnel(run, name)["steps"][-1]["after"]["wells"])


def verdicts(run: Path, screen: str, *wanted: str) -> int:
    quality = read(run, "quality", f"{screen}.parquet").query("site == -1")
    return int(quality["verdict"].isin(wanted).sum())


def share_below(run: Path, screen: str, judge: str, level: str) -> float:
    table = read(run, "consistency", screen, f"{judge}.parquet")
    p = table.loc[table["level"] == level, "p_value"].dropna()
    return float((p < 0.01).mean())


def planted(run: Path, manifest: str, of: tuple[str, ...], among: str) -> float:
    judged = read(run, "curation", manifest, "phenoprints.parquet")
    truth = read(run, "screens", "demo", "truth.parquet").set_index("condition_id")["truth"]
    table = judged.assign(truth=judged["condition_id"].map(truth)).dropna(subset=["truth"])
    has = table["has_phenoprint"].astype(bool)
    if among == "phenoprints":
        return float(table.loc[has, "truth"].isin(of).mean())
    return float(has[table["truth"].isin(of)].mean())


def best_block(run: Path, encoder: str) -> int:
    table = read(run, "probes", "pathway", "accuracies", f"{encoder}.parquet")
    return int(table["block"].iloc[int(np.argmax(table["validation_accuracy"]))])


def benchmark(run: Path, screen: str, encoder: str, metric: str) -> float:
    table = read(run, "benchmarks", screen, f"{encoder}.parquet")
    return float(table.loc[table["metric"].str.startswith(metric), "value"].iloc[0])


Stored = Callable[..., float]
FIGURES: dict[str, Stored] = {
    r"Wells of (\S+)": wells,
    r"Conditions of (\S+)": lambda run, s: len(read(run, "screens", s, "conditions.parquet")),
    r"Assessed wells of (\S+)": lambda run, s: verdicts(run, s, "pass", "fail"),
    r"Wells of (\S+) that fail": lambda run, s: verdicts(run, s, "fail"),
    r"Share of tests below p = 0.01, (\S+) as (\S+) sees it":
        lambda run, s, j: share_below(run, s, j, "condition"),
    r"Measured false-phenoprint rate, (\S+) as (\S+) sees it":
        lambda run, s, j: share_below(run, s, j, "control"),
    r"Measured false-phenoprint rate, (\S+)":
        lambda run, m: float(funnel(run, m)["measured_false"]["any"]["rate"]),
    r"Conditions with a phenoprint, (\S+)":
        lambda run, m: read(run, "curation", m, "phenoprints.parquet")["has_phenoprint"].sum(),
    r"Genes with a phenoprint, (\S+)":
        lambda run, m: read(run, "curation", m, "genes.parquet")["has_phenoprint"].sum(),
    r"Planted phenoprints found, (\S+)": lambda run, m: planted(run, m, ("full",), "planted"),
    r"Phenoprints that were planted, (\S+)":
        lambda run, m: planted(run, m, ("full", "partial"), "phenoprints"),
    r"Conditions without effect that were called, (\S+)":
        lambda run, m: planted(run, m, ("none",), "planted"),
    r"Vectors of level (\S+), (\S+) by (\S+)": lambda run, level, s, e:
        int((read(run, "maps", s, e, "map.parquet")["level"] == level).sum()),
    r"Best block of (\S+) \(pathway, .*\)": best_block,
    r"Last loss of (\S+)":
        lambda run, e: float(pd.read_csv(run / f"encoders/{e}/losses.csv")["loss"].iloc[-1]),
    r"known relationships among the outermost pairs of the map \(outer 5 %\), (\S+) on (\S+)":
        lambda run, e, s: benchmark(run, s, e, "recall"),
    r"distance of perturbed wells from control wells, (\S+) on (\S+)":
        lambda run, e, s: benchmark(run, s, e, "energy_distance"),
}  # fmt: skip
"""The headline figures by their labels, and what the stored tables give for each."""


@pytest.fixture(scope="module")
def shown(
    whole_run: Path, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[str, str, float]]:
    folder = tmp_path_factory.mktemp("headlines")
    build(whole_run, config, folder)
    return list(headlines(folder))


def test_headline_figures_are_those_of_the_stored_tables(
    whole_run: Path, shown: list[tuple[str, str, float]]
) -> None:
    assert len({page for page, _, _ in shown}) >= 8
    for page, label, value in shown:
        fitting = [(re.fullmatch(pattern, label), stored) for pattern, stored in FIGURES.items()]
        known = [(match, stored) for match, stored in fitting if match]
        assert len(known) == 1, f"{page}: {label}"
        match, stored = known[0]
        assert value == pytest.approx(stored(whole_run, *match.groups())), f"{page}: {label}"


def test_every_headline_figure_is_explained(shown: list[tuple[str, str, float]]) -> None:
    explained = re.findall(r"^\| (\w+) \| (.+?) \| (.+?) \| (.+?) \|$", TEXT, re.MULTILINE)
    patterns = [(page, re.sub(r"‹\w+›", r"\\S+", words)) for page, words, _, _ in explained]
    for page, label, _ in shown:
        named = [words for at, words in patterns if page in (at, "index")]
        assert any(re.match(words, label) for words in named), f"{page}: {label}"
