"""The block where an encoder is cut: the best of all tasks by mean rank, and what that saves."""

# B blocks · N tokens · D features

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import DataError

Choose = Literal["validation", "paper", "one-standard-error"]
RUN = ("task", "screen", "cell_type", "background")
"""What names one run of the probes: a task, apart for each screen, cell type and background."""


def selection_scores(run: pd.DataFrame, choose: Choose = "validation") -> NDArray[np.float64]:
    """Return the score of each block of one run by which it is chosen, higher is better.

    `validation` takes the validation accuracy, `paper` the test accuracy; with
    `one-standard-error` all blocks within one standard error of the best validation accuracy
    are equally good.
    """
    column = "balanced_accuracy" if choose == "paper" else "validation_accuracy"
    scores: NDArray[np.float64] = run[column].to_numpy(np.float64)
    if choose != "one-standard-error":
        return scores
    best = int(np.nanargmax(scores))
    limit = float(scores[best] - run["standard_error"].iloc[best])
    return np.minimum(scores, limit)


def choose_block(accuracies: pd.DataFrame, choose: Choose = "validation") -> dict[str, Any]:
    """Return the block of smallest mean rank over all runs; ties go to the earlier block (Eq. 1).

    Parameters
    ----------
    accuracies
        Tables of `probe_blocks`, with the columns task, screen, cell_type and background where
        there are several runs; every run has all blocks.
    choose
        See `selection_scores`.

    Returns
    -------
    dict
        `block`, `mean_rank` of each block, and of each run its own best block with its test
        accuracy beside that of the last.
    """
    missing = {name: "" for name in RUN if name not in accuracies}
    runs = [
        (names, run.sort_values("block"))
        for names, run in accuracies.assign(**missing).groupby(list(RUN), sort=True, dropna=False)
    ]
    if not runs:
        raise DataError("no probe has run, so that no block can be chosen.")
    ranks, told = [], []
    for names, run in runs:
        scores = selection_scores(run, choose)
        if np.isnan(scores).any():
            raise DataError(
                f"{'/'.join(map(str, names))}: a block has no accuracy to choose it by."
            )
        ranks.append(pd.Series(-scores).rank(method="average").to_numpy())
        best = run.iloc[int(np.argmax(scores))]
        told.append({
            **dict(zip(RUN, map(str, names), strict=True)),
            "block": int(best["block"]),
            "balanced_accuracy": float(best["balanced_accuracy"]),
            "last_balanced_accuracy": float(run["balanced_accuracy"].iloc[-1]),
        })  # fmt: skip
    if len({len(rank) for rank in ranks}) != 1:
        raise DataError("the runs of the probes have different numbers of blocks.")
    mean = np.mean(ranks, axis=0)
    return {"block": int(np.argmin(mean)) + 1, "mean_rank": mean.tolist(), "runs": told}


def block_gflop(architecture: Mapping[str, Any], crop_px: int, num_channels: int = 1) -> float:
    """GFLOP of one block of a vision transformer for one crop, a multiply-add counted as 2.

    Tokens N: (crop/patch)² patches, once per channel where the encoder takes any channels, and
    the class token. Linear layers 2·N·(4·D² + 2·D·mlp), attention 4·N²·D.
    """
    width, mlp = int(architecture["width"]), int(architecture["mlp_width"])
    patches = (crop_px // int(architecture["patch_px"])) ** 2
    tokens = patches * num_channels + 1
    linear = 2 * tokens * (4 * width**2 + 2 * width * mlp)
    return (linear + 4 * tokens**2 * width) / 1e9


def savings(block: int, config: Mapping[str, Any]) -> dict[str, Any]:
    """Estimate the share of inference that ending after `block` saves, from config.json.

    GFLOP per crop are given for vision transformers, whose blocks cost the same; of one that any
    channels will do for they are per crop of one channel. For others there is just the share of
    the blocks.
    """
    num_blocks = int(config["num_blocks"])
    saved: dict[str, Any] = {"num_blocks": num_blocks, "blocks_saved": 1 - block / num_blocks}
    architecture = config["architecture"]
    if {"width", "mlp_width", "patch_px"} <= set(architecture):
        each = block_gflop(architecture, int(config["crop_px"]))
        saved |= {"gflop_per_crop": num_blocks * each, "gflop_per_crop_trimmed": block * each}
    return saved
