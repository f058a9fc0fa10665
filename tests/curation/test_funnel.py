"""The funnel: counts, reasons, samples, parts on disk, and what may not matter."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from phenoprints.curation import Rules, curate
from phenoprints.curation.manifest import write_manifest
from phenoprints.curation.parts import FileParts, TableParts, split_by_experiment
from phenoprints.curation.steps import OPTIONAL_STEPS, REASONS, STEPS, Reason
from phenoprints.curation.wells_with_quality import screen_parts
from phenoprints.curation.writing import write_part
from phenoprints.foundations.errors import (
    ConfigurationError,
    CorruptionError,
    DataError,
    MissingInputError,
    TableError,
)
from phenoprints.wells import SITES, WELLS

RULES = Rules(judges=("j",), min_experiments=3, min_wells=20, hold_out=("e5",))


@pytest.fixture
def funnel(wells, phenoprints, quality):
    return curate(wells, phenoprints, RULES, quality=quality)


def test_every_well_stays_or_leaves_for_one_reason(wells, funnel):
    assert len(funnel.reasons) + funnel.is_kept.sum() == len(wells)
    assert funnel.reasons["well_id"].is_unique
    left = set(wells["well_id"][~funnel.is_kept])
    assert left == set(funnel.reasons["well_id"])


def test_steps_join_and_their_reasons_add_up(funnel):
    own = [step for step in STEPS if step not in OPTIONAL_STEPS]
    assert [step["step"] for step in funnel.steps] == own
    for earlier, later in zip(funnel.steps, funnel.steps[1:], strict=False):
        assert earlier["after"] == later["before"]
    for step in funnel.steps:
        lost = step["before"]["wells"] - step["after"]["wells"]
        assert lost == sum(step["reasons"].values())
        assert sum(step["after"]["roles"].values()) == step["after"]["wells"]
        counted = funnel.reasons.query("step == @step['step']")["reason"].value_counts()
        assert {k: v for k, v in step["reasons"].items() if v} == counted.to_dict()


def test_every_reason_of_these_rules_occurs(funnel):
    expected = {"held_out_experiment", "failed_quality", "unknown_perturbation",
                "too_many_perturbations", "too_few_wells", "not_sampled", "no_phenoprint",
                "untestable"}  # fmt: skip
    assert set(funnel.reasons["reason"]) == expected


def test_counts_of_the_first_and_last_step(wells, funnel):
    named = set(wells["conditions"].dropna().explode().dropna())
    assert funnel.before["wells"] == len(wells)
    assert funnel.before["conditions"] == len(named)
    assert funnel.before["experiments"] == 6
    kept = wells[funnel.is_kept]
    assert funnel.after["conditions"] == kept["conditions"].explode().dropna().nunique()
    assert funnel.after["experiments"] == kept["experiment"].nunique() == 5


def test_reasons_ascend_with_the_steps():
    steps = list(STEPS)
    from phenoprints.curation.steps import STEP_OF_REASON

    order = [steps.index(STEP_OF_REASON[reason]) for reason in REASONS]
    assert order == sorted(order)
    assert max(Reason) == Reason.KEPT


def test_a_well_stays_when_any_of_its_conditions_has_a_phenoprint(wells, phenoprints, quality):
    funnel = curate(wells, phenoprints, RULES, quality=quality)
    found = set(phenoprints["condition_id"][phenoprints["has_phenoprint"]])
    testable = set(phenoprints["condition_id"][phenoprints["is_testable"]])
    reason = funnel.reasons.set_index("well_id")["reason"]
    treated = wells[(wells["role"] == "treatment") & wells["conditions"].map(bool)]
    for well_id, ids in zip(treated["well_id"], treated["conditions"], strict=True):
        why = reason.get(well_id)
        if why == "no_phenoprint":
            assert not found & set(ids)
            assert testable & set(ids)
        elif why == "untestable":
            assert not testable & set(ids)
        elif why is None:
            assert found & set(ids)


def test_controls_stay_unless_asked(wells, phenoprints):
    kept = curate(wells, phenoprints, RULES).after["roles"]
    assert min(kept.values()) > 0
    without = Rules(judges=("j",), min_wells=20, keep_controls=False)
    after = curate(wells, phenoprints, without).after["roles"]
    assert after["treatment"] > 0
    assert sum(after.values()) == after["treatment"]


def test_samples_are_of_the_configured_size(wells, conditions):
    funnel = curate(wells, conditions, Rules(min_wells=1))
    sampling = next(step for step in funnel.steps if step["step"] == "sampling")
    for role, share in [("positive_control", 0.1), ("unperturbed", 0.1), ("negative_control", 0.3)]:
        before, after = sampling["before"]["roles"][role], sampling["after"]["roles"][role]
        assert abs(after - share * before) < 4 * np.sqrt(share * (1 - share) * before)


def test_the_sample_depends_on_the_seed_and_the_well_alone(wells, conditions):
    rules = Rules(min_wells=1, min_experiments=1)
    full = curate(wells, conditions, rules, seed=1).is_kept
    half = wells["experiment"] < "e3"
    part = curate(wells[half], conditions, rules, seed=1).is_kept
    controls = (wells["role"] != "treatment").to_numpy()
    np.testing.assert_array_equal(full[half & controls], part[controls[half]])
    assert (full != curate(wells, conditions, rules, seed=2).is_kept).any()


def test_a_manifest_without_judges_ends_after_step_four(wells, conditions):
    funnel = curate(wells, conditions, Rules(min_wells=20))
    assert sum(funnel.steps[-1]["reasons"].values()) == 0
    assert funnel.after["wells"] > 0


def test_experiments_are_counted_exactly(conditions, wells):
    """A condition named twice in a well counts once; the paper's limits must both be reached."""
    small = wells.iloc[[0, 200, 400]].assign(conditions=[[7, 7], [7], [7, 7]], role="treatment")
    for limits, kept in [((3, 3), 3), ((4, 3), 0), ((3, 4), 0)]:
        rules = Rules(min_experiments=limits[0], min_wells=limits[1])
        funnel = curate(small, conditions, rules)
        assert funnel.is_kept.sum() == kept
    assert set(funnel.reasons["reason"]) == {"too_few_wells"}


