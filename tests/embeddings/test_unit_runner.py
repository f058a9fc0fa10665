"""Embeddings computed in units: the same numbers in any way of dividing the work."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.embeddings import Geometry, embed, open_embeddings  # noqa: E402
from phenoprints.embeddings.arrays import content_of, make_stores, refuse_too_large  # noqa: E402
from phenoprints.embeddings.failures import Failures  # noqa: E402
from phenoprints.embeddings.finalize import gather  # noqa: E402
from phenoprints.embeddings.forward import EmbeddingSettings, Site, channel_order, embed_sites  # noqa: E402
from phenoprints.embeddings.planning import Plan, plan_selection  # noqa: E402
from phenoprints.embeddings.reading import ReadAhead  # noqa: E402
from phenoprints.embeddings.selection import Selection, crop_shape  # noqa: E402
from phenoprints.embeddings.store import Unit, chunk_files  # noqa: E402
from phenoprints.embeddings.unit_runner import EncoderTarget, Pixels, compute_units  # noqa: E402
from phenoprints.embeddings.units import (  # noqa: E402
    Stores,
    batch_of,
    marker_path,
    plan_table,
    unit_groups,
    unit_tasks,
)
from phenoprints.foundations.errors import (  # noqa: E402
    ConfigurationError,
    CorruptionError,
    DataError,
    ImageError,
)
from phenoprints.foundations.fingerprints import tree_sha256  # noqa: E402
from phenoprints.foundations.progress import Progress  # noqa: E402
from phenoprints.foundations.randomness import generator, well_ids  # noqa: E402
from phenoprints.models import build  # noqa: E402
from phenoprints.screens.listing import Screen  # noqa: E402
from phenoprints.wells import failed_sites  # noqa: E402

CHANNELS = ("DNA", "ER", "RNA")


def wells_of(counts: dict[str, int]) -> pd.DataFrame:
    rows = [
        (e, "p1", f"{chr(65 + i // 24)}{i % 24 + 1:02d}")
        for e, n in counts.items()
        for i in range(n)
    ]
    wells = pd.DataFrame(rows, columns=["experiment", "plate", "well"])
    return wells.assign(well_id=well_ids("s", wells["experiment"], wells["plate"], wells["well"]))


def sites_of(wells: pd.DataFrame, num_sites: int = 2) -> pd.DataFrame:
    places = wells["experiment"] + "/" + wells["well"]
    channels = pd.Series([list(CHANNELS)] * len(wells))
    parts = [
        wells[["well_id"]].assign(
            site=site,
            locator="memory:" + places + f"/{site}",
            channels=channels,
            height=64,
            width=64,
        )
        for site in range(1, num_sites + 1)
    ]
    return pd.concat(parts, ignore_index=True)


def read(site: Site) -> np.ndarray:
    """The pixels of a site, or an error where its locator says `bad`."""
    return pixels(site.locator)


def pixels(locator: str) -> np.ndarray:
    """The pixels of a locator, or an error where it says `bad`."""
    if "bad" in locator:
        raise ImageError(f"{locator}: cut off\n  at byte 7")
    return generator(0, "test", locator).integers(0, 256, (len(CHANNELS), 64, 64), dtype=np.uint8)


WELLS = wells_of({"e1": 7, "e2": 3})
SITES = sites_of(WELLS)
SCREEN = Screen("s", WELLS, SITES, pd.DataFrame(), {})


@pytest.fixture(scope="module")
def encoder():
    torch.set_num_threads(1)
    return build("vit-tiny", channels=CHANNELS, seed=5)


@pytest.fixture(scope="module")
def rows(encoder) -> np.ndarray:
    return embed(encoder, SCREEN, read)[0]


def plan_of(
    settings: EmbeddingSettings, selection: Selection, unit_wells: int = 4, blocks=None
) -> Plan:
    content = content_of(settings, version=1)
    return plan_selection(selection, content=content, unit_wells=unit_wells, block_wells=blocks)


def run(
    path: Path,
    settings: EmbeddingSettings,
    selection: Selection,
    *,
    unit_wells: int = 4,
    num_jobs: int = 1,
    blocks=None,
    reader=read,
    max_failed_fraction: float = 1.0,
    **options,
) -> tuple[Stores, pd.DataFrame, list[Progress]]:
    """Plan, compute in jobs and gather, as the workflow does."""
    stores = Stores.at(path / "e", None if blocks is None else path / "b")
    plan = plan_of(settings, selection, unit_wells, blocks)
    make_stores(plan, settings, stores, attributes={"screen": "s"}, unit_wells=unit_wells)
    assert unit_tasks(plan_table(plan.tasks)) == plan.tasks
    done = []
    for job in range(num_jobs):
        failures = Failures(plan.num_wells, max_failed_fraction)
        done.append(Progress("wells", plan.num_wells))
        compute_units(
            batch_of(unit_groups([plan.tasks]), job, num_jobs),
            [EncoderTarget(settings, stores, failures)],
            selection, pixels=Pixels(reader, **options), progress=done[-1],
        )  # fmt: skip
    gathered = gather(plan.tasks, stores, Failures(plan.num_wells))
    return stores, gathered.failures, done


def test_a_well_is_the_mean_over_its_crops_and_sites(encoder, rows: np.ndarray) -> None:
    for index in (0, 8):
        sites = SITES[SITES["well_id"] == WELLS["well_id"][index]].sort_values("site")
        means = []
        for locator in sites["locator"]:
            crops = torch.from_numpy(Geometry(32).crops(pixels(locator)))
            means.append(encoder.features(crops).numpy().mean(axis=0))
        np.testing.assert_allclose(rows[index], np.mean(means, axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_mixed_batches_give_the_vectors_of_single_wells(encoder, precision: str) -> None:
    sites = [Site(i, 1, f"memory:{i}", CHANNELS) for i in range(6)]
    images = [read(site) for site in sites]
    tolerance = {"float32": 2e-6, "bfloat16": 0.02}[precision]

    mixed = _last(encoder, sites, images, precision=precision, batch_size=13)
    single = _last(encoder, sites, images, precision=precision, batch_size=4)
    cut = _last(encoder, sites, images, precision=precision, batch_size=3)

    scale = np.abs(single).max()
    np.testing.assert_allclose(mixed, single, atol=tolerance * scale, rtol=0)
    np.testing.assert_allclose(cut, single, atol=tolerance * scale, rtol=0)


def _last(encoder, sites, images, **options) -> np.ndarray:
    seen = embed_sites(
        sites, images, len(sites), EmbeddingSettings(encoder, Geometry(32), **options)
    )
    assert seen.failed == []
    return seen.last


def test_bfloat16_is_near_float32_and_not_the_same(encoder, rows: np.ndarray) -> None:
    got, _ = embed(encoder, SCREEN, read, precision="bfloat16")

    assert got.dtype == np.float32
    np.testing.assert_allclose(got, rows, atol=0.03 * np.abs(rows).max(), rtol=0)
    assert not np.array_equal(got, rows)


def test_all_blocks_in_one_pass_end_with_the_last(encoder, rows: np.ndarray) -> None:
    blocks, _ = embed(encoder, SCREEN, read, blocks="all")

    assert blocks.shape == (10, 4, 96)
    np.testing.assert_array_equal(blocks[:, -1], rows)
    for block in (1, 3):
        cut, _ = embed(encoder.trimmed(block), SCREEN, read)
        np.testing.assert_array_equal(blocks[:, block - 1], cut)


def test_several_encoders_read_every_image_once_and_write_the_same_bytes(
    encoder, tmp_path: Path
) -> None:
    """One keeps the blocks of some wells, so that its units are whole experiments."""
    other = build("vit-tiny", channels=CHANNELS, seed=6)
    sites = SITES.assign(locator=SITES["locator"].where(SITES.index != 3, "memory:bad"))
    selection, chosen = Selection(WELLS, sites), WELLS["well_id"].to_numpy()[[1, 2, 9]]
    all_settings = [
        EmbeddingSettings(encoder, Geometry(32)),
        EmbeddingSettings(other, Geometry(32), batch_size=7),
    ]
    alone = [
        run(tmp_path / f"{i}", settings, selection, blocks=[chosen, None][i])[:2]
        for i, settings in enumerate(all_settings)
    ]
    plans = [plan_of(all_settings[0], selection, 4, chosen), plan_of(all_settings[1], selection)]
    stores = [Stores.at(tmp_path / "a", tmp_path / "b"), Stores.at(tmp_path / "c")]
    targets = [
        EncoderTarget(settings, at, Failures(10))
        for settings, at in zip(all_settings, stores, strict=True)
    ]
    reads: list[str] = []

    def counted(site: Site) -> np.ndarray:
        reads.append(site.locator)
        return read(site)

    for plan, settings, at in zip(plans, all_settings, stores, strict=True):
        make_stores(plan, settings, at, attributes={"screen": "s"}, unit_wells=4)
    groups = unit_groups([plan.tasks for plan in plans])
    assert [len(group) for group in groups] == [3, 2]
    for job in range(2):
        progress = Progress("wells", 20)
        compute_units(
            batch_of(groups, job, 2), targets, selection,
            pixels=Pixels(counted, num_workers=2), progress=progress,
        )  # fmt: skip

    assert len(reads) == len(SITES)
    assert tree_sha256(tmp_path / "a") == tree_sha256(alone[0][0].embeddings)
    assert tree_sha256(tmp_path / "b") == tree_sha256(alone[0][0].blocks)
    assert tree_sha256(tmp_path / "c") == tree_sha256(alone[1][0].embeddings)
    for plan, at, (_, failures) in zip(plans, stores, alone, strict=True):
        gathered = gather(plan.tasks, at, Failures(10))
        pd.testing.assert_frame_equal(gathered.failures, failures)
        assert gathered.cost["wells"] == 10
        assert gathered.cost["failed_sites"] == 1


def test_an_encoder_that_is_done_is_not_asked_again(encoder, tmp_path: Path) -> None:
    """The second of two is computed alone where the first one's units are there."""
    other = build("vit-tiny", channels=CHANNELS, seed=6)
    selection = Selection(WELLS, SITES)
    all_settings = [
        EmbeddingSettings(encoder, Geometry(32)),
        EmbeddingSettings(other, Geometry(32)),
    ]
    first, _, _ = run(tmp_path / "1", all_settings[0], selection)
    before = tree_sha256(tmp_path / "1")
    second = Stores.at(tmp_path / "2" / "e")
    plans = [plan_of(settings, selection) for settings in all_settings]
    make_stores(plans[1], all_settings[1], second, attributes={"screen": "s"}, unit_wells=4)
    progress = Progress("wells", 20)

    compute_units(
        unit_groups([plan.tasks for plan in plans]),
        [
            EncoderTarget(all_settings[0], first, Failures(10)),
            EncoderTarget(all_settings[1], second, Failures(10)),
        ],
        selection, pixels=Pixels(read), progress=progress,
    )  # fmt: skip

    assert (progress.done, progress.skipped) == (10, 10)
    assert tree_sha256(tmp_path / "1") == before


