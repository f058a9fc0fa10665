"""Probes against scikit-learn by hand, and what they must not find."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from phenoprints.foundations.errors import DataError, MissingDependencyError
from phenoprints.probes import ProbeSettings, probe_blocks
from phenoprints.probes.probing import (
    balanced_accuracy,
    class_accuracies,
    confusion_table,
    fit_blocks,
    standard_error,
)


def planted(num: int = 240, *, strengths: tuple[float, ...] = (0.0, 1.0, 3.0), seed: int = 0):
    """Wells of 4 classes in 8 experiments whose classes each block shows with its strength."""
    rng = np.random.default_rng(seed)
    labels = np.array([f"class-{i % 4}" for i in range(num)], dtype=object)
    experiments = np.array([f"e{i // 4 % 8}" for i in range(num)], dtype=object)
    centres = rng.normal(size=(4, 6))
    noise = rng.normal(size=(num, len(strengths), 6))
    which = np.arange(num) % 4
    features = noise + np.array(strengths)[:, None] * centres[which][:, None]
    return features.astype(np.float32), labels, experiments


SPLIT = {f"e{i}": "train" for i in range(5)} | {"e5": "validation", "e6": "test", "e7": "test"}


def split_of(experiments: np.ndarray) -> np.ndarray:
    return np.array([SPLIT[name] for name in experiments], dtype=object)


def test_equals_scikit_learn_by_hand() -> None:
    features, labels, experiments = planted()
    splits = split_of(experiments)

    table = probe_blocks(features, labels, experiments, splits=splits)

    for block in range(3):
        values = features[:, block].astype(np.float64)
        train = splits == "train"
        scaler = StandardScaler().fit(values[train])
        model = LogisticRegression(solver="lbfgs", max_iter=2000, class_weight="balanced")
        model.fit(scaler.transform(values[train]), labels[train])
        for split, column in (("test", "balanced_accuracy"), ("validation", "validation_accuracy")):
            at = splits == split
            expected = balanced_accuracy_score(
                labels[at], model.predict(scaler.transform(values[at]))
            )
            assert table[column][block] == pytest.approx(expected, abs=1e-12)
        assert abs(table["num_iterations"][block] - model.n_iter_[0]) <= 1
    assert table["block"].tolist() == [1, 2, 3]
    assert table["balanced_accuracy"].is_monotonic_increasing
    assert table[["num_train", "num_validation", "num_test"]].iloc[0].tolist() == [156, 28, 56]


def test_neither_order_of_wells_nor_threads_change_a_digit() -> None:
    features, labels, experiments = planted(strengths=(0.5, 1.0))
    order = np.random.default_rng(1).permutation(len(labels))

    table = probe_blocks(features, labels, experiments)
    other = probe_blocks(features[order], labels[order], experiments[order], num_threads=2)

    pd.testing.assert_frame_equal(table, other, check_exact=True)


def test_shuffled_labels_give_one_over_the_number_of_classes() -> None:
    features, labels, experiments = planted(1600, strengths=(3.0,))
    found = []
    for seed in range(6):
        shuffled = np.random.default_rng(seed).permutation(labels)
        table = probe_blocks(features, shuffled, experiments, splits=split_of(experiments))
        found.append(table["balanced_accuracy"][0])
    # 6 × 400 test wells: standard deviation 0.25·0.75 / sqrt(2400) is below 0.01
    assert np.mean(found) == pytest.approx(0.25, abs=0.03)


def test_a_tighter_tolerance_stands_beside() -> None:
    features, labels, experiments = planted()

    table = probe_blocks(
        features, labels, experiments, settings=ProbeSettings(sensitivity_tol=1e-6, tol=1e-1)
    )

    assert (table["second_tol_iterations"] > table["num_iterations"]).all()
    assert table["second_tol_accuracy"].between(0, 1).all()


def test_not_converging_is_told() -> None:
    features, labels, experiments = planted()

    table = probe_blocks(features, labels, experiments, settings=ProbeSettings(max_iter=2))

    assert not table["has_converged"].any()
    assert table["num_iterations"].tolist() == [2, 2, 2]


def test_failed_and_unlabelled_wells_are_left_out() -> None:
    features, labels, experiments = planted()
    splits = split_of(experiments)
    plain = probe_blocks(features, labels, experiments, splits=splits)
    more = np.concatenate([features, np.full_like(features[:9], np.nan), features[:5] + 50])
    more_labels = np.concatenate([labels, labels[:9], np.full(5, None)])
    more_experiments = np.concatenate([experiments, experiments[:9], experiments[:5]])
    more_splits = np.concatenate([splits, splits[:14]])

    table = probe_blocks(more, more_labels, more_experiments, splits=more_splits)

    pd.testing.assert_frame_equal(table, plain, check_exact=True)


def test_predictions_give_the_confusion_and_the_accuracy() -> None:
    features, labels, experiments = planted()
    probe = fit_blocks(features, labels, experiments)[2]

    confusion = confusion_table(*probe.predictions["test"])

    right = confusion[confusion["label"] == confusion["predicted"]].set_index("label")["num_wells"]
    totals = confusion.groupby("label")["num_wells"].sum()
    assert (right / totals).mean() == pytest.approx(probe.scores["balanced_accuracy"])
    assert totals.sum() == probe.scores["num_test"]
    by_class = class_accuracies(confusion.assign(block=3)).set_index("label")
    assert by_class["accuracy"].mean() == pytest.approx(probe.scores["balanced_accuracy"])
    assert by_class["num_wells"].to_dict() == totals.to_dict()


def test_a_class_that_is_never_right_has_the_accuracy_0() -> None:
    confusion = pd.DataFrame(
        {"label": ["a", "a", "b"], "predicted": ["a", "b", "a"], "num_wells": [3, 1, 2]}
    )
    assert class_accuracies(confusion)["accuracy"].tolist() == [0.75, 0.0]


ARRAY_API = """
import os
os.environ["SCIPY_ARRAY_API"] = "1"
import numpy as np, torch
from phenoprints.probes import ProbeSettings, probe_blocks
real = torch.asarray
torch.asarray = lambda values, device=None, **options: real(values, **options)  # no card is here
torch.cuda.is_available = lambda: True
rng = np.random.default_rng(0)
labels = np.array([f"class-{i % 3}" for i in range(120)], dtype=object)
experiments = np.array([f"e{i // 3 % 8}" for i in range(120)], dtype=object)
features = rng.normal(size=(120, 1, 5)) + 0.7 * rng.normal(size=(3, 5))[np.arange(120) % 3][:, None]
tables = [probe_blocks(features, labels, experiments, settings=ProbeSettings(device=device))
          for device in ("cpu", "cuda")]
