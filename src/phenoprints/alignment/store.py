"""Where a fitted alignment lies on disk: one checksummed file per experiment, and an index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from phenoprints.alignment.affine import Affine
from phenoprints.alignment.aligned import AlignedEmbeddings, Alignment
from phenoprints.alignment.corrections import ArmCorrection, Correction, PositionCorrection
from phenoprints.alignment.folds import HeldOutControls
from phenoprints.alignment.held_out import CrossFit, FoldPart
from phenoprints.alignment.positions import PositionEffects, Positions
from phenoprints.alignment.settings import AlignmentSettings
from phenoprints.alignment.shared import SharedPart
from phenoprints.foundations.errors import CorruptionError, MissingInputError
from phenoprints.foundations.publishing import published_folder
from phenoprints.wells import EmbeddingsReader

FORMAT = 2
READABLE = (1, 2)
"""Format 1, of version 0.1, has neither folds nor a shared part; its maps are read as they are."""

CURE = "Delete the folder and its .provenance.json, and run the alignment again."

Arrays = dict[str, NDArray[Any]]


def save_alignment(alignment: Alignment, folder: str | Path) -> None:
    """Publish an alignment as a folder: an index, and one file of arrays per experiment.

    The files are `index.json`, `shared.safetensors`, `0000.safetensors` and so on. They are
    numbered in the order of the experiments' names, so that no name from metadata becomes a path;
    the index holds the sha256 of each. `frozen.safetensors` is the part fitted over all batches in
    float64, `fold-0.safetensors` the same without a fold of the controls, and
    `controls-0000.safetensors` holds the held-out controls of an experiment.
    """
    names = sorted(alignment.corrections)
    shared = _shared(alignment)
    with published_folder(folder) as partial:
        digests = {"shared.safetensors": _write(partial / "shared.safetensors", shared)}
        experiments: dict[str, Any] = {}
        for number, name in enumerate(names):
            file = f"{number:04d}.safetensors"
            correction = alignment.corrections[name]
            arrays, texts = _flatten(correction, shared)
            digests[file] = _write(partial / file, arrays)
            experiments[name] = {"file": file, **texts}
        for file, arrays in _cross_fit_files(alignment, names):
            digests[file] = _write(partial / file, arrays)
        index = {
            "format": FORMAT,
            "folds": _fold_files(alignment),
            "experiments": experiments,
            "sha256": digests,
            "attributes": alignment.attributes,
        }
        text = json.dumps(index, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (partial / "index.json").write_text(text + "\n", encoding="utf-8")


def load_alignment(folder: str | Path) -> Alignment:
    """Return the alignment of a folder; each experiment's file is read, and checked, when it is
    used.
    """
    path = Path(folder)
    if not (path / "index.json").exists():
        raise MissingInputError(f"{path}: there is no alignment (index.json is not there). {CURE}")
    try:
        index = json.loads((path / "index.json").read_text(encoding="utf-8"))
        if index["format"] not in READABLE:
            raise CorruptionError(f"{path}: alignment of format {index['format']}. {CURE}")
        return _alignment(StoredArrays(path, index["sha256"]), index)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptionError(f"{path / 'index.json'}: unreadable ({error}). {CURE}") from error


def open_aligned(embeddings: EmbeddingsReader, folder: str | Path) -> AlignedEmbeddings:
    """Embeddings as `folder` aligns them: the members of any reader, maps applied on reading."""
    return load_alignment(folder).of(embeddings)


@dataclass(frozen=True)
class StoredArrays:
    """The files of arrays in a folder; each is checked against its sha256 when it is read."""

    folder: Path
    digests: Mapping[str, str]

    def read(self, file: str) -> Arrays:
        """Return the arrays of one file."""
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


class _StoredCorrections(Mapping[str, Correction]):
    """Corrections read from their files when they are asked for; nothing but the index is kept."""

    def __init__(self, stored: StoredArrays, experiments: Mapping[str, Any]) -> None:
        self.stored = stored
        self.experiments = experiments
        self.shared = stored.read("shared.safetensors")

    def __getitem__(self, experiment: str) -> Correction:
        entry = self.experiments[experiment]
        return _restore({**self.shared, **self.stored.read(entry["file"])}, entry)

    def __iter__(self) -> Iterator[str]:
        return iter(self.experiments)

    def __len__(self) -> int:
        return len(self.experiments)


class _StoredControls(Mapping[str, HeldOutControls]):
    """Held-out controls read from their files when they are asked for."""

    def __init__(self, stored: StoredArrays, names: Sequence[str]) -> None:
        self.stored = stored
        self.names = {name: number for number, name in enumerate(names)}

    def __getitem__(self, experiment: str) -> HeldOutControls:
        arrays = self.stored.read(_controls_file(self.names[experiment]))
        return HeldOutControls(arrays["rows"], arrays["fold"], arrays["vectors"])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class _StoredFolds(Sequence[FoldPart]):
    """The shared part of each fold, read when it is asked for; the last one is kept."""

    def __init__(self, stored: StoredArrays, files: Sequence[str]) -> None:
        self.stored = stored
        self.files = files
        self._last: tuple[int, FoldPart] | None = None

    def __getitem__(self, fold: Any) -> Any:
        if self._last is None or self._last[0] != fold:
            self._last = fold, FoldPart.of_arrays(self.stored.read(self.files[fold]))
        return self._last[1]

    def __len__(self) -> int:
        return len(self.files)


def _alignment(stored: StoredArrays, index: Mapping[str, Any]) -> Alignment:
    corrections = _StoredCorrections(stored, index["experiments"])
    attributes, files = index["attributes"], index.get("folds", [])
    cross_fit = shared = None
    if index["format"] > 1:
        method = AlignmentSettings(**attributes["settings"]).method_to_fit()
        if method is not None and attributes.get("reference_wells"):
            method = method.for_new_batches(attributes["reference_wells"])
        if files:
            controls = _StoredControls(stored, sorted(index["experiments"]))
            cross_fit = CrossFit(method, controls, _StoredFolds(stored, files))
        if method is not None:
            shared = SharedPart.of_arrays(stored.read("frozen.safetensors"))
    return Alignment(corrections, attributes, cross_fit, shared)


def _cross_fit_files(alignment: Alignment, names: Sequence[str]) -> Iterator[tuple[str, Arrays]]:
    if alignment.shared is not None:
        yield "frozen.safetensors", alignment.shared.arrays()
    cross_fit = alignment.cross_fit
    if cross_fit is None:
        return
    for file, part in zip(_fold_files(alignment), cross_fit.folds, strict=True):
        yield file, part.arrays()
    for number, name in enumerate(names):
        of = cross_fit.controls[name]
        yield _controls_file(number), {"rows": of.rows, "fold": of.fold, "vectors": of.vectors}


def _fold_files(alignment: Alignment) -> list[str]:
    num_folds = 0 if alignment.cross_fit is None else alignment.cross_fit.num_folds
    return [f"fold-{fold}.safetensors" for fold in range(num_folds)]


def _controls_file(number: int) -> str:
    return f"controls-{number:04d}.safetensors"


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
