"""JUMP Cell Painting (cpg0016): the tables of its datasets repository, and load_data files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.errors import (
    MissingInputError,
    Problem,
    TableError,
    raise_problems,
)
from phenoprints.foundations.table_files import LINE, read_names
from phenoprints.screens.imaged import named_channels, with_sites, with_sizes
from phenoprints.screens.images.locators import FilesLocator
from phenoprints.screens.listing import Listing, Notes
from phenoprints.screens.problems import FILE, whole_numbers
from phenoprints.screens.tables import find_files
from phenoprints.wells.plates import infer_formats, parse_wells

SOURCE, PLATE, WELL, JCP = (
    "Metadata_Source", "Metadata_Plate", "Metadata_Well", "Metadata_JCP2022",
)  # fmt: skip
BATCH, PLATE_TYPE = "Metadata_Batch", "Metadata_PlateType"
UNKNOWN = "JCP2022_UNKNOWN"
ROLES = {"negcon": "negative_control", "poscon": "positive_control", "empty": "unperturbed"}
CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
CELL_TYPE = "U2OS"


@dataclass(frozen=True)
class JumpFiles:
    """What of JUMP is read, and where it lies.

    Attributes
    ----------
    root
        Folder that the other paths start from.
    metadata
        Folder of `well`, `plate`, `compound`, `crispr`, `orf` and `perturbation_control`
        (`.csv` or `.csv.gz`). The last four may be absent, with a warning.
    load_data
        Glob of load_data files, in the form FileName_ and PathName_ or in the form URL_.
    images
        Folder below `root`, or `image_root`, that stands for the bucket.
    image_root
        Folder or address of the images, by default `root`.
    experiment
        `batch`, or `source`.
    sources, plate_types
        Only these; all when empty.
    illumination
        Divide images by their illumination function where the load_data file lists one.
    channel_names
        The channels wanted, in order; DNA, ER, RNA, AGP, Mito when empty.
    """

    root: str
    metadata: str = "metadata"
    load_data: str | None = None
    images: str = "."
    image_root: str | None = None
    experiment: str = "batch"
    sources: Sequence[str] = ()
    plate_types: Sequence[str] = ()
    illumination: bool = True
    channel_names: Sequence[str] = ()


SETTINGS = tuple(field.name for field in fields(JumpFiles))


def read_listing(**settings: Any) -> Listing:
    """Return the wells of JUMP's tables with the images that load_data files list.

    `settings` are the fields of `JumpFiles`. Wells of plates that the plate table lacks are left
    out and counted.
    """
    files, notes = JumpFiles(**settings), Notes()
    folder = Path(files.root) / files.metadata
    wells, left_out, inputs = _wells(folder, files.sources, files.plate_types, notes)
    facts, fact_files = _perturbation_facts(folder, notes)
    listing = _listing(wells, facts, files.experiment, str(inputs[0]), notes)
    listing = replace(listing, left_out=left_out, inputs=tuple(map(str, [*inputs, *fact_files])))
    return listing if files.load_data is None else _with_images(listing, files, files.load_data)


def _with_images(listing: Listing, files: JumpFiles, load_data: str) -> Listing:
    """Return the listing with the sites of the load_data files."""
    paths = find_files(files.root, load_data)
    wanted = list(files.channel_names) or list(CHANNELS)
    tables = [
        load_data_sites(
            path, files.images, wanted, illumination=files.illumination, notes=listing.notes
        ).assign(**{FILE: str(path)})
        for path in paths
    ]
    rows = pd.concat(tables, ignore_index=True).astype({FILE: "category"})
    root = files.image_root or files.root
    listing = with_sites(listing, with_sizes(root, rows, listing.notes))
    return replace(listing, inputs=(*listing.inputs, *map(str, paths)))


def _table(folder: Path, name: str) -> Path | None:
    """Return the table of that name: `<name>.csv`, `<name>.csv.gz`, or the newest dated one."""
    exact = [folder / f"{name}.csv", folder / f"{name}.csv.gz", folder / f"{name}.parquet"]
    dated = sorted(folder.glob(f"{name}_[0-9]*.csv*"), reverse=True)
    return next((path for path in [*exact, *dated] if path.is_file()), None)


def _required(folder: Path, name: str) -> Path:
    path = _table(folder, name)
    if path is None:
        raise MissingInputError(
            f"{folder / name}.csv.gz: the table is not there.\n"
            "  To fix: copy the folder metadata of github.com/jump-cellpainting/datasets there."
        )
    return path


def _wells(
    folder: Path, sources: Sequence[str], plate_types: Sequence[str], notes: Notes
) -> tuple[pd.DataFrame, pd.DataFrame, list[Path]]:
    """Return wells with their batch and plate type, those without a plate row, and the files."""
    well_file, plate_file = _required(folder, "well"), _required(folder, "plate")
    wells = read_names(well_file, columns=[SOURCE, PLATE, WELL, JCP])
    plates = read_names(plate_file, columns=[SOURCE, BATCH, PLATE, PLATE_TYPE]).drop(columns=LINE)
    twice = plates[plates.duplicated([SOURCE, PLATE], keep=False)]
    raise_problems(
        Problem(str(plate_file), f"plate {plate} of {source} stands in {len(rows)} rows", "one row")
        for (source, plate), rows in twice.groupby([SOURCE, PLATE], sort=True)
    )
    if sources:
        wells = wells[wells[SOURCE].isin(sources)]
    wells = wells.merge(plates, on=[SOURCE, PLATE], how="left")
    is_missing = wells[BATCH].isna()
    lost = wells[is_missing]
    left_out = pd.DataFrame(
        {"experiment": "", "plate": lost[PLATE], "well": lost[WELL], "reason": "plate_missing"}
    )
    if len(lost):
        names = sorted(lost[PLATE].unique())
        notes.count("plates_missing", len(names))
        notes.warn(
            f"{len(lost)} wells of {len(names)} plates are left out, since {plate_file.name} has "
            f"no row for {', '.join(names[:5])}{' …' if len(names) > 5 else ''}."
        )
    wells = wells[~is_missing]
    if plate_types:
        wells = wells[wells[PLATE_TYPE].isin(plate_types)]
    return wells.reset_index(drop=True), left_out, [well_file, plate_file]


def _perturbation_facts(folder: Path, notes: Notes) -> tuple[pd.DataFrame, list[Path]]:
    """Tabulate each JCP2022 id: kind, gene, role, name and structure."""
    facts, files = [], []
    columns = {
        "compound": ([JCP], ["Metadata_InChIKey", "Metadata_SMILES"]),
        "crispr": ([JCP, "Metadata_Symbol"], []),
        "orf": ([JCP, "Metadata_Symbol"], []),
    }
    for name, (needed, optional) in columns.items():
        path = _table(folder, name)
        if path is None:
            notes.warn(f"{folder}: the table {name} is not there; what it says stays empty.")
            continue
        table = read_names(path, columns=needed, optional=optional).drop(columns=LINE)
        facts.append(table.assign(kind=name))
        files.append(path)
    known = pd.concat(facts, ignore_index=True) if facts else pd.DataFrame({JCP: [], "kind": []})
    known = known.drop_duplicates(JCP)
    controls = _table(folder, "perturbation_control")
    if controls is None:
        notes.warn(f"{folder}: perturbation_control is not there: every well is a treatment.")
        return known, files
    roles = read_names(controls, columns=[JCP, "Metadata_pert_type"],
                       optional=["Metadata_Name", "Metadata_modality"])  # fmt: skip
    raise_problems(
        Problem(str(controls), f'Metadata_pert_type "{word}"', f"one of {', '.join(ROLES)}")
        for word in sorted(set(roles["Metadata_pert_type"].dropna()) - set(ROLES))
    )
    return known.merge(roles.drop(columns=LINE), on=JCP, how="outer"), [*files, controls]


def _listing(
    table: pd.DataFrame, facts: pd.DataFrame, experiment: str, origin: str, notes: Notes
) -> Listing:
    codes, ids = pd.factorize(table[JCP])
    by_id = facts.set_index(JCP).reindex(ids)
    kind = by_id["kind"] if "kind" in by_id else pd.Series(None, index=ids, dtype=object)
    if "Metadata_modality" in by_id:
        kind = kind.fillna(by_id["Metadata_modality"].where(by_id["Metadata_modality"] != "any"))
    kind = kind.fillna("compound")
    control = by_id.get("Metadata_pert_type", pd.Series(None, index=ids, dtype=object))
    roles = control.map(ROLES).fillna("treatment").to_numpy()
    is_genetic = kind.isin(["crispr", "orf"]) & (control != "negcon")
    symbol = by_id.get("Metadata_Symbol", pd.Series(None, index=ids, dtype=object))
    per_id = {
        "perturbation": np.array([None if i == UNKNOWN else i for i in ids], dtype=object),
        "kind": kind.to_numpy(),
        "gene": symbol.where(is_genetic & symbol.notna(), None).to_numpy(),
    }
    for name, column in (("name", "Metadata_Name"), ("inchikey", "Metadata_InChIKey"),
                         ("smiles", "Metadata_SMILES")):  # fmt: skip
        if column in by_id:
            per_id[name] = by_id[column].where(by_id[column].notna(), None).to_numpy()
    if num_unknown := int((table[JCP] == UNKNOWN).sum()):
        notes.count("wells_of_unknown_compound", num_unknown)
    wells = pd.DataFrame(
        {
            "experiment": table[SOURCE if experiment == "source" else BATCH],
            "plate": table[PLATE],
            "well": table[WELL],
            "role": roles[codes],
            "plate_format": _plate_formats(table),
            "cell_type": CELL_TYPE,
            LINE: table[LINE],
        }
    )
    perturbations = pd.DataFrame(
        {"well_row": np.arange(len(table)), **{k: values[codes] for k, values in per_id.items()}}
    ).assign(guide=None, concentration_um=np.nan)
    return Listing(wells, perturbations, origin, notes=notes)


def _plate_formats(table: pd.DataFrame) -> NDArray[np.int16]:
    """Return 384 or 1536 by well: JUMP's sources used plates of these two formats."""
    plates = table.groupby([SOURCE, PLATE], sort=False).ngroup()
    found = infer_formats(parse_wells(table[WELL], 1536), np.asarray(plates, dtype=np.int64))
    return np.where(found > 384, 1536, 384).astype(np.int16)


