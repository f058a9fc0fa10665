"""Recipes and the schema speak of the settings that training has, with the same defaults."""

from __future__ import annotations

from importlib import resources

import pytest
import yaml

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.configuration.recipes import RECIPES  # noqa: E402
from phenoprints.training import TrainingSettings  # noqa: E402

SCHEMA = yaml.safe_load(
    resources.files("phenoprints.configuration").joinpath("schema.yaml").read_text(encoding="utf-8")
)["$defs"]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_accepted(name: str) -> None:
    TrainingSettings(**RECIPES[name])


def test_the_schema_has_every_setting_with_its_default() -> None:
    described = SCHEMA["Training"]["properties"]
    fields = TrainingSettings().given()
    assert set(described) == set(fields)
    for name, default in fields.items():
        expected = list(default) if isinstance(default, tuple) else default
        assert described[name]["default"] == expected, name


def test_the_schema_names_every_architecture() -> None:
    named = SCHEMA["MaeEncoder"]["properties"]["architecture"]["enum"]
    assert sorted(named) == models.names()


TABLE_5 = {
    "paper-s16": (100, 1e-4, 2048, 0.1, 16),
    "openphenom": (100, 1e-4, 2048, 0.1, 16),
    "paper-l8": (500, 3e-5, 16384, 0.3, 128),
    "paper-judge-l8": (40, 3e-5, 16384, 0.3, 128),
    "paper-g8": (500, 3e-5, 8192, 0.6, 256),
}
"""Epochs, largest rate, batch, stochastic depth and cards; the judge's epochs are those of A.1."""


@pytest.mark.parametrize("name", sorted(TABLE_5))
def test_table_5(name: str) -> None:
    """Optimiser, schedule, epochs, rates and batches as the paper's Table 5 and A.2 state them."""
    *values, num_cards = TABLE_5[name]
    settings = TrainingSettings(**RECIPES[name])
    found = (settings.num_epochs, settings.learning_rate, settings.batch_size, settings.drop_path)
    assert found == tuple(values)
    assert settings.micro_batch_size == settings.batch_size / num_cards
    assert (settings.optimizer, settings.betas, settings.weight_decay) == (
        "lion", (0.9, 0.95), 0.05,
    )  # fmt: skip
    assert (settings.warmup_fraction, settings.mask_fraction) == (0.1, 0.75)
    assert (settings.fourier_loss, settings.fourier_weight) == ("as-published", 0.01)
    decoder = (settings.decoder_width, settings.decoder_blocks, settings.decoder_heads)
    assert decoder == (512, 8, 16)
    assert (settings.layer_scale, settings.precision) == (1e-4, "bfloat16")


def test_the_dinov2_attempts_of_a_9() -> None:
    """Lion, rate, decay and weights of the losses as A.9 names them; they resolve to Lion too."""
    settings = TrainingSettings(**RECIPES["dinov2-attempt"])
    optimiser = (settings.optimizer, settings.betas, settings.weight_decay, settings.learning_rate)
    assert optimiser == ("lion", (0.9, 0.95), 0.05, 1e-5)
    weights = (settings.dino_weight, settings.koleo_weight, settings.ibot_weight)
    assert weights == (1.0, 0.1, 1.0)
    assert (settings.dino_outputs, settings.dino_local_crops) == (65_536, 4)


def test_the_judges_of_the_paper() -> None:
    """A masked autoencoder of 3.5 G crops; a classifier, whose open settings are our choice."""
    first = TrainingSettings(**RECIPES["paper-judge-l8"])
    assert first.max_crops == 3_500_000_000
    assert first.num_steps(93_000_000) == 3_500_000_000 // 16384
    assert first.num_steps(16_000_000) == 40 * 16_000_000 // 16384
    second = TrainingSettings(**RECIPES["paper-judge-wsl"])
    assert (second.optimizer, second.batch_size, second.num_epochs) == ("adamw", 512, 90)
    assert (second.label_smoothing, second.precision) == (0.1, "bfloat16")
    # Batch norms see the micro-batch: how large it was, the paper does not say.
    assert second.micro_batch_size is None


@pytest.mark.parametrize("name", sorted({*RECIPES} - {"default", "demo", "demo-wsl"}))
def test_recipes_for_cards_read_ahead(name: str) -> None:
    assert TrainingSettings(**RECIPES[name]).num_workers == 4


@pytest.mark.parametrize("name", sorted({*TABLE_5, "paper-judge-wsl", "small"}))
def test_recipes_for_cards_compile(name: str) -> None:
    assert TrainingSettings(**RECIPES[name]).compile


@pytest.mark.parametrize("num_cards", [1, 2, 4, 8, 16, 64, 256])
@pytest.mark.parametrize("name", sorted(TABLE_5))
def test_fewer_cards_accumulate_equal_micro_batches(name: str, num_cards: int) -> None:
    settings = TrainingSettings(**RECIPES[name])
    share = settings.batch_size // num_cards
    assert settings.micro_batch_size is not None
    assert share % min(settings.micro_batch_size, share) == 0
