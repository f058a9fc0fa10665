"""A frozen reference: everything of a finished map that a new experiment is compared with."""

# N wells · M controls · D features · K components · G perturbations

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import load, save

from phenoprints import __version__
from phenoprints.alignment import Alignment, AlignmentSettings, ChromosomeArmCorrection
from phenoprints.alignment.affine import Floats
from phenoprints.alignment.batches import Batches, ControlVectors
from phenoprints.alignment.corrections import ArmCorrection, Correction
from phenoprints.alignment.shared import SharedPart
from phenoprints.foundations.errors import CorruptionError, DataError, MissingInputError
from phenoprints.foundations.fingerprints import own_sha256
from phenoprints.foundations.publishing import published_folder
from phenoprints.maps import MapSettings, PerturbationMap
from phenoprints.maps.building import Vectors, find_origin
from phenoprints.matches.control_fit import chosen_controls, left_out_batches
from phenoprints.wells import EmbeddingsReader, control_wells, describe_wells

FORMAT = 1
INDEX, ARRAYS, MAP, LEFT_OUT, ARMS, CARD = (
    "reference.json", "arrays.safetensors", "map.parquet", "left_out.parquet", "arms.parquet",
    "README.md",
)  # fmt: skip
CURE = "Fetch or freeze the reference again (phenoprints freeze)."
DESCRIBED = ("encoder_fingerprint", "features", "channels", "geometry", "block", "pooling")
"""Attributes of embeddings that those of a new experiment must share."""

FORBIDDEN = ("-ND", "NONE", "NOASSERTION", "ALL-RIGHTS-RESERVED", "ALL RIGHTS RESERVED")
"""What a licence that forbids to pass on a derived work contains."""


@dataclass(frozen=True)
class Reference:
    """What is stored of a map. Nothing in it changes when an experiment is matched.

    Attributes
    ----------
    about
        `name`, `license`, `encoder` (attributes of the embeddings), `screen` (counts and words) and
        `alignment`.
    alignment
        The part that all batches share, without any batch; the offsets of chromosome arms.
    origin : (K,)
        The mean of the aligned controls, which is taken off every well.
    map
        Perturbations and their vectors; `x` and `y` of the table are places in two dimensions.
    controls : (M, D)
        Some controls of every batch as the encoder gives them, at most 1,000.
    left_out
        Each batch's controls under the shared part that is fitted without it (control_fit).
    well_ids : (N,) uint64, sorted
        All wells of the screen.
    arms
        The chromosome arm of each gene; empty where arms are not corrected.
    """

    about: Mapping[str, Any]
    alignment: Alignment
    origin: NDArray[np.float64]
    map: PerturbationMap
    controls: NDArray[np.float32]
    left_out: pd.DataFrame
    well_ids: NDArray[np.uint64]
    arms: Mapping[str, str] = field(default_factory=dict)

    @property
    def shared(self) -> SharedPart:
        """The shared part; without one, features are compared as they are."""
        nothing = np.zeros(self.controls.shape[1])
        return self.alignment.shared or SharedPart(nothing, nothing + 1)

    def places(self) -> pd.DataFrame:
        """Return level, name, kind, cell_type, x and y of every perturbation that has a place."""
        table = self.map.table[["level", "name", "kind", "cell_type", "x", "y"]]
        return table[table["x"].notna()].reset_index(drop=True)

    def arm_correction(self) -> ChromosomeArmCorrection | None:
        """Return the arms of genes, None where arms are not corrected."""
        return ChromosomeArmCorrection(dict(self.arms)) if self.arms else None