@pytest.mark.parametrize(("unit_wells", "num_jobs"), [(4, 1), (4, 3), (4, 7)])
def test_any_number_of_jobs_writes_the_same_bytes(
    encoder, tmp_path: Path, unit_wells: int, num_jobs: int
) -> None:
    settings, selection = EmbeddingSettings(encoder, Geometry(32)), Selection(WELLS, SITES)
    one, _, _ = run(tmp_path / "1", settings, selection)
    other, _, done = run(
        tmp_path / "2", settings, selection, unit_wells=unit_wells, num_jobs=num_jobs
    )

    assert tree_sha256(one.embeddings) == tree_sha256(other.embeddings)
    assert sum(progress.done for progress in done) == 10


def test_units_hold_the_rows_of_their_wells(encoder, tmp_path: Path, rows: np.ndarray) -> None:
    stores, failures, _ = run(
        tmp_path, EmbeddingSettings(encoder, Geometry(32)), Selection(WELLS, SITES)
    )
    reader = open_embeddings(stores.embeddings)

    got = np.concatenate([reader.read(e) for e in reader.experiments])

    np.testing.assert_allclose(got, rows, atol=2e-6 * np.abs(rows).max(), rtol=0)
    assert reader.attributes["block"] == 4
    assert reader.attributes["pooling"] == "mean"
    assert reader.attributes["encoder_fingerprint"] == encoder.fingerprint()
    assert len(failures) == 0


