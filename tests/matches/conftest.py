from __future__ import annotations

import pytest
from tests.matches.worlds import World


@pytest.fixture(scope="session")
def world():
    return World()


@pytest.fixture(scope="session")
def old(world):
    """A reference of 40 perturbations with an effect and 20 without, and its screen."""
    effects = {f"r{k}": k if k < 40 else None for k in range(60)}
    return world.reference(effects)


@pytest.fixture(scope="session")
def new(world):
    """A new screen: 12 relatives of reference perturbations, 20 without effect, 8 of new kinds."""
    effects = {f"relative{k}": k for k in range(12)}
    effects |= {f"nothing{k}": None for k in range(20)} | {f"novel{k}": 100 + k for k in range(8)}
    return world.screen("new", effects)
