"""How well hidden patches are predicted, on reconstructions whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.models import LossSettings, MaskedAutoencoder, Reconstruction  # noqa: E402
from phenoprints.training.fidelity import EVERY, fidelity_table, measure  # noqa: E402


class Known:
    """An autoencoder whose predictions are a factor times the target."""

    def __init__(self, factor: float, *, normalize_patches: bool = False) -> None:
        self.encoder = models.build("vit-tiny", channels=2)
        self.loss_settings = LossSettings(normalize_patches=normalize_patches)
        self.factor = factor

    def reconstruct(self, images: object, keys: object, channels: object) -> Reconstruction:
        target = models.self_standardize(images)
        hidden = torch.zeros_like(target, dtype=torch.bool)
        hidden[..., ::8] = True
        hidden = hidden[..., ::8].repeat_interleave(8, dim=-1)
        hidden[:, :, 8:] = False
        return Reconstruction(target, self.factor * target, hidden)


def batches(num: int = 6) -> list[SimpleNamespace]:
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (num, 2, 32, 32), generator=stream, dtype=torch.uint8)

    class Crops(SimpleNamespace):
        def __len__(self) -> int:
            return num

    return [Crops(images=images, keys=torch.arange(num), channels=None)]


@pytest.mark.parametrize("factor", [1.0, 0.0, 0.5])
def test_explained_variance_of_a_share_of_the_target(factor: float) -> None:
    measured = measure(Known(factor), batches(), None)
    row = measured.row(np.ones(6, bool))
    assert row["explained"] == pytest.approx(1 - (1 - factor) ** 2, abs=1e-6)
    assert row["fourier_ratio"] == pytest.approx(1 - factor, abs=1e-6)
    assert np.isnan(row["linear"])


def test_the_linear_reference_of_noise_is_near_zero() -> None:
    learned = np.random.default_rng(3).integers(0, 255, (50, 2, 32, 32), dtype=np.uint8)
    measured = measure(Known(1.0), batches(), learned)
    assert -0.3 < measured.row(np.ones(6, bool))["linear"] < 0.1


def test_normalised_targets_have_no_linear_reference_and_their_own_scale() -> None:
    learned = np.zeros((2, 2, 32, 32), np.uint8)
    measured = measure(Known(1.0, normalize_patches=True), batches(), learned)
    row = measured.row(np.ones(6, bool))
    assert row["explained"] == pytest.approx(1.0, abs=1e-5)
    assert np.isnan(row["linear"])


def test_the_table_has_all_wells_first_and_a_row_per_role() -> None:
    measured = measure(Known(0.5), batches(), None)
    roles = ["treatment", "treatment", "unperturbed", "", "treatment", "unperturbed"]
    table = fidelity_table(measured, np.array([0, 0, 1, 2, 3, 4]), roles)
    assert table["group"].tolist() == [EVERY, "treatment", "unperturbed"]
    assert table["wells"].tolist() == [5, 2, 2]
    assert table["crops"].tolist() == [6, 3, 2]
    pd.testing.assert_series_equal(
        table["explained"], pd.Series([0.75] * 3), check_names=False, atol=1e-6
    )


def test_normalised_patches_are_the_targets_and_pictures_stay_pictures() -> None:
    encoder = models.build("vit-tiny", channels=2)
    loss = LossSettings(alpha=0.0, normalize_patches=True)
    model = MaskedAutoencoder(encoder, models.DecoderShape(32, 1, 2), loss=loss).eval()
    crop = batches(2)[0]
    target = model._target(encoder.prepared(crop.images))
    torch.testing.assert_close(target.mean(-1), torch.zeros(2, 64), atol=1e-4, rtol=0)
    torch.testing.assert_close(target.var(-1), torch.ones(2, 64), atol=1e-3, rtol=0)
    torch.nn.init.zeros_(model.decoder_pred.weight)
    torch.nn.init.zeros_(model.decoder_pred.bias)
    with torch.no_grad():
        assert float(model(crop.images, crop.keys)["l2"]) == pytest.approx(31 / 32, abs=1e-3)
    made = model.reconstruct(crop.images, crop.keys)
    patches = models.patches.patchify(made.target, 4).mean(-1)
    torch.testing.assert_close(models.patches.patchify(made.prediction, 4).mean(-1), patches)
