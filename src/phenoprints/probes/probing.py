"""Linear probes: logistic regression on the features of every block, judged on unseen wells."""

# n wells · B blocks · D features · K classes

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.configuration.models.curation import ProbeKeys
from phenoprints.foundations.errors import DataError, MissingDependencyError
from phenoprints.foundations.progress import Progress
from phenoprints.probes.splits import split_wells

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


class ProbeSettings(ProbeKeys):
    """How a probe is fitted; fields and defaults are those of the configuration.

    On `cuda` scikit-learn runs on the accelerator by its array API.
    """


@dataclass
class BlockProbe:
    """The probe of one block: its accuracies, and for each split the wells' true and predicted."""

    scores: dict[str, Any]
    predictions: dict[str, tuple[NDArray[np.object_], NDArray[np.object_]]] = field(
        default_factory=dict
    )


def probe_blocks(
    features: NDArray[np.floating[Any]],
    labels: Sequence[Any] | NDArray[np.object_],
    experiments: Sequence[Any] | NDArray[np.object_],
    *,
    splits: Sequence[str] | NDArray[np.object_] | None = None,
    settings: ProbeSettings | None = None,
    seed: int = 0,
    num_threads: int = 1,
) -> pd.DataFrame:
    """How well a linear probe of each block tells the classes apart, a row per block.

    A StandardScaler and a LogisticRegression (lbfgs, balanced class weights) are fitted on the
    training wells of each block and judged on the others (ViTally Consistent, 4 and A.4).

    Parameters
    ----------
    features
        (n, B, D): what each block gives for each well. Wells with NaN are left out.
    labels
        The class of each well; None leaves it out.
    experiments
        Of each well: those of the test split are unseen.
    splits
        train, validation, test or "" for each well; None draws them by `split_wells`.
    settings
        Of the solver.
    num_threads
        Blocks that are probed at once; the numbers do not depend on it.

    Returns
    -------
    DataFrame
        block (from 1), balanced_accuracy (test), validation_accuracy, standard_error (of the
        validation accuracy), train_accuracy, num_iterations, has_converged, num_classes,
        num_train, num_validation, num_test, and second_tol_accuracy where asked.

    Raises
    ------
    DataError
        Shapes that do not agree, too few classes or experiments, no finite wells.
    """
    probes = fit_blocks(
        features, labels, experiments, splits=splits, settings=settings, seed=seed,
        num_threads=num_threads,
    )  # fmt: skip
    return pd.DataFrame([probe.scores for probe in probes])


def fit_blocks(
    features: NDArray[np.floating[Any]],
    labels: Sequence[Any] | NDArray[np.object_],
    experiments: Sequence[Any] | NDArray[np.object_],
    *,
    splits: Sequence[str] | NDArray[np.object_] | None = None,
    settings: ProbeSettings | None = None,
    seed: int = 0,
    num_threads: int = 1,
) -> list[BlockProbe]:
    """As `probe_blocks`, with the predictions of every block."""
    from joblib import Parallel, delayed

    if features.ndim != 3 or len({len(features), len(labels), len(experiments)}) != 1:
        raise DataError(
            f"features {features.shape}, {len(labels)} labels, {len(experiments)} experiments; "
            "expected (n, B, D) features and n of each."
        )
    label_values, experiment_values = (
        np.asarray(values, dtype=object) for values in (labels, experiments)
    )
    if splits is None:
        splits = split_wells(label_values, experiment_values, seed=seed)
    rows = _usable_rows(features, label_values, experiment_values, np.asarray(splits, object))
    chosen = settings or ProbeSettings()
    split_values, label_values = np.asarray(splits, object)[rows], label_values[rows]
    work = Parallel(n_jobs=num_threads, prefer="threads", return_as="generator")
    probes: Iterable[BlockProbe] = work(
        delayed(_probe)(features[rows, block], label_values, split_values, chosen, block + 1)
        for block in range(features.shape[1])
    )
    return list(Progress("blocks", features.shape[1]).each(probes))


def _usable_rows(
    features: NDArray[Any],
    labels: NDArray[np.object_],
    experiments: NDArray[np.object_],
    splits: NDArray[np.object_],
) -> NDArray[np.int64]:
    """Labelled, finite wells of a split, in an order that does not depend on theirs."""
    has_label = np.array([label is not None for label in labels], np.bool_)
    usable = has_label & (splits != "") & np.isfinite(features).all(axis=(1, 2))
    rows = np.flatnonzero(usable)
    keys = [features[rows, -1, 0], features[rows, 0, 0]]
    names = [
        pd.factorize(values[rows].astype(str), sort=True)[0] for values in (experiments, labels)
    ]
    return rows[np.lexsort((*keys, *names))]


def _probe(
    features: NDArray[Any],
    labels: NDArray[np.object_],
    splits: NDArray[np.object_],
    settings: ProbeSettings,
    block: int,
) -> BlockProbe:
    is_train = splits == "train"
    if len(set(labels[is_train])) < 2:
        raise DataError(
            f"the training split has {is_train.sum()} usable wells of {len(set(labels[is_train]))} "
            "classes; expected at least 2 classes."
        )
    scaled = _standardized(features, is_train)
    model = _fitted(scaled[is_train], labels[is_train], settings, settings.tol)
    scores: dict[str, Any] = {"block": block}
    predictions = {}
    for split in ("test", "validation", "train"):
        chosen = splits == split
        predicted = _predicted(model, scaled[chosen], settings)
        predictions[split] = labels[chosen], predicted
        name = "balanced_accuracy" if split == "test" else f"{split}_accuracy"
        scores[name] = balanced_accuracy(labels[chosen], predicted)
        scores[f"num_{split}"] = int(chosen.sum())
    scores["standard_error"] = standard_error(*predictions["validation"])
    scores["num_iterations"] = int(np.max(_numpy(model.n_iter_)))
    scores["has_converged"] = bool(scores["num_iterations"] < settings.max_iter)
    scores["num_classes"] = len(set(labels[is_train]))
    if settings.sensitivity_tol is not None:
        second = _fitted(scaled[is_train], labels[is_train], settings, settings.sensitivity_tol)
        predicted = _predicted(second, scaled[splits == "test"], settings)
        scores["second_tol_accuracy"] = balanced_accuracy(labels[splits == "test"], predicted)
        scores["second_tol_iterations"] = int(np.max(_numpy(second.n_iter_)))
    return BlockProbe(scores, predictions)


