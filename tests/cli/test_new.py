"""`phenoprints new` writes a configuration that loads, for every source."""

from __future__ import annotations

from pathlib import Path

import pytest

from phenoprints.cli import main
from phenoprints.cli.new import new_configuration
from phenoprints.configuration import load, plan
from phenoprints.configuration.json_schema import alternatives, schema

ROOT = Path(__file__).resolve().parents[2]
SOURCES = list(alternatives(schema()["properties"]["screens"]["additionalProperties"]))


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_written_loads_and_says_the_same_when_its_comments_are_live(source, tmp_path):
    path = tmp_path / "new.yaml"
    text = new_configuration(source, "mine")
    path.write_text(text)
    config = load(path)
    assert config["screens"]["mine"]["source"] == source
    assert plan(config).judged_pairs
    live = [line.replace("# ", "", 1) if is_key(line) else line for line in text.splitlines()]
    path.write_text("\n".join(live))
    assert load(path) == config


def is_key(line: str) -> bool:
    """Whether a comment holds a key with its default: `    # crop_px: 256` or `#   ridge: 0.5`."""
    body = line.strip().removeprefix("#").strip().split("   #")[0]
    key, colon, value = body.partition(":")
    is_word = key.isidentifier() and key.islower() and bool(colon)
    return line.strip().startswith("#") and is_word and (not value or value.startswith(" "))


def test_it_is_printed_or_written_once(tmp_path, capsys):
    assert main(["new", "profiles-table", "--name", "mine"]) == 0
    printed = capsys.readouterr().out
    path = tmp_path / "mine.yaml"
    assert main(["new", "profiles-table", "--name", "mine", "-o", str(path)]) == 0
    assert path.read_text() == printed
    assert main(["new", "profiles-table", "-o", str(path)]) == 2
    assert "this file is there already" in capsys.readouterr().err
    assert path.read_text() == printed


def test_unknown_source_and_bad_name(capsys, tmp_path):
    assert main(["new", "harmoni"]) == 2
    assert '"harmoni" is no source of screens; did you mean "harmony"?' in capsys.readouterr().err
    path = tmp_path / "x.yaml"
    assert main(["new", "harmony", "--name", "../x", "-o", str(path)]) == 2
    assert "cannot be a name" in capsys.readouterr().err


def test_the_page_on_commands_names_every_command_and_option():
    from phenoprints.cli import COMMANDS, parser

    page = (ROOT / "docs/commands.md").read_text()
    subparsers = next(a for a in parser()._actions if hasattr(a, "choices") and a.choices)
    for name in COMMANDS:
        assert f"## phenoprints {name} " in page
        for action in subparsers.choices[name]._actions:
            for option in set(action.option_strings) - {"-h", "--help"}:
                assert f"`{option}" in page, option
