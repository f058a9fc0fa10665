"""The block that is chosen, over tasks and with ties, and what it saves."""

from __future__ import annotations

import pandas as pd
import pytest

from phenoprints.foundations.errors import DataError
from phenoprints.probes import choose_block
from phenoprints.probes.choosing import block_gflop, savings


def run(task: str, validation: list[float], test: list[float], error: float = 0.02) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "task": task, "screen": "s", "cell_type": "HUVEC", "background": "",
            "block": range(1, len(validation) + 1), "validation_accuracy": validation,
            "balanced_accuracy": test, "standard_error": error,
        }
    )  # fmt: skip


def test_the_best_validation_block_is_chosen_and_its_test_accuracy_told() -> None:
    chosen = choose_block(run("t", [0.1, 0.4, 0.3], [0.2, 0.25, 0.9]))

    assert chosen["block"] == 2
    assert chosen["runs"] == [
        {"task": "t", "screen": "s", "cell_type": "HUVEC", "background": "", "block": 2,
         "balanced_accuracy": 0.25, "last_balanced_accuracy": 0.9}
    ]  # fmt: skip


def test_options_and_ties() -> None:
    table = run("t", [0.39, 0.4, 0.4], [0.2, 0.25, 0.9])

    assert choose_block(table)["block"] == 2
    assert choose_block(table.sample(frac=1, random_state=1))["block"] == 2
    assert choose_block(table, "paper")["block"] == 3
    assert choose_block(table, "one-standard-error")["block"] == 1
    assert choose_block(run("t", [0.37, 0.4, 0.4], [0] * 3), "one-standard-error")["block"] == 2


def test_tasks_decide_by_mean_rank() -> None:
    tables = [
        run("a", [0.9, 0.5, 0.1], [0.0] * 3),  # ranks 1, 2, 3
        run("b", [0.1, 0.2, 0.3], [0.0] * 3),  # ranks 3, 2, 1
        run("c", [0.2, 0.3, 0.2], [0.0] * 3),  # ranks 2.5, 1, 2.5
    ]

    chosen = choose_block(pd.concat(tables))

    assert chosen["mean_rank"] == pytest.approx([6.5 / 3, 5 / 3, 6.5 / 3])
    assert chosen["block"] == 2


def test_nothing_to_choose_from_is_told() -> None:
    with pytest.raises(DataError, match="no probe has run"):
        choose_block(run("t", [], []))
    with pytest.raises(DataError, match="t/s/HUVEC/: a block has no accuracy"):
        choose_block(run("t", [0.1, float("nan")], [0.1, 0.1]))
    with pytest.raises(DataError, match="different numbers of blocks"):
        choose_block(pd.concat([run("t", [0.1], [0.1]), run("u", [0.1, 0.2], [0.1, 0.2])]))


def test_savings_of_the_papers_encoders() -> None:
    large = {"width": 1024, "mlp_width": 4096, "patch_px": 8}
    # L/8: 24 blocks of 12.6 M weights on 1,025 tokens, 722 GFLOP a crop with its patches
    assert 24 * block_gflop(large, 256) == pytest.approx(722, rel=0.02)
    giant = {"width": 1664, "mlp_width": 8192, "patch_px": 8}
    assert 48 * block_gflop(giant, 256) == pytest.approx(4108, rel=0.02)
    small = {"width": 384, "mlp_width": 1536, "patch_px": 16}
    assert 12 * block_gflop(small, 256, 6) == pytest.approx(108.8, rel=0.02)

    config = {"num_blocks": 24, "crop_px": 256, "architecture": large}
    saved = savings(15, config)
    assert saved["blocks_saved"] == pytest.approx(9 / 24)
    assert saved["gflop_per_crop_trimmed"] / saved["gflop_per_crop"] == pytest.approx(15 / 24)
    assert set(savings(1, {**config, "architecture": {}})) == {"num_blocks", "blocks_saved"}