def test_row_order_of_the_sites_table_changes_nothing(encoder, tmp_path: Path) -> None:
    settings = EmbeddingSettings(encoder, Geometry(32))
    one, _, _ = run(tmp_path / "1", settings, Selection(WELLS, SITES))
    shuffled = SITES.sample(frac=1, random_state=3)
    other, _, _ = run(tmp_path / "2", settings, Selection(WELLS, shuffled))

    assert tree_sha256(one.embeddings) == tree_sha256(other.embeddings)


def test_blocks_of_chosen_wells_come_with_the_embeddings(encoder, tmp_path: Path) -> None:
    chosen = WELLS["well_id"].to_numpy()[[1, 2, 5, 9]]
    settings, selection = EmbeddingSettings(encoder, Geometry(32)), Selection(WELLS, SITES)

    stores, _, _ = run(tmp_path / "1", settings, selection, blocks=chosen)
    plain, _, _ = run(tmp_path / "2", settings, Selection(WELLS, SITES), unit_wells=7)

    blocks = open_embeddings(stores.blocks)
    rows = {e: open_embeddings(plain.embeddings).read(e) for e in ("e1", "e2")}
    assert blocks.row_shape == (4, 96)
    assert blocks.attributes["blocks"] == [1, 2, 3, 4]
    np.testing.assert_array_equal(blocks.well_ids("e1"), chosen[:3])
    np.testing.assert_array_equal(blocks.read("e1")[:, -1], rows["e1"][[1, 2, 5]])
    np.testing.assert_array_equal(blocks.read("e2")[:, -1], rows["e2"][[2]])
    reader = open_embeddings(stores.embeddings)
    for experiment, expected in rows.items():
        np.testing.assert_array_equal(reader.read(experiment), expected)