def load_data_sites(
    path: Path, images: str, channels: Sequence[str], *, illumination: bool, notes: Notes
) -> pd.DataFrame:
    """One row per field of view of a load_data file: plate, well, site, locator, channels.

    Both forms are read: `FileName_OrigDNA` and `PathName_OrigDNA` (with or without a slash at
    the end), or `URL_OrigDNA`; addresses in a bucket become paths below `images`. Rows that lack
    the address of a channel are left out and counted in `notes`.
    """
    table = read_names(path)
    found = [str(c).rpartition("Orig")[2] for c in table.columns if _is_address(str(c))]
    names = named_channels(list(dict.fromkeys(found)), {}, channels, str(path))
    needed = [PLATE, WELL, "Metadata_Site"]
    raise_problems(
        Problem(str(path), f'column "{name}" is missing', "a load_data file of JUMP")
        for name in needed
        if name not in table
    )
    position = parse_wells(table[WELL], 1536)
    originals = [_addresses(table, "Orig", name, images, path) for name in names]
    corrections = [_addresses(table, "Illum", name, images, path) for name in names]
    has_all = illumination and all(column is not None for column in corrections)
    functions = zip(*corrections, strict=True) if has_all else ([()] * len(table))  # type: ignore[arg-type]
    locators = [
        str(FilesLocator(tuple(files), tuple(function))) if all(files) else ""
        for files, function in zip(zip(*originals, strict=True), functions, strict=True)  # type: ignore[arg-type]
    ]
    sites = pd.DataFrame(
        {
            "plate": table[PLATE],
            "well": position.name,
            "site": whole_numbers(table, "Metadata_Site", str(path)),
            "locator": locators,
            "channels": pd.Series([list(names)] * len(table), dtype=object),
        }
    )
    is_whole = sites["locator"] != ""
    if num_lacking := int((~is_whole).sum()):
        lines = ", ".join(map(str, table.loc[~is_whole, LINE].iloc[:5]))
        notes.count("sites_incomplete", num_lacking)
        notes.warn(
            f"{path}: {num_lacking} sites lack the address of a channel and are left out "
            f"(line {lines})."
        )
    return sites[is_whole].reset_index(drop=True)