def test_limits_by_kind(conditions, wells):
    kinds = np.where(conditions["condition_id"] < 20, "crispr", "compound")
    rules = Rules(min_wells=1, limits={"crispr": {"min_experiments": 99, "min_wells": 1}})
    funnel = curate(wells, conditions.assign(kind=kinds), rules)
    kept = wells[funnel.is_kept & (wells["role"] == "treatment")]["conditions"].explode().dropna()
    assert kept.min() == 20


def test_rows_in_any_order(wells, phenoprints, quality, funnel):
    order = np.random.default_rng(0).permutation(len(wells))
    shuffled = curate(wells.iloc[order], phenoprints, RULES, quality=quality)
    np.testing.assert_array_equal(shuffled.is_kept, funnel.is_kept[order])
    assert shuffled.steps == funnel.steps


def make_sites(wells, odd=()):
    return pd.DataFrame(
        {
            "well_id": np.repeat(wells["well_id"].to_numpy(), 2),
            "site": np.tile(np.arange(2, dtype=np.int32), len(wells)),
            "locator": [f"zarr:{i}" for i in range(2 * len(wells))],
            "height": np.where(np.isin(np.arange(2 * len(wells)), odd), 1080, 2048),
            "width": 2048,
            "channels": [["DNA"] * 6] * (2 * len(wells)),
        }
    )


def test_unusual_and_missing_images(wells, conditions):
    sites = make_sites(wells, odd=[0, 7])
    missing = wells["well_id"][10]
    sites = sites[sites["well_id"] != missing]
    funnel = curate(wells, conditions, Rules(min_wells=1, max_perturbations=9), sites=sites)
    reason = funnel.reasons.set_index("well_id")["reason"]
    odd = reason[reason == "unusual_images"].index
    known = wells.set_index("well_id")["conditions"].notna()
    assert set(odd) == set(wells["well_id"][[0, 3]]) & set(known[known].index)
    assert reason[missing] == "no_images"