def test_blocks_of_all_wells_are_kept_on_request(encoder, tmp_path: Path) -> None:
    settings, selection = EmbeddingSettings(encoder, Geometry(32)), Selection(WELLS, SITES)

    stores, _, _ = run(tmp_path / "1", settings, selection, blocks="all")
    plain, _, _ = run(tmp_path / "2", settings, selection)

    blocks = open_embeddings(stores.blocks)
    for experiment in ("e1", "e2"):
        rows = open_embeddings(plain.embeddings).read(experiment)
        np.testing.assert_array_equal(blocks.read(experiment)[:, -1], rows)
    assert tree_sha256(stores.embeddings) == tree_sha256(plain.embeddings)


def test_what_is_done_is_not_done_again(encoder, tmp_path: Path) -> None:
    settings, selection = EmbeddingSettings(encoder, Geometry(32)), Selection(WELLS, SITES)
    run(tmp_path, settings, selection)
    before = tree_sha256(tmp_path)

    def unread(site: Site) -> np.ndarray:
        raise AssertionError(site)

    _, _, [done] = run(tmp_path, settings, selection, reader=unread)

    assert (done.done, done.skipped) == (0, 10)
    assert tree_sha256(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [("locator", 4), ("encoder", 10), ("geometry", 10), ("quality", 3), ("stamp", 10)],
)
def test_a_change_recomputes_just_what_it_touches(
    encoder, tmp_path: Path, change: str, expected: int
) -> None:
    settings, selection, options = (
        EmbeddingSettings(encoder, Geometry(32)),
        Selection(WELLS, SITES),
        {},
    )
    run(tmp_path, settings, selection)
    if change == "locator":
        sites = SITES.assign(locator=SITES["locator"].where(SITES.index != 2, "memory:new"))
        selection = Selection(WELLS, sites)
    elif change == "quality":
        bad = SITES.iloc[[5]].assign(verdict="fail")
        selection = Selection(WELLS, SITES, bad_sites=failed_sites(bad))
    elif change == "encoder":
        settings = EmbeddingSettings(build("vit-tiny", channels=CHANNELS, seed=9), Geometry(32))
    elif change == "geometry":
        settings = EmbeddingSettings(encoder, Geometry(32, overlap_px=16))
    else:
        options = {"stamp": lambda sites: "later"}

    _, _, [done] = run(tmp_path, settings, selection, **options)

    assert done.done == expected
    fresh, _, _ = run(tmp_path / "fresh", settings, selection)
    assert tree_sha256(tmp_path / "e") == tree_sha256(fresh.embeddings)


def test_a_damaged_chunk_is_found_and_mended_alone(encoder, tmp_path: Path) -> None:
    settings, selection = EmbeddingSettings(encoder, Geometry(32)), Selection(WELLS, SITES)
    stores, _, _ = run(tmp_path, settings, selection)
    before = tree_sha256(stores.embeddings)
    [chunk] = chunk_files(stores.embeddings, Unit("e1", 4, 7))
    content = bytearray(chunk.read_bytes())
    content[40] ^= 4
    chunk.write_bytes(content)
    tasks = plan_of(settings, selection).tasks

    with pytest.raises(CorruptionError, match="e1, rows 4 to 7: not done, or its chunk is not"):
        gather(tasks, stores, Failures(10))
    _, _, [done] = run(tmp_path, settings, selection)

    assert done.done == 3
    assert tree_sha256(stores.embeddings) == before


