"""The maps of a run as a folder for the browser: search, neighbours, images, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from phenoprints import __version__
from phenoprints.foundations.errors import MissingInputError
from phenoprints.runs import Run
from phenoprints.sharing.atlas_files import write_index, write_view
from phenoprints.sharing.atlas_tiles import Tiles
from phenoprints.sharing.atlas_view import View, views

PAGE = ("index.html", "atlas.css", "canvas.js", "atlas.js")


def maps_of(run: Run, screen: str | None, encoder: str | None) -> list[tuple[str, str]]:
    """Return the screens and encoders whose maps a run has, of those that are asked for.

    Raises
    ------
    MissingInputError
        There is none.
    """
    planned = [
        (s, e) for s, e in run.plan.evaluated_pairs if (screen or s) == s and (encoder or e) == e
    ]
    made = [(s, e) for s, e in planned if run.path("map", screen=s, encoder=e).exists()]
    if not made:
        asked = " and ".join(f'"{name}"' for name in (screen, encoder) if name)
        listed = ", ".join(f"{s} as {e}" for s, e in run.plan.evaluated_pairs) or "none"
        raise MissingInputError(
            f"{run.folder}: there is no map{f' of {asked}' if asked else ''}. Maps that the "
            f"configuration asks for: {listed}.\n  To fix: run snakemake map, or name the screens "
            "and encoders under evaluation."
        )
    return made


def write_atlas(
    run: Run, pairs: Sequence[tuple[str, str]], folder: Path, *, num_images: int
) -> dict[str, int]:
    """Fill an empty folder with an atlas of some maps; return what was counted.

    `index.html` opens from disk. Pictures are made for the `num_images` perturbations of a view
    that are most consistent; wells whose images are absent are listed in `absent_images.csv`.
    """
    (folder / "tiles").mkdir()
    lines: list[dict[str, Any]] = []
    absent = pd.DataFrame()
    tiles = {screen: Tiles(run, screen, folder) for screen in dict.fromkeys(s for s, _ in pairs)}
    for screen, encoder in pairs:
        for view in views(run, screen, encoder):
            pictures = _pictures(view, tiles[screen], num_images)
            lines.append(write_view(folder, len(lines), view, pictures))
    lost = [row for each in tiles.values() for row in each.absent]
    if lost:
        absent = pd.DataFrame(lost).drop_duplicates(["screen", "well_id"])
        absent.to_csv(folder / "absent_images.csv", index=False)
    index = {"run": str(run.config["run"]), "version": __version__, "views": lines,
             "absent": len(absent)}  # fmt: skip
    write_index(folder, index)
    write_page(folder)
    return {
        "views": len(lines), "perturbations": sum(line["count"] for line in lines),
        "wells with absent images": len(absent),
    }  # fmt: skip


def write_page(folder: Path) -> None:
    """Copy the page, its style and its scripts, which are the same for every atlas."""
    source = resources.files("phenoprints.sharing") / "page"
    for name in PAGE:
        (folder / name).write_bytes((source / name).read_bytes())


def _pictures(view: View, tiles: Tiles, most: int) -> dict[int, Any]:
    if not tiles.has_images():
        view.notes.append("The screen has no images.")
        return {}
    tests = view.tests.astype({"p_value": float})
    smallest = tests.groupby("entry")["p_value"].min().reindex(range(len(view.names)))
    order = np.argsort(smallest.to_numpy(float), kind="stable")[:most]
    if most < len(view.names):
        view.notes.append(f"Images are shown for the {most:,} most consistent perturbations.")
    by_entry = dict(iter(view.wells.groupby("entry")))
    found = {int(e): tiles.of_entry(by_entry[e]) for e in sorted(order) if e in by_entry}
    return {entry: pictures for entry, pictures in found.items() if pictures}
