"""Which batches have fewer controls than an alignment with so many components needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from phenoprints.cli.estimates import network_of
from phenoprints.cli.profile_check import ProfileCheck
from phenoprints.cli.screen_summary import ScreenSummary, first_names
from phenoprints.configuration import base_encoder, plan

PER_COMPONENT = 2
"""Controls per component below which a batch is named: its covariance is then mostly noise."""

WITH_COMPONENTS = ("tvn", "pca-center-scale")


def component_warnings(
    config: Mapping[str, Any], facts: Mapping[str, ScreenSummary], profiles: Iterable[ProfileCheck]
) -> Iterator[str]:
    """Yield a sentence for every screen and number of components that its controls are few for.

    An alignment has at most as many components as features, or as `max_components`. Encoders
    whose number of features is not known are left out.
    """
    by_number: dict[tuple[str, int], list[str]] = {}
    known = {(of.encoder, of.screen): of.num_features for of in profiles}
    for screen, encoder in plan(config).pairs:
        features = known.get((encoder, screen)) or _features(config, encoder)
        options = config["screens"][screen]["alignment"]
        if features and screen in facts and options["method"] in WITH_COMPONENTS:
            most = min(features, options["max_components"] or features)
            by_number.setdefault((screen, most), []).append(encoder)
    for (screen, most), encoders in by_number.items():
        yield from _warning(facts[screen], most, encoders)


def _warning(of: ScreenSummary, most: int, encoders: list[str]) -> Iterator[str]:
    counts = of.controls_of_batch
    few = [name for name, number in counts.items() if number < PER_COMPONENT * most]
    if few:
        named = first_names([f"{name}: {counts[name]}" for name in few])
        yield (
            f"{of.name}: {len(few)} of {len(counts)} batches have fewer than {PER_COMPONENT} "
            f"controls per component, of which {', '.join(encoders)} can have {most} ({named}).\n"
            "    Vectors of their own controls are then shorter than those of other wells; only "
            "cross-fitted ones compare.\n"
            "    To improve: more controls, alignment.max_components, or shrinkage: oas."
        )


def _features(config: Mapping[str, Any], name: str) -> int:
    """Return the features of an encoder, 0 where they are known only from its vectors."""
    encoder = config["encoders"][base_encoder(name)]
    if encoder["kind"] == "random":
        return int(encoder["num_features"])
    return 0 if encoder["kind"] == "precomputed" else network_of(encoder).features
