"""Designs of a screen: read from YAML with their lines, and laid out on plates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from phenoprints.foundations.errors import ConfigurationError, PhenoprintsError, Problem
from phenoprints.simulation import PlateLayout, lay_out

KEYS = tuple(field.name for field in fields(PlateLayout))


@dataclass(frozen=True)
class Design:
    """One design: its name, its layout, and where it was read from."""

    name: str
    layout: PlateLayout
    where: str = ""

    @property
    def num_plates(self) -> int:
        """Plates of all experiments."""
        return self.layout.experiments * self.layout.plates

    @property
    def num_wells(self) -> int:
        """Wells that are filled: treatments and controls."""
        treated = self.layout.conditions * self.layout.replicates * self.layout.experiments
        return treated + self.num_plates * self.layout.controls


def read_designs(path: str | Path) -> list[Design]:
    """Read the designs of a YAML file, a list of mappings.

    Keys are those of `PlateLayout` (experiments, plates and replicates per experiment, controls
    per plate, conditions, spread, positions, control_places, plate_format) and `name`. A key with a
    list makes one design per value, and several lists all combinations.

    Raises
    ------
    ConfigurationError
        With the line of the design: an unknown key, a wrong value, or plates that hold fewer wells
        than the design needs.
    """
    try:
        root = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        items = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: no valid YAML ({error})") from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ConfigurationError(
            f"{path}: no list of designs. Expected lines such as "
            "- {name: small, experiments: 2, plates: 2, replicates: 2, conditions: 100}"
        )
    designs: list[Design] = []
    nodes = [] if root is None else root.value
    for node, item in zip(nodes, items, strict=True):
        where = f"{path}:{node.start_mark.line + 1}"
        designs += expand(item, where, first=len(designs) + 1)
    if not designs:
        raise ConfigurationError(f"{path}: no design. Expected at least one.")
    return designs


def expand(item: Mapping[str, Any], where: str = "designs", *, first: int = 1) -> list[Design]:
    """Return the designs of one mapping: one for each combination of listed values."""
    unknown = sorted(set(item) - {*KEYS, "name"})
    if unknown:
        expected = f"one of name, {', '.join(KEYS)}"
        raise ConfigurationError(str(Problem(where, f'unknown key "{unknown[0]}"', expected)))
    listed = {key: value for key, value in item.items() if isinstance(value, list)}
    made = []
    for number, values in enumerate(product(*listed.values())):
        own = {**item, **dict(zip(listed, values, strict=True))}
        name = str(own.pop("name", f"design-{first + number}"))
        suffix = "".join(f"-{key}-{value}" for key, value in zip(listed, values, strict=True))
        made.append(_checked(Design(name + suffix, _layout(own, where), where)))
    return made


def _layout(item: Mapping[str, Any], where: str) -> PlateLayout:
    try:
        return PlateLayout(**item)
    except (PhenoprintsError, TypeError) as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _checked(design: Design) -> Design:
    """Lay the design out once, so that one that does not fit is named before any simulation."""
    try:
        lay_out(design.layout)
    except PhenoprintsError as error:
        raise ConfigurationError(f"{design.where}: {design.name}: {error}") from error
    return design


def plate_layout(design: Design, *, seed: int = 0) -> pd.DataFrame:
    """Return the platemap of a design: a row per filled well.

    Columns experiment, plate, well, condition (a number, empty for controls) and control_type
    (`negcon` or empty), as platemaps of the field have them. Replicates of a condition are on
    different plates where there are enough, and positions are drawn anew for every plate where
    the design moves them.
    """
    wells, _ = lay_out(design.layout, seed)
    condition = [str(each[0] + 1) if each else "" for each in wells["conditions"]]
    return pd.DataFrame(
        {
            "experiment": wells["experiment"],
            "plate": wells["plate"],
            "well": wells["well"],
            "condition": condition,
            "control_type": ["" if each else "negcon" for each in condition],
        }
    )


def balance_of_positions(platemap: pd.DataFrame) -> dict[str, float]:
    """Return |correlation| over all wells between being a control and row, column and edge.

    Each value is near 0 where controls are spread like treatments. The edge is the first and last
    filled row and column.
    """
    row = platemap["well"].str[0].map(ord) - 64
    column = platemap["well"].str[1:].astype(int)
    edge = (row.isin([row.min(), row.max()]) | column.isin([column.min(), column.max()])).astype(
        float
    )
    is_control = (platemap["control_type"] != "").astype(float)
    return {
        name: float(abs(pd.Series(values).corr(is_control)))
        for name, values in {"row": row, "column": column, "edge": edge}.items()
    }


def designs_of(items: Sequence[Mapping[str, Any]] | str | Path) -> list[Design]:
    """Return designs from a file or from mappings in memory."""
    if isinstance(items, str | Path):
        return read_designs(items)
    return list(_expanded(items))


def _expanded(items: Sequence[Mapping[str, Any]]) -> Iterator[Design]:
    for number, item in enumerate(items):
        yield from expand(item, f"design {number + 1}", first=number + 1)
