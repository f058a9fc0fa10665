"""`phenoprints check` says what a run would take and reach, and what is missing."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from phenoprints.cli import main, profile_check
from phenoprints.cli.estimates import Size, embedding_cost, network_of, training_cost
from phenoprints.cli.profile_check import check_profiles
from phenoprints.cli.screen_summary import planned_summary, summary_of
from phenoprints.configuration import load
from phenoprints.embeddings import Geometry, vector_tables
from phenoprints.foundations.errors import ImageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The configuration of the small screen, in a folder where it can be changed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    for name in ("config.yaml", "example.csv"):
        shutil.copy(ROOT / "tests/cli/example" / name, tmp_path / "config" / name)
    return tmp_path / "config/config.yaml"


def test_a_good_configuration_is_summed_up(example, capsys):
    assert main(["check", str(example)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Run example: the configuration is valid and every input is there."
    assert lines[3].split() == ["example", "3", "3", "36", "24", "12", "5"]
    assert "✓ PASS  manifest phenoprints on example: 4 of 4 conditions reach step 3, 4 can" in (
        "\n".join(lines)
    )
    assert lines[-1] == f"Next: snakemake --configfile {example} -- all"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_limits_that_no_condition_reaches_are_a_failure(example, capsys):
    replace(example, "preset: bbbc021", "preset: paper")
    assert main(["check", str(example)]) == 1
    out = capsys.readouterr().out
    assert (
        "✗ FAIL  manifest phenoprints on example: 0 of 4 conditions reach step 3. The best" in out
    )
    assert "The best has 3 experiments and 6 wells." in out


def test_a_threshold_that_no_condition_reaches_is_a_failure(example, capsys):
    replace(example, "p_value: 0.05", "p_value: 0.001")
    assert main(["check", str(example)]) == 1
    assert "no condition can pass step 5" in capsys.readouterr().out


def test_all_missing_files_come_at_once(example, capsys):
    replace(example, "wells: example.csv", "wells: [absent.csv, none-*.csv]")
    assert main(["check", str(example)]) == 2
    error = capsys.readouterr().err
    assert "screens.example.wells: config/absent.csv: there is no such file" in error
    assert "screens.example.wells: config/none-*.csv: there is no such file" in error
    assert "encoders.features.profiles: config/absent.csv" in error


def test_a_feature_that_the_table_lacks_is_named(example, capsys):
    replace(example, "feature_*", "features_*")
    assert main(["check", str(example)]) == 2
    assert 'config/example.csv: no column is called "features_*"' in capsys.readouterr().err


@pytest.fixture
def with_plates(example):
    """The configuration whose vectors lie in three further tables, one of each plate."""
    replace(example, "{kind: precomputed,", '{kind: precomputed, profiles: "plate-*",')
    table = pd.read_csv(example.parent / "example.csv")
    for plate, rows in table.groupby("plate"):
        rows.to_parquet(example.parent / f"plate-{plate}.parquet")
    return example


def test_all_tables_of_vectors_are_read_and_matched(with_plates, capsys):
    assert main(["check", str(with_plates)]) == 0
    out = capsys.readouterr().out
    assert "✓ PASS  features on example: 36 of 36 wells have a vector." in out
    assert "    2 features (feature_0, feature_1)\n" in out
    folder = with_plates.parent
    first = pd.read_parquet(folder / "plate-p1.parquet")
    first.drop(columns="feature_1").to_parquet(folder / "plate-p2.parquet")
    (folder / "plate-p3.parquet").write_text("no parquet")
    (folder / "plate-p4.csv").write_text("batch,plate,well\n")
    assert main(["check", str(with_plates)]) == 2
    error = capsys.readouterr().err
    assert (
        "config/plate-p2.parquet: 1 features are in only one of it and config/plate-p1.parquet: "
        "feature_1\n  Expected the same features in every table."
    ) in error
    assert "config/plate-p3.parquet: the table cannot be read" in error
    assert 'config/plate-p4.csv: no column is called "feature_*"' in error


def test_what_a_run_would_refuse_is_named_by_check(with_plates, capsys):
    """The last table lacks rows: the header has all that is named, and the run would stop."""
    path = with_plates.parent / "plate-p3.parquet"
    pd.read_parquet(path).iloc[:2].to_parquet(path)
    assert main(["check", str(with_plates)]) == 2
    assert "10 of 36 wells have no vector" in capsys.readouterr().err


def test_many_tables_are_read_for_a_limited_time(with_plates, monkeypatch):
    config = load(with_plates)
    clock = count()  # a second passes between two looks at it
    monkeypatch.setattr(profile_check, "monotonic", lambda: next(clock))
    monkeypatch.setattr(vector_tables, "monotonic", lambda: next(clock))
    summaries = {"example": summary_of("example", config)}
    (found,) = check_profiles(config, summaries, seconds=2)
    assert (found.num_tables, found.problems) == (3, ())
    assert found.num_read < 3
    assert any("since time ran out" in text for _, text in found.lines)
    (found,) = check_profiles(config, summaries, seconds=9)
    assert (found.num_read, found.problems) == (3, ())
    (with_plates.parent / "plate-p3.parquet").write_text("no parquet")
    (found,) = check_profiles(config, summaries, seconds=2)
    assert [problem.where for problem in found.problems] == ["config/plate-p3.parquet"]


def test_vectors_that_nothing_centres_are_warned_of(example, capsys):
    example.write_text(example.read_text() + "\nalignment: {method: none}\n")
    main(["check", str(example)])
    assert "not centred on controls share a common direction" in capsys.readouterr().out


def test_images_of_another_size_than_declared_are_a_failure(example, capsys):
    for well, shape in (("A01", (20, 24)), ("A02", (20, 24)), ("A03", (30, 24))):
        path = example.parent / f"images/p1_{well}_T0001F001L01A01Z01C01.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, np.zeros(shape, np.uint16))
    replace(example, "source: profiles-table", "source: yokogawa\n    height_px: 20")
    replace(example, "{kind: precomputed,", "{kind: precomputed, profiles: example.csv,")
    assert main(["check", str(example)]) == 0
    assert "FAIL" not in capsys.readouterr().out
    replace(example, "height_px: 20", "height_px: 999")
    assert main(["check", str(example)]) == 1
    out = capsys.readouterr().out
    assert (
        "! CHECK  example: 3 of 3 sites have another size than the screen declares (a heig" in out
    )
    assert "✗ FAIL  example: 3 of 3 sites would be refused for their size, more than the s" in out


def test_batches_without_controls_are_named(example, capsys):
    replace(example, "{DMSO: negative_control}", "{DMSO: positive_control}")
    main(["check", str(example)])
    expected = "3 batches have fewer than 4 wells of the role negative_control"
    assert expected in capsys.readouterr().out


def test_without_reading_the_tables(example, capsys):
    assert main(["check", "--no-read", str(example)]) == 0
    assert "conditions reach step 3" not in capsys.readouterr().out


def test_planned_screens_are_estimated(capsys):
    assert main(["check", str(ROOT / "config/examples/paper.yaml")]) == 0
    out = capsys.readouterr().out
    assert "2,200,000" in out
    assert "networks; for these at most 4,9" in out


PLANNED = """
run: a
screens:
  big: {{source: planned, experiments: 10, num_wells: 100000, image_px: {px}, num_channels: 5,
        overlap_px: {overlap}, exclude_border_crops: {ring}}}
