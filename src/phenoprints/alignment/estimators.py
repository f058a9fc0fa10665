"""Alignments of arrays in memory as scikit-learn estimators; controls and batch are metadata."""

# N wells · D features · K components

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from phenoprints.alignment.affine import Affine, Floats
from phenoprints.alignment.covariances import RIDGE, Regularization
from phenoprints.alignment.limits import DEFAULT_LIMITS, Limits
from phenoprints.alignment.methods import CenterScaling, Method, PCACenterScaling
from phenoprints.alignment.statistics import ControlStatistics
from phenoprints.alignment.tvn import TypicalVariation
from phenoprints.foundations.errors import DataError, Problem, raise_problems


class AlignmentNotFittedError(DataError, NotFittedError):  # type: ignore[misc]
    """An alignment is asked to transform before it was fitted."""


class ControlAlignment(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Fit on controls, one affine map per batch.

    After fitting: `affines_` (batch to Affine), `shared_` (the part of all batches), `skipped_`
    (batch to reason), `notes_` (warnings), `num_controls_`, `num_components_`, `n_features_in_`.
    `limits` None are the default `Limits`. Controls and batch are metadata: a pipeline passes them
    on after `set_fit_request(is_control=True, batch=True)`, `set_transform_request(batch=True)`.
    """

    limits: Limits | None

    def fit(
        self,
        X: Floats,
        y: ArrayLike | None = None,
        batch: ArrayLike | None = None,
        *,
        is_control: ArrayLike | None = None,
    ) -> Self:
        """Learn from the control rows of X.

        Parameters
        ----------
        X
            Vectors (N, D), array or DataFrame. Rows with a value that is not finite are left out.
        y
            The mask of the controls (N,) where `is_control` is not given; it must be boolean, or
            given together with `batch`. Any other y, the target of a pipeline, is ignored.
        batch
            The batch of each row (N,); None: all rows are one batch.
        is_control
            The mask of the controls (N,); with neither mask, all rows are controls.

        Raises
        ------
        DataError
            Lengths differ, or a batch has too few controls and `limits.small_batches` is `error`.
        """
        X = self._validated(X, reset=True)
        controls = _mask(X, y, batch, is_control)
        names, codes = _named_batches(_one_batch(X) if batch is None else batch)
        _check_lengths(X, controls, codes)
        statistics = {
            name: ControlStatistics.of_rows(X[controls & (codes == code)])
            for code, name in enumerate(names)
        }
        fitted = self._method().fit(statistics, X.dtype.type)
        self.affines_, self.shared_ = fitted.affines, fitted.shared
        self.skipped_, self.notes_ = fitted.skipped, fitted.notes
        self.num_controls_ = fitted.num_controls
        self.num_components_ = fitted.shared.num_components
        return self

    def transform(self, X: Floats, batch: ArrayLike | None = None) -> Floats:
        """Return the aligned rows (N, K), float32 for float32; rows of skipped batches are NaN.

        `batch` (N,) may be left out where the alignment was fitted on one batch.

        Raises
        ------
        AlignmentNotFittedError
            `fit` was not called before.
        DataError
            Another number of features, a batch that was not fitted, or no batch where several were.
        """
        self._check_fitted()
        X = self._validated(X, reset=False)
        names, codes = _named_batches(self._only_batch(X) if batch is None else batch)
        self._check_known(names)
        _check_lengths(X, codes, codes)
        y = np.empty((len(X), self.num_components_), X.dtype)
        for code, name in enumerate(names):
            _write(self.affines_.get(name), X, codes == code, y)
        return y

    def fit_transform(
        self,
        X: Floats,
        y: ArrayLike | None = None,
        batch: ArrayLike | None = None,
        *,
        is_control: ArrayLike | None = None,
    ) -> Floats:
        """Fit, then transform the same rows."""
        return self.fit(X, y, batch, is_control=is_control).transform(X, batch)

    @abstractmethod
    def _method(self) -> Method:
        """Return the method with the parameters of this estimator."""

    @property
    def _n_features_out(self) -> int:
        return self.num_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, X: Floats, *, reset: bool) -> Floats:
        try:
            checked: Floats = validate_data(
                self,
                X,
                reset=reset,
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
            )
        except ValueError as error:
            raise DataError(f"alignment: {error}") from error
        return checked

    def _check_fitted(self) -> None:
        if not hasattr(self, "affines_"):
            raise AlignmentNotFittedError(
                f"This {type(self).__name__} is not fitted yet.\n"
                "  To fix: call fit(X, is_control=..., batch=...) first."
            )

    def _only_batch(self, X: Floats) -> NDArray[np.str_]:
        known = [*self.affines_, *self.skipped_]
        if len(known) > 1:
            raise DataError(
                f"alignment: transform was called without batch, after a fit on {len(known)} "
                "batches.\n  To fix: pass batch, the batch of each row."
            )
        return np.full(len(X), known[0])

    def _check_known(self, names: list[str]) -> None:
        known = self.affines_.keys() | self.skipped_.keys()
        raise_problems(
            [
                Problem("alignment", f'batch "{name}" was not fitted', "a batch seen by fit")
                for name in names
                if name not in known
            ],
            DataError,
        )


class CenterScale(ControlAlignment):
    """Standardise every feature per batch on that batch's controls (ddof 0)."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits

    def _method(self) -> Method:
        return CenterScaling(self.limits or DEFAULT_LIMITS)


class PCACenterScale(ControlAlignment):
    """PCA fitted on all controls, then standardise per batch on that batch's controls.

    Components with an eigenvalue above 1e-6 of the largest are kept. `standardize_first` divides
    the features by their spread over all controls beforehand, as profiles of many units need.
    Source: EFAAR_benchmarking, `pca_centerscale_on_controls` (RxRx3-core).
    """

    def __init__(self, standardize_first: bool = False, limits: Limits | None = None) -> None:
        self.standardize_first = standardize_first
        self.limits = limits

    def _method(self) -> Method:
        return PCACenterScaling(self.standardize_first, self.limits or DEFAULT_LIMITS)


class TypicalVariationNormalization(ControlAlignment):
    """TVN: standardise, PCA, standardise per batch, and CORAL per batch with re-colouring.

    With C = covariance of the controls + 0.5 I, over all batches and C_b in one, the last step is
    X_b C_b^(-1/2) C^(1/2), so that each batch's controls have mean 0 and the covariance
    C^(1/2) (I - C_b^(-1)/2) C^(1/2). `shrinkage="oas"` takes the oracle approximating shrinkage
    instead of the fixed `ridge`. `tvn_variant="efaar-1.0"` standardises globally in step 3 and
    leaves the re-colouring out, so that offsets between batches survive; it is for comparison.
    Sources: Ando et al. 2017, doi:10.1101/161422; EFAAR_benchmarking, `tvn_on_controls`.
    """

    def __init__(
        self,
        tvn_variant: str = "current",
        ridge: float = RIDGE,
        limits: Limits | None = None,
        *,
        shrinkage: str = "ridge",
    ) -> None:
        self.tvn_variant = tvn_variant
        self.ridge = ridge
        self.limits = limits
        self.shrinkage = shrinkage

    def _method(self) -> Method:
        regularization = Regularization(self.shrinkage, self.ridge)
        return TypicalVariation(self.tvn_variant, regularization, self.limits or DEFAULT_LIMITS)


def _mask(
    X: Floats, y: ArrayLike | None, batch: ArrayLike | None, is_control: ArrayLike | None
) -> NDArray[np.bool_]:
    if is_control is not None:
        return np.asarray(is_control, dtype=bool)
    if y is not None and (batch is not None or np.asarray(y).dtype == bool):
        return np.asarray(y, dtype=bool)
    return np.ones(len(X), dtype=bool)


def _one_batch(X: Floats) -> NDArray[np.str_]:
    return np.full(len(X), "all")


def _write(affine: Affine | None, X: Floats, chosen: NDArray[np.bool_], y: Floats) -> None:
    rows = _rows(chosen)
    if affine is None:
        y[rows] = np.nan
    elif isinstance(rows, slice):
        affine.write(X[rows], y[rows])
    else:
        y[rows] = affine(X[rows])


def _named_batches(batch: ArrayLike) -> tuple[list[str], NDArray[np.intp]]:
    """Return the names of the batches, sorted, and the number of each well's batch among them."""
    raw, values = pd.factorize(np.asarray(batch))
    names, of_value = np.unique(np.asarray(values).astype(str), return_inverse=True)
    return names.tolist(), of_value[raw]


def _rows(chosen: NDArray[np.bool_]) -> NDArray[np.intp] | slice:
    """Return numbers of the chosen rows, as a slice where they are consecutive: no copy is made."""
    rows = np.flatnonzero(chosen)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _check_lengths(x: Floats, is_control: NDArray[Any], batch: NDArray[np.intp]) -> None:
    if x.ndim != 2 or not len(x) == len(is_control) == len(batch):
        raise DataError(
            f"alignment: x has shape {x.shape}, is_control {len(is_control)} and batch "
            f"{len(batch)} entries. Expected (wells, features) and one entry per well."
        )
