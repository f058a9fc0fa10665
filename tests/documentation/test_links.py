"""Every relative link of every page leads to a file and a heading that are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]

LINK = re.compile(
    r"!?\[[^\]\[]*(?:\[[^\]]*\][^\]\[]*)*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)"
)
FIGURE = re.compile(r"^:::\{figure\} (\S+)", re.MULTILINE)
TOCTREE = re.compile(r"```\{toctree\}\n(.*?)```", re.DOTALL)
FENCE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1[ ]*$", re.DOTALL | re.MULTILINE)
ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*:")


def pages() -> list[Path]:
    """All Markdown that belongs to the project, as git knows it (or lies here, without git)."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "*.md"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    listed = [ROOT / name for name in done.stdout.splitlines()]
    return sorted(path for path in listed if path.is_file()) or sorted(ROOT.rglob("docs/**/*.md"))


def prose(path: Path) -> str:
    """A page without its blocks and spans of code, where brackets are no links."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]+`", "", text)


def links(path: Path) -> list[str]:
    text = prose(path)
    return [unquote(target) for target in [*LINK.findall(text), *FIGURE.findall(text)]]


def anchors(path: Path) -> set[str]:
    """What `#…` may follow the page's name: slugs of its headings, and its labels."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE)
    labels = re.findall(r"^\(([^)]+)\)=$", text, re.MULTILINE)
    return {slug(heading) for heading in headings} | set(labels)


def slug(heading: str) -> str:
    """A heading as GitHub and MyST write it into addresses."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower().replace("`", "")
    return re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")


def labels_of_all() -> set[str]:
    """Labels that any page of the documentation may link to by `#label` alone."""
    found: set[str] = set()
    for page in (ROOT / "docs").rglob("*.md"):
        found |= set(re.findall(r"^\(([^)]+)\)=$", page.read_text("utf-8"), re.MULTILINE))
    return found


def broken(path: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    is_built = path.is_relative_to(ROOT / "docs")
    for target in links(path):
        if ADDRESS.match(target):
            continue
        name, _, anchor = target.partition("#")
        goal = (path.parent / name).resolve() if name else path
        if not goal.exists() or not goal.is_relative_to(ROOT):
            wrong.append(f"{target}: there is no such file")
        elif anchor and goal.suffix == ".md":
            known = anchors(goal) | (labels_of_all() if is_built and not name else set())
            if anchor not in known:
                wrong.append(f"{target}: {goal.name} has no such heading")
    return wrong


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_every_page_of_the_documentation_is_in_a_table_of_contents() -> None:
    docs = ROOT / "docs"
    listed = {docs / "index.md"}
    for page in docs.rglob("*.md"):
        for body in TOCTREE.findall(page.read_text("utf-8")):
            for line in body.splitlines():
                if line and not line.startswith(":"):
                    name = re.sub(r".*<(.+)>$", r"\1", line.strip())
                    listed |= set(page.parent.glob(f"{name}.md"))
    stages = set(docs.glob("*.md"))  # conf.py lists all pages of this folder on the page `stages`
    assert set(docs.rglob("*.md")) - set(docs.rglob("_build/**/*.md")) - stages <= listed


def test_a_broken_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path.resolve())
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/other.md").write_text("# A heading, with `code`\n\n(LABEL)=\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](docs/other.md#a-heading-with-code) [b](docs/other.md#none) ![c](none.png)\n"
        "[d](https://example.org) [e](docs/other.md#LABEL) `[f](none)`\n```\n[g](none)\n```\n"
        "[h](../outside.md)\n"
    )
    assert [problem.split(":")[0] for problem in broken(page)] == [
        "docs/other.md#none",
        "none.png",
        "../outside.md",
    ]
