from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("phenoprints.annotation", {"pandas", "numpy", "torch"}),
        ("phenoprints.alignment", {"torch", "sklearn", "numba", "anndata"}),
        ("phenoprints.maps", {"torch", "sklearn", "numba", "anndata"}),
        ("phenoprints.benchmarks", {"torch", "sklearn", "anndata", "copairs"}),
    ],
)
def test_importing_a_stage_stays_light(module, absent):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())
