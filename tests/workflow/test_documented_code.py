"""The code of the documentation does what it says: every block is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from phenoprints.cli import parser
from phenoprints.configuration import load

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(
    path
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in path.parts
)
TUTORIAL = ROOT / "docs/tutorials/bbbc021.md"
LIBRARY = ROOT / "docs/how-to/library.md"
"""Run by tests/library/test_how_to.py, on tables of its own."""
LAYOUTS = ("yaml alsf", "yaml lincs", "yaml jump")
NEEDS_TORCH = {"embeddings.md", "models.md", "training.md"}


def blocks(path: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(path.read_text("utf-8")) if name == language]


def pages_with(language: str) -> list[Path]:
    return [path for path in PAGES if blocks(path, language)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_block_says_its_language() -> None:
    """One without, or with another than these, would not be run."""
    found = {
        (name_of(path), opening)
        for path in PAGES
        for opening in re.findall(r"^```(.*)$", path.read_text("utf-8"), re.MULTILINE)[::2]
    }
    # Blocks `yaml <layout>` are run by tests/tables/test_own_profiles.py.
    odd = {pair for pair in found if pair[1] not in ("sh", "python", "yaml", "text", *LAYOUTS)}
    assert {pair for pair in odd if not pair[1].startswith("{")} == set()


# Python, in a folder that looks as after `make demo`


@pytest.fixture(scope="module")
def after_the_demo(tiny, tmp_path_factory):
    """A folder whose results/demo is the tiny run, under the names of the demo."""
    folder = tmp_path_factory.mktemp("documented")
    demo = folder / "results/demo"
    demo.mkdir(parents=True)
    (folder / "results/tiny").symlink_to(tiny)
    (demo / "curation").symlink_to(tiny / "curation")
    screens = {"tiny": ["tiny", "demo"]}
    encoders = {"untrained": ["untrained"], "judge": ["everything-mae", "phenoprints-mae"]}
    link(tiny / "screens", demo / "screens", screens)
    link(tiny / "quality", demo / "quality", screens)
    link(tiny / "encoders", demo / "encoders", encoders)
    for stage in ("embeddings", "alignment", "consistency", "maps"):
        link(tiny / stage / "tiny", demo / stage / "demo", encoders)
    (folder / "mine.py").write_text(
        "import pandas as pd\n"
        "from phenoprints.screens.listing import Listing\n\n\n"
        "def read_listing(root):\n"
        "    wells = {'experiment': 'e', 'plate': 'p', 'well': ['A01', 'A02'],\n"
        "             'role': ['treatment', 'negative_control'], 'cell_type': 'U2OS'}\n"
        "    names = {'well_row': [0, 1], 'perturbation': ['taxol', 'DMSO'], 'kind': 'compound',\n"
        "             'gene': None, 'guide': None, 'concentration_um': [1.0, None]}\n"
        "    return Listing(pd.DataFrame(wells), pd.DataFrame(names), root)\n"
    )
    return folder


def link(source: Path, target: Path, names: dict[str, list[str]]) -> None:
    """Links to the entries of `source` under other names; endings stay."""
    target.mkdir(parents=True)
    for entry in source.iterdir():
        name, dot, ending = entry.name.partition(".")
        for new in names.get(name, []):
            (target / f"{new}{dot}{ending}").symlink_to(entry)


def given(page: Path) -> dict[str, object]:
    """Names that a page's text says are there."""
    if page.name != "embeddings.md":
        return {}
    from phenoprints import models
    from phenoprints.screens.images import open_images

    screen = "results/demo/screens/demo"
    images = open_images(f"{screen}/images.json")
    tables = {name: pd.read_parquet(f"{screen}/{name}.parquet") for name in ("wells", "sites")}
    return {
        "encoder": models.load("results/demo/encoders/phenoprints-mae"),
        "screen": SimpleNamespace(**tables),
        "read_pixels": lambda site: images.read(site.locator, site.channels),
    }


@pytest.mark.torch
@pytest.mark.xdist_group("tiny")
@pytest.mark.parametrize(
    "page", [p for p in pages_with("python") if p not in (TUTORIAL, LIBRARY)], ids=name_of
)
def test_python_runs(page, after_the_demo, monkeypatch, capsys):
    monkeypatch.chdir(after_the_demo)
    monkeypatch.syspath_prepend(str(after_the_demo))
    names = given(page)
    for number, text in enumerate(blocks(page, "python"), 1):
        exec(compile(text, f"{page.name}, block {number}", "exec"), names)


@pytest.mark.data
@pytest.mark.xdist_group("bbbc021")
def test_the_python_of_the_tutorial_runs(bbbc021, monkeypatch, capsys):
    monkeypatch.chdir(bbbc021)
    for text in blocks(TUTORIAL, "python"):
        exec(compile(text, TUTORIAL.name, "exec"), {})
    assert capsys.readouterr().out == "187 wells; 29 phenoprints\n"


