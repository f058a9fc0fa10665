"""Pickled weights run nothing, whatever they are called."""

from __future__ import annotations

import json
import pickle

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import (  # noqa: E402
    CorruptionError,
    PhenoprintsError,
    UnsafeInputError,
)
from phenoprints.models.folders import read_weights  # noqa: E402
from phenoprints.models.limits import judge_encoder  # noqa: E402

HUGE = 10**9
ABSURD = [
    ("vit-tiny", {"num_blocks": HUGE}), ("vit-tiny", {"num_heads": HUGE}),
    ("vit-tiny", {"width": HUGE}), ("vit-tiny", {"mlp_width": HUGE}),
    ("vit-tiny", {"patch_px": HUGE}), ("vit-tiny", {"max_channels": HUGE}),
    ("vit-tiny", {"num_blocks": 0}), ("vit-tiny", {"num_heads": -1}),
    ("vit-tiny", {"width": 96.5}), ("vit-tiny", {"width": "96"}), ("vit-tiny", {"width": None}),
    ("vit-tiny", {"width": True}), ("vit-tiny", {"num_heads": 5}), ("vit-tiny", {"width": 97}),
    ("vit-tiny", {"patch_px": 3}), ("vit-tiny", {"layer_scale": "x"}),
    ("vit-tiny", {"drop_path": float("nan")}), ("vit-tiny", {"other": 1}),
    ("cnn-tiny", {"widths": [HUGE]}), ("cnn-tiny", {"widths": [8] * 100_000}),
    ("cnn-tiny", {"widths": 3}), ("cnn-tiny", {"widths": []}), ("cnn-tiny", {"widths": ["x"]}),
    ("mu-net-tiny", {"patch_px": HUGE}), ("mu-net-tiny", {"widths": [16, HUGE, 64]}),
]  # fmt: skip
ABSURD_OUTSIDE = [
    {"crop_px": HUGE}, {"crop_px": "x"}, {"crop_px": 0}, {"num_blocks": HUGE}, {"num_blocks": 0},
    {"channels": ["a"] * 100_000}, {"channels": 3}, {"architecture": []}, {"architecture": None},
    {"family": "timm"}, {"family": ["x"]}, {"pool": "x"}, {"crop_px": 8192},
]  # fmt: skip


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


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each small encoder, by name."""
    root = tmp_path_factory.mktemp("encoders")
    for name in ("vit-tiny", "cnn-tiny", "mu-net-tiny"):
        models.save(root / name, models.build(name, channels=("a", "b")))
    return root


@pytest.mark.parametrize(
    ("name", "change"),
    [*ABSURD, *(("vit-tiny", {"": change}) for change in ABSURD_OUTSIDE)],
)
def test_numbers_that_no_encoder_has_are_refused(tmp_path, folders, name, change):
    described = json.loads((folders / name / "config.json").read_text())
    if "" in change:
        described["encoder"] |= change[""]
    else:
        described["encoder"]["architecture"] |= change
    (tmp_path / "config.json").write_text(json.dumps(described))
    (tmp_path / "model.safetensors").symlink_to(folders / name / "model.safetensors")
    with pytest.raises(PhenoprintsError) as caught:
        models.load(tmp_path)
    assert not isinstance(caught.value, UnsafeInputError)


@pytest.mark.parametrize("key", ["num_blocks", "num_heads", "width"])
def test_absurd_numbers_are_named_with_their_limits(tmp_path, folders, key):
    described = json.loads((folders / "vit-tiny/config.json").read_text())
    described["encoder"]["architecture"][key] = HUGE
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(CorruptionError, match=rf"\.{key} is 1000000000\n  Expected 1 to"):
        models.load(tmp_path)


def test_the_largest_encoders_are_within_the_limits():
    for name in ("vit-g8", "ca-vit-g8", "mu-net", "densenet161"):
        with torch.device("meta"):
            config = models.build(name).config
        judge_encoder(config.as_dict(), name)