def freeze_reference(
    wells: pd.DataFrame,
    conditions: pd.DataFrame,
    reader: EmbeddingsReader,
    alignment: Alignment,
    built: PerturbationMap,
    *,
    about: Mapping[str, Any],
    layout: pd.DataFrame | None = None,
    arms: Mapping[str, str] | None = None,
    is_usable: NDArray[np.bool_] | None = None,
) -> Reference:
    """Return the reference of a screen's map.

    Parameters
    ----------
    wells, conditions, reader, alignment, built, is_usable
        The screen, its embeddings before alignment, and what was made of them.
    about
        `name`, `license`, and `is_precomputed` where the embeddings are profiles.
    layout
        The map's table of places (`phenoprints.maps.map_tables`).
    arms
        The arm of every gene, needed where the alignment corrects chromosome arms.

    Raises
    ------
    DataError
        The licence is missing or forbids to pass on derived works, arms are needed, or the
        alignment was stored by version 0.1, without a shared part.
    """
    check_license(str(about.get("license") or ""))
    settings = AlignmentSettings(**alignment.attributes["settings"])
    method = settings.method_to_fit(is_precomputed=bool(about.get("is_precomputed")))
    if method is not None and alignment.shared is None:
        raise DataError(
            "the alignment has no part that all batches share; version 0.1 did not store "
            "it.\n  To fix: delete the alignment and its .provenance.json, and run it again."
        )
    if alignment.attributes.get("arms") and not arms:
        raise DataError("the alignment corrects chromosome arms. Expected the arm of genes.")
    usable = np.ones(len(wells), dtype=bool) if is_usable is None else is_usable
    is_control, role = control_wells(wells, alignment.attributes["controls"], usable)
    batches = Batches(wells, reader, settings.batch)
    vectors = ControlVectors(batches, is_control)
    skipped = alignment.attributes["skipped"]
    controls = {name: _finite(vectors.vectors(name)) for name in vectors if name not in skipped}
    described = describe_wells(wells, conditions)
    origin, _ = find_origin(
        wells, described, Vectors(wells, alignment.of(reader)),
        MapSettings.stored(built.attributes["settings"]), usable,
    )  # fmt: skip
    arm = next((of.arm for of in alignment.corrections.values() if of.arm is not None), None)
    return Reference(
        about={
            **about,
            "encoder": {k: reader.attributes[k] for k in DESCRIBED if k in reader.attributes},
            "screen": _counts(wells, built, is_control),
            "controls": role,
        },
        alignment=_without_batches(alignment, arm),
        origin=origin,
        map=_placed(built, layout),
        controls=np.concatenate(list(chosen_controls(controls).values())).astype(np.float32),
        left_out=left_out_batches(controls, method),
        well_ids=np.sort(wells["well_id"].to_numpy(np.uint64)),
        arms=dict(arms or {}) if alignment.attributes.get("arms") else {},
    )


def check_license(license_name: str) -> None:
    """Refuse a licence that is missing or forbids to pass on what was derived.

    Raises
    ------
    DataError
        With the way to state one.
    """
    if not license_name.strip():
        raise DataError(
            "no licence is stated for the screen, so nobody may use what is derived from "
            "it.\n  To fix: name the licence of the screen's data with --license, such as "
            "CC-BY-4.0."
        )
    if any(word in license_name.upper() for word in FORBIDDEN):
        raise DataError(
            f"the licence {license_name} does not permit to pass on derived works, and a "
            "reference is one.\n  To fix: ask the owner of the data for another licence."
        )


