"""`phenoprints plan PILOT --designs FILE`: what each design would find, before it is pipetted."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from phenoprints.foundations.errors import ConfigurationError, MissingInputError, StorageError
from phenoprints.foundations.publishing import published_folder
from phenoprints.planning import (
    Pilot,
    PlanSettings,
    assumed_pilot,
    cautions,
    fitted_pilot,
    plate_layout,
    predict,
    read_designs,
    recommended,
)
from phenoprints.planning.presets import PRESETS
from phenoprints.reports.page_model import Page
from phenoprints.reports.pages import render
from phenoprints.reports.plan import plan_page
from phenoprints.runs import open_run
from phenoprints.wells import ArrayEmbeddings

SHOWN = ["design", "wells", "plates", "conditions", "expected", "low", "high", "false_rate"]


def run(arguments: argparse.Namespace) -> int:
    """Predict every design, print them, and write a folder with table, page and platemaps."""
    output = Path(arguments.output)
    if output.exists():
        raise StorageError(
            f"{output}: exists already, and a plan never overwrites.\n"
            "  To fix: name another folder, or delete this one."
        )
    designs = read_designs(arguments.designs)
    pilot, settings = open_pilot(arguments)
    settings = replace(settings, p_value=arguments.p_value)
    table = predict(pilot, designs, settings)
    budgets = arguments.budget or [None]
    sentences = [recommended(table, budget, p_value=arguments.p_value) for budget in budgets]
    sentences += cautions(pilot)
    with published_folder(output) as folder:
        table.drop(columns="power").to_csv(folder / "designs.csv", index=False)
        table.to_parquet(folder / "designs.parquet")
        (folder / "pilot.json").write_text(json.dumps(_described(pilot), indent=2), "utf-8")
        for design in designs:
            plate_layout(design).to_csv(folder / f"platemap-{design.name}.csv", index=False)
        page: Page = plan_page(pilot, table, sentences)
        (folder / "plan.html").write_text(render(page, run="plan", site=[page]), "utf-8")
    print(table[SHOWN].round(3).to_string(index=False))
    print("\n".join(sentences))
    print(f"Open {output / 'plan.html'}")
    return 0


def open_pilot(arguments: argparse.Namespace) -> tuple[Pilot, PlanSettings]:
    """Return the pilot: a preset, a file of assumptions, a table of aligned vectors, or a run."""
    name, default = arguments.pilot, PlanSettings.default()
    path = Path(name)
    if name in PRESETS:
        return assumed_pilot(**PRESETS[name]), default
    if path.suffix in (".yaml", ".yml"):
        return _assumptions(path), default
    if path.suffix == ".parquet":
        return _from_table(path, default), default
    return _from_run(arguments, default)


def _assumptions(path: Path) -> Pilot:
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file. Expected assumptions, or a pilot.")
    values: Any = yaml.safe_load(path.read_text("utf-8"))
    try:
        return assumed_pilot(**(values or {}))
    except TypeError as error:
        raise ConfigurationError(
            f"{path}: {error}. Expected features, plate, position, experiment, active, effect."
        ) from error


def _from_table(path: Path, settings: PlanSettings) -> Pilot:
    """Read a table with the columns of a wells table and columns named `aligned_<n>`."""
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file. Expected a table of aligned vectors.")
    table = pd.read_parquet(path)
    features = [column for column in table if str(column).startswith("aligned_")]
    needed = ["experiment", "plate", "well", "row", "column", "role", "conditions"]
    missing = [column for column in needed if column not in table]
    if missing or not features:
        raise ConfigurationError(
            f"{path}: lacks {', '.join(missing) or 'columns named aligned_<number>'}. Expected the "
            f"columns {', '.join(needed)} and aligned vectors in aligned_0, aligned_1, …"
        )
    wells = table.sort_values(["experiment", "plate", "well"], ignore_index=True)
    vectors = wells[features].to_numpy(np.float32)
    ArrayEmbeddings(wells, vectors)  # the same checks as everywhere
    return fitted_pilot(wells, vectors, settings)


def _from_run(arguments: argparse.Namespace, settings: PlanSettings) -> tuple[Pilot, PlanSettings]:
    from phenoprints.alignment import AlignmentSettings
    from phenoprints.consistency import ConsistencySettings

    opened = open_run(arguments.pilot)
    screen, encoder = arguments.screen, arguments.encoder
    pairs = [
        pair
        for pair in opened.plan.pairs
        if screen in (None, pair[0]) and encoder in (None, pair[1])
    ]
    if len(pairs) != 1:
        known = ", ".join(f"--screen {s} --encoder {e}" for s, e in opened.plan.pairs)
        raise ConfigurationError(
            f"{arguments.pilot}: {len(pairs)} pairs of screen and encoder match. "
            f"Expected one of: {known}."
        )
    [(screen, encoder)] = pairs
    section = opened.config["screens"][screen]
    settings = replace(
        settings,
        alignment=AlignmentSettings.from_section(section["alignment"]),
        consistency=ConsistencySettings.from_section(section["consistency"], section["limits"]),
    )
    vectors = opened.aligned(screen, encoder).read_all()
    return fitted_pilot(opened.wells(screen), vectors, settings), settings


def _described(pilot: Pilot) -> dict[str, Any]:
    share, low, high = pilot.effects.active
    described = asdict(replace(pilot, well=None, effects=None))  # type: ignore[arg-type]
    described = {key: value for key, value in described.items() if value is not None}
    return {
        **described,
        "features": len(pilot.well.sd),
        "active": {"share": share, "low": low, "high": high},
        "effect_lengths": pilot.effects.lengths.tolist(),
        "effect_shares": pilot.effects.share.tolist(),
    }
