"""Inference in 8 bits: products against plain ones, features near, everything put back."""

from __future__ import annotations

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


def planted(num_groups: int = 8, of_each: int = 5) -> tuple[torch.Tensor, list[tuple[str, str]]]:
    """Crops of textures in groups that share their frequencies, and the pairs within groups."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:32, :32]
    images, names = [], []
    for group in range(num_groups):
        waves = rng.uniform(0.1, 1.2, (6, 2))
        for member in range(of_each):
            phase = rng.uniform(0, 6.3, 6)
            pattern = [np.sin(a * x + b * y + p) for (a, b), p in zip(waves, phase, strict=True)]
            noisy = np.stack(pattern) + rng.normal(0, 0.7, (6, 32, 32))
            images.append(np.clip(128 + 40 * noisy, 0, 255).astype(np.uint8))
            names.append(f"g{group}-{member}")
    pairs = [(a, b) for a in names for b in names if a < b and a.split("-")[0] == b.split("-")[0]]
    return torch.from_numpy(np.stack(images)), pairs


@pytest.mark.parametrize("kind", KINDS)
def test_recall_of_known_pairs_is_that_of_full_precision(kind: str) -> None:
    images, pairs = planted()
    encoder = models.build("vit-s16", crop_px=32, layer_scale=1.0)
    plain = encoder.features(images).double().numpy()
    with eight_bits(encoder, kind):
        quantised = encoder.features(images).double().numpy()
    recalls = []
    names = sorted({name for pair in pairs for name in pair})
    for vectors in (plain, quantised):
        centred = (vectors - vectors.mean(0)) / vectors.std(0)
        unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        cosines = unit @ unit.T
        upper = cosines[np.triu_indices(len(names), 1)]
        at = {name: i for i, name in enumerate(names)}
        known = np.array([cosines[at[a], at[b]] for a, b in pairs])
        low, high = np.quantile(upper, [0.05, 0.95])
        recalls.append(float(((known <= low) | (known >= high)).mean()))
    interval = 1.96 * np.sqrt(recalls[0] * (1 - recalls[0]) / len(pairs))
    assert recalls[0] > 0.2
    assert abs(recalls[1] - recalls[0]) <= interval


def test_networks_without_blocks_are_refused() -> None:
    with (
        pytest.raises(ConfigurationError, match=r"8 bits needs a vision transformer"),
        eight_bits(models.build("cnn-tiny", channels=2), "int8"),
    ):
        pass


def test_embedding_has_both_precisions() -> None:
    """`inference.precision: int8` is bfloat16 with the products of the blocks in int8."""
    from phenoprints.embeddings.passes import arithmetic

    encoder, images = models.build("vit-tiny", layer_scale=1.0), crops()
    with arithmetic(encoder, "int8"):
        got = encoder.features(images)
    with torch.autocast("cpu", dtype=torch.bfloat16), eight_bits(encoder, "int8"):
        assert torch.equal(got, encoder.features(images))
    with arithmetic(encoder, "float32"):
        assert not torch.equal(got, encoder.features(images))
