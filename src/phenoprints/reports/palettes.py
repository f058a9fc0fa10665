"""Colours that hold for colour-blind readers, on light and dark grounds."""

from __future__ import annotations

from collections.abc import Sequence

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Up to six classes (Okabe & Ito 2008); shapes go with them."""

VIRIDIS = (
    "#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70",
    "#7ad151", "#bddf26", "#fde725",
)  # fmt: skip
"""Eleven stops of matplotlib's viridis (CC0)."""

BLUE_ORANGE = (
    "#08519c", "#2f79b5", "#6aaed6", "#a6cee4", "#dce9f2", "#f5f5f2", "#fbe6cf", "#fdc38d",
    "#f79646", "#de6b12", "#a63603",
)  # fmt: skip
"""Diverging, for values centred on the controls."""

VERDICT_FILLS = {"pass": "#56B4E9", "fail": "#D55E00", "not assessed": "#999999"}

PALETTES = {"viridis": VIRIDIS, "blue-orange": BLUE_ORANGE}


def ramp(stops: Sequence[str], num_colours: int) -> list[str]:
    """`num_colours` colours at equal steps along the stops, linear in sRGB."""
    if num_colours == 1:
        return [stops[len(stops) // 2]]
    return [_between(stops, at * (len(stops) - 1) / (num_colours - 1)) for at in range(num_colours)]


def _between(stops: Sequence[str], position: float) -> str:
    low = min(int(position), len(stops) - 2)
    share = position - low
    pairs = zip(_channels(stops[low]), _channels(stops[low + 1]), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


def _channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
