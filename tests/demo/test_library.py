"""The last task of docs/how-to/library.md, on the finished demo."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import phenoprints as pp

PAGE = (Path(__file__).resolve().parents[2] / "docs/how-to/library.md").read_text("utf-8")


def test_a_run_is_opened_as_one_anndata(demo: Path) -> None:
    code = re.findall(r"```python\n(run = .*?)```", PAGE, flags=re.DOTALL)[0]
    space = {"pp": pp}
    exec(code.replace("results/demo", str(demo)), space)
    data, run = space["data"], space["run"]
    wells = run.wells("demo")
    vectors = np.concatenate([run.aligned("demo", "untrained").read(e) for e in run_of(wells)])
    # Wells without a vector are left out, and listed.
    has_vector = np.isfinite(vectors).all(axis=1)
    assert (~has_vector).any()
    own = wells["well_id"].astype(str)[has_vector]
    assert data.obs["Metadata_Well_ID"].tolist() == own.tolist()
    np.testing.assert_array_equal(data.X, vectors[has_vector])
    assert (
        len(run.manifest("phenoprints")) == run.funnel("phenoprints")["steps"][-1]["after"]["wells"]
    )


def run_of(wells):
    """The experiments of a wells table, in order."""
    return sorted(wells["experiment"].unique())
