"""What all tests share: where the real files are, and a reproducible hypothesis profile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "phenoprints",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "soak",
    deadline=None,
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "phenoprints"))


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with the real files, or a skip that says why."""
    folder = os.environ.get("PHENOPRINTS_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PHENOPRINTS_TEST_DATA names no folder with the real files")
    return Path(folder)
