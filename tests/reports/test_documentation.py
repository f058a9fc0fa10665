"""The documentation: built without a warning, generated parts current, commands that exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from phenoprints.configuration.layout import LAYOUT
from phenoprints.reports.rulebook import as_markdown
from phenoprints.reports.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def blocks(language: str) -> list[tuple[str, str]]:
    """Code blocks of a language, with the page that they stand on."""
    return [
        (path.name, text)
        for path in PAGES
        for text in re.findall(rf"```{language}\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
    ]


def test_page_of_rules_is_current() -> None:
    cure = "run: python -m phenoprints.reports.rulebook > docs/rules.md"
    assert (DOCS / "rules.md").read_text(encoding="utf-8") == as_markdown(), cure


def test_codes_are_unique_and_have_an_anchor() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes)
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    assert all(f"({code})=" in text for code in codes)


def test_every_rule_says_why_what_is_good_and_whence_its_threshold() -> None:
    for rule in RULES:
        assert all([rule.title, rule.why, rule.good, rule.threshold_from, rule.cure]), rule.code


def test_every_artefact_is_in_the_table_of_outputs() -> None:
    text = (DOCS / "outputs.md").read_text(encoding="utf-8")
    for path in LAYOUT.values():
        folder = path.replace(".provenance.json", "/").replace("{", "<").replace("}", ">")
        assert folder in text, path


def test_python_blocks_parse() -> None:
    found = blocks("python")
    assert found
    for page, text in found:
        if ">>>" not in text:
            assert ast.parse(text), page


def test_yaml_blocks_parse() -> None:
    for page, text in blocks("yaml"):
        assert yaml.safe_load(text), page


def test_commands_name_targets_that_exist() -> None:
    rules = {
        name
        for path in [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
        for name in re.findall(r"^(?:local)?rule (\w+):", path.read_text("utf-8"), re.MULTILINE)
    }
    later = {"train", "probe", "benchmark"}
    commands = [
        (page, line)
        for page, text in blocks("sh")
        for line in text.replace("\\\n", " ").splitlines()
        if line.startswith("snakemake")
    ]
    assert len(commands) >= 5
    for page, line in commands:
        words = re.sub(r'"[^"]*"|--\w[\w-]* [\w./=-]+|--[\w-]*', " ", line).split()[1:]
        targets = [word for word in words if "=" not in word]
        assert targets, f"{page}: {line}"
        assert set(targets) <= rules | later, f"{page}: {line}"


@pytest.mark.slow
def test_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    for library in ("sphinx", "myst_parser", "pydata_sphinx_theme"):
        pytest.importorskip(library)
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run(
        [*command, "-b", "html", str(DOCS), str(tmp_path / "html")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "html").glob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]*(?:src|href)="(http[^"]+)"', path.read_text("utf-8")
        )
        assert loaded == [], path.name