def _finite(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x[np.isfinite(x).all(axis=1)]


def _counts(
    wells: pd.DataFrame, built: PerturbationMap, is_control: NDArray[np.bool_]
) -> dict[str, Any]:
    return {
        "name": str(wells["screen"].iloc[0]),
        "num_wells": len(wells),
        "num_controls": int(is_control.sum()),
        "num_experiments": int(wells["experiment"].nunique()),
        "cell_types": sorted(set(built.table["cell_type"])),
        "levels": built.table["level"].value_counts().to_dict(),
    }


def _without_batches(alignment: Alignment, arm: ArmCorrection | None) -> Alignment:
    """Return the alignment without batches; one correction keeps the offsets of arms."""
    corrections = {} if arm is None else {"": _arms_only(arm.offsets)}
    names = ("settings", "num_features", "num_components", "controls", "arm_basis", "arms")
    attributes = {
        name: alignment.attributes[name] for name in names if name in alignment.attributes
    }
    return Alignment(corrections, attributes, None, alignment.shared)


def _arms_only(offsets: Floats) -> Correction:
    return Correction((None,), arm=ArmCorrection(np.empty(0, np.int16), offsets))


def _placed(built: PerturbationMap, layout: pd.DataFrame | None) -> PerturbationMap:
    """Return the map with the places of its rows; NaN where there is no layout."""
    keys = ["level", "name", "kind", "cell_type", "background"]
    table = built.table.drop(columns=["x", "y"], errors="ignore")
    if layout is None:
        return PerturbationMap(table.assign(x=np.nan, y=np.nan), built.vectors, built.attributes)
    table = table.merge(layout.drop_duplicates(keys)[[*keys, "x", "y"]], how="left", on=keys)
    return PerturbationMap(table, built.vectors, built.attributes)


def save_reference(reference: Reference, folder: str | Path) -> None:
    """Publish a reference as a folder that is complete in itself.

    The files are `reference.json` (what it is, with the sha256 of all others),
    `arrays.safetensors`, `map.parquet`, `left_out.parquet`, `arms.parquet` where arms are
    corrected, and the card `README.md`.

    Raises
    ------
    DataError
        The folder exists: a published reference never changes.
    """
    if Path(folder).exists():
        raise DataError(
            f"{folder}: exists, and a published reference never changes.\n"
            "  To fix: choose another folder, or remove this one."
        )
    with published_folder(folder) as partial:
        (partial / ARRAYS).write_bytes(save(_arrays(reference)))
        table = pa.Table.from_pandas(reference.map.table, preserve_index=False)
        flat = pa.array(reference.map.vectors.ravel(), pa.float32())
        column = pa.FixedSizeListArray.from_arrays(flat, reference.map.vectors.shape[1])
        _write(table.append_column("vector", column), partial / MAP)
        _write(pa.Table.from_pandas(reference.left_out, preserve_index=False), partial / LEFT_OUT)
        if reference.arms:
            genes, arms = zip(*sorted(reference.arms.items()), strict=True)
            _write(pa.table({"gene": genes, "arm": arms}), partial / ARMS)
        (partial / CARD).write_text(card(reference), encoding="utf-8")
        files = sorted(path.name for path in partial.iterdir())
        index = {
            "format": FORMAT,
            "version": __version__,
            "about": dict(reference.about),
            "alignment": reference.alignment.attributes,
            "map": reference.map.attributes,
            "sha256": {name: _digest((partial / name).read_bytes()) for name in files},
        }
        text = json.dumps({**index, "own_sha256": own_sha256(index)}, indent=1, sort_keys=True)
        (partial / INDEX).write_text(text + "\n", encoding="utf-8")


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table.replace_schema_metadata(None), path, compression="zstd")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _arrays(reference: Reference) -> dict[str, NDArray[Any]]:
    shared = reference.alignment.shared
    arrays: dict[str, NDArray[Any]] = {
        "origin": reference.origin,
        "controls": reference.controls,
        "well_ids": reference.well_ids,
    }
    if shared is not None:
        arrays |= {f"shared.{name}": array for name, array in shared.arrays().items()}
    for correction in reference.alignment.corrections.values():
        if correction.arm is not None:
            arrays["arm_offsets"] = correction.arm.offsets
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def open_reference(folder: str | Path) -> Reference:
    """Return the reference of a folder, every file compared with its sha256.

    Raises
    ------
    MissingInputError
        The folder holds no reference.
    CorruptionError
        A file is damaged or missing, or a newer version of Phenoprints wrote the reference.
    """
    place = Path(folder)
    index = _index(place)
    contents = {name: _checked(place / name, digest) for name, digest in index["sha256"].items()}
    arrays = load(contents[ARRAYS])
    shared = {n.removeprefix("shared."): a for n, a in arrays.items() if n.startswith("shared.")}
    content = pq.read_table(pa.BufferReader(contents[MAP]))
    width = content["vector"].type.list_size
    vectors = content["vector"].combine_chunks().flatten().to_numpy().reshape(-1, width)
    has_arms = "arm_offsets" in arrays
    corrections = {"": _arms_only(arrays["arm_offsets"])} if has_arms else {}
    part = SharedPart.of_arrays(shared) if shared else None
    arms = pq.read_table(pa.BufferReader(contents[ARMS])).to_pandas() if ARMS in contents else None
    return Reference(
        about=index["about"],
        alignment=Alignment(corrections, index["alignment"], None, part),
        origin=arrays["origin"],
        map=PerturbationMap(content.drop_columns("vector").to_pandas(), vectors, index["map"]),
        controls=arrays["controls"],
        left_out=pq.read_table(pa.BufferReader(contents[LEFT_OUT])).to_pandas(),
        well_ids=arrays["well_ids"],
        arms={} if arms is None else dict(zip(arms["gene"], arms["arm"], strict=True)),
    )


