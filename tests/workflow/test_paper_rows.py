"""Every kind of encoder in one tiny run, and the page that sets the paper's values beside it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from phenoprints.benchmarks import published_results

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"mae", "weakly-supervised", "dino", "untrained", "openphenom", "timm", "precomputed",
         "random"}  # fmt: skip
MOST_JOBS = 80


def write_weights(data: Path) -> None:
    """Random weights under timm's and OpenPhenom's names."""
    import timm
    from safetensors.torch import save_file

    from phenoprints import models

    torch.manual_seed(0)
    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), data / "timm.safetensors")
    encoder = models.build("ca-vit-s16", channels=11)
    named = {
        name.replace("backbone.norm.", "backbone.fc_norm.").replace(
            "backbone.", "encoder.vit_backbone.", 1
        ): value
        for name, value in encoder.state_dict().items()
    }
    save_file(named, data / "openphenom.safetensors")


def write_profiles(folder: Path) -> None:
    """Random vectors of every well, and known pairs of the screen's genes."""
    screen = folder / "results/paper/screens/tiny"
    wells = pd.read_parquet(screen / "wells.parquet")[["experiment", "plate", "well"]]
    vectors = np.random.default_rng(0).standard_normal((len(wells), 8))
    profiles = wells.assign(**{f"f{i}": column for i, column in enumerate(vectors.T)})
    profiles.to_csv(folder / "data/profiles.csv", index=False)
    conditions = pd.read_parquet(screen / "conditions.parquet")
    active = conditions[conditions["pathway"].fillna("") != ""]
    genes = sorted(set(active["gene"].dropna()))
    pairs = pd.DataFrame({"a": genes[:-1], "b": genes[1:]})
    pairs.to_csv(folder / "data/pairs.csv", index=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory, workflow) -> tuple[Path, Counter[str]]:
    """The folder of the finished run, and how many jobs of each rule it took."""
    folder = tmp_path_factory.mktemp("paper")
    (folder / "data").mkdir()
    write_weights(folder / "data")
    configured = ["--configfile", str(ROOT / "tests/workflow/paper.yaml")]
    workflow(folder, *configured, "--", "screens")
    write_profiles(folder)
    planned = workflow(folder, "--dry-run", *configured, "--", "all")
    jobs = re.findall(r"^(\w+)\s+(\d+)$", planned.stdout + planned.stderr, flags=re.MULTILINE)
    workflow(folder, *configured, "--", "all")
    return folder, Counter({rule: int(number) for rule, number in jobs})


def test_all_kinds_run_in_few_jobs_that_share_their_images(run) -> None:
    import yaml

    folder, jobs = run
    config = yaml.safe_load((ROOT / "tests/workflow/paper.yaml").read_text())
    assert {item["kind"] for item in config["encoders"].values()} == KINDS
    assert jobs["total"] <= MOST_JOBS
    # One pass over the images for all encoders that do not depend on curated wells, one after it.
    assert jobs["embedding_batch"] == 2
    assert (folder / "results/paper/reports/paper.html").is_file()


def cells(folder: Path) -> pd.DataFrame:
    with open(folder / "results/paper/reports/tables/paper-cells.csv", newline="") as stream:
        return pd.DataFrame(csv.DictReader(stream))


def test_the_page_has_a_cell_for_every_published_value(run) -> None:
    table = cells(run[0])
    published = published_results()
    assert table["Published encoder"].tolist() == published["encoder"].tolist()
    assert np.allclose(table["Published"].astype(float), published["value"])
    has_value, has_reason = table["Ours"] != "", table["Not run because"] != ""
    assert (has_value ^ has_reason).all()


def test_rows_that_ran_have_values_and_the_others_reasons(run) -> None:
    table = cells(run[0]).set_index(["Table", "Published encoder", "Block", "Measure"])
    first = "table 1 (RxRx3 whole genome)"
    ours = table.loc[(first, "MAE-L/8, RPI-93M", "15", "recall_stringdb")]
    assert ours["Our encoder"] == "everything-mae.trimmed"
    stored = pd.read_parquet(
        run[0] / "results/paper/benchmarks/tiny/everything-mae.trimmed.parquet"
    )
    same = (stored["source"] == "stringdb") & (stored["metric"] == "recall_0.05_0.95")
    assert float(ours["Ours"]) == stored.loc[same, "value"].item()
    reason = table.loc[(first, "MAE-L/8, RPI-93M", "24", "recall_corum")]["Not run because"]
    assert reason == "relationships has no value of corum"
    missing = table.loc[(first, "ViT-S/14, DINOv2", "5", "recall_corum")]["Not run because"]
    assert missing == "no encoder of this run stands for it"
    third = "table 3 (RxRx3-core)"
    energy = table.loc[(third, "random baseline", "'-", "energy_distance")]
    assert energy["Our encoder"] == "chance"
    assert float(energy["Ours"]) > 0


def test_the_panels_of_figures_3_and_9_are_there_or_say_why_not(run) -> None:
    page = (run[0] / "results/paper/reports/paper.html").read_text(encoding="utf-8")
    anchors = set(re.findall(r'id="(figure-[^"]+)"', page))
    for task in ("rxrx1-tiny", "anax-tiny-u2os"):
        for family in ("microscopy", "natural-images"):
            assert f"figure-3-{task}-{family}" in anchors
    training = pd.read_parquet(run[0] / "results/paper/benchmarks/by_training.parquet")
    probes = training[(training["benchmark"] == "probe") & ~training["is_published"]]
    assert set(probes["source"]) == {"genes", "pathway"}
    assert set(probes["encoder"]) >= {"everything-mae", "phenoprints-mae"}
    assert sum(anchor.startswith("figure-9-") for anchor in anchors) >= 3
