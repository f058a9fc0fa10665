"""Pickled weights run nothing, whatever they are called."""

from __future__ import annotations

import pickle

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import PhenoprintsError, UnsafeInputError  # noqa: E402
from phenoprints.models.folders import read_weights  # noqa: E402


class Attack:
    """Its pickle touches a file where it is opened."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.ckpt", "model.bin"])
def test_a_pickle_is_refused_and_nothing_runs(tmp_path, name, protocol):
    ran = tmp_path / "ran"
    (tmp_path / name).write_bytes(pickle.dumps(Attack(ran), protocol=protocol))
    with pytest.raises(PhenoprintsError):
        read_weights(tmp_path / name)
    with pytest.raises(PhenoprintsError):
        models.load(tmp_path)
    assert not ran.exists()


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_checkpoint_of_torch_is_refused_by_name(tmp_path, is_zip):
    for name in ("model.safetensors", "model.pt"):
        torch.save({"a": torch.zeros(2)}, tmp_path / name, _use_new_zipfile_serialization=is_zip)
        with pytest.raises(UnsafeInputError, match="pickled checkpoint can run any code"):
            read_weights(tmp_path / name)
