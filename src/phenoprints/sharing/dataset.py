"""A manifest as a folder that others load unchanged: Parquet, card, Croissant and checksums."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from phenoprints import __version__
from phenoprints.foundations.errors import DataError, PhenoprintsError
from phenoprints.foundations.fingerprints import file_sha256
from phenoprints.foundations.names import file_name
from phenoprints.runs import Run
from phenoprints.sharing.cards import dataset_card
from phenoprints.sharing.croissant import croissant

TABLES = {
    "wells": "a well that the manifest keeps; `conditions` are ids of the table `conditions`",
    "sites": "an image of a kept well: where it is, its size and its channels in order",
    "conditions": "a condition with its p-values by judge, and whether it has a phenoprint",
    "genes": "a gene with its p-values by judge, and whether it has a phenoprint",
    "left_out": "a well that the manifest leaves out, with the step and the reason",
}


CHOSEN = {
    True: "the wells of conditions whose replicates look more alike than chance",
    False: "all wells with good images and enough replicates",
}


@dataclass(frozen=True)
class DatasetFacts:
    """What a run does not know about its data: name, licence, who made it, when, how to cite."""

    name: str
    licence: str
    creator: str
    date: str
    cite: str
    url: str


def write_dataset(
    run: Run, manifest: str, folder: Path, facts: DatasetFacts, *, has_images: bool = False
) -> dict[str, int]:
    """Fill an empty folder with a manifest, and return what was counted.

    `data/<table>.parquet` (see TABLES), `funnel.json`, `README.md`, `croissant.json` and
    `checksums.sha256` of all other files. With `has_images` every image is copied as
    `images/<screen>/<well_id>-<site>.tif` (channels, height, width; uint8) and the sites name it
    in a column `image`; wells with an image that cannot be read are listed in
    `absent_images.csv`, and the column is null there. Otherwise the sites keep their locators.
    """
    data = folder / "data"
    data.mkdir()
    source = run.path("manifest", manifest=manifest).parent
    kept = {"wells": source / "manifest", "sites": source / "manifest"}
    num_wells = _join(kept["wells"], "part-*.parquet", data / "wells.parquet")
    num_sites = _join(kept["sites"], "sites-*.parquet", data / "sites.parquet")
    for name, file in {"conditions": "phenoprints", "genes": "genes"}.items():
        shutil.copyfile(source / f"{file}.parquet", data / f"{name}.parquet")
    _join(source / "reasons", "*.parquet", data / "left_out.parquet")
    shutil.copyfile(source / "funnel.json", folder / "funnel.json")
    absent = _copy_images(run, folder) if has_images and num_sites else 0
    tables = {name: text for name, text in TABLES.items() if (data / f"{name}.parquet").exists()}
    images = _about_images(num_sites, absent, has_images=has_images)
    about = _about(run, manifest, facts, num_wells)
    card = dataset_card(
        {**about, "num_wells": num_wells}, tables, run.funnel(manifest),
        run.config["manifests"][manifest], _confounders(run, manifest), images,
    )  # fmt: skip
    (folder / "README.md").write_text(card, encoding="utf-8")
    _write_json(folder / "croissant.json", croissant(folder, about, tables))
    _write_checksums(folder)
    return {"wells": num_wells, "sites": num_sites, "wells with absent images": absent}


def _join(folder: Path, pattern: str, target: Path) -> int:
    """Write the parts of a table as one file, a part in memory at a time; return its rows."""
    paths = sorted(folder.glob(pattern))
    if not paths:
        return 0
    schema = _plain(pq.read_schema(paths[0]))
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for path in paths:
            writer.write_table(pq.read_table(path).cast(schema))
    return int(pq.read_metadata(target).num_rows)


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return the schema with texts in place of dictionaries, which not every reader knows."""
    return pa.schema(
        [
            pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type)
            for f in schema
        ]
    )