def test_unreadable_images_become_nan_with_file_and_reason(encoder, tmp_path: Path) -> None:
    locators = SITES["locator"].to_numpy(copy=True)
    locators[0] = "memory:bad1"  # first site of well 0: its second site stays
    locators[[4, 14]] = "memory:bad2", "memory:bad3"  # both sites of well 4
    sites = SITES.assign(locator=locators).drop(index=[1, 11])  # well 1 was not imaged
    quality = SITES.iloc[[2, 12]].assign(verdict="fail")
    selection = Selection(WELLS, sites, bad_sites=failed_sites(quality))

    stores, failures, _ = run(tmp_path, EmbeddingSettings(encoder, Geometry(32)), selection)

    got = open_embeddings(stores.embeddings).read("e1")
    assert np.flatnonzero(np.isnan(got).any(axis=1)).tolist() == [1, 2, 4]
    assert failures[["well", "site", "file", "reason"]].to_numpy().tolist() == [
        ["A01", 1, "memory:bad1", "memory:bad1: cut off"],
        ["A02", -1, "", "no_image"],
        ["A03", -1, "", "no_good_site"],
        ["A05", -1, "", "no_readable_site"],
        ["A05", 1, "memory:bad2", "memory:bad2: cut off"],
        ["A05", 2, "memory:bad3", "memory:bad3: cut off"],
    ]
    one_site, _ = embed(encoder, Screen("s", WELLS[:1], sites[9:10], pd.DataFrame(), {}), read)
    np.testing.assert_allclose(got[0], one_site[0], atol=1e-6)


def test_too_many_failures_end_early_and_list_them(encoder, tmp_path: Path) -> None:
    bad = SITES.assign(locator=[f"memory:bad{i}" for i in range(len(SITES))])
    selection, settings = Selection(WELLS, bad), EmbeddingSettings(encoder, Geometry(32))

    with pytest.raises(DataError, match=r"4 of 10 wells have no vector \(40.0 %\)") as caught:
        run(tmp_path, settings, selection, max_failed_fraction=0.3)

    assert "e1/p1/A01: no_readable_site" in str(caught.value)
    assert "raise max_failed_fraction" in str(caught.value)
    assert not marker_path(tmp_path / "e.units", Unit("e1", 4, 7)).exists()


def test_a_missing_file_is_a_failed_site_and_a_defect_is_not(encoder) -> None:
    def absent(site: Site) -> np.ndarray:
        raise FileNotFoundError(2, "No such file", site.locator)

    site = Site(0, 1, "memory:x", CHANNELS)
    [image] = ReadAhead(absent, [site])
    assert isinstance(image, ImageError)
    assert "No such file" in str(image)

    def defect(site: Site) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(ReadAhead(defect, [site]))
    with pytest.raises(ZeroDivisionError):
        list(ReadAhead(defect, [site] * 9, num_workers=2))


def test_reading_ahead_keeps_the_order() -> None:
    def slow(site: Site) -> np.ndarray:
        time.sleep(0.0 if site.number else 0.02)
        return np.full((1, 1, 1), site.number, np.uint8)

    sites = [Site(0, i, f"memory:{i}", CHANNELS) for i in range(20)]
    images = ReadAhead(slow, sites, num_workers=3)

    assert [int(image[0, 0, 0]) for image in images] == list(range(20))
    assert images.waiting_s > 0


def test_channels_are_matched_by_name() -> None:
    assert channel_order(("ER", "DNA"), ("DNA", "RNA", "ER")) == [2, 0]
    assert channel_order(("DNA", "ER"), ("DNA", "ER")) is None
    assert channel_order((), ("DNA", "ER")) is None
    assert channel_order(("channel-1", "channel-2"), ("DNA", "ER")) is None
    with pytest.raises(DataError, match="channels DNA, ER; the encoder expects DNA, Mito"):
        channel_order(("DNA", "Mito"), ("DNA", "ER"))
    with pytest.raises(DataError, match="the encoder expects channel-1"):
        channel_order(("channel-1",), ("DNA", "ER"))