def test_a_declared_geometry_outvotes_the_majority(wells, conditions):
    parts = screen_parts(
        wells, np.arange(40, dtype=np.int32), sites=make_sites(wells), geometry={"height_px": 1080}
    )
    assert parts[0]["is_unusual"].to_numpy().all()


def test_locators_leave_out_failed_sites(wells, conditions):
    sites = make_sites(wells)
    quality = pd.DataFrame({"well_id": wells["well_id"][:1], "site": [1], "verdict": "fail"})
    part = screen_parts(wells, np.arange(40, dtype=np.int32), sites=sites, quality=quality)[0]
    assert part["locators"][0].as_py() == ["zarr:0"]
    assert part["locators"][1].as_py() == ["zarr:2", "zarr:3"]
    assert not part["is_failing"][0].as_py()


@pytest.fixture
def parts(wells, quality):
    table = screen_parts(wells, np.arange(40, dtype=np.int32), quality=quality,
                         sites=make_sites(wells))[0]  # fmt: skip
    return list(split_by_experiment(table, wells_per_part=300))


def tree(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def test_bytes_depend_neither_on_workers_nor_on_the_order_of_parts(parts, phenoprints, tmp_path):
    results = []
    for number, (order, workers) in enumerate([((0, 1, 2), 1), ((2, 0, 1), 1), ((1, 2, 0), 3)]):
        folder = tmp_path / str(number)
        funnel = write_manifest(
            TableParts([parts[i] for i in order]), phenoprints, RULES,
            folder / "manifest", folder / "reasons", workers=workers,
        )  # fmt: skip
        results.append((tree(folder / "manifest"), tree(folder / "reasons"), funnel.steps))
    assert len(results[0][0]) == 2 * 3  # wells and their sites
    assert results[0] == results[1] == results[2]


def wells_of(manifest):
    return pd.read_parquet(sorted(manifest.glob("part-*.parquet")))


def test_files_and_memory_agree(parts, wells, phenoprints, quality, tmp_path, funnel):
    for number, part in enumerate(parts):
        pq.write_table(part, tmp_path / f"{number}.parquet")
    written = write_manifest(
        FileParts(sorted(tmp_path.glob("*.parquet"))), phenoprints, RULES,
        tmp_path / "manifest", tmp_path / "reasons",
    )  # fmt: skip
    assert written.steps == funnel.steps
    ids = wells_of(tmp_path / "manifest")["well_id"].to_numpy()
    np.testing.assert_array_equal(ids, wells["well_id"][funnel.is_kept])
    reasons = pd.read_parquet(tmp_path / "reasons")
    pd.testing.assert_frame_equal(reasons, funnel.reasons, check_dtype=False)


def test_pandas_polars_and_duckdb_read_the_manifest(parts, phenoprints, tmp_path):
    funnel = write_manifest(
        TableParts(parts), phenoprints, RULES, tmp_path / "manifest", tmp_path / "reasons"
    )
    files = str(tmp_path / "manifest" / "part-*.parquet")
    by_pandas = wells_of(tmp_path / "manifest")
    by_polars = pl.read_parquet(files)
    by_duckdb = duckdb.sql(f"select * from read_parquet('{files}') order by experiment").df()
    expected = [*WELLS.schema.names, "locators"]
    for table in (by_pandas, by_polars, by_duckdb):
        assert list(table.columns) == expected
        assert len(table) == funnel.after["wells"]
    assert by_pandas["well_id"].dtype == np.uint64
    assert by_polars["well_id"].sum() == by_pandas["well_id"].sum()
    assert by_polars["conditions"].to_list() == [list(ids) for ids in by_pandas["conditions"]]
    metadata = pq.ParquetFile(sorted((tmp_path / "manifest").iterdir())[0]).metadata
    assert metadata.row_group(0).column(0).statistics.has_min_max


def test_an_experiment_in_two_parts_is_refused(parts, phenoprints, tmp_path):
    with pytest.raises(DataError, match="stands in more than one part"):
        write_manifest(
            TableParts([parts[0], parts[0]]), phenoprints, RULES, tmp_path / "m", tmp_path / "r"
        )
    assert not (tmp_path / "m").exists()


def test_wells_of_an_experiment_must_follow_each_other(parts, phenoprints, tmp_path):
    mixed = parts[0].take(np.r_[0:100, 250:300, 100:200])
    with pytest.raises(DataError, match="do not follow each other"):
        write_manifest(TableParts([mixed]), phenoprints, RULES, tmp_path / "m", tmp_path / "r")


def test_bad_parts_are_named(parts, wells, conditions, phenoprints, tmp_path):
    with pytest.raises(MissingInputError, match="this part is not there"):
        FileParts([tmp_path / "none.parquet"])
    pq.write_table(parts[0].drop_columns(["role"]), tmp_path / "a.parquet")
    with pytest.raises(TableError, match='column "role" is missing'):
        FileParts([tmp_path / "a.parquet"]).read(0, deciding_only=True)
    with pytest.raises(TableError, match="condition_id 40 is not in the conditions table"):
        curate(wells.assign(conditions=[[40]] * len(wells)), conditions, RULES)
    with pytest.raises(DataError, match="ids from 0 to 39"):
        write_manifest(TableParts(parts), phenoprints.head(5), RULES, tmp_path / "m", tmp_path)


def test_a_damaged_part_is_named(parts, tmp_path):
    path = tmp_path / "a.parquet"
    write_part(path, parts[0])
    content = bytearray(path.read_bytes())
    for damaged in (content[: len(content) // 2], content[:300] + b"?" + content[301:]):
        path.write_bytes(damaged)
        with pytest.raises(CorruptionError, match=r"a\.parquet: this part cannot be read"):
            FileParts([path]).read(0, deciding_only=False)


def test_an_empty_screen(wells, conditions):
    funnel = curate(wells.iloc[:0], conditions, Rules())
    assert funnel.before["wells"] == funnel.after["wells"] == 0
    assert len(funnel.reasons) == 0


def test_an_experiment_to_hold_out_must_be_there(wells, conditions):
    with pytest.raises(ConfigurationError) as error:
        curate(wells, conditions, Rules(hold_out=("e1", "e9", "t/e1")))
    assert '"e9" is no experiment of these screens' in str(error.value)
    assert '"t/e1" is no experiment' in str(error.value)
    assert "s/e1" in str(error.value)
    assert '"e1" is no' not in str(error.value)


def test_a_manifest_carries_its_sites(wells, phenoprints, tmp_path):
    sites = pd.DataFrame(
        {
            "well_id": np.repeat(wells["well_id"], 2), "site": np.tile([2, 1], len(wells)),
            "locator": [f"zarr:{i}" for i in range(2 * len(wells))], "height": 64, "width": 32,
            "channels": [["DNA", "ER"]] * (2 * len(wells)),
        }
    ).astype({"site": "int32", "height": "int32", "width": "int32"})  # fmt: skip
    quality = sites[["well_id", "site"]][:60:3].assign(verdict="fail")
    parts = screen_parts(wells, np.arange(40, dtype=np.int32), quality=quality, sites=sites)
    write_manifest(TableParts(parts), phenoprints, RULES, tmp_path / "m", tmp_path / "r")
    kept = pd.concat(map(pd.read_parquet, sorted((tmp_path / "m").glob("part-*.parquet"))))
    found = pd.concat(map(SITES.read, sorted((tmp_path / "m").glob("sites-*.parquet"))))
    assert 0 < kept["well_id"].nunique() < len(wells)
    expected = kept[["well_id", "locators"]].explode("locators").dropna()
    assert found["well_id"].tolist() == expected["well_id"].tolist()
    assert found["locator"].tolist() == expected["locators"].tolist()
    own = found.merge(sites, on=["well_id", "site"], suffixes=("", "_own"))
    assert own["locator"].tolist() == own["locator_own"].tolist() == found["locator"].tolist()
    assert (found["height"] == 64).all()
    assert set(map(tuple, found["channels"])) == {("DNA", "ER")}
    pairs = set(zip(quality["well_id"], quality["site"], strict=True))
    assert not pairs & set(zip(found["well_id"], found["site"], strict=True))