# The shell


def commands(page: Path) -> list[str]:
    """The commands of a page, without the comments behind them."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


ALL = {(page, command) for page in PAGES for command in commands(page)}
BBBC021 = sorted(command for _, command in ALL if "bbbc021.yaml" in command)
PLANNED = sorted(
    command for _, command in ALL if command.startswith("snakemake") and command not in BBBC021
)


def run(command: str, folder: Path) -> str:
    """Run a command of the documentation in a folder as a user has it."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin/snakemake"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m snakemake --snakefile {ROOT}/Snakefile "$@"\n'
    )
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


GENERATED = sorted(command for _, command in ALL if command.startswith("python -m"))


@pytest.mark.parametrize("command", GENERATED)
def test_generated_files_are_current(command, tmp_path) -> None:
    *module, path = command.split()[1:]
    written = tmp_path / Path(path).name
    subprocess.run([sys.executable, *module, str(written)], cwd=ROOT, check=True)
    assert written.read_text("utf-8") == (ROOT / path).read_text("utf-8")


def test_every_command_is_tried_here() -> None:
    others = {command for _, command in ALL} - {*BBBC021, *PLANNED, *GENERATED}
    others = {command for command in others if not command.startswith("make")}
    # Commands of `phenoprints` are run by tests/cli, tests/planning and tests/sharing; here their
    # arguments are read.
    own = {command for command in others if command.startswith("phenoprints ")}
    for command in own:
        parser().parse_args(command.split()[1:])
    assert others - own == {"source .venv/bin/activate"}
    assert BBBC021
    assert PLANNED


def test_every_verb_of_make_is_there() -> None:
    verbs = sorted({command.split("&&")[0] for _, command in ALL if command.startswith("make")})
    assert "make demo" in verbs
    for command in verbs:
        done = subprocess.run(
            ["make", "--dry-run", *command.split()[1:]], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.data
@pytest.mark.xdist_group("bbbc021")
@pytest.mark.parametrize("command", BBBC021)
def test_what_is_said_of_bbbc021_can_be_run(command, bbbc021):
    """In the folder where the example ran: another run of it has nothing to do."""
    if not (bbbc021 / "config").exists():
        (bbbc021 / "config").symlink_to(ROOT / "config")
    is_new = "--config run" in command
    told = run(dry(command) if is_new else command, bbbc021)
    assert ("curate_manifest" in told) == is_new
    assert is_new or "Nothing to be done" in told


@pytest.mark.parametrize("command", PLANNED)
def test_other_commands_can_be_planned(command, tmp_path):
    for name in ("config", "slurm"):
        (tmp_path / name).symlink_to(ROOT / name)
    example = yaml.safe_load((ROOT / "config/examples/own-microscope.yaml").read_text())
    begun = {"run": "mine", "screens": example["screens"]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(begun))
    assert "read_screen" in run(dry(command), tmp_path)


def dry(command: str) -> str:
    """The command as a dry run."""
    return command.replace(" -- ", " --dry-run -- ") if " -- " in command else f"{command} -n"


# Configurations


@pytest.mark.parametrize("page", pages_with("yaml"), ids=name_of)
def test_configurations_load(page, tmp_path):
    """Laid over what the page speaks of: the demo, the paper's run, or a screen of one's own."""
    base = {
        "demo.md": "config/config.yaml",
        "curation.md": "config/config.yaml",
        "rounds.md": "config/config.yaml",
        "screens.md": "config/config.yaml",
        "last-nights-plate.md": "config/config.yaml",
        "studies.md": "config/config.yaml",
        "training.md": "config/examples/paper.yaml",
        "embeddings.md": "config/examples/paper.yaml",
        "scale.md": "config/examples/paper.yaml",
        "cluster.md": "config/examples/paper.yaml",
        "own-model.md": "config/examples/own-microscope.yaml",
    }[page.name]
    text = (ROOT / base).read_text().replace("my-screen", "mine")
    (tmp_path / "base.yaml").write_text(text)
    for text in blocks(page, "yaml"):
        if text.startswith("# slurm/config.yaml"):
            assert set(yaml.safe_load(text)["set-resources"]) <= rules()
            continue
        (tmp_path / "block.yaml").write_text(text)
        config = load([tmp_path / "base.yaml", tmp_path / "block.yaml"])
        for section, values in yaml.safe_load(text).items():
            assert set(values) <= set(config[section])


def rules() -> set[str]:
    """The names of all rules."""
    files = (ROOT / "workflow/rules").glob("*.smk")
    return {name for file in files for name in re.findall(r"(?m)^rule (\w+):", file.read_text())}
