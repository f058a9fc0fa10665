"""What is known of a screen before it is computed on: from its tables, or from its plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from phenoprints.cli.estimates import Size
from phenoprints.configuration import screen_seed, screen_settings
from phenoprints.configuration.planning import thresholds_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from phenoprints.curation import Feasibility
    from phenoprints.screens import Screen

SHOWN = 3


@dataclass(frozen=True)
class ScreenSummary:
    """Counts of a screen; None is unknown. `screen` are its tables and `tests` the best case of
    its consistency tests, where it was read.

    `failures` say what would stop a run, `warnings` what a user should know. `controls_of_batch`
    counts the wells that the alignment of each batch is fitted on, quality aside.
    """

    name: str
    size: Size
    experiments: int
    wells: int
    plates: int | None = None
    treatments: int | None = None
    controls: int | None = None
    conditions: int | None = None
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    screen: Screen | None = None
    tests: pd.DataFrame | None = None
    controls_of_batch: Mapping[str, int] = field(default_factory=dict)

    def feasibility(self, manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> Feasibility:
        """Return how many of the screen's conditions can pass each step of a manifest."""
        from phenoprints.consistency import ConsistencySettings
        from phenoprints.curation import Rules, feasibility

        assert self.screen is not None
        return feasibility(
            self.screen.wells,
            self.screen.conditions,
            Rules.from_section(manifest),
            tests=self.tests if manifest["judges"] else None,
            settings=ConsistencySettings.from_section(settings),
        )


def planned_summary(name: str, screen: Mapping[str, Any]) -> ScreenSummary:
    """Return the facts of a screen that is known by its size."""
    wells, experiments = screen["num_wells"], screen["experiments"]
    controls = round(wells * screen["control_fraction"])
    pixels = screen["image_px"]
    size = Size(
        wells,
        experiments,
        sites=screen["sites"],
        channels=screen["num_channels"],
        height_px=pixels,
        width_px=pixels,
        crops=_num_crops(pixels, pixels, screen),
        crop_px=screen["crop_px"],
    )
    return ScreenSummary(
        name, size, experiments, wells, treatments=wells - controls, controls=controls
    )


def summary_of(name: str, config: Mapping[str, Any]) -> ScreenSummary:
    """Return the facts of a screen whose tables are read, and of its images some headers."""
    from phenoprints.screens import read

    settings = config["screens"][name]
    screen = read(screen_settings(config, name), name=name, seed=screen_seed(config, name))
    roles = screen.wells["role"].value_counts()
    treatments = int(roles.get("treatment", 0))
    thresholds = thresholds_of(config, name)
    image_failures, image_warnings = _image_findings(screen, settings)
    return ScreenSummary(
        name,
        _size(screen, settings),
        experiments=screen.wells["experiment"].nunique(),
        wells=len(screen.wells),
        plates=len(screen.wells[["experiment", "plate"]].drop_duplicates()),
        treatments=treatments,
        controls=len(screen.wells) - treatments,
        conditions=len(screen.conditions),
        warnings=[
            *control_warnings(screen.wells, settings),
            *layout_warnings(screen, settings, thresholds),
            *screen.notes["warnings"],
            *image_warnings,
        ],
        failures=[*_refused(screen, settings), *image_failures],
        screen=screen,
        tests=_best_case(screen, settings, max(thresholds)) if thresholds else None,
        controls_of_batch=controls_of_batch(screen.wells, settings)[1],
    )


