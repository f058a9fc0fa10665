"""Where a fitted alignment lies on disk: one checksummed file per experiment, and an index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from phenoprints.alignment.affine import Affine
from phenoprints.alignment.corrections import (
    AlignedEmbeddings,
    Alignment,
    ArmCorrection,
    Correction,
    PositionCorrection,
)
from phenoprints.alignment.positions import PositionEffects, Positions
from phenoprints.foundations.errors import CorruptionError, MissingInputError
from phenoprints.foundations.publishing import published_folder
from phenoprints.wells import EmbeddingsReader

FORMAT = 1
CURE = "Delete the folder and its .provenance.json, and run the alignment again."

Arrays = dict[str, NDArray[Any]]


def save_alignment(alignment: Alignment, folder: str | Path) -> None:
    """Publish an alignment as a folder: an index, and one file of arrays per experiment.

    The files are `index.json`, `shared.safetensors`, `0000.safetensors` and so on. They are
    numbered in the order of the experiments' names, so that no name from metadata becomes a path;
    the index holds the sha256 of each.
    """
    names = sorted(alignment.corrections)
    shared = _shared(alignment)
    with published_folder(folder) as partial:
        digests = {"shared.safetensors": _write(partial / "shared.safetensors", shared)}
        experiments = {}
        for number, name in enumerate(names):
            file = f"{number:04d}.safetensors"
            correction = alignment.corrections[name]
            arrays, texts = _flatten(correction, shared)
            digests[file] = _write(partial / file, arrays)
            experiments[name] = {"file": file, **texts}
        index = {
            "format": FORMAT,
            "experiments": experiments,
            "sha256": digests,
            "attributes": alignment.attributes,
        }
        text = json.dumps(index, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (partial / "index.json").write_text(text + "\n", encoding="utf-8")


def load_alignment(folder: str | Path) -> Alignment:
    """The alignment of a folder; each experiment's file is read, and checked, when it is used."""
    path = Path(folder)
    if not (path / "index.json").exists():
        raise MissingInputError(f"{path}: there is no alignment (index.json is not there). {CURE}")
    try:
        index = json.loads((path / "index.json").read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise CorruptionError(f"{path}: alignment of format {index['format']}. {CURE}")
        return Alignment(_StoredCorrections(path, index), index["attributes"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptionError(f"{path / 'index.json'}: unreadable ({error}). {CURE}") from error


def open_aligned(embeddings: EmbeddingsReader, folder: str | Path) -> AlignedEmbeddings:
    """Embeddings as `folder` aligns them: the members of any reader, maps applied on reading."""
    return load_alignment(folder).of(embeddings)


class _StoredCorrections(Mapping[str, Correction]):
    """Corrections read from their files when they are asked for; nothing but the index is kept."""

    def __init__(self, folder: Path, index: Mapping[str, Any]) -> None:
        self.folder = folder
        self.index: dict[str, Any] = index["experiments"]
        self.digests: dict[str, str] = index["sha256"]
        self.shared = self._read("shared.safetensors")

    def __getitem__(self, experiment: str) -> Correction:
        entry = self.index[experiment]
        return _restore({**self.shared, **self._read(entry["file"])}, entry)

    def __iter__(self) -> Iterator[str]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)

    def _read(self, file: str) -> Arrays:
        path = self.folder / file
        if not path.is_file():
            raise CorruptionError(f"{path}: missing. {CURE}")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.digests[file]:
            raise CorruptionError(f"{path}: its bytes are not those that were written. {CURE}")
        try:
            arrays: Arrays = load(content)
        except SafetensorError as error:
            raise CorruptionError(f"{path}: unreadable ({error}). {CURE}") from error
        return arrays


def _write(path: Path, arrays: Arrays) -> str:
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _shared(alignment: Alignment) -> Arrays:
    """Arrays that every batch uses: PCA's matrix where there is one, the arms' offsets."""
    arrays: Arrays = {}
    for correction in alignment.corrections.values():
        for affine in correction.affines:
            if affine is not None:
                arrays["centre"] = affine.centre
                if affine.scale is not None and affine.matrix is not None:
                    arrays["matrix"] = affine.matrix
        if correction.arm is not None:
            arrays["arm_offsets"] = correction.arm.offsets
    return arrays


def _flatten(correction: Correction, shared: Arrays) -> tuple[Arrays, dict[str, Any]]:
    arrays: Arrays = {}
    texts: dict[str, Any] = {"num_batches": len(correction.affines)}
    for batch, affine in enumerate(correction.affines):
        if affine is not None:
            parts = {"matrix": affine.matrix, "scale": affine.scale, "offset": affine.offset}
            arrays |= {
                f"{batch}.{name}": array
                for name, array in parts.items()
                if array is not None and array is not shared.get(name)
            }
    if correction.batch_of_well is not None:
        arrays["batch_of_well"] = correction.batch_of_well
    if correction.position is not None:
        at, effects = correction.position.at, correction.position.effects
        texts["plates"] = effects.plates.tolist()
        arrays["plate_of_well"] = np.searchsorted(effects.plates, at.plate).astype(np.int32)
        arrays["row_of_well"] = at.row.astype(np.int16)
        arrays["column_of_well"] = at.column.astype(np.int16)
        arrays["plate_effects"] = effects.plate
        arrays["row_effects"] = effects.row
        arrays["column_effects"] = effects.column
    if correction.arm is not None:
        arrays["arm_of_well"] = correction.arm.codes
    return arrays, texts


def _restore(arrays: Arrays, entry: Mapping[str, Any]) -> Correction:
    position = arm = None
    if "plate_of_well" in arrays:
        plates = np.asarray(entry["plates"], dtype=str)
        at = Positions(
            plates[arrays["plate_of_well"]], arrays["row_of_well"], arrays["column_of_well"]
        )
        effects = PositionEffects(
            plates, arrays["plate_effects"], arrays["row_effects"], arrays["column_effects"]
        )
        position = PositionCorrection(at, effects)
    if "arm_of_well" in arrays:
        arm = ArmCorrection(arrays["arm_of_well"], arrays["arm_offsets"])
    affines = tuple(_restore_affine(arrays, batch) for batch in range(entry["num_batches"]))
    return Correction(affines, arrays.get("batch_of_well"), position, arm)


def _restore_affine(arrays: Arrays, batch: int) -> Affine | None:
    if f"{batch}.offset" not in arrays:
        return None
    return Affine(
        arrays["centre"],
        arrays.get(f"{batch}.matrix", arrays.get("matrix")),
        arrays.get(f"{batch}.scale"),
        arrays[f"{batch}.offset"],
    )
