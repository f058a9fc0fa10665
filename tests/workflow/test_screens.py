"""The target `screens` in the workflow: it follows its tables, and says what is wrong with them."""

from __future__ import annotations

CONFIG = """
run: t
screens:
  mine:
    source: profiles-table
    root: data
    wells: wells.csv
    columns: {experiment: b, plate: p, well: w, perturbation: d}
    roles: {DMSO: negative_control}
"""
ROWS = ["b,p,w,d", "e,1,A01,x", "e,1,A02,DMSO"]


def test_an_edited_table_is_read_again_and_its_problems_are_told(workflow, tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    table = tmp_path / "data/wells.csv"
    table.parent.mkdir()
    table.write_text("\n".join(ROWS))
    arguments = ("--configfile", str(tmp_path / "config.yaml"), "--", "screens")
    workflow(tmp_path, *arguments)
    folder = tmp_path / "results/t/screens/mine"
    files = {"wells", "sites", "conditions"}
    assert all((folder / f"{name}.parquet.provenance.json").exists() for name in files)
    assert "Nothing to be done" in workflow(tmp_path, *arguments).stderr
    wells = [f"e,1,Z{i},x" for i in range(60, 90)]
    table.write_text("\n".join(ROWS + wells))
    done = workflow(tmp_path, *arguments, check=False)
    assert done.returncode
    assert '"Z60" is not a well of a' in done.stderr
    last = done.stderr.rpartition("The run stopped")[2]
    assert "The first error, in read_screen/mine" in last
    assert '"Z60" is not a well of a' in last
    assert "phenoprints report results/t" in last
    assert "All of them stand in results/t/logs/read_screen/mine.problems.txt" in done.stderr
    problems = tmp_path / "results/t/logs/read_screen/mine.problems.txt"
    assert problems.read_text().count("is not a well") == 30
