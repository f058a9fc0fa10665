"""All pages of a run: every figure of the summary is on a page, whatever ran or failed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from phenoprints.configuration.layout import REPORT_PAGES
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.foundations.publishing import publish_json
from phenoprints.reports import PAGE_NAMES, build, rules
from phenoprints.reports.build import summary
from phenoprints.reports.pages import MAX_PAGE_BYTES, render
from phenoprints.reports.runs import Run
from phenoprints.reports.stages import curation, quality, training
from phenoprints.reports.stages.guard import guard_verdict

ROOT = Path(__file__).resolve().parents[2]


class Values(HTMLParser):
    """Collects ids, links, tags and the values of all <data> elements of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.values: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.add(tag)
        self.handlers += [name for name in attributes if name.startswith("on")]
        if tag == "data":
            self.values.append(str(attributes["value"]))
        if "id" in attributes:
            self.ids.append(str(attributes["id"]))
        if tag == "a":
            self.links.append(str(attributes["href"]))


def leaves(
    nested: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


@pytest.fixture(scope="module")
def built(
    whole_run: Path, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    build(whole_run, config, folder)
    return folder


def read_pages(folder: Path) -> dict[str, Values]:
    return {path.stem: Values(path) for path in sorted(folder.glob("*.html"))}


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_run_writes_every_page(built: Path) -> None:
    for name in PAGE_NAMES:
        assert (built / f"{name}.html").is_file()
        assert (built / f"{name}.report.json").is_file()
    verdicts = read(built / "verdicts.json")["verdicts"]
    not_run = [(v["rule_code"], v["scope"]) for v in verdicts if v["status"] == "NOT RUN"]
    # The synthetic run names no channel that shows nuclei.
    assert not_run == [("CU101", "everything"), ("QC906", "demo")]


def test_every_figure_of_the_summary_is_on_a_page(built: Path) -> None:
    shown = {value for page in read_pages(built).values() for value in page.values}
    found = dict(leaves(read(built / "summary.json")))
    assert len(found) > 150
    missing = {path: value for path, value in found.items() if str(value) not in shown}
    assert not missing


def test_summary_says_what_the_demo_is_judged_by(built: Path) -> None:
    figures = read(built / "summary.json")
    truth = figures["curation"]["phenoprints"]["truth"]
    assert truth["recall"]["value"] == 1.0
    assert truth["recall"]["low"] < 1.0
    assert truth["precision"]["hits"] == 12
    assert truth["false_calls"]["of"] == 15
    steps = figures["curation"]["phenoprints"]["steps"]
    assert steps["5 phenoprints"]["wells_out"] == 150
    assert figures["probes"]["pathway"]["phenoprints-mae"]["demo"]["U2OS"]["best_block"] == 3
    recall = figures["benchmarks"]["demo"]["relationships"]["screen"]["recall_0.05_0.95"]
    assert recall["phenoprints-mae"]["random"] == 0.1
    assert recall["phenoprints-mae"]["untrained"] == 0.2
    assert recall["phenoprints-mae"]["z"] == pytest.approx(0.6 / (0.02 * 2**0.5))
    assert figures["cost"]["seconds"]["alignment"] == 1.5
    rate = figures["consistency"]["demo"]["wsl"]["false_phenoprints"]
    assert rate["rate"] == pytest.approx(4 / 30)
    assert rate["low"] < rate["rate"] < rate["high"]
    assert figures["curation"]["phenoprints"]["false_phenoprints"]["rate"] == 0.1


def test_control_guard_warns_above_twice_the_nominal_rate(built: Path) -> None:
    verdicts = read(built / "verdicts.json")["verdicts"]
    guard = [v for v in verdicts if v["rule_code"] == "CO101"]
    assert [v["status"] for v in guard] == ["CHECK", "CHECK"]
    text = (built / "index.html").read_text(encoding="utf-8")
    assert "Control wells look like phenoprints" in text
    rule = [v for v in verdicts if v["rule_code"] == "CU107"]
    assert [(v["scope"], v["status"]) for v in rule] == [("phenoprints", "CHECK")]


@pytest.mark.parametrize(
    ("rate", "high", "nominal", "status"),
    [
        (0.0, 0.25, 0.01, "PASS"),
        (0.0, 0.55, 0.01, "CHECK"),
        (0.03, 0.1, 0.01, "CHECK"),
        (0.15, 0.29, 0.15, "PASS"),
        (0.15, 0.31, 0.15, "CHECK"),
    ],
)
def test_a_guard_whose_interval_excludes_nothing_is_no_pass(rate, high, nominal, status):
    guard = {"status": "RUN", "rate": rate, "low": 0.0, "high": high, "below": 0, "separate": 4.6}
    verdict = guard_verdict(rules.FALSE_PHENOPRINTS, "s", guard, nominal)
    assert verdict.status == status
    is_wide = rate <= 2 * nominal and status == "CHECK"
    assert ("4.6 groups without a well in common are too few" in verdict.finding) == is_wide


def test_a_guard_that_could_not_run_gives_the_reason(
    run_copy: Path, config: dict[str, Any], tmp_path: Path
) -> None:
    for path in (run_copy / "consistency/demo").glob("*.parquet"):
        table = pd.read_parquet(path)
        is_control = table["level"] == "control"
        table.loc[is_control, ["name", "p_value"]] = ["", np.nan]
        table.loc[is_control, "reason"] = "too_few_controls"
        CONSISTENCY.write(path, table)
    funnel = run_copy / "curation/phenoprints/funnel.json"
    document = json.loads(funnel.read_text())
    document["measured_false"]["any"] |= {
        "status": "NOT RUN", "reason": "positions_differ", "rate": None
    }  # fmt: skip
    funnel.write_text(json.dumps(document))
    report = build(run_copy, config, tmp_path / "pages")
    told = [v for v in report.verdicts if v.rule.code in ("CO101", "CU107")]
    assert {v.status for v in told} == {"NOT RUN"}
    assert "fewer control wells of one fold than conditions have" in told[0].finding
    assert "control wells do not" in told[-1].finding


def test_copied_vectors_and_warnings_of_the_funnel_are_told(
    run_copy: Path, config: dict[str, Any], tmp_path: Path
) -> None:
    judge = sorted(path.stem for path in (run_copy / "consistency/demo").glob("*.parquet"))[0]
    path = run_copy / f"consistency/demo/{judge}.parquet.provenance.json"
    path.write_text(json.dumps({"notes": {"repeated_vectors": 3}}))
    funnel = run_copy / "curation/phenoprints/funnel.json"
    document = json.loads(funnel.read_text())
    words = {"where": "here", "what": "<b>no condition</b>", "expected": "some", "fix": "a cure"}
    document["warnings"] = [{"kind": kind, **words} for kind in ("control", "limits", "hold_out")]
    funnel.write_text(json.dumps(document))
    report = build(run_copy, config, tmp_path / "pages")
    told = {(v.rule.code, v.scope): v for v in report.verdicts}
    assert told["CO105", f"demo, {judge}"].status == "CHECK"
    assert told["CO105", f"demo, {judge}"].finding.startswith("3 wells with the vector of another")
    assert told["CU106", "phenoprints"].status == "CHECK"
    assert (
        told["CU106", "phenoprints"].finding == "2 warnings"
    )  # the control guard has its own rule
    assert told["CU106", "everything"].status == "PASS"
    page = (tmp_path / "pages/curation.html").read_text()
    assert "&lt;b&gt;no condition&lt;/b&gt;" in page


def test_in_sample_rows_are_told(built: Path) -> None:
    text = (built / "index.html").read_text(encoding="utf-8")
    assert "2 benchmark rows of 6 in-sample" in text


def test_hostile_names_stay_text_everywhere(built: Path) -> None:
    for name, page in read_pages(built).items():
        assert "img" not in page.tags, name
        assert "&lt;img" not in "".join(page.links), name
        assert not page.handlers, name
    assert "&lt;img src=x" in (built / "curation.html").read_text(encoding="utf-8")


def test_links_and_anchors_resolve(built: Path) -> None:
    pages = read_pages(built)
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for link in page.links:
            file, _, anchor = link.partition("#")
            if file and not file.endswith(".html"):
                assert (built / file).is_file(), link
                continue
            target = pages[Path(file).stem] if file else page
            anchor = anchor.partition("?")[0]
            assert not anchor or anchor in target.ids, f"{name}: {link}"


def test_pages_stay_small(built: Path) -> None:
    for path in built.glob("*.html"):
        assert path.stat().st_size < MAX_PAGE_BYTES, path.name


def test_same_tables_same_bytes(
    whole_run: Path, config: dict[str, Any], built: Path, tmp_path: Path
) -> None:
    build(whole_run, config, tmp_path)
    ours = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    theirs = {path.relative_to(built): path.read_bytes() for path in built.rglob("*.*")}
    assert ours == theirs


def test_pages_name_no_home_folder(built: Path, whole_run: Path) -> None:
    for path in built.rglob("*.*"):
        assert str(whole_run.parent) not in path.read_text(encoding="utf-8"), path.name


def test_a_failed_stage_is_said_on_pages_that_open(
    run_copy: Path, config: dict[str, Any], tmp_path: Path
) -> None:
    (run_copy / "consistency/demo/wsl.parquet").unlink()
    (run_copy / "maps/demo/untrained.provenance.json").unlink()
    (run_copy / "quality/demo.parquet").write_bytes(b"damaged")
    report = build(run_copy, config, tmp_path / "out")
    by_code = {v.rule.code: v.status for v in report.verdicts}
    assert by_code["CO100"] == "FAIL"
    assert by_code["MA100"] == "FAIL"
    assert by_code["RE101"] == "FAIL"
    text = (tmp_path / "out/consistency.html").read_text(encoding="utf-8")
    assert "demo as wsl" in text
    assert "quality/demo.parquet" in (tmp_path / "out/index.html").read_text(encoding="utf-8")


def test_an_empty_run_gives_pages_that_say_not_run(config: dict[str, Any], tmp_path: Path) -> None:
    report = build(tmp_path / "nothing", config, tmp_path / "out")
    assert {v.status for v in report.verdicts} == {"NOT RUN"}
    for name in PAGE_NAMES:
        text = (tmp_path / "out" / f"{name}.html").read_text(encoding="utf-8")
        assert "NOT RUN" in text
    assert read(tmp_path / "out/summary.json")["verdicts"]["PASS"] == 0


def test_no_phenoprint_at_all_is_a_fail_that_says_so(
    make_run: Callable[..., Path], config: dict[str, Any]
) -> None:
    page = curation.page(Run(make_run(share_true=0.0), config))
    found = {v.scope: v.status for v in page.verdicts if v.rule.code == "CU101"}
    assert found["phenoprints"] == "FAIL"
    assert "No condition has a phenoprint" in render(page, run="demo", site=[page])


def test_a_run_with_one_encoder_gives_pages_that_say_what_is_missing(
    run_copy: Path, tmp_path: Path
) -> None:
    from phenoprints import configuration

    one = {
        "run": "demo",
        "screens": {"demo": {"source": "simulated"}},
        "encoders": {"untrained": {"kind": "untrained", "architecture": "vit-tiny"}},
        "manifests": {"everything": {"screens": ["demo"]}},
        "evaluation": {
            "screens": ["demo"], "encoders": ["untrained"], "probes": ["pathway"],
            "benchmarks": ["relationships"],
        },
    }  # fmt: skip
    build(run_copy, configuration.load(one), tmp_path / "out")
    texts = {path.stem: path.read_text("utf-8") for path in (tmp_path / "out").glob("*.html")}
    assert set(PAGE_NAMES) <= set(texts)
    assert "baselines only" in texts["benchmarks"]
    assert "This run trains no encoder" in texts["training"]
    assert "No consistency test has run" in texts["consistency"]
    assert "no judge was asked" in texts["index"]


def test_costs_are_apart_from_what_two_runs_share(
    run_copy: Path, config: dict[str, Any], tmp_path: Path
) -> None:
    first = build(run_copy, config, tmp_path / "first")
    durations = run_copy / "durations/fit_alignment/demo.tsv"
    durations.write_text("s\th:m:s\tmax_rss\n9.5\t0:00:09\t120.5\n", encoding="utf-8")
    later = build(run_copy, config, tmp_path / "later")
    assert first.findings_sha256 == later.findings_sha256
    assert read(tmp_path / "later/summary.json")["cost"]["seconds"]["alignment"] == 9.5
    (run_copy / "consistency/demo/wsl.parquet").unlink()
    assert build(run_copy, config, tmp_path / "less").findings_sha256 != first.findings_sha256


def test_device_hours_are_those_of_training_and_embedding(
    run_copy: Path, config: dict[str, Any]
) -> None:
    from phenoprints.reports.devices import device_work

    told = {"wells": 720, "seconds": 360.0, "waiting_s": 36.0, "devices": ["cuda"]}
    publish_json(run_copy / "embeddings/demo/untrained.throughput.json", told)
    table = device_work(Run(run_copy, config)).set_index("what")
    assert table.loc["demo by untrained", ["hours", "rate", "waiting"]].tolist() == [0.1, 2.0, 0.1]
    # 50 steps of 8 crops at 500 crops a second
    assert table.loc["wsl", "hours"] == pytest.approx(400 / 500 / 3600)


def test_a_screen_without_images_is_not_green(
    make_run: Callable[..., Path], config: dict[str, Any]
) -> None:
    page = quality.page(Run(make_run(has_images=False), config))
    # The source has images, and none of them could be assessed.
    assert {v.status for v in page.verdicts if v.rule.code == "QC901"} == {"FAIL"}
    assert "No images" in render(page, run="demo", site=[page])


def test_training_can_be_read_while_it_runs(run_copy: Path, config: dict[str, Any]) -> None:
    (run_copy / "encoders/phenoprints-mae.provenance.json").unlink()
    (run_copy / "encoders/phenoprints-mae/losses.csv").unlink()
    history = [{"step": 10, "crops": 80, "loss": 0.5}, {"step": 20, "crops": 160, "loss": 0.25}]
    checkpoint = run_copy / "encoders/phenoprints-mae.training/step-000000020/state.json"
    publish_json(checkpoint, {"step": 20, "history": history})
    page = training.page(Run(run_copy, config))
    text = render(page, run="demo", site=[page])
    assert "Training has not ended" in text
    assert "Loss of phenoprints-mae: from 0.500 to 0.250" in text


def test_reconstructions_are_shown_for_the_last_block_and_for_every_one(
    run_copy: Path, config: dict[str, Any]
) -> None:
    crops = np.random.default_rng(0).normal(size=(2, 2, 8, 8)).astype(np.float16)
    shown = {"target": crops, "prediction": crops, "is_hidden": crops > 0, "channels": ["a", "b"]}
    path = run_copy / "encoders/phenoprints-mae/reconstructions.npz"
    np.savez(path, **shown)
    text = render(training.page(Run(run_copy, config)), run="demo", site=[])
    assert "What phenoprints-mae predicts of hidden patches" in text
    assert "each block of phenoprints-mae" not in text
    np.savez(path, **shown, by_block=np.stack([crops] * 4))
    text = render(training.page(Run(run_copy, config)), run="demo", site=[])
    assert "What the decoder makes of each block of phenoprints-mae" in text
    assert "block 4<" in text


def test_one_figure_stands_under_one_path() -> None:
    from phenoprints.reports.page_model import Fact, Page

    facts = [Fact(("a", "b"), "x", 1), Fact(("a", "c"), "y", float("nan"))]
    assert summary([Page("p", "P", "?", "!", [], facts)]) == {"a": {"b": 1, "c": None}}


def test_multiqc_reads_the_row(built: Path) -> None:
    content = read(built / "phenoprints_mqc.json")
    assert content["plot_type"] == "generalstats"
    assert content["data"]["demo"]


def test_building_reports_imports_no_torch() -> None:
    code = "import sys, phenoprints.reports; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_layout_lists_the_pages_that_are_written() -> None:
    assert tuple(REPORT_PAGES) == PAGE_NAMES
