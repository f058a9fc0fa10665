"""First weights of transformers, and the untrained network as a baseline that could win."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.training.untrained import make_encoder  # noqa: E402


def test_xavier_weights_are_uniform_within_their_bound_and_biases_zero() -> None:
    encoder = models.build("vit-tiny", channels=3, weight_init="mae", seed=1)
    for module in encoder.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            flat = module.weight.detach().reshape(len(module.weight), -1)
            bound = math.sqrt(6 / sum(flat.shape))
            assert flat.abs().max() <= bound
            assert flat.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
            assert module.bias is None or not module.bias.any()
    assert encoder.backbone.cls_token.detach().std() == pytest.approx(0.02, rel=0.3)


def test_other_weights_follow_the_choice_and_positions_do_not() -> None:
    plain, mae = (models.build("vit-tiny", weight_init=kind, seed=1) for kind in ("timm", "mae"))
    assert torch.equal(plain.backbone.pos_embed, mae.backbone.pos_embed)
    assert not torch.equal(
        plain.backbone.blocks[0].in_proj.weight, mae.backbone.blocks[0].in_proj.weight
    )


@pytest.mark.parametrize("name", ["vit-tiny", "vit-s16", "ca-vit-tiny"])
def test_the_untrained_network_changes_features_in_every_block(name: str) -> None:
    """More than 5 % from each block to the next; at layer scale 1e-4 it is a constant network."""
    encoder = make_encoder({"kind": "untrained", "architecture": name}, channel_sets=[("a", "b")])
    side = encoder.crop_px
    stream = torch.Generator().manual_seed(0)
    crops = torch.randint(0, 255, (2, 2, side, side), generator=stream, dtype=torch.uint8)
    blocks = encoder.features(crops, "all")
    change = (blocks[:, 1:] - blocks[:, :-1]).norm(dim=-1) / blocks[:, :-1].norm(dim=-1)
    assert change.min() > 0.05


def test_the_untrained_network_is_the_trained_one_before_its_first_step() -> None:
    settings = {"kind": "untrained", "architecture": "vit-tiny", "patch_px": 8}
    encoder = make_encoder(settings, channel_sets=[("a",)], seed=5)
    twin = models.build(
        "vit-tiny", channels=["a"], patch_px=8, layer_scale=1.0, weight_init="mae", seed=5
    )
    assert encoder.fingerprint() == twin.fingerprint()