def test_permuted_channels_give_the_same_vectors(encoder, rows: np.ndarray) -> None:
    sites = SITES.assign(channels=[list(CHANNELS[::-1])] * len(SITES))
    turned = Screen("s", WELLS, sites, pd.DataFrame(), {})

    got, _ = embed(encoder, turned, lambda site: read(site)[::-1])

    np.testing.assert_array_equal(got, rows)


def test_another_input_size_is_an_error_or_resized(encoder) -> None:
    with pytest.raises(ConfigurationError, match="takes crops of 32 px; the screen gives crops of"):
        EmbeddingSettings(encoder, Geometry(64))
    sites = [Site(0, 1, "memory:a", CHANNELS)]
    flat = np.full((3, 64, 64), 7, np.uint8)
    flat[:, :32] = 90
    settings = EmbeddingSettings(encoder, Geometry(64), resize="resize")

    seen = embed_sites(sites, [flat], 1, settings)

    assert seen.failed == []
    small = np.full((1, 3, 32, 32), 7.0, np.float32)
    small[:, :, :16] = 90
    expected = encoder.features(torch.from_numpy(small)).numpy()
    np.testing.assert_allclose(seen.last, expected, atol=0.05 * np.abs(expected).max())


def test_images_of_several_sizes_share_a_unit(encoder) -> None:
    sites = [Site(i // 2, 1, f"memory:{i}", CHANNELS) for i in range(4)]
    images = [pixels("a"), pixels("b")[:, :32, :32], pixels("c")[:, :33], pixels("d")]

    together = _last(encoder, sites, images)[:2]

    first = _last(encoder, [Site(0, 1, "x", CHANNELS)] * 2, images[:2])[:1]
    np.testing.assert_allclose(together[:1], first, atol=1e-5)


def test_vectors_of_crops_are_kept_on_request(encoder, tmp_path: Path, rows: np.ndarray) -> None:
    sites = SITES.drop(index=[2])  # well 2 lacks its first site
    selection, geometry = Selection(WELLS, sites), Geometry(32)
    settings = EmbeddingSettings(encoder, geometry, crop_shape=crop_shape(2, (64, 64), geometry))
    stores = Stores.at(tmp_path / "e", crops=tmp_path / "c")
    plan = plan_of(settings, selection)
    make_stores(plan, settings, stores, attributes={}, unit_wells=4)
    target, progress = EncoderTarget(settings, stores, Failures(10)), Progress("wells", 10)
    groups = unit_groups([plan.tasks])
    compute_units(groups, [target], selection, pixels=Pixels(read), progress=progress)
    gather(plan.tasks, stores, Failures(10))

    crops = open_embeddings(tmp_path / "c")

    assert crops.row_shape == (2, 4, 96)
    assert crops.attributes["sites"] == [1, 2]
    kept = np.concatenate([crops.read(e) for e in crops.experiments])
    assert np.isnan(kept[2, 0]).all()
    assert np.isfinite(kept[2, 1]).all()
    others = [i for i in range(10) if i != 2]
    np.testing.assert_allclose(kept[others].mean(axis=(1, 2)), rows[others], atol=1e-5)
    plain = plan_of(EmbeddingSettings(encoder, geometry), selection).tasks
    assert {task.key for task in plain}.isdisjoint(task.key for task in plan.tasks)


def test_the_size_of_crops_and_blocks_is_estimated_and_refused(encoder) -> None:
    settings = EmbeddingSettings(encoder, Geometry(32), crop_shape=(2, 4))
    plan = plan_of(settings, Selection(WELLS, SITES), blocks="all")
    crops, blocks = Stores.at("e", crops="c"), Stores.at("e", "b")
    gigabytes = 10 * 2 * 4 * 96 * 4 / 1e9

    record = refuse_too_large(plan, settings, crops, max_kept_gb=gigabytes)
    assert record == [
        "10 wells × 96 features take 3.84e-06 GB",
        "10 wells × 2 sites × 4 crops × 96 features take 3.07e-05 GB",
    ]
    with pytest.raises(ConfigurationError, match=r"inference.keep_crops: .* 2 sites × 4 crops"):
        refuse_too_large(plan, settings, crops, max_kept_gb=gigabytes * 0.99)
    with pytest.raises(ConfigurationError, match=r"keep_blocks: .* 10 wells × 4 blocks × 96 f"):
        refuse_too_large(plan, settings, blocks, max_kept_gb=1e-5)
