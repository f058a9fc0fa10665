"""A task over screens: splits with refusals, probes apart by cell type, the chosen block."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from phenoprints.foundations.errors import CorruptionError, DataError
from phenoprints.foundations.randomness import well_ids
from phenoprints.probes import ProbeSettings, Task
from phenoprints.probes.running import chosen_blocks, probe_task, split_task
from phenoprints.probes.tasks import probe_wells

CONDITIONS = pd.DataFrame(
    {"condition_id": [0, 1, 2], "perturbation": ["a", "b", "x"], "gene": ["A", "B", None],
     "pathway": ["p", "q", None]}
)  # fmt: skip
TASK = Task(name="pathway", labels="annotation", annotation="pathway")


def wells(num_experiments: int = 6, cell_type: str = "HUVEC", num_each: int = 6) -> pd.DataFrame:
    rows = [
        (f"{cell_type}-{e}", f"A{well:02d}", condition)
        for e in range(num_experiments)
        for well, condition in enumerate(np.repeat([0, 1, 2], num_each), start=1)
    ]
    table = pd.DataFrame(rows, columns=["experiment", "well", "condition"])
    ids = well_ids("s", table["experiment"], ["p"] * len(table), table["well"])
    return table.assign(
        well_id=ids, role="treatment", cell_type=cell_type, background="",
        conditions=[[c] for c in table["condition"]],
    )  # fmt: skip


def quality(table: pd.DataFrame, failed: int = 0) -> pd.DataFrame:
    verdicts = np.where(np.arange(len(table)) < failed, "fail", "pass")
    return pd.DataFrame({"well_id": table["well_id"], "site": -1, "verdict": verdicts})


class Blocks:
    """Features in memory: block 2 knows the pathway, block 1 and 3 do not."""

    def __init__(self, table: pd.DataFrame, *, drop: int = 0) -> None:
        self.table = table.iloc[drop:]
        self.experiments = list(dict.fromkeys(table["experiment"]))

    def well_ids(self, experiment: str) -> np.ndarray:
        return self._part(experiment)["well_id"].to_numpy()

    def read(self, experiment: str) -> np.ndarray:
        part = self._part(experiment)
        features = np.stack([
            np.random.default_rng(int(i % 2**32)).normal(size=(3, 4)) for i in part["well_id"]
        ])  # fmt: skip
        features[:, 1, 0] += 4 * part["condition"].to_numpy()
        return features.astype(np.float32)

    def _part(self, experiment: str) -> pd.DataFrame:
        return self.table[self.table["experiment"] == experiment]


def test_cell_types_are_one_run_where_the_task_says_so() -> None:
    both = pd.concat([wells(), wells(5, "U2OS")], ignore_index=True)
    screens = {"s": (both, CONDITIONS, quality(both))}
    apart = split_task(TASK, screens).table
    joined = split_task(TASK.replace(across_cell_types=True), screens).table

    pd.testing.assert_frame_equal(joined.drop(columns="cell_type"), apart.drop(columns="cell_type"))
    assert set(apart["cell_type"]) == {"HUVEC", "U2OS"}
    splits = apart.groupby("split")["cell_type"].nunique().to_dict()
    assert splits == {"train": 2, "validation": 2, "test": 2}
    accuracies, _ = probe_task(
        joined, lambda screen: Blocks(both), encoder="e", task="pathway",
        settings=ProbeSettings(),
    )  # fmt: skip
    assert accuracies["cell_type"].tolist() == [""] * 3
    assert accuracies["num_test"].tolist() == [(apart["split"] == "test").sum()] * 3
    assert accuracies.loc[1, "balanced_accuracy"] > 0.8


def test_cell_types_run_apart_and_failed_wells_are_left_out() -> None:
    both = pd.concat([wells(), wells(5, "U2OS")], ignore_index=True)

    done = split_task(TASK, {"s": (both, CONDITIONS, quality(both, failed=3))})
    accuracies, confusions = probe_task(
        done.table, lambda screen: Blocks(both), encoder="e", task="pathway",
        settings=ProbeSettings(),
    )  # fmt: skip

    assert done.coverage == {"s": {"wells": 11 * 12 - 3, "classes": 2}}
    assert not done.table["well_id"].isin(both["well_id"][:3]).any()
    assert accuracies.groupby("cell_type")["block"].apply(list).to_dict() == {
        "HUVEC": [1, 2, 3], "U2OS": [1, 2, 3],
    }  # fmt: skip
    assert (accuracies.loc[accuracies["block"] == 2, "balanced_accuracy"] > 0.8).all()
    assert set(confusions["block"]) == {2, 3}
    chosen = chosen_blocks(accuracies)
    assert chosen["block"] == 2
    assert [run["cell_type"] for run in chosen["runs"]] == ["HUVEC", "U2OS"]


def test_row_order_changes_no_table() -> None:
    table = wells()
    turned = table.sample(frac=1, random_state=5).reset_index(drop=True)

    done, other = (
        split_task(TASK, {"s": (rows, CONDITIONS, quality(rows))}).table for rows in (table, turned)
    )
    found = [
        probe_task(split, lambda screen, rows=rows: Blocks(rows), encoder="e", task="t",
                   settings=ProbeSettings())[0]
        for split, rows in ((done, table), (other, turned))
    ]  # fmt: skip

    pd.testing.assert_frame_equal(done, other)
    pd.testing.assert_frame_equal(found[0], found[1], check_exact=True)


def test_runs_that_cannot_be_split_are_told_and_the_others_run() -> None:
    both = pd.concat([wells(), wells(2, "RPE")], ignore_index=True)

    done = split_task(TASK, {"s": (both, CONDITIONS, quality(both))})

    assert set(done.table["cell_type"]) == {"HUVEC"}
    assert list(done.refused) == ["s/RPE/"]
    few = wells(2)
    with pytest.raises(DataError, match=r"task pathway cannot run.\ns/HUVEC/: the task has 0 cla"):
        split_task(TASK, {"s": (few, CONDITIONS, quality(few))})
    paper = split_task(TASK, {"s": (few, CONDITIONS, quality(few))}, block_selection="paper")
    assert set(paper.table["split"]) == {"train", "test"}


def test_paper_chooses_on_the_test_split() -> None:
    table = wells()
    split = split_task(
        TASK, {"s": (table, CONDITIONS, quality(table))}, block_selection="paper"
    ).table

    accuracies, _ = probe_task(
        split, lambda screen: Blocks(table), encoder="e", task="t", settings=ProbeSettings()
    )

    assert accuracies["validation_accuracy"].isna().all()
    assert chosen_blocks(accuracies, block_selection="paper")["block"] == 2


def test_wells_of_a_class_may_be_limited_by_their_hash() -> None:
    table = wells()
    screens = {"s": (table, CONDITIONS, quality(table))}

    some = split_task(TASK, screens, max_wells_per_class=20, seed=1).table
    fewer = split_task(TASK, screens, max_wells_per_class=15, seed=1).table

    assert some["label"].value_counts().to_dict() == {"p": 20, "q": 20}
    assert set(fewer["well_id"]) < set(some["well_id"])
    kept = probe_wells(table, CONDITIONS, [TASK], max_wells_per_class=20, seed=1)
    assert set(kept) == set(some["well_id"])


def test_missing_blocks_and_tasks_are_told() -> None:
    table = wells()
    split = split_task(TASK, {"s": (table, CONDITIONS, quality(table))}).table

    with pytest.raises(CorruptionError, match="4 of 72 wells of the split have no block features"):
        probe_task(
            split, lambda screen: Blocks(table, drop=4), encoder="e", task="t",
            settings=ProbeSettings(),
        )  # fmt: skip
    accuracies, _ = probe_task(
        split, lambda screen: Blocks(table), encoder="e", task="t", settings=ProbeSettings()
    )
    with pytest.raises(DataError, match="trim_tasks: none of anax has run"):
        chosen_blocks(accuracies, trim_tasks=["anax"])