def _copy_images(run: Run, folder: Path) -> int:
    """Copy the images of all kept wells; return of how many wells one is absent."""
    sites = pq.read_table(folder / "data/sites.parquet").to_pandas()
    wells = pq.read_table(
        folder / "data/wells.parquet", columns=["well_id", "screen", "experiment", "plate", "well"]
    ).to_pandas()
    sites = sites.merge(wells, on="well_id", how="left", validate="many_to_one")
    reasons = [_copy_image(run, folder, site) for site in sites.itertuples()]
    sites["image"] = [_image_path(site) for site in sites.itertuples()]
    sites.loc[np.array(reasons) != "", "image"] = None
    columns = [*pq.read_schema(folder / "data/sites.parquet").names, "image"]
    table = pa.Table.from_pandas(sites[columns], preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), folder / "data/sites.parquet")
    lost = sites.assign(reason=reasons).loc[lambda s: s["reason"] != ""]
    if len(lost):
        shown = ["well_id", "screen", "experiment", "plate", "well", "site", "locator", "reason"]
        lost[shown].to_csv(folder / "absent_images.csv", index=False)
    return int(lost["well_id"].nunique())


def _image_path(site: Any) -> str:
    return f"images/{file_name(site.screen, 'screen')}/{site.well_id}-{site.site}.tif"


def _copy_image(run: Run, folder: Path, site: Any) -> str:
    """Copy one image; return why it cannot be, "" where it was."""
    import tifffile

    target = folder / _image_path(site)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        pixels = _read(run, site)
    except (PhenoprintsError, OSError) as error:
        return " ".join(str(error).split())[:300]
    tifffile.imwrite(target, pixels, compression="zlib", metadata={"axes": "CYX"})
    return ""


def _read(run: Run, site: Any) -> NDArray[np.uint8]:
    from phenoprints.screens.images import open_images

    images = open_images(run.path("screen_images", screen=site.screen))
    pixels: NDArray[np.uint8] = images.read(
        site.locator, list(site.channels), experiment=site.experiment,
        shape=(site.height, site.width),
    )  # fmt: skip
    return pixels


def _about_images(num_sites: int, absent: int, *, has_images: bool) -> str:
    if not num_sites:
        return "The screens have no images."
    if not has_images:
        return "Images are not in the folder; `sites.locator` says where the screen keeps each."
    text = "`sites.image` is the file of each image: channels × height × width, uint8."
    if absent:
        text += f" Wells with an absent image, listed in `absent_images.csv`: {absent:,}."
    return text


def _about(run: Run, manifest: str, facts: DatasetFacts, num_wells: int) -> dict[str, Any]:
    rules = run.config["manifests"][manifest]
    screens = ", ".join(rules["screens"])
    return {
        "name": facts.name,
        "description": f"{num_wells:,} wells of Cell Painting screens ({screens}), curated by "
        f"Phenoprints (manifest {manifest}): {CHOSEN[bool(rules['judges'])]}.",
        "license": facts.licence,
        "creator": {"@type": "sc:Organization", "name": facts.creator},
        "datePublished": facts.date,
        "citeAs": facts.cite,
        "url": facts.url,
        "version": __version__,
        "keywords": ["microscopy", "Cell Painting", "phenoprints", manifest],
    }


def _confounders(run: Run, manifest: str) -> Iterator[str]:
    table = run.phenoprints(manifest)
    kept = table[table["has_phenoprint"].fillna(False).astype(bool)]
    rules = run.config["manifests"][manifest]
    for flag in ("single_position", "single_plate"):
        ids = _flagged(run, rules, flag)
        if ids is not None:
            what = flag.removeprefix("single_")
            yield (
                f"{ids:,} conditions were tested on wells of one {what} only, so that an effect "
                f"of the {what} would look like a phenoprint."
            )
    for flag in ("cell_count_only", "position_only"):
        if flag in kept:
            yield f"{int(kept[flag].sum()):,} phenoprints are flagged `{flag}`."
    yield "Wells that share a plate share its staining and focus; see `plate` and `experiment`."


def _flagged(run: Run, rules: Mapping[str, Any], flag: str) -> int | None:
    """Return how many conditions are flagged in an experiment by a judge; None without judges."""
    found: set[tuple[str, int]] = set()
    pairs = [(screen, judge) for screen in rules["screens"] for judge in rules["judges"]]
    for screen, judge in pairs:
        path = run.path("consistency", screen=screen, encoder=judge)
        if path.exists() and flag in pq.read_schema(path).names:
            rows = pd.read_parquet(path)
            chosen = rows[rows[flag].fillna(False).astype(bool) & (rows["level"] == "condition")]
            found |= {(screen, int(each)) for each in chosen["condition_id"]}
    return len(found) if pairs else None


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _write_checksums(folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if not paths:
        raise DataError(f"{folder}: there is nothing to share.")
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}" for path in paths]
    (folder / "checksums.sha256").write_text("\n".join(lines) + "\n", encoding="utf-8")
