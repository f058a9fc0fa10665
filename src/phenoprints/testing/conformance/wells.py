"""Odd screens, and questions about their wells that every stage must answer alike.

>>> from phenoprints.testing.conformance.wells import check_agreement, odd_screens
>>> for screen in odd_screens():
...     check_agreement(screen)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from phenoprints.alignment import AlignmentSettings, fit_alignment
from phenoprints.cli.screen_summary import control_warnings, planned_summary
from phenoprints.consistency.facts import well_facts
from phenoprints.curation.encoding import encode
from phenoprints.curation.wells_with_quality import screen_parts
from phenoprints.embeddings import Geometry
from phenoprints.embeddings.replicate_similarity import replicate_similarity
from phenoprints.embeddings.selection import crop_shape
from phenoprints.foundations.errors import DataError
from phenoprints.foundations.randomness import well_ids
from phenoprints.maps.perturbations import group_wells
from phenoprints.maps.summaries import alignment_controls
from phenoprints.probes.tasks import Task, label_wells
from phenoprints.quality.replicates import REPLICATES, replicate_correlations
from phenoprints.reports.platemaps import Plate
from phenoprints.wells import (
    PLATE_FORMATS,
    ArrayEmbeddings,
    control_wells,
    describe_wells,
    edge_distance,
    failed_wells,
    single_condition,
    usable_wells,
    well_name,
)

NUM_CONDITIONS = 11
METRICS = ["mean_dna", "std_dna", "sharpness_dna"]
IMAGE = {"image_px": 1080, "crop_px": 256, "exclude_border_crops": "auto", "overlap_px": 0}


@dataclass(frozen=True)
class OddScreen:
    """A small screen that stages could read differently.

    `image` declares the size of its images and the geometry of crops.
    """

    name: str
    wells: pd.DataFrame
    conditions: pd.DataFrame
    quality: pd.DataFrame
    image: Mapping[str, Any] = field(default_factory=lambda: dict(IMAGE))


def odd_screens() -> list[OddScreen]:
    """Return screens of 12-well plates, partial and mixed plates, and wells of odd conditions."""
    return [
        _screen("12-well plates", 12),
        _screen("C03 to H12 of 384-well plates", 384, first=(3, 3), shape=(6, 10)),
        _screen("A01 to H12 of 384-well plates", 384, shape=(8, 12), image={"overlap_px": 128}),
        _screen("96-well plates, small images", 96, image={"image_px": 300}),
        _screen("24-well plates, grid of two crops", 24,
                image={"image_px": 512, "exclude_border_crops": True}),
        _screen("a condition that is listed twice", 96, lists={3: [2, 2], 4: [2, 2]}),
        _screen("several and unknown conditions", 96, lists={3: [2, 3], 4: None, 5: [3, 2, 3]}),
        _screen("one unperturbed well", 96, unperturbed=1),
        _screen("many unperturbed wells", 96, unperturbed=12),
        _screen("no negative control", 48, controls=0, unperturbed=6),
        _screen("two controls in each experiment", 24, controls=2),
    ]  # fmt: skip


def _screen(
    name: str,
    plate_format: int,
    *,
    first: tuple[int, int] = (1, 1),
    shape: tuple[int, int] | None = None,
    controls: int = 4,
    unperturbed: int = 0,
    lists: Mapping[int, list[int] | None] | None = None,
    image: Mapping[str, Any] | None = None,
) -> OddScreen:
    """Two experiments of two plates: controls on the first, then treatments of 1 to 10."""
    rows, columns = shape or PLATE_FORMATS[plate_format]
    grid = [(first[0] + at // columns, first[1] + at % columns) for at in range(rows * columns)]
    filled = _plate(controls, unperturbed, len(grid), lists or {})
    bare = _plate(0, 0, len(grid), lists or {})
    parts = [
        pd.DataFrame(grid, columns=["row", "column"], dtype=np.int16).assign(
            experiment=experiment, plate=plate, role=[role for role, _ in content],
            conditions=pd.Series([listed for _, listed in content], dtype=object),
        )
        for experiment in ("e1", "e2")
        for plate, content in (("p1", filled), ("p2", bare))
    ]  # fmt: skip
    wells = pd.concat(parts, ignore_index=True)
    wells["well"] = [well_name(r, c) for r, c in zip(wells["row"], wells["column"], strict=True)]
    wells = wells.sort_values(["experiment", "plate", "well"], ignore_index=True).assign(
        screen="odd", plate_format=np.int16(plate_format), cell_type="", background="",
        modality="cell-painting", replicate_group="",
    )  # fmt: skip
    wells["well_id"] = well_ids("odd", wells["experiment"], wells["plate"], wells["well"])
    return OddScreen(name, wells, _conditions(), _quality(wells), {**IMAGE, **(image or {})})


Content = list[tuple[str, list[int] | None]]
"""Role and conditions of the wells of a plate, row by row."""


def _plate(
    controls: int, unperturbed: int, size: int, lists: Mapping[int, list[int] | None]
) -> Content:
    fixed: Content = [("negative_control", [0]) for _ in range(controls)]
    fixed += [("unperturbed", []) for _ in range(unperturbed)]
    treated: Content = [
        ("treatment", lists.get(at, [1 + at % 10])) for at in range(size - len(fixed))
    ]
    return fixed + treated


def _quality(wells: pd.DataFrame) -> pd.DataFrame:
    """Every seventh well fails where it is a treatment; three metrics."""
    table = pd.DataFrame({"well_id": wells["well_id"], "site": np.int32(-1), "reasons": ""})
    is_failed = (wells["role"] == "treatment") & (np.arange(len(wells)) % 7 == 0)
    metrics = np.random.default_rng(0).normal(size=(len(wells), 3))
    named = pd.DataFrame(metrics, columns=METRICS)
    return table.assign(verdict=np.where(is_failed, "fail", "pass")).join(named)


def _conditions() -> pd.DataFrame:
    ids = np.arange(NUM_CONDITIONS, dtype=np.int32)
    return pd.DataFrame(
        {
            "condition_id": ids, "perturbation": [f"p{i}" for i in ids], "kind": "compound",
            "gene": None, "guide": None, "concentration_um": 1.0, "cell_type": "",
            "background": "",
        }
    )  # fmt: skip


def check_agreement(screen: OddScreen) -> None:
    """Raise AssertionError where two stages answer a question about the screen differently."""
    for question, stages in QUESTIONS.items():
        answers = {stage: ask(screen) for stage, ask in stages.items()}
        first, expected = next(iter(answers.items()))
        for stage, answer in answers.items():
            assert answer == expected, (
                f"{screen.name}: {question}: {first} answers {expected}, {stage} answers {answer}"
            )


def _vectors(screen: OddScreen) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(len(screen.wells), 3)).astype(np.float32)


def _counts(condition: np.ndarray) -> dict[int, int]:
    """Count treatments by single condition, where there are at least two."""
    found, counts = np.unique(condition[condition > 0], return_counts=True)
    return {int(c): int(n) for c, n in zip(found, counts, strict=True) if n > 1}


def _counts_of(table: pd.DataFrame) -> dict[int, int]:
    return {int(c): int(n) for c, n in zip(table["condition_id"], table["num_wells"], strict=True)}


def _by_consistency(screen: OddScreen) -> dict[int, int]:
    facts = well_facts(screen.wells, screen.conditions)
    return _counts(facts["condition_id"].where(facts["is_tested"], -1).to_numpy())


def _by_maps(screen: OddScreen) -> dict[int, int]:
    groups = group_wells(describe_wells(screen.wells, screen.conditions), "condition")
    return {c: n for c, n in _counts_of(groups.table).items() if n > 1}


def _by_embeddings(screen: OddScreen) -> dict[int, int]:
    wells = screen.wells
    role = wells["role"].to_numpy(dtype=object)
    return _counts_of(
        replicate_similarity(_vectors(screen), single_condition(wells["conditions"]), role)
    )


def _by_probes(screen: OddScreen) -> dict[int, int]:
    labels = label_wells(
        screen.wells, screen.conditions, Task(name="t", labels="perturbation")
    ).values
    return _counts(np.array([int(label[1:]) if label else -1 for label in labels]))


def _by_quality(screen: OddScreen) -> dict[int, int]:
    passing = screen.quality.assign(verdict="pass")
    table = replicate_correlations(passing, screen.wells, num_random=1)
    return _counts_of(table[table["kind"] == REPLICATES])


def _by_curation(screen: OddScreen) -> dict[int, int]:
    part = _encoded(screen)
    first = np.append(part.values, -1)[part.offsets[:-1]]
    return _counts(np.where(part.num_conditions == 1, first, -1))


def _encoded(screen: OddScreen) -> Any:
    [part] = screen_parts(
        screen.wells, np.arange(NUM_CONDITIONS, dtype=np.int32), quality=screen.quality
    )
    return encode(part, NUM_CONDITIONS)


def _shape_of_map(screen: OddScreen) -> list[int]:
    distance = []
    for _, part in screen.wells.groupby(["experiment", "plate"], sort=True):
        plate = Plate(part)
        sides = [part["row"] - 1, plate.rows - part["row"], part["column"] - 1,
                 plate.columns - part["column"]]  # fmt: skip
        distance += np.min(sides, axis=0).tolist()
    return distance


def _is_fitted(screen: OddScreen) -> bool:
    reader = ArrayEmbeddings(screen.wells, _vectors(screen))
    try:
        fit_alignment(screen.wells, reader, AlignmentSettings(method="center-scale"))
    except DataError:
        return False
    return True


def _is_warned_of(screen: OddScreen) -> bool:
    options = {"controls": "auto", "method": "tvn", "batch": "experiment", "min_controls": 4}
    return not control_warnings(screen.wells, {"alignment": options})


def _ids_of(screen: OddScreen, mask: np.ndarray) -> list[int]:
    return [int(well) for well in screen.wells.loc[mask, "well_id"]]


def _controls_of_maps(screen: OddScreen) -> list[int]:
    reader = ArrayEmbeddings(screen.wells, _vectors(screen))
    usable = np.ones(len(screen.wells), dtype=bool)
    return _ids_of(screen, alignment_controls(screen.wells, reader, usable))


def _failed_in_consistency(screen: OddScreen) -> list[int]:
    every = well_facts(screen.wells, screen.conditions)
    good = well_facts(screen.wells, screen.conditions, failed_wells(screen.quality))
    lost = every["is_tested"] & ~good["is_tested"]
    return _of_tested(screen, lost.to_numpy())


def _of_tested(screen: OddScreen, mask: np.ndarray) -> list[int]:
    tested = well_facts(screen.wells, screen.conditions)["is_tested"].to_numpy()
    return _ids_of(screen, mask & tested)


def _geometry(screen: OddScreen) -> Geometry:
    names = ("crop_px", "exclude_border_crops", "overlap_px")
    return Geometry(**{name: screen.image[name] for name in names})


def _crops_of_check(screen: OddScreen) -> int:
    planned = {"num_wells": 10, "experiments": 1, "control_fraction": 0.1, "sites": 1,
               "num_channels": 1, **screen.image}  # fmt: skip
    return planned_summary("odd", planned).size.crops


def _crops_of_embedding(screen: OddScreen) -> int:
    side = screen.image["image_px"]
    return crop_shape(1, (side, side), _geometry(screen))[1]


Ask = Callable[[OddScreen], Any]
QUESTIONS: dict[str, dict[str, Ask]] = {
    "wells by single condition": {
        "consistency": _by_consistency, "maps": _by_maps, "embeddings": _by_embeddings,
        "probes": _by_probes, "quality": _by_quality, "curation": _by_curation,
    },
    "distance from the rim": {
        "wells": lambda screen: edge_distance(screen.wells).tolist(),
        "consistency": lambda screen: well_facts(screen.wells, screen.conditions)["edge"].tolist(),
        "plate maps": _shape_of_map,
    },
    "controls of the alignment": {
        "wells": lambda screen: _ids_of(screen, control_wells(screen.wells)[0]),
        "maps": _controls_of_maps,
    },
    "enough controls to align": {"alignment": _is_fitted, "check": _is_warned_of},
    "tested wells that failed quality": {
        "wells": lambda s: _of_tested(s, ~usable_wells(s.wells, s.quality)),
        "consistency": _failed_in_consistency,
        "curation": lambda s: _of_tested(s, _encoded(s).flags["is_failing"]),
    },
    "crops of an image": {"embeddings": _crops_of_embedding, "check": _crops_of_check},
}  # fmt: skip
"""For each question about wells, how each stage answers it."""
