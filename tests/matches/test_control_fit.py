from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.covariance import oas

from phenoprints.alignment import AlignmentSettings
from phenoprints.alignment.statistics import ControlStatistics, merge
from phenoprints.matches.control_fit import (
    chosen_controls,
    judge_controls,
    left_out_batches,
    limits_of,
    measure_controls,
    shared_without,
)


def batches(rng, *, number=12, num_wells=24, width=48, offset=0.6):
    """Controls of batches: correlated features, and an offset of each batch along them."""
    turned = np.linalg.qr(rng.normal(size=(width, width)))[0] * (0.93 ** np.arange(width))[:, None]
    return {
        f"b{k}": (rng.normal(size=(num_wells, width)) + offset * rng.normal(size=width)) @ turned
        for k in range(number)
    }


def judged(controls, new, method="tvn"):
    fitted = AlignmentSettings(method=method).method_to_fit()
    total = merge(ControlStatistics.of_rows(x) for x in controls.values()).summed()
    others = np.concatenate(list(chosen_controls(controls).values()))
    left_out = left_out_batches(controls, fitted)
    return judge_controls({"new": new}, shared_without(fitted, total), others, left_out)


METHODS = ["tvn", "pca-center-scale"]


@pytest.mark.parametrize("method", METHODS)
def test_own_batches_are_accepted_and_foreign_ones_refused(method):
    """Other cell type: another mean and spread of features. Other geometry: features turned."""
    refused = {"own": [], "cell type": [], "geometry": []}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        controls = batches(rng)
        new = controls.pop("b0")
        centre = np.concatenate(list(controls.values())).mean(axis=0)
        width = new.shape[1]
        spread = np.concatenate(list(controls.values())).std(axis=0)
        cell_type = new * rng.uniform(0.5, 2, width) + spread * rng.normal(size=width)
        turned = (new - centre) @ np.linalg.qr(rng.normal(size=(width, width)))[0] + centre
        for name, x in (("own", new), ("cell type", cell_type), ("geometry", turned)):
            refused[name].append((judged(controls, x, method)["status"] == "FAIL").any())
    assert np.mean(refused["own"]) <= 0.05
    assert np.mean(refused["cell type"]) >= 0.95
    assert np.mean(refused["geometry"]) >= 0.95


def test_each_batch_is_measured_under_the_fit_of_the_others():
    rng = np.random.default_rng(1)
    controls = batches(rng, number=5)
    method = AlignmentSettings().method_to_fit()
    left_out = left_out_batches(controls, method)
    rest = {name: x for name, x in controls.items() if name != "b2"}
    total = merge(ControlStatistics.of_rows(x) for x in rest.values()).summed()
    expected = measure_controls(
        controls["b2"], shared_without(method, total), np.concatenate(list(rest.values()))
    )
    row = left_out.set_index("batch").loc["b2"]
    np.testing.assert_allclose(row.to_numpy(float), expected, rtol=1e-6)


def test_measures_are_those_of_their_definitions():
    rng = np.random.default_rng(2)
    controls = batches(rng, number=3, num_wells=5, width=20)
    rest = np.concatenate([controls["b1"], controls["b2"]])
    method = AlignmentSettings(method="pca-center-scale").method_to_fit()
    shared = shared_without(method, ControlStatistics.of_rows(rest))
    x = controls["b0"] + 2
    outside, spread, distance = measure_controls(x, shared, rest)
    a, b = shared.project_rows(x, float), shared.project_rows(rest, float)

    def pairs(p, q):
        return [np.linalg.norm(u - v) for u in p for v in q]

    within = sum(pairs(b, b)) / (len(b) * (len(b) - 1))
    energy = 2 * np.mean(pairs(a, b)) - sum(pairs(a, a)) / (len(a) * (len(a) - 1)) - within
    assert distance == pytest.approx(energy / within)
    total = ((x - rest.mean(axis=0)) ** 2).sum()
    assert outside == pytest.approx(1 - (a**2).sum() / total)
    covariance = oas(b)[0]
    deviations = a - b.mean(axis=0)
    squared = np.einsum("ni,ij,nj->n", deviations, np.linalg.inv(covariance), deviations)
    assert spread == pytest.approx(squared.mean() / a.shape[1])


def test_limits_follow_the_number_of_batches():
    values = np.exp(np.random.default_rng(3).normal(size=120))
    table = pd.DataFrame({"outside": values, "spread": values, "distance": values})
    assert limits_of(table)["distance"] == pytest.approx(np.percentile(values, 99))
    some = limits_of(table[:9])["distance"]
    logs = np.log(values[:9])
    spread = 1.4826 * np.median(np.abs(logs - np.median(logs)))
    assert some == pytest.approx(np.exp(np.median(logs) + 6 * spread))
    alike = table[:9] ** 0.01
    assert limits_of(alike)["spread"] == pytest.approx(np.exp(np.median(logs) / 100 + 6 * 0.15))
    assert np.isnan(limits_of(table[:3])["distance"])
    controls = batches(np.random.default_rng(4), number=3)
    assert set(judged(controls, controls["b0"])["status"]) == {"NOT RUN"}
