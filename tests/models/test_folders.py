"""Model folders: what is written is what is read; anything else is named and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import (  # noqa: E402
    CorruptionError,
    DataError,
    MissingInputError,
    UnsafeInputError,
)
from phenoprints.models.folders import read_weights  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models.save(tmp_path / "encoder", models.build("vit-tiny", channels=["dna", "er"], seed=2))
    return tmp_path / "encoder"


@pytest.mark.parametrize("name", ["vit-tiny", "ca-vit-tiny", "cnn-tiny"])
def test_what_is_saved_is_loaded(name: str, tmp_path: Path) -> None:
    encoder = models.build(name, channels=2, seed=2, crop_px=32)
    models.save(tmp_path, encoder, training={"recipe": "none"})
    loaded = models.load(tmp_path)
    assert loaded.config == encoder.config
    assert loaded.fingerprint() == encoder.fingerprint()
    images = torch.randint(0, 256, (2, 2, 32, 32), dtype=torch.uint8)
    assert torch.equal(loaded.features(images), encoder.features(images))
    grads = {n: p.requires_grad for n, p in encoder.named_parameters()}
    assert {n: p.requires_grad for n, p in loaded.named_parameters()} == grads


def test_trimmed_encoders_are_folders_too(folder: Path, tmp_path: Path) -> None:
    encoder = models.load(folder)
    models.save(tmp_path / "trimmed", encoder.trimmed(3))
    trimmed = models.load(tmp_path / "trimmed")
    assert trimmed.num_blocks == 3
    assert trimmed.config.trimmed_from == encoder.fingerprint()
    images = torch.randint(0, 256, (2, 2, 32, 32), dtype=torch.uint8)
    assert torch.equal(trimmed.features(images), encoder.features(images, "all")[:, 2])
    assert "trimmed from" in (tmp_path / "trimmed" / "README.md").read_text()


def test_saving_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    models.save(tmp_path / "again", models.load(folder))
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_config_says_what_others_need(folder: Path) -> None:
    described = json.loads((folder / "config.json").read_text())
    assert described["preprocessing"]["channels"] == ["dna", "er"]
    assert described["preprocessing"]["crop_px"] == 32
    assert described["num_features"] == 96


def test_weights_of_another_architecture_are_named(folder: Path, tmp_path: Path) -> None:
    other = models.build("vit-tiny", channels=["dna"], patch_px=4)
    models.save(tmp_path / "other", other.trimmed(3))
    weights = (tmp_path / "other" / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(DataError) as error:
        models.load(folder)
    text = str(error.value)
    assert "missing weights: backbone.blocks.3.attn_out_proj.bias" in text
    assert "backbone.patch_embed.proj.weight has shape (96, 1, 4, 4)" in text
    assert "To fix" in text
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingInputError, match=r"model\.safetensors: the weights are not there"):
        models.load(folder)


def test_a_flipped_bit_is_noticed(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(CorruptionError, match="sha256"):
        models.load(folder)


def test_a_truncated_file_is_noticed(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptionError, match="not readable as safetensors"):
        models.load(folder)


@pytest.mark.parametrize("name", ["model.pt", "model.ckpt", "pytorch_model.bin"])
def test_pickles_are_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"never opened")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(UnsafeInputError, match="pickled checkpoint"):
            models.load(path)


def test_pickles_are_refused_by_content(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("the pickle was opened",)

    torch.save(Trap(), tmp_path / "model.safetensors")
    with pytest.raises(UnsafeInputError, match="pickled checkpoint"):
        read_weights(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "format 1"),
        ('{"format": 9}', "format 1"),
        ('{"format": 1, "encoder": {"channels": []}}', "not a configuration of ours"),
    ],
)
def test_a_foreign_config_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(CorruptionError, match=message):
        models.load(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no model folder"):
        models.load(tmp_path / "absent")


def test_the_hub_reads_card_and_weights_without_a_network(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub, safetensors = pytest.importorskip("huggingface_hub"), pytest.importorskip("safetensors")
    card = hub.ModelCard.load(folder / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == (
        "phenoprints", "image-feature-extraction",
    )  # fmt: skip
    assert card.data.license == "unknown"
    assert "microscopy" in card.data.tags
    with safetensors.safe_open(folder / "model.safetensors", framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}
        total = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118
    encoder = models.load(folder)
    assert total == sum(value.numel() for value in encoder.state_dict().values())
    assert f"{sum(p.numel() for p in encoder.parameters()):,} parameters" in card.text
