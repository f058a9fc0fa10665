"""A pair as the workflow's jobs open it: files in, stores out, damage mended at the end."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.cli import main  # noqa: E402
from phenoprints.configuration import load  # noqa: E402
from phenoprints.configuration.freezing import write_frozen  # noqa: E402
from phenoprints.embeddings import open_embeddings  # noqa: E402
from phenoprints.embeddings.embedding_job import (  # noqa: E402
    JobFiles,
    compute_jobs,
    device_of,
    first_device,
    open_job,
)
from phenoprints.embeddings.finalize import gather  # noqa: E402
from phenoprints.embeddings.store import Unit, chunk_files  # noqa: E402
from phenoprints.embeddings.units import Stores, unit_groups  # noqa: E402
from phenoprints.foundations.errors import ConfigurationError, CorruptionError  # noqa: E402
from phenoprints.foundations.fingerprints import tree_sha256  # noqa: E402
from phenoprints.foundations.provenance import provenance_path, write_provenance  # noqa: E402
from phenoprints.foundations.publishing import publish_json, publish_table  # noqa: E402
from phenoprints.models import build, save  # noqa: E402
from phenoprints.models.cnn import adapt_batch_norm  # noqa: E402
from phenoprints.screens.images.opening import images_content  # noqa: E402
from phenoprints.screens.images.stores import (  # noqa: E402
    SiteWriter,
    array_metadata,
    create_array,
)

SETTINGS = {
    "batch_size": 8, "precision": "float32", "stored_as": "float32", "unit_wells": 3,
    "crop_px": 32, "exclude_border_crops": "auto", "overlap_px": 0, "max_failed_fraction": 0.2,
    "resize": "error", "block": None, "max_kept_gb": 1,
    "keep_blocks": False,
}  # fmt: skip
NUM_WELLS = 8


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    """A screen of 8 wells in a packed store, with tables as the earlier stages write them."""
    folder = tmp_path / "screen"
    wells = pd.DataFrame({"well_id": np.arange(NUM_WELLS, dtype=np.uint64), "experiment": "e",
                          "plate": "p", "well": [f"A{i:02d}" for i in range(1, 9)]})  # fmt: skip
    sites = wells[["well_id"]].assign(
        site=np.int32(1), locator=[f"zarr:p.zarr#{i}" for i in range(NUM_WELLS)], height=64,
        width=64, channels=pd.Series([["DNA", "ER"]] * NUM_WELLS),
    )  # fmt: skip
    quality = pd.DataFrame({"well_id": wells["well_id"], "site": np.int32(1), "verdict": "pass"})
    quality.loc[7, "verdict"] = "fail"
    tables = {"wells": wells, "sites": sites, "quality": quality}
    for name, table in tables.items():
        publish_table(folder / f"{name}.parquet", table)
    publish_json(folder / "images.json", images_content(None, {}))
    pixels = np.random.default_rng(0).integers(0, 256, (NUM_WELLS, 2, 64, 64), dtype=np.uint8)
    create_array(folder / "p.zarr", array_metadata(pixels.shape))
    with SiteWriter(folder / "p.zarr") as writer:
        for index, image in enumerate(pixels):
            writer.write(index, image)
    save(tmp_path / "mae", build("vit-tiny", channels=("DNA", "ER")))
    paths = [str(folder / f"{name}.parquet") for name in tables]
    return JobFiles(*paths, str(folder / "images.json"), str(provenance_path(tmp_path / "mae")))


def pair_of(files: JobFiles, path: Path, **changes):
    stores = Stores.at(path / "e", crops=path / "c" if changes.pop("crops", False) else None)
    return open_job(files, stores, {**SETTINGS, **changes}, name="s by mae", device="cpu")


def test_a_pair_is_computed_from_files(files: JobFiles, tmp_path: Path) -> None:
    pair = pair_of(files, tmp_path / "out", crops=True)
    plan = pair.plan()
    pair.make_stores(plan, {"screen": "s"})
    done = compute_jobs([pair], unit_groups([plan.tasks]), num_workers=2)

    gathered = pair.gather(plan.tasks)

    rows = open_embeddings(tmp_path / "out/e").read("e")
    assert np.flatnonzero(np.isnan(rows).any(axis=1)).tolist() == [7]
    assert gathered.failures["reason"].tolist() == ["no_good_site"]
    assert gathered.cost["wells"] == NUM_WELLS
    assert (done["wells"], done["skipped"]) == (NUM_WELLS, 0)
    assert gathered.cost["crops"] == 4 * (NUM_WELLS - 1)
    assert gathered.cost["devices"] == ["cpu"]
    assert list(gathered.cost["device_hours"]) == ["cpu"]
    assert gathered.cost["gpu_hours"] == 0
    crops = open_embeddings(tmp_path / "out/c").read("e")
    np.testing.assert_allclose(crops[:7].mean(axis=(1, 2)), rows[:7], atol=1e-5)
    assert open_embeddings(tmp_path / "out/e").attributes["channels"] == ["DNA", "ER"]


def test_what_is_damaged_after_its_job_is_mended_by_gathering(
    files: JobFiles, tmp_path: Path
) -> None:
    pair = pair_of(files, tmp_path / "out")
    plan = pair.plan()
    pair.make_stores(plan, {"screen": "s"})
    compute_jobs([pair], unit_groups([plan.tasks]))
    before = tree_sha256(tmp_path / "out/e")
    chunk_files(tmp_path / "out/e", Unit("e", 3, 6))[0].unlink()

    with pytest.raises(CorruptionError, match="e, rows 3 to 6"):
        gather(plan.tasks, pair.stores, pair.failures())

    assert pair.gather(plan.tasks).cost["wells"] == NUM_WELLS
    assert tree_sha256(tmp_path / "out/e") == before


def test_an_earlier_block_may_be_the_embedding(files: JobFiles, tmp_path: Path) -> None:
    pair = pair_of(files, tmp_path / "out", block=2)

    assert pair.inference.encoder.num_blocks == 2
    with pytest.raises(ConfigurationError, match="8 wells × 1 sites × 4 crops × 96 features"):
        pair_of(files, tmp_path / "out", crops=True, max_kept_gb=1e-6).plan()


@pytest.mark.skipif(torch.cuda.is_available(), reason="an accelerator is there")
def test_devices_without_an_accelerator() -> None:
    assert device_of("auto", 3).type == "cpu"
    with pytest.raises(ConfigurationError, match=r"no accelerator is there\. Set auto"):
        device_of("cuda")


@pytest.mark.parametrize(("setting", "count"), [("auto", 4), ("cuda", 4), ("auto", 1)])
def test_jobs_share_out_the_devices_of_a_node(
    monkeypatch: pytest.MonkeyPatch, setting: str, count: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    used = [device_of(setting, job).index for job in range(2 * count)]

    assert sorted(used) == sorted([*range(count)] * 2)
    assert device_of("cpu", 3).type == "cpu"


def test_pairs_of_one_job_each_start_at_different_devices() -> None:
    first = {first_device(f"screen by encoder-{i}") % 4 for i in range(20)}

    assert first == {0, 1, 2, 3}
    assert first_device("a by b") == first_device("a by b")


def test_a_probed_encoder_keeps_no_blocks_where_no_task_runs(
    files: JobFiles, tmp_path: Path
) -> None:
    stores = Stores.at(tmp_path / "e", tmp_path / "b")
    pair = open_job(files, stores, SETTINGS, name="s by mae", device="cpu")
    plan = pair.plan()
    pair.make_stores(plan, {"screen": "s"})
    compute_jobs([pair], unit_groups([plan.tasks]))
    pair.gather(plan.tasks)

    assert open_embeddings(tmp_path / "b").experiments == []
    assert len(open_embeddings(tmp_path / "e").read("e")) == NUM_WELLS
    assert len(plan.tasks) == 3


def adapted(files: JobFiles, path: Path, **changes) -> np.ndarray:
    pair = pair_of(files, path, adapt_batch_norm=True, **changes)
    plan = pair.plan()
    pair.make_stores(plan, {})
    compute_jobs([pair], unit_groups([plan.tasks]))
    pair.gather(plan.tasks)
    assert open_embeddings(path / "e").attributes["adapt_batch_norm"]
    return open_embeddings(path / "e").read("e")


def test_batch_norms_take_the_statistics_of_the_experiment(
    files: JobFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cnn = build("cnn-tiny", channels=("DNA", "ER"))
    save(tmp_path / "cnn", cnn)
    files = replace(files, encoder=str(provenance_path(tmp_path / "cnn")))
    rows = adapted(files, tmp_path / "a")
    np.testing.assert_array_equal(adapted(files, tmp_path / "b", unit_wells=100), rows)
    pair = pair_of(files, tmp_path / "plain")
    assert pair.plan().tasks[0].key != pair_of(files, tmp_path / "c", adapt_batch_norm=True).plan(
    ).tasks[0].key  # fmt: skip

    # All good images in one batch, by hand.
    monkeypatch.setattr("phenoprints.embeddings.embedding_job.content_of", lambda *_, **__: {})
    rows = adapted(files, tmp_path / "d", batch_size=1000)
    images = [pair.read(site) for site in pair.tables.selection(slice(0, 8), slice(0, 8)).sites_of(
        Unit("e", 0, 8))]  # fmt: skip
    crops = torch.from_numpy(
        np.concatenate([pair.inference.geometry.crops(image) for image in images])
    )
    expected = adapt_batch_norm(cnn, [crops]).features(crops).reshape(7, 4, -1).mean(dim=1)
    np.testing.assert_allclose(rows[:7], expected, rtol=1e-4, atol=1e-5)

    with pytest.raises(ConfigurationError, match=r"s by mae: adapt_batch_norm.*vit-tiny has no"):
        pair_of(replace(files, encoder=str(provenance_path(tmp_path / "mae"))), tmp_path / "x",
                adapt_batch_norm=True)  # fmt: skip


def test_what_verify_finds_the_next_run_mends(
    files: JobFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    store = tmp_path / "results/r/embeddings/s/mae"
    config = load({"run": "r", "screens": {"s": {"source": "simulated"}}})
    write_frozen(tmp_path / "results/r/config.json", config)
    run_again(files, store)
    before = tree_sha256(store)
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "r"]) == 0
    chunk = chunk_files(store, Unit("e", 3, 6))[0]
    damaged = bytearray(chunk.read_bytes())
    damaged[11] ^= 16
    chunk.write_bytes(damaged)

    assert main(["verify", "r"]) == 1
    record = capsys.readouterr().out
    assert str(chunk.relative_to(tmp_path)) in record
    [cure] = re.findall(r"rm -rf (\S+) && snakemake", record)
    Path(cure).unlink()
    done = run_again(files, store)

    assert (done["wells"], done["skipped"]) == (3, 5)
    assert tree_sha256(store) == before
    assert main(["verify", "r"]) == 0


def run_again(files: JobFiles, store: Path) -> dict[str, float]:
    """What the workflow does for a pair whose provenance is not there."""
    pair = open_job(files, Stores.at(store), SETTINGS, name="s by mae", device="cpu")
    plan = pair.plan()
    pair.make_stores(plan, {"screen": "s"})
    done = compute_jobs([pair], unit_groups([plan.tasks]))
    pair.gather(plan.tasks)
    write_provenance(store, "embeddings", settings=SETTINGS)
    return done
