"""The numbers of an encoder's configuration, judged before a network is built by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phenoprints.foundations.errors import CorruptionError, Problem, raise_problems
from phenoprints.models.encoder import POOLS

MOST = {"width": 1 << 14, "mlp_width": 1 << 16, "num_blocks": 512, "num_heads": 512,
        "patch_px": 1024, "input_px": 8192, "max_channels": 1024}  # fmt: skip
"""Largest numbers of an architecture: the largest encoders in use, ViT-G/8 and ViT-22B, have
widths of 1,664 and 6,144, 8,192 and 24,576 in the MLP, 48 blocks, and 16 and 48 heads."""
MOST_WIDTHS, MOST_CHANNELS, MOST_CROP_PX = 64, 1024, 8192
MOST_TOKENS = 1 << 16
"""Patches of a crop: 1,024 for crops of 256 px in patches of 8."""


def judge_encoder(described: Mapping[str, Any], where: str) -> None:
    """Raise CorruptionError, with every problem, for numbers that no encoder has.

    Parameters
    ----------
    described
        The section `encoder` of config.json.
    where
        The file's path, for messages.

    Raises
    ------
    KeyError, TypeError
        A key is missing or holds another kind of value.
    """
    architecture = described["architecture"]
    problems: list[Problem] = []
    for name, most in MOST.items():
        if name in architecture:
            least = 0 if name == "max_channels" else 1
            problems += _whole(where, f"architecture.{name}", architecture[name], least, most)
    widths = architecture.get("widths", [])
    problems += _whole(where, "the number of architecture.widths", len(widths), 0, MOST_WIDTHS)
    for width in widths[:MOST_WIDTHS]:
        problems += _whole(where, "architecture.widths", width, 1, MOST["width"])
    problems += _whole(where, "num_blocks", described["num_blocks"], 1, MOST["num_blocks"])
    problems += _whole(where, "crop_px", described["crop_px"], 1, MOST_CROP_PX)
    num_channels = len(described["channels"])
    problems += _whole(where, "the number of channels", num_channels, 0, MOST_CHANNELS)
    rate = architecture.get("drop_path", 0.0)
    if not 0 <= rate < 1:
        what = f"architecture.drop_path is {rate}"
        problems.append(Problem(where, what, "0 to below 1", _FIX))
    if described["pool"] not in POOLS:
        problems.append(Problem(where, f"pool is {described['pool']!r}", ", ".join(POOLS), _FIX))
    raise_problems([*problems, *([] if problems else _together(where, described))], CorruptionError)


def _together(where: str, described: Mapping[str, Any]) -> Iterator[Problem]:
    architecture = described["architecture"]
    tokens = (described["crop_px"] // architecture.get("patch_px", described["crop_px"])) ** 2
    yield from _whole(where, "the number of patches of a crop", tokens, 1, MOST_TOKENS)
    width, heads = architecture.get("width", 0), architecture.get("num_heads", 1)
    if width % heads:
        what = f"architecture.num_heads is {heads}, which does not divide the width {width}"
        yield Problem(where, what, "a divisor", _FIX)


def _whole(where: str, name: str, value: Any, least: int, most: int) -> Iterator[Problem]:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:
        yield Problem(where, f"{name} is {str(value)[:40]}", f"{least} to {most:,}", _FIX)


_FIX = "fetch or make the folder again"
