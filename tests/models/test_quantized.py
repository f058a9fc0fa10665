"""Inference in 8 bits: products against plain ones, features near, everything put back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import ConfigurationError  # noqa: E402
from phenoprints.models.quantized import (  # noqa: E402
    LARGEST,
    PRODUCTS,
    eight_bits,
    quantized_rows,
)

KINDS = ("int8", "fp8")


def crops(num: int = 24) -> torch.Tensor:
    values = np.random.default_rng(7).integers(0, 256, (num, 6, 32, 32), dtype=np.uint8)
    return torch.from_numpy(values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_rows", [3, 100])
def test_products_equal_those_of_the_quantised_values(kind: str, num_rows: int) -> None:
    """Against float64: what is lost is the rounding of the values, not the product."""
    torch.manual_seed(0)
    rows, weight = torch.randn(num_rows, 64), torch.randn(48, 64) * torch.rand(48, 1)
    w, w_scale = quantized_rows(weight, kind)
    x, x_scale = quantized_rows(rows, kind)
    expected = (x.double() * x_scale) @ (w.double() * w_scale).T
    got = PRODUCTS[kind](rows, w, w_scale, torch.float32)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-4)
    assert (got - rows @ weight.T).abs().mean() < 0.05 * (rows @ weight.T).abs().mean()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_use_the_whole_range_and_zeros_stay_zero(kind: str) -> None:
    values = torch.tensor([[0.0, 0.0], [1e-3, -5e-4], [300.0, 1.0]])
    rows, scale = quantized_rows(values, kind)
    assert torch.equal(rows[0].float(), torch.zeros(2))
    assert rows[1:].float().abs().amax(dim=1).tolist() == [LARGEST[kind]] * 2
    torch.testing.assert_close(rows.float() * scale, values, rtol=0.07, atol=1.5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_features_are_near_and_the_encoder_is_as_before(kind: str, precision: torch.dtype) -> None:
    encoder = models.build("vit-s16", crop_px=32, layer_scale=1.0)
    before, images = encoder.fingerprint(), crops()
    with torch.autocast("cpu", dtype=precision, enabled=precision is torch.bfloat16):
        plain = encoder.features(images, "all")
        with eight_bits(encoder, kind):
            got = encoder.features(images, "all")
        again = encoder.features(images, "all")
    cosine = torch.nn.functional.cosine_similarity(got, plain, dim=-1)
    assert float(cosine.min()) >= (0.999 if kind == "int8" else 0.998)
    assert not torch.equal(got, plain)
    assert torch.equal(again, plain)
    assert encoder.fingerprint() == before


@pytest.mark.parametrize("kind", KINDS)
def test_recall_of_known_pairs_is_that_of_full_precision(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from gpu_precision import planted, recall

    images, pairs = planted(32)
    encoder = models.build("vit-s16", crop_px=32, layer_scale=1.0)
    plain = recall(encoder.features(images).numpy(), pairs)
    with eight_bits(encoder, kind):
        quantised = recall(encoder.features(images).numpy(), pairs)
    interval = 1.96 * np.sqrt(plain * (1 - plain) / len(pairs))
    assert plain > 0.2
    assert abs(quantised - plain) <= interval


def test_blocks_in_eight_bits_compile_to_one_graph() -> None:
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    encoder = models.build("vit-tiny", layer_scale=1.0)
    with eight_bits(encoder, "int8"), torch.inference_mode():
        for block in encoder.backbone.blocks:
            block.compile(backend="eager")
        encoder.features(crops())
    assert counters["stats"]["unique_graphs"] == 1
    torch.compiler.reset()


def test_networks_without_blocks_are_refused() -> None:
    with (
        pytest.raises(ConfigurationError, match=r"8 bits needs a vision transformer"),
        eight_bits(models.build("cnn-tiny", channels=2), "int8"),
    ):
        pass


def test_embedding_has_both_precisions() -> None:
    """`inference.precision: int8` is bfloat16 with the products of the blocks in int8."""
    from phenoprints.embeddings.forward import arithmetic

    encoder, images = models.build("vit-tiny", layer_scale=1.0), crops()
    with arithmetic(encoder, "int8"):
        got = encoder.features(images)
    with torch.autocast("cpu", dtype=torch.bfloat16), eight_bits(encoder, "int8"):
        assert torch.equal(got, encoder.features(images))
    with arithmetic(encoder, "float32"):
        assert not torch.equal(got, encoder.features(images))