def _standardized(features: NDArray[Any], is_train: NDArray[np.bool_]) -> NDArray[np.float64]:
    from sklearn.preprocessing import StandardScaler

    values = features.astype(np.float64)
    scaled: NDArray[np.float64] = StandardScaler().fit(values[is_train]).transform(values)
    return scaled


def _fitted(
    features: NDArray[np.float64],
    labels: NDArray[np.object_],
    settings: ProbeSettings,
    tol: float,
) -> LogisticRegression:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        solver="lbfgs", max_iter=settings.max_iter, class_weight="balanced", tol=tol,
        C=settings.inverse_penalty,
    )  # fmt: skip
    classes, codes = np.unique(labels.astype(str), return_inverse=True)
    with warnings.catch_warnings():
        # Not converging is a result: it is recorded in the column has_converged.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if settings.device == "cuda":
            _fit_on_device(model, features, codes)
        else:
            model.fit(features, codes)
    model.class_names_ = classes
    return model


def _predicted(
    model: LogisticRegression, features: NDArray[np.float64], settings: ProbeSettings
) -> NDArray[np.object_]:
    if not len(features):
        return np.empty(0, dtype=object)
    if settings.device == "cuda":
        codes = _predict_on_device(model, features)
    else:
        codes = model.predict(features)
    names: NDArray[np.object_] = model.class_names_.astype(object)[codes]
    return names


def _fit_on_device(
    model: LogisticRegression, features: NDArray[np.float64], codes: NDArray[np.int64]
) -> None:
    torch, dispatch = _array_api()
    with dispatch():
        model.fit(torch.asarray(features, device="cuda"), torch.asarray(codes, device="cuda"))


def _predict_on_device(
    model: LogisticRegression, features: NDArray[np.float64]
) -> NDArray[np.int64]:
    torch, dispatch = _array_api()
    with dispatch():
        return _numpy(model.predict(torch.asarray(features, device="cuda")))


def _array_api() -> tuple[Any, Any]:
    """torch, and the context in which scikit-learn computes with its tensors."""
    if os.environ.get("SCIPY_ARRAY_API") != "1":
        raise MissingDependencyError(
            "probes on cuda need SCIPY_ARRAY_API=1 in the environment before Python starts. "
            "Set it, or probes.device: cpu."
        )
    import torch
    from sklearn import config_context

    if not torch.cuda.is_available():
        raise MissingDependencyError(
            "probes.device is cuda, and torch sees no accelerator here. Set probes.device: cpu."
        )
    return torch, lambda: config_context(array_api_dispatch=True)


def _numpy(values: Any) -> NDArray[Any]:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def balanced_accuracy(labels: NDArray[np.object_], predicted: NDArray[np.object_]) -> float:
    """Return the mean over the classes that occur in `labels` of the share predicted
    right, or NaN.
    """
    shares = [share for share, _ in _recalls(labels, predicted)]
    return float(np.mean(shares)) if shares else float("nan")


def standard_error(labels: NDArray[np.object_], predicted: NDArray[np.object_]) -> float:
    """Return the binomial standard error of the balanced accuracy: sqrt(Σ p (1-p)/n)
    / K, or NaN.
    """
    recalls = _recalls(labels, predicted)
    if not recalls:
        return float("nan")
    return float(np.sqrt(sum(p * (1 - p) / n for p, n in recalls)) / len(recalls))


def _recalls(
    labels: NDArray[np.object_], predicted: NDArray[np.object_]
) -> list[tuple[float, int]]:
    right = pd.Series(labels.astype(str) == predicted.astype(str))
    groups = right.groupby(labels.astype(str), sort=True)
    return [(float(group.mean()), len(group)) for _, group in groups]


def class_accuracies(confusions: pd.DataFrame) -> pd.DataFrame:
    """Wells and the share predicted right of each class, from a table of confusions.

    Columns: those of `confusions` that name a run and block, label, num_wells, accuracy.
    """
    keys = [c for c in confusions.columns if c not in ("predicted", "num_wells")]
    right = confusions["num_wells"].where(confusions["label"] == confusions["predicted"], 0)
    sums = confusions.assign(right=right).groupby(keys, sort=True, dropna=False)
    table = sums[["num_wells", "right"]].sum().reset_index()
    table["accuracy"] = table.pop("right") / table["num_wells"]
    return table


def confusion_table(labels: NDArray[np.object_], predicted: NDArray[np.object_]) -> pd.DataFrame:
    """Wells by true and predicted class: label, predicted, num_wells for each pair that occurs."""
    table = pd.DataFrame({"label": labels.astype(str), "predicted": predicted.astype(str)})
    return table.groupby(["label", "predicted"], sort=True).size().rename("num_wells").reset_index()
