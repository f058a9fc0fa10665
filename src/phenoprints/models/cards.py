"""The model card that lies beside an encoder's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phenoprints.models.encoder import Encoder


def model_card(encoder: Encoder, described: Mapping[str, Any]) -> str:
    """README.md of an encoder: what it is, what goes in and out, where the weights come from."""
    config = encoder.config
    channels = ", ".join(encoder.channels) or "any number and order of channels"
    lines = [
        "---",
        "library_name: phenoprints",
        "pipeline_tag: image-feature-extraction",
        "license: unknown",
        "tags: [microscopy, cell-painting, phenoprints]",
        f"model_name: {config.name}",
        "---",
        f"# {config.name}",
        "",
        f"An encoder of microscopy crops with {described['num_parameters']:,} parameters.",
        "",
        "| | |",
        "|---|---|",
        f"| family | {config.family} |",
        f"| input | uint8, {encoder.crop_px}×{encoder.crop_px} px |",
        f"| channels | {channels} |",
        "| preprocessing | divided by 255, then each channel of each crop to mean 0, variance 1 |",
        f"| output | {described['num_features']} features: pool {config.pool}, no final norm |",
        f"| blocks | {config.num_blocks} |",
        f"| fingerprint | {described['fingerprint']} |",
    ]
    if config.trimmed_from:
        lines.append(f"| trimmed from | {config.trimmed_from} |")
    told = sorted(described["training"].items())
    lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in told if value is not None]
    example = ["", "```python", "from phenoprints import models", ""]
    example += ['encoder = models.load("<this folder>")', "encoder.features(crops_uint8)", "```"]
    return "\n".join([*lines, *example]) + "\n"
