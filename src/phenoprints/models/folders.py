"""Encoders as folders: config.json, model.safetensors and a model card; pickles are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phenoprints.foundations import encoder_folders
from phenoprints.foundations.encoder_folders import CARD, CONFIG, FORMAT, WEIGHTS
from phenoprints.foundations.errors import (
    CorruptionError,
    DataError,
    MissingInputError,
    Problem,
    UnsafeInputError,
    raise_problems,
)
from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.publishing import publish_json, publish_text, published
from phenoprints.models.cards import model_card
from phenoprints.models.encoder import Encoder, EncoderConfig
from phenoprints.models.limits import judge_encoder
from phenoprints.models.registry import from_config
from phenoprints.models.standardization import EPSILON

PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
"""Endings of files that run code when they are opened."""


def save(
    folder: str | Path, encoder: Encoder, *, training: Mapping[str, Any] | None = None
) -> None:
    """Write config.json, model.safetensors and README.md of an encoder into `folder`.

    `training` is what the card tells about where the weights come from (recipe, manifest, …).
    Other files of the folder stay. config.json is written last, so a folder with it is whole.
    """
    from safetensors.torch import save_file

    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().cpu().contiguous() for k, v in encoder.state_dict().items()}
    with published(root / WEIGHTS) as partial:
        partial.touch()
        mode = partial.stat().st_mode
        save_file(weights, partial, metadata={"format": "pt"})
        partial.chmod(mode)  # safetensors writes through a file that only its owner may read
    config = as_json(encoder, sha256=file_sha256(root / WEIGHTS), training=training or {})
    publish_text(root / CARD, model_card(encoder, config))
    publish_json(root / CONFIG, config)


def as_json(encoder: Encoder, *, sha256: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of an encoder's config.json."""
    return {
        "format": FORMAT,
        "library": "phenoprints",
        "encoder": encoder.config.as_dict(),
        "num_features": encoder.num_features,
        "num_parameters": sum(p.numel() for p in encoder.parameters()),
        "preprocessing": {
            "input": "uint8",
            "divide_by": 255,
            "standardize": "each channel of each crop to mean 0 and variance 1",
            "epsilon": EPSILON,
            "crop_px": encoder.crop_px,
            "channels": list(encoder.channels),
        },
        "weights": {"file": WEIGHTS, "sha256": sha256},
        "fingerprint": encoder.fingerprint(),
        "training": dict(training),
    }


def load(path: str | Path) -> Encoder:
    """Return the encoder of a model folder, in evaluation mode on the CPU.

    Parameters
    ----------
    path
        The folder, or its config.json. Weights are read from safetensors only.

    Raises
    ------
    MissingInputError
        The folder, its configuration or its weights are not there.
    UnsafeInputError
        A pickled checkpoint was given: opening one can run any code.
    CorruptionError
        A file cannot be read, or the weights are not those that config.json names.
    DataError
        The weights belong to another architecture; missing and unexpected names are listed.
    """
    root = Path(path)
    if root.suffix in PICKLES:
        raise UnsafeInputError(f"{root}: {_PICKLED}")
    root = root.parent if root.name == CONFIG else root
    described = read_config(root)
    try:
        values = dict(described["encoder"])
        judge_encoder(values, str(root / CONFIG))
        values["channels"] = tuple(values["channels"])
        config = EncoderConfig(**values)
        with torch.device("meta"):
            encoder = from_config(config)
    except _NOT_OURS as error:
        raise CorruptionError(f"{root / CONFIG}: not a configuration of ours ({error}).") from error
    weights = read_weights(root / WEIGHTS)
    check_weights(encoder.state_dict(), weights, where=str(root / WEIGHTS))
    _check_sha256(root, described)
    encoder.load_state_dict(weights, assign=True)
    _freeze_fixed(encoder)
    return encoder.eval()


_NOT_OURS = (LookupError, TypeError, AttributeError, ValueError, RuntimeError, AssertionError,
             ArithmeticError, MemoryError)  # fmt: skip
"""What networks raise on numbers that do not fit together; ours are among them."""
_PICKLED = (
    "a pickled checkpoint can run any code when it is opened, so it is refused. To fix: convert it "
    "to safetensors where you trust it, and give that file."
)


def read_config(root: Path) -> dict[str, Any]:
    """config.json of a model folder as a dictionary; a folder of pickles is refused as such."""
    if not (root / CONFIG).exists():
        _refuse_pickles(root)
    return encoder_folders.read_config(root)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; pickles are refused whatever they are called."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = Path(path)
    if file.suffix in PICKLES:
        raise UnsafeInputError(f"{file}: {_PICKLED}")
    if not file.exists():
        _refuse_pickles(file.parent)
        raise MissingInputError(f"{file}: the weights are not there.")
    with open(file, "rb") as stream:
        start = stream.read(2)
    if start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise UnsafeInputError(f"{file}: {_PICKLED}")
    try:
        weights: dict[str, Tensor] = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptionError(f"{file}: not readable as safetensors ({error}).") from error
    return weights


def _refuse_pickles(folder: Path) -> None:
    found = sorted(p.name for p in folder.glob("*") if p.suffix in PICKLES)
    if found:
        raise UnsafeInputError(f"{folder}: holds {', '.join(found)}; {_PICKLED}")


def check_weights(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], *, where: str) -> None:
    """Raise DataError unless names and shapes agree; every difference is named."""
    problems = _named(where, "missing", sorted(set(expected) - set(got)))
    problems += _named(where, "unexpected", sorted(set(got) - set(expected)))
    for name in sorted(set(expected) & set(got)):
        shapes = tuple(got[name].shape), tuple(expected[name].shape)
        if shapes[0] != shapes[1]:
            problems.append(Problem(where, f"{name} has shape {shapes[0]}", f"{shapes[1]}"))
    if problems:
        fix = "give the weights of this architecture, or name the architecture of these weights"
        problems[-1] = dataclasses.replace(problems[-1], fix=fix)
    raise_problems(problems, DataError)


def _named(where: str, what: str, keys: Iterable[str]) -> list[Problem]:
    listed = list(keys)
    if not listed:
        return []
    return [Problem(where, f"{len(listed)} {what} weights: {', '.join(listed)}")]


def _check_sha256(root: Path, described: Mapping[str, Any]) -> None:
    expected, got = described["weights"]["sha256"], file_sha256(root / WEIGHTS)
    if got != expected:
        raise CorruptionError(
            f"{root / WEIGHTS}: its sha256 is {got}, config.json expects {expected}. To fix: fetch "
            "or make the folder again."
        )


def _freeze_fixed(encoder: Encoder) -> None:
    """Positions are fixed: `assign=True` would otherwise make them learnable."""
    for name, parameter in encoder.named_parameters():
        if name.endswith(("pos_embed", "pos_embeddings", "placeholder")):
            parameter.requires_grad_(False)