def _image_findings(screen: Screen, settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return failures and warnings of a few images of each plate, and of the nuclei's channel."""
    from phenoprints.quality.measurement import find_nucleus_channel
    from phenoprints.screens.looking import unreadable_sites
    from phenoprints.screens.preparing import image_root

    if screen.sites.empty or settings["source"] == "simulated":
        return [], []
    bad = list(unreadable_sites(image_root(settings), screen))
    plates = screen.wells.loc[screen.wells["well_id"].isin(screen.sites["well_id"]), "plate"]
    texts = [
        f"plate {plate}: {num} of {looked} images looked at cannot be read. {why}"
        for plate, num, looked, why in bad
    ]
    if all(num == looked for _, num, looked, _ in bad) and len(bad) == plates.nunique():
        return [f"no image that was looked at can be read. {texts[0]}"], []
    channels = list(screen.sites["channels"].iloc[0])
    if find_nucleus_channel(channels, settings["quality"]["nucleus_channel"]) is None:
        texts.append(
            f"which channel shows nuclei is not known ({', '.join(channels)}): empty and dead "
            "wells will not be found. Set quality.nucleus_channel of the screen"
        )
    return [], texts


def _size(screen: Screen, settings: Mapping[str, Any]) -> Size:
    wells, sites = screen.wells, screen.sites
    experiments = wells["experiment"].nunique()
    if sites.empty:
        return Size(len(wells), experiments)
    first = sites.iloc[0]
    height, width = int(first["height"]), int(first["width"])
    return Size(
        len(wells),
        experiments,
        sites=len(sites) / len(wells),
        channels=len(first["channels"]),
        height_px=height,
        width_px=width,
        crops=_num_crops(height, width, settings),
        crop_px=settings["crop_px"],
    )


def _num_crops(height_px: int, width_px: int, screen: Mapping[str, Any]) -> int:
    """Return the crops of a site, as an embedding counts them."""
    from phenoprints.embeddings import Geometry

    names = ("crop_px", "exclude_border_crops", "overlap_px")
    return Geometry(*(screen[name] for name in names)).num_crops(height_px, width_px)


def _refused(screen: Screen, settings: Mapping[str, Any]) -> list[str]:
    """Return a sentence where more sites have another size than declared than a run tolerates."""
    from phenoprints.screens.declared import OTHER_SIZE

    num_other, limit = screen.notes["counts"].get(OTHER_SIZE, 0), settings["max_failed_fraction"]
    if num_other <= limit * len(screen.sites):
        return []
    return [
        f"{num_other} of {len(screen.sites)} sites would be refused for their size, more than the "
        f"share of {limit:g} that max_failed_fraction allows: packing and embedding would stop.\n"
        "    To fix: correct height_px and width_px of the screen, or leave out the plates named "
        "above."
    ]


def _best_case(screen: Screen, settings: Mapping[str, Any], threshold: float) -> pd.DataFrame:
    from phenoprints.consistency import ConsistencySettings, best_case

    return best_case(
        screen.wells,
        screen.conditions,
        ConsistencySettings.from_section(settings["consistency"], settings["limits"]),
        is_fitted=_is_fitted(screen, settings),
        folds=int(settings["alignment"]["folds"]),
        threshold=threshold,
    )


def _is_fitted(screen: Screen, settings: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the wells that the alignment will be fitted on."""
    from phenoprints.wells import control_role

    options = settings["alignment"]
    role = control_role(
        screen.wells, options["controls"], min_controls=int(options["min_controls"])
    )
    is_fitted = (screen.wells["role"] == role) & (options["method"] != "none")
    chosen: NDArray[np.bool_] = is_fitted.to_numpy(dtype=bool)
    return chosen


def layout_warnings(
    screen: Screen, settings: Mapping[str, Any], thresholds: list[float]
) -> list[str]:
    """Return what the layout keeps the tests of the screen from separating; [] without tests."""
    from phenoprints.consistency import ConsistencySettings
    from phenoprints.consistency.separation import design_warnings

    if not thresholds:
        return []
    return design_warnings(
        screen.wells,
        screen.conditions,
        ConsistencySettings.from_section(settings["consistency"], settings["limits"]),
        is_fitted=_is_fitted(screen, settings),
        folds=int(settings["alignment"]["folds"]),
        threshold=min(thresholds),
    )


def control_warnings(wells: pd.DataFrame, settings: Mapping[str, Any]) -> list[str]:
    """Return a warning where nothing is centred, or batches have too few controls to align."""
    options = settings["alignment"]
    if options["method"] == "none":
        return [
            "alignment.method is none: vectors that are not centred on controls share a common "
            "direction, in which conditions without effect look consistent"
        ]
    role, counts = controls_of_batch(wells, settings)
    few = [name for name, number in counts.items() if number < options["min_controls"]]
    if not few:
        return []
    return [
        f"{len(few)} batches have fewer than {options['min_controls']} wells of the role {role}, "
        f"which alignment needs ({first_names(few)})"
    ]


def controls_of_batch(
    wells: pd.DataFrame, settings: Mapping[str, Any]
) -> tuple[str, dict[str, int]]:
    """Return the role that an alignment is fitted on, and the number of such wells per batch."""
    from phenoprints.wells import control_role

    options = settings["alignment"]
    role = control_role(wells, options["controls"], min_controls=options["min_controls"])
    batch = ["experiment", "plate"] if options["batch"] == "plate" else ["experiment"]
    counts = (wells["role"] == role).groupby([wells[key] for key in batch]).sum()
    names = ("/".join(key) if isinstance(key, tuple) else str(key) for key in counts.index)
    return role, dict(zip(names, counts.tolist(), strict=True))


def first_names(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