encoders: {{u: {{kind: untrained, architecture: vit-s16, num_channels: 5}}}}
evaluation: {{screens: [big], encoders: [u]}}
"""


@pytest.mark.parametrize("overlap", [0, 64, 128])
@pytest.mark.parametrize(
    ("px", "ring"), [(1080, "auto"), (512, "true"), (2048, "auto"), (100, "auto")]
)
def test_crops_are_counted_as_an_embedding_counts_them(tmp_path, px, ring, overlap):
    path = tmp_path / "a.yaml"
    path.write_text(PLANNED.format(px=px, ring=ring, overlap=overlap))
    config = load(path)
    crops = planned_summary("big", config["screens"]["big"]).size.crops
    geometry = Geometry(256, {"true": True}.get(ring, ring), overlap)
    try:
        assert crops == len(geometry.origins(px, px))
    except ImageError:
        assert crops == 0


@pytest.mark.parametrize(
    ("architecture", "training", "inference"),
    [("ca-vit-s16", 378.4, 109.1), ("vit-l8", 695.7, 723.2), ("vit-g8", 3113.5, 4109.5)],
)
def test_arithmetic_agrees_with_what_was_counted(architecture, training, inference):
    network = network_of({"kind": "mae", "architecture": architecture})
    assert network.inference == pytest.approx(inference, rel=1e-3)
    assert network.training == pytest.approx(training, rel=1e-3)


@pytest.mark.torch
@pytest.mark.parametrize(
    "architecture",
    ["vit-s16", "vit-l8", "ca-vit-s16", "vit-tiny", "densenet161", "cnn-small", "mu-net"],
)
def test_networks_cost_what_is_counted_when_they_are_built(architecture):
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("phenoprints.models")
    from phenoprints.models.flops import forward_flops, training_flops

    with torch.device("meta"):
        encoder = models.build(architecture, channels=6)
    network = network_of({"kind": "mae", "architecture": architecture}, encoder.crop_px, 6)
    assert network.inference * 1e9 == pytest.approx(forward_flops(encoder, 6), rel=1e-3)
    assert (network.features, network.blocks) == (encoder.num_features, encoder.num_blocks)
    if "vit" in architecture:
        with torch.device("meta"):
            model = models.MaskedAutoencoder(encoder, num_channels=6)
        assert network.training * 1e9 == pytest.approx(training_flops(model, 6), rel=1e-9)


def test_costs_add_up():
    size = Size(1000, 1, sites=1, channels=6, crops=36)
    encoder = {"kind": "mae", "architecture": "vit-g8"}
    cost = embedding_cost(encoder, size, "float16")
    assert cost.gpu_hours == pytest.approx(1000 * 36 * 4109.5 / 395e3 / 3600, rel=0.01)
    assert cost.stored_bytes == 1000 * 1664 * 2
    encoder["training"] = {"num_epochs": 500, "max_crops": None}
    assert training_cost(encoder, [size, size]).gpu_hours == pytest.approx(
        2000 * 500 * 3113 / 395e3 / 3600, rel=0.02
    )
    encoder["training"]["max_crops"] = 1000
    assert training_cost(encoder, [size]).gpu_hours < 0.01


def test_networks_of_others_are_known_by_name():
    model = "vit_large_patch14_reg4_dinov2"
    assert network_of({"kind": "timm", "model": model}).features == 1024
    assert network_of({"kind": "openphenom"}).inference == pytest.approx(109.1, rel=1e-3)
    densenet = {"kind": "weakly-supervised", "architecture": "densenet161"}
    assert network_of(densenet).features == 2208


def test_hold_out_and_scope_reach_the_test(example):
    from phenoprints.cli.screen_summary import summary_of

    config = load(example)
    facts = summary_of("example", config)
    manifest = config["manifests"]["phenoprints"]
    settings = config["screens"]["example"]["consistency"]
    found = facts.feasibility(manifest, settings)
    assert (found.most_experiments, found.most_wells) == (3, 6)
    held = {**manifest, "hold_out": ["run-1", "example/run-2"]}
    found = facts.feasibility(held, settings)
    assert (found.most_experiments, found.most_wells) == (1, 2)


def test_batches_with_few_controls_per_component_are_named(example, capsys):
    main(["check", str(example)])
    assert "controls per component" not in capsys.readouterr().out  # 4 controls, 2 features
    precomputed = '{kind: precomputed, screens: [example], features: ["feature_*"]}'
    replace(example, precomputed, "{kind: random, num_features: 64}")
    main(["check", str(example)])
    expected = (
        "! CHECK  example: 3 of 3 batches have fewer than 2 controls per component, of which "
        "features can have 64 (run-1: 4, run-2: 4, run-3: 4)."
    )
    assert expected in capsys.readouterr().out
    replace(example, "screens:\n", "alignment: {max_components: 2}\nscreens:\n")
    main(["check", str(example)])
    assert "controls per component" not in capsys.readouterr().out


def test_features_of_profiles_are_counted(example):
    replace(example, "{kind: precomputed,", "{kind: precomputed, profiles: example.csv,")
    config = load(example)
    (found,) = check_profiles(config, {"example": summary_of("example", config)})
    assert found.num_features == 2


def imaged(example: Path, side: int = 40) -> list[Path]:
    """Make the example a screen of two plates with two wells' images each."""
    images = []
    for plate, well in (("p1", "A01"), ("p1", "A02"), ("p2", "A01"), ("p2", "A02")):
        path = example.parent / f"images/{plate}_{well}_T0001F001L01A01Z01C01.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, np.full((side, side), 9, np.uint16))
        images.append(path)
    replace(example, "source: profiles-table", "source: yokogawa\n    height_px: 40")
    replace(example, "{kind: precomputed,", "{kind: precomputed, profiles: example.csv,")
    return images


def test_images_are_looked_at_and_not_only_their_names(example, capsys):
    images = imaged(example)
    assert main(["check", str(example)]) == 0
    out = capsys.readouterr().out
    assert "which channel shows nuclei is not known (C01)" in out
    for path in images[2:]:
        path.write_bytes(b"II*\0 broken")
    assert main(["check", str(example)]) == 0
    assert "plate p2: no image can be read" in capsys.readouterr().out
    for path in images[1:2]:
        tifffile.imwrite(path, np.full((10, 10), 9, np.uint16))
    assert main(["check", str(example)]) == 0
    assert "plate p1: 1 of 2 images looked at cannot be read" in capsys.readouterr().out
    for path in images:
        path.write_bytes(b"II*\0 broken")
    assert main(["check", str(example)]) == 2
    assert "no image of the screen can be read" in capsys.readouterr().err