assert tables[0].drop(columns="num_iterations").equals(tables[1].drop(columns="num_iterations"))
"""


@pytest.mark.torch
def test_torch_tensors_give_the_numbers_of_numpy() -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", ARRAY_API], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_accuracy_and_its_error_of_a_small_case() -> None:
    labels = np.array(["a"] * 4 + ["b"], dtype=object)
    predicted = np.array(["a", "a", "a", "b", "b"], dtype=object)

    assert balanced_accuracy(labels, predicted) == (0.75 + 1) / 2
    assert standard_error(labels, predicted) == pytest.approx(np.sqrt(0.75 * 0.25 / 4) / 2)
    assert np.isnan(balanced_accuracy(labels[:0], predicted[:0]))


def test_bad_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, experiments = planted()

    with pytest.raises(DataError, match=r"features \(240, 6\), 240 labels"):
        probe_blocks(features[:, 0], labels, experiments)
    one = np.full(len(labels), "a", dtype=object)
    with pytest.raises(DataError, match="has 156 usable wells of 1 classes"):
        probe_blocks(features, one, experiments, splits=split_of(experiments))
    monkeypatch.delenv("SCIPY_ARRAY_API", raising=False)
    with pytest.raises(MissingDependencyError, match="SCIPY_ARRAY_API=1"):
        probe_blocks(features, labels, experiments, settings=ProbeSettings(device="cuda"))
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingDependencyError, match="torch sees no accelerator"):
        probe_blocks(features, labels, experiments, settings=ProbeSettings(device="cuda"))