def _is_address(column: str) -> bool:
    return column.startswith(("FileName_Orig", "URL_Orig"))


def _addresses(
    table: pd.DataFrame, what: str, channel: str, images: str, path: Path
) -> list[str] | None:
    """Return the path of each row's file below the root; None when the table lists
    no such files.
    """
    url, file, folder = (f"{kind}_{what}{channel}" for kind in ("URL", "FileName", "PathName"))
    if url in table:
        texts = table[url]
    elif file in table and folder in table:
        texts = table[folder].str.rstrip("/") + "/" + table[file]
    else:
        return None
    if what == "Illum" and texts.isna().any():
        line = table.loc[texts.isna(), LINE].iloc[0]
        raise TableError(f"{path}, line {line}: the address of {what}{channel} is missing.")
    return ["" if pd.isna(text) else local_path(text, images) for text in texts]


def local_path(address: str, images: str) -> str:
    """Where a file lies below the root: the bucket (or host) is replaced by the folder `images`.

    >>> local_path("s3://cellpainting-gallery/cpg0016-jump/source_4/images/a b.tiff", "gallery")
    'gallery/cpg0016-jump/source_4/images/a b.tiff'
    """
    if "://" not in address:
        return address if images == "." else f"{images}/{address.lstrip('/')}"
    scheme, _, rest = address.partition("://")
    key = rest.partition("/")[2]
    if scheme in ("http", "https"):
        key = unquote(urlsplit(address).path.lstrip("/"))
    return key if images == "." else f"{images}/{key}"
