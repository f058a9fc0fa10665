"""The benchmark of cards runs without one, on tiny networks: its code, not its figures."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_smoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(SCRIPT))["main"]
    main(["--smoke", "--seconds", "0", "--out", str(tmp_path / "gpu.json")])
    found = json.loads((tmp_path / "gpu.json").read_text())
    kinds = {(s["network"], s["task"], s["way"]) for s in found["speeds"]}
    assert len(kinds) == 8
    assert all(s["crops_per_s"] > 0 and s["mfu"] is None for s in found["speeds"])
    ends = {end["network"]: end for end in found["embeddings"]}
    assert ends.keys() == {network for network, _, _ in kinds}
    assert all(end["ratio"] > 0 and list(end["rxrx3_hours"]) == ["4"] for end in ends.values())
    assert "smoke test, no figure of any use" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_so() -> None:
    with pytest.raises(SystemExit, match="No card"):
        runpy.run_path(str(SCRIPT))["main"]([])


@pytest.mark.parametrize(
    ("name", "blocks"), [("vit_small_patch14_reg4_dinov2.lvd142m", [5, 12]), ("vit-tiny", [4])]
)
def test_hours_of_rxrx3_follow_from_the_rate_and_the_operations(name, blocks, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import gpu_embeddings

    encoder = gpu_embeddings.network(name)
    hours = gpu_embeddings.rxrx3_hours(encoder, crops_per_s=80e6 / 3600)
    assert list(hours) == blocks
    assert hours[blocks[-1]] == 1.0
    assert all(hours[block] == pytest.approx(block / blocks[-1], rel=0.1) for block in blocks)