def _index(place: Path) -> dict[str, Any]:
    path = place / INDEX
    if not path.is_file():
        raise MissingInputError(
            f"{path}: missing, so {place} is no reference.\n"
            "  To fix: correct the path, or make one with phenoprints freeze."
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format"] > FORMAT:
            raise CorruptionError(
                f"{path}: format {index['format']}, written by version {index['version']}.\n"
                f"  Expected at most {FORMAT}, which version {__version__} reads.\n"
                "  To fix: update Phenoprints."
            )
        own = index.pop("own_sha256")
        is_whole = own == own_sha256(index) and isinstance(index["sha256"], dict)
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CorruptionError(f"{path}: unreadable ({error}). {CURE}") from error
    if not is_whole:
        raise CorruptionError(f"{path}: its content is not what was written (own sha256). {CURE}")
    result: dict[str, Any] = index
    return result


def _checked(path: Path, digest: str) -> bytes:
    if not path.is_file():
        raise CorruptionError(f"{path}: missing. {CURE}")
    content = path.read_bytes()
    if _digest(content) != digest:
        raise CorruptionError(
            f"{path}: sha256 {_digest(content)[:12]}, expected {digest[:12]}: its bytes are not "
            f"those that were written. {CURE}"
        )
    return content


def card(reference: Reference) -> str:
    """Return the card of a reference as Markdown: what it is, and what it can be used for."""
    about, screen = reference.about, reference.about["screen"]
    settings = reference.alignment.attributes["settings"]
    encoder = about["encoder"]
    levels = ", ".join(f"{number:,} of level {name}" for name, number in screen["levels"].items())
    facts = {
        "Licence": about["license"],
        "Wells": f"{screen['num_wells']:,} in {screen['num_experiments']:,} experiments",
        "Controls": f"{screen['num_controls']:,} wells of the role {about['controls']}",
        "Cell types": ", ".join(filter(None, screen["cell_types"])) or "not stated",
        "Perturbations": levels,
        "Alignment": f"{settings['method']}, {reference.alignment.num_components} components",
        "Features": str(reference.alignment.attributes["num_features"]),
        "Channels": ", ".join(encoder.get("channels", [])) or "not stated",
        "Encoder": str(encoder.get("encoder_fingerprint", "not stated"))[:16],
        "Batches that the limits of fit come from": str(len(reference.left_out)),
        "Made by": f"Phenoprints {__version__}",
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return (
        f"# {about['name']}\n\nA frozen map of perturbations, to be matched with new experiments "
        "of the same encoder and channels that have controls of their own.\n\n"
        f"| | |\n|---|---|\n{rows}\n\n"
        f"```python\nimport phenoprints as pp\n\n"
        "matches = pp.match(folder, wells, vectors, conditions)\n```\n\n"
        "Placing an experiment changes nothing in this folder. It holds no image and no vector of "
        "a treated well; the sha256 of every file is in reference.json.\n"
    )
