"""What `phenoprints new` writes is accepted by `check`, once its paths are filled in."""

from __future__ import annotations

import re

import pytest

from phenoprints.cli import main
from phenoprints.cli.new import new_configuration
from phenoprints.configuration.json_schema import alternatives, schema

SOURCES = list(alternatives(schema()["properties"]["screens"]["additionalProperties"]))
WITHOUT_FILES = ("simulated", "planned")
ROWS = ["b1,BR1,C03,x,1.0", "b1,BR1,C04,DMSO,1.0"]


def files_of(source: str, layouts, root) -> dict[str, str]:
    """Write a small screen of the source; the settings that differ from what `new` proposes."""
    table = "\n".join(["batch,plate,well,compound,concentration", *ROWS]) + "\n"
    if source == "profiles-table":
        lines = table.splitlines()
        numbers = ["f1,f2", "0.5,1.0", "0.1,0.2"]
        both = [f"{a},{b}" for a, b in zip(lines, numbers, strict=True)]
        (root / "wells.csv").write_text("\n".join(both) + "\n")
        return {}
    if source == "jump-cp":
        layouts.jump(root)
        return {"images": "gallery"}
    maker = getattr(layouts, {"files": "imagexpress"}.get(source, source.replace("-", "_")))
    maker(root)
    (root / "wells.csv").write_text(table)
    if source == "files":
        return {"pattern": r"'HTS_(?P<well>.+)_s(?P<site>\d+)_(?P<channel>w\d)[^_]*\.tif'"}
    return {}


@pytest.mark.parametrize("source", SOURCES)
def test_check_accepts_what_new_writes(source, layouts, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = new_configuration(source, "mine")
    if source not in WITHOUT_FILES:
        root = tmp_path / "data/my-screen" if "data/my-screen" in text else tmp_path
        root.mkdir(parents=True, exist_ok=True)
        changes = files_of(source, layouts, root)
        for key, value in changes.items():
            line = f"    {key}: {value}"
            text, num = re.subn(rf"    (# )?{key}: .*", lambda _, line=line: line, text)
            assert num == 1
    (tmp_path / "new.yaml").write_text(text)
    # A plate of two wells cannot reach step 3 of the funnel: that verdict is 1, and no refusal.
    assert main(["check", "new.yaml"]) in (0, 1)
    out = capsys.readouterr().out
    assert "the configuration is valid and every input is there" in out
    for words in (
        "stage",
        "wells",
        "controls",
        "conditions",
        "disk",
        "Expected:",
        "processor core",
    ):
        assert words in out, words
    assert source == "planned" or "conditions reach step 3" in out
