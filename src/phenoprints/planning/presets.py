"""Stated noise and effects of known screens, for plans without a pilot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Estimated from the 103 treatments of BBBC021 as aligned by config/examples/bbbc021.yaml: an
    # effective dimension of 30, plates 0.36 [0.22, 0.46], all treatments active, median length
    # 1.6. Its treatments keep their positions, so that the effect of positions is assumed.
    "bbbc021": {"features": 64, "plate": 0.36, "position": 0.1, "active": 1.0, "effect": 1.6},
    # The vectors that tests and calibration simulate: a third of the conditions is active.
    "simulated": {"features": 64, "plate": 0.3, "position": 0.1, "active": 0.33, "effect": 1.0},
}
"""Arguments of `assumed_pilot` by name."""
