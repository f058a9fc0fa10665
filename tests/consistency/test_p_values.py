"""p-values from counts of null sets."""

from __future__ import annotations

import numpy as np

from phenoprints.consistency.nulls import Counts
from phenoprints.consistency.p_values import NullCounts


def test_weights_that_sum_to_more_than_their_total_give_a_p_value_of_one():
    """Weights of enumerated sets are summed in another order than their total."""
    counts = Counts(at_least=np.array([27.000000000000004]), total=27, num_sets=27.0,
                    num_effective=27.0, is_complete=True)  # fmt: skip
    table = NullCounts.of([counts], [[0]], np.array([False]))
    assert table.p_values("max-1")[0] == 1.0
