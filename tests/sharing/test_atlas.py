"""The data of an atlas equal the tables of the run; what is missing is named."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.sharing.conftest import ABSENT

from phenoprints.cli import main
from phenoprints.runs import open_run


def content(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(text[text.index(",") + 1 : text.rindex(")")])


@pytest.fixture(scope="module")
def atlas(shared_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("atlases") / "atlas"
    assert main(["export-atlas", str(shared_run), "-o", str(target)]) == 0
    return target


def test_every_level_of_the_map_is_a_view(atlas: Path, shared_run: Path) -> None:
    index = content(atlas / "data/index.js")
    levels = {view["title"]["level"]: view["count"] for view in index["views"]}
    table = open_run(shared_run).map("s", "judge").table
    assert levels == table["level"].value_counts().to_dict()


def test_details_are_those_of_the_stored_tables(atlas: Path, shared_run: Path) -> None:
    run = open_run(shared_run)
    views = [view["title"]["level"] for view in content(atlas / "data/index.js")["views"]]
    at = views.index("gene")
    names = content(atlas / f"data/{at}/points.js")["names"]
    details = content(atlas / f"data/{at}/details-0.js")
    stored = pd.read_parquet(shared_run / "maps/s/judge/calibrated.parquet")
    stored = stored[stored["level"] == "gene"]
    for entry, name in enumerate(names):
        expected = stored[stored["name"] == name]
        rows = details["neighbours"][entry]
        assert [names[row[0]] for row in rows] == expected["neighbour"].tolist()
        found = np.array([[row[1], row[5]] for row in rows], float)
        np.testing.assert_allclose(found, expected[["cosine", "q_value"]], rtol=1e-3)
    wells = run.wells("s")
    guides = run.conditions("s").query("gene == 'GENE3'")["condition_id"]
    own = wells[wells["conditions"].map(lambda listed: listed[0] in set(guides))]
    plates = content(atlas / "data/index.js")["views"][at]["plates"]
    shown = {(*plates[place][:2], row, column) for place, row, column, _ in
             details["wells"][names.index("GENE3")]}  # fmt: skip
    columns = ["experiment", "plate", "row", "column"]
    assert shown == set(own[columns].itertuples(index=False, name=None))


def test_consistency_is_that_of_the_judges(atlas: Path, shared_run: Path) -> None:
    run = open_run(shared_run)
    at = [v["title"]["level"] for v in content(atlas / "data/index.js")["views"]].index("condition")
    table = run.map("s", "judge").level("condition").table
    names = content(atlas / f"data/{at}/points.js")["names"]
    details = content(atlas / f"data/{at}/details-0.js")
    entry = names.index("compound-1 @ 1 µM")
    tests = run.consistency("s", "judge").query(
        f"level == 'condition' and condition_id == {table['condition_id'][entry]}"
    )
    found = {row[1]: row[2] for row in details["tests"][entry]}
    assert len(found) == 2
    expected = dict(zip(tests["experiment"], tests["p_value"], strict=True))
    assert found == pytest.approx(expected, rel=1e-3)


def test_doses_are_those_of_the_map(atlas: Path, shared_run: Path) -> None:
    views = [view["title"]["level"] for view in content(atlas / "data/index.js")["views"]]
    at = views.index("compound")
    names = content(atlas / f"data/{at}/points.js")["names"]
    doses = content(atlas / f"data/{at}/details-0.js")["doses"][names.index("compound-1")]
    stored = pd.read_parquet(shared_run / "maps/s/judge/doses.parquet")
    stored = stored[stored["perturbation"] == "compound-1"].sort_values("concentration_um")
    np.testing.assert_allclose(
        np.array(doses)[:, :2].astype(float), stored[["concentration_um", "length"]], rtol=1e-3
    )
    assert [row[4] for row in doses] == stored["is_active"].tolist()


def test_cosines_from_8_bits_are_right_within_a_hundredth(atlas: Path, shared_run: Path) -> None:
    run = open_run(shared_run)
    views = [view["title"]["level"] for view in content(atlas / "data/index.js")["views"]]
    at = views.index("condition")
    text = content(atlas / f"data/{at}/vectors-0.js")["vectors"]
    level = run.map("s", "judge").level("condition").vectors
    small = np.frombuffer(base64.b64decode(text), np.int8).reshape(level.shape).astype(float)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    np.testing.assert_allclose(small @ small.T, level @ level.T, atol=0.01)


def test_controls_in_pictures_are_negative_ones_of_the_same_plates(
    atlas: Path, shared_run: Path
) -> None:
    wells = open_run(shared_run).wells("s").astype({"well_id": str}).set_index("well_id")
    for path in atlas.glob("data/*/details-0.js"):
        for tiles in filter(None, content(path)["tiles"]):
            roles = {wells.loc[each["well_id"], "role"] for each in tiles["controls"]}
            assert roles == {"negative_control"}
            places = {(each["experiment"], each["plate"]) for each in tiles["wells"]}
            assert {(c["experiment"], c["plate"]) for c in tiles["controls"]} <= places
            assert len(tiles["wells"]) <= 12
            assert set(tiles["ranges"]) == {each["experiment"] for each in tiles["wells"]}
            files = [each["file"] for each in (*tiles["wells"], *tiles["controls"])]
            assert all((atlas / file).stat().st_size > 100 for file in files)


def test_wells_with_absent_images_are_listed(atlas: Path, shared_run: Path) -> None:
    wells = open_run(shared_run).wells("s")
    listed = pd.read_csv(atlas / "absent_images.csv", dtype={"well_id": str})
    assert listed["well_id"].tolist() == [str(wells["well_id"][ABSENT])]
    assert listed["reason"].str.contains("ER.tif").all()


def test_a_run_without_maps_gets_a_message(run_copy: Path, tmp_path: Path, capsys) -> None:
    (run_copy / "maps/s/judge.provenance.json").unlink()
    assert main(["export-atlas", str(run_copy), "-o", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert "there is no map" in said
    assert "snakemake map" in said
    assert not (tmp_path / "x").exists()


def test_an_unknown_encoder_gets_a_message(shared_run: Path, tmp_path: Path, capsys) -> None:
    words = ["export-atlas", str(shared_run), "-o", str(tmp_path / "x"), "--encoder", "other"]
    assert main(words) == 2
    assert 'no map of "other"' in capsys.readouterr().err


def test_existing_folders_and_stale_maps_are_refused(
    run_copy: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "there").mkdir()
    assert main(["export-atlas", str(run_copy), "-o", str(tmp_path / "there")]) == 2
    assert "exists already" in capsys.readouterr().err
    with open(run_copy / "screens/s/wells.parquet", "ab") as stream:
        stream.write(b"x")
    assert main(["export-atlas", str(run_copy), "-o", str(tmp_path / "new")]) == 2
    assert "wells.parquet" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_map_of_an_earlier_version_has_no_q_values_and_says_so(
    run_copy: Path, tmp_path: Path
) -> None:
    from phenoprints.sharing.atlas import write_atlas

    (run_copy / "maps/s/judge/calibrated.parquet").unlink()
    write_atlas(open_run(run_copy), [("s", "judge")], tmp_path, num_images=0)
    notes = content(tmp_path / "data/index.js")["views"][0]["notes"]
    assert any("no neighbours with q-values" in note for note in notes)
