"""Embeddings of a stack of images in memory."""

from __future__ import annotations

import numpy as np
import pytest

import phenoprints as pp
from phenoprints.foundations.errors import DataError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_a_stack_is_embedded_as_the_mean_over_its_crops() -> None:
    images = np.random.default_rng(0).integers(0, 255, (3, 3, 64, 64), dtype=np.uint8)
    encoder = pp.models.build("vit-tiny", channels=["DNA", "ER", "RNA"], seed=0)
    got = pp.embeddings.embed_images(encoder, images)
    crops = [images[:, :, i : i + 32, j : j + 32] for i in (0, 32) for j in (0, 32)]
    with torch.no_grad():
        expected = sum(encoder.features(torch.from_numpy(crop.copy())) for crop in crops) / 4
    np.testing.assert_allclose(got, expected.numpy(), atol=2e-5)
    every = pp.embeddings.embed_images(encoder, images, blocks="all")
    np.testing.assert_array_equal(every[:, -1], got)


def test_anything_but_a_stack_of_bytes_is_refused() -> None:
    encoder = pp.models.build("vit-tiny", channels=["DNA"], seed=0)
    with pytest.raises(DataError, match=r"float64 of shape \(2, 64, 64\)"):
        pp.embeddings.embed_images(encoder, np.zeros((2, 64, 64)))
