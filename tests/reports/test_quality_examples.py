"""Wells that stand for a verdict."""

from __future__ import annotations

import pandas as pd
import pytest

from phenoprints.reports.stages.quality_examples import _passing


@pytest.mark.parametrize("role", ["negative_control", "unperturbed"])
def test_a_typical_control_is_never_a_positive_one(role: str) -> None:
    """The positive controls are nearest to the medians of all wells that are no treatment."""
    table = pd.DataFrame(
        {
            "well_id": range(7),
            "role": ["positive_control"] * 3 + [role] * 2 + ["treatment"] * 2,
            "focus_dna": [5.0, 5.0, 5.0, 1.0, 9.0, 4.0, 6.0],
        }
    )
    chosen = dict(_passing(table))
    assert chosen["PASS, a typical control"]["role"] == role
    assert chosen["PASS, a typical treatment"]["role"] == "treatment"
