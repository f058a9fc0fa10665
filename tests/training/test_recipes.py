"""Recipes and the schema speak of the settings that training has, with the same defaults."""

from __future__ import annotations

import dataclasses
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
    TrainingSettings.from_mapping(RECIPES[name])


def test_the_schema_has_every_setting_with_its_default() -> None:
    described = SCHEMA["training"]["properties"]
    fields = {field.name: field.default for field in dataclasses.fields(TrainingSettings)}
    assert set(described) == set(fields)
    for name, default in fields.items():
        expected = list(default) if isinstance(default, tuple) else default
        assert described[name]["default"] == expected, name


def test_the_schema_names_every_architecture() -> None:
    assert sorted(SCHEMA["architecture"]["enum"]) == models.names()


def test_table_5() -> None:
    """Optimiser, schedule, epochs, rates and batches as the paper's Table 5 and A.2 state them."""
    expected = {
        "paper-s16": (100, 1e-4, 2048, 0.1),
        "paper-l8": (500, 3e-5, 16384, 0.3),
        "paper-g8": (500, 3e-5, 8192, 0.6),
    }
    for name, values in expected.items():
        settings = TrainingSettings.from_mapping(RECIPES[name])
        found = (
            settings.num_epochs, settings.learning_rate, settings.batch_size, settings.drop_path
        )  # fmt: skip
        assert found == values
        assert (settings.optimizer, settings.betas, settings.weight_decay) == (
            "lion", (0.9, 0.95), 0.05,
        )  # fmt: skip
        assert (settings.warmup_fraction, settings.mask_fraction) == (0.1, 0.75)
        assert (settings.fourier_loss, settings.fourier_weight) == ("as-published", 0.01)
        decoder = (settings.decoder_width, settings.decoder_blocks, settings.decoder_heads)
        assert decoder == (512, 8, 16)
