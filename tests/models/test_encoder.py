"""Encoders: exact sizes, features in one pass, trimming, bad crops."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import ConfigurationError, DataError  # noqa: E402


def crops(num: int = 3, channels: int = 6, side: int = 32) -> torch.Tensor:
    values = np.random.default_rng(7).integers(0, 256, (num, channels, side, side), dtype=np.uint8)
    return torch.from_numpy(values)


@pytest.mark.parametrize(
    ("name", "num_parameters"),
    [
        ("vit-s16", 21_968_256),
        ("ca-vit-s16", 22_459_776),
        ("vit-l8", 303_664_128),
        ("vit-g8", 1_843_414_656),
    ],
)
def test_parameters_are_exactly_the_papers_architecture(name: str, num_parameters: int) -> None:
    with torch.device("meta"):
        encoder = models.build(name)
    assert sum(p.numel() for p in encoder.parameters()) == num_parameters


def test_all_blocks_in_one_pass_equal_trimmed_encoders() -> None:
    encoder = models.build("vit-tiny", seed=3)
    all_blocks = encoder.features(crops(), "all")
    assert all_blocks.shape == (3, 4, encoder.num_features)
    torch.testing.assert_close(encoder.features(crops()), all_blocks[:, -1])
    for block in (1, 2, 3):
        trimmed = encoder.trimmed(block)
        assert trimmed.num_blocks == block
        torch.testing.assert_close(trimmed.features(crops()), all_blocks[:, block - 1])
        assert sum(p.numel() for p in trimmed.parameters()) < sum(
            p.numel() for p in encoder.parameters()
        )


def test_trimming_outside_of_the_blocks_is_refused() -> None:
    with pytest.raises(DataError, match="blocks 1 to 4"):
        models.build("vit-tiny").trimmed(5)
    with pytest.raises(DataError, match="blocks 1 to 1"):
        models.build("cnn-tiny").trimmed(2)


@pytest.mark.parametrize("name", ["vit-tiny", "ca-vit-tiny", "cnn-tiny"])
def test_features_do_not_depend_on_gain_or_batch(name: str) -> None:
    encoder = models.build(name)
    images = crops() // 2
    one_by_one = torch.cat([encoder.features(image[None]) for image in images])
    torch.testing.assert_close(encoder.features(images), one_by_one, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        encoder.features(images), encoder.features(images * 2), rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(encoder.features(images), encoder.features(images.float()))


def test_standardised_channels_have_mean_0_and_variance_1() -> None:
    images = crops()
    images[0, 0] = 17
    expected = torch.nn.InstanceNorm2d(6, affine=False)(images.float() / 255)
    got = models.self_standardize(images)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(got[0, 0], torch.zeros(32, 32))


def test_pools() -> None:
    encoder = models.build("vit-tiny", seed=1)
    *_, tokens = encoder.block_outputs(encoder.prepared(crops()))
    torch.testing.assert_close(encoder.features(crops(), pool="class"), tokens[:, 0])
    torch.testing.assert_close(encoder.features(crops(), pool="mean"), tokens[:, 1:].mean(1))
    with pytest.raises(DataError, match="channel-agnostic"):
        encoder.features(crops(), pool="channel")


def test_channel_agnostic_takes_any_number_and_order_of_channels() -> None:
    encoder = models.build("ca-vit-tiny")
    images = crops(channels=5)
    order = [3, 1, 4, 0, 2]
    mean = encoder.features(images)
    torch.testing.assert_close(encoder.features(images[:, order]), mean, rtol=1e-4, atol=1e-5)
    per_channel = encoder.features(images, pool="channel").reshape(3, 5, -1)
    shuffled = encoder.features(images[:, order], pool="channel").reshape(3, 5, -1)
    torch.testing.assert_close(shuffled, per_channel[:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(per_channel.mean(1), mean, rtol=1e-4, atol=1e-5)
    assert encoder.features(crops(channels=11)).shape == (3, 96)
    with pytest.raises(DataError, match="at most 11"):
        encoder.features(crops(channels=12))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (crops(channels=5), r"expected 6 channels \(channel-1, .*got 5"),
        (crops(side=40), "expected crops of 32×32 px, got 40×40"),
        (crops()[0], r"expected crops \(B, C, H, W\)"),
    ],
)
def test_crops_of_another_shape_are_refused(images: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        models.build("vit-tiny").features(images)


def test_seed_decides_the_weights_and_nothing_else_does() -> None:
    torch.manual_seed(1)
    first = models.build("vit-tiny", seed=5)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    second = models.build("vit-tiny", seed=5)
    assert torch.equal(state, torch.random.get_rng_state())
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() != models.build("vit-tiny", seed=6).fingerprint()


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(ConfigurationError, match=r"Did you mean.*vit-l8"):
        models.build("vit-l9")
    with pytest.raises(ConfigurationError, match="patch_px"):
        models.build("densenet161", patch_px=4)


def test_fixed_positions_are_not_learned() -> None:
    encoder = models.build("vit-tiny")
    names = [n for n, p in encoder.named_parameters() if not p.requires_grad]
    assert names == ["backbone.pos_embed"]
    assert not encoder.trimmed(2).backbone.pos_embed.requires_grad


def test_activation_checkpoints_change_no_gradient() -> None:
    gradients = []
    for checkpoints in (False, True):
        encoder = models.build("vit-tiny")
        encoder.checkpoints_activations = checkpoints
        encoder(crops()).square().sum().backward()
        gradients.append(encoder.backbone.blocks[0].in_proj.weight.grad)
    torch.testing.assert_close(*gradients)


def test_stochastic_depth_keeps_the_mean_and_does_nothing_in_evaluation() -> None:
    from phenoprints.models.vit import StochasticDepth

    torch.manual_seed(0)
    layer, tokens = StochasticDepth(0.25), torch.ones(4000, 2, 3)
    out = layer(tokens)
    assert sorted(set(out.flatten().tolist())) == [0.0, pytest.approx(4 / 3)]
    assert (out == out[:, :1, :1]).all(), "a crop is kept or left out whole"
    assert float((out[:, 0, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert layer.eval()(tokens) is tokens
    encoder = models.build("vit-tiny", drop_path=0.3)
    kept = [float(block.drop_path.kept) for block in encoder.backbone.blocks]
    assert kept == pytest.approx([1.0, 0.9, 0.8, 0.7])


def packed(encoder: models.Encoder) -> models.Encoder:
    from types import MethodType

    from phenoprints.models.vit import packed_forward

    for block in encoder.backbone.blocks:
        block.forward = MethodType(packed_forward, block)
    return encoder


@pytest.mark.parametrize("rate", [0.5, 0.999999])
def test_packed_stochastic_depth_equals_that_of_all_crops(rate: float) -> None:
    """Features and gradients with the same draws; a block that no crop keeps has gradients too."""
    results = []
    for pack in (lambda encoder: encoder, packed):
        encoder = pack(models.build("vit-tiny", drop_path=rate, layer_scale=0.5).train())
        torch.manual_seed(3)
        features = encoder(crops().repeat(3, 1, 1, 1))
        features.square().mean().backward()
        gradients = [p.grad for p in encoder.parameters() if p.requires_grad]
        assert all(g is not None for g in gradients[:-2])  # the last norm is not used
        results.append([features, *gradients[:-2]])
    for whole, few in zip(*results, strict=True):
        torch.testing.assert_close(few, whole, rtol=1e-4, atol=1e-6)
    encoder = packed(models.build("vit-tiny", drop_path=rate))
    assert torch.equal(encoder(crops()), models.build("vit-tiny")(crops()))


def test_packed_stochastic_depth_computes_kept_crops_only() -> None:
    encoder = packed(models.build("vit-tiny", drop_path=0.5).train())
    seen = []
    for block in encoder.backbone.blocks:
        block.in_proj.register_forward_hook(lambda m, args, out: seen.append(len(args[0])))
    torch.manual_seed(0)
    encoder(crops().repeat(100, 1, 1, 1)[:200])
    assert seen[0] == 200  # the first block is never left out
    assert seen[-1] / 200 == pytest.approx(0.5, abs=0.1)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, while compiling
def test_packed_blocks_compile_to_few_graphs() -> None:
    """Sizes that differ from block to block become one graph of any size."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    encoder = packed(models.build("vit-t16", crop_px=32, drop_path=0.5).train())
    for block in encoder.backbone.blocks:
        block.compile(backend="eager")
    for _ in range(3):
        encoder(crops().repeat(16, 1, 1, 1))
    assert counters["stats"]["unique_graphs"] <= 3
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's, while compiling
def test_blocks_compile_to_one_graph_whatever_their_drop_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than eight graphs of one function, and torch runs the rest of the blocks uncompiled."""
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    counters.clear()
    encoder = models.build("vit-tiny", drop_path=0.3).train()
    for block in encoder.backbone.blocks:
        block.compile(backend="eager", fullgraph=True)
    encoder(crops()).sum().backward()
    assert counters["stats"]["unique_graphs"] == 1
    torch.compiler.reset()


def test_densenet161_is_built_for_the_screens_channels() -> None:
    with torch.device("meta"):
        encoder = models.build("densenet161", channels=["dna", "er"])
    assert encoder.num_features == 2208
    assert encoder.channels == ("dna", "er")
    # Without its classifier of 2,209,000 and with a first convolution of 2 instead of 3 channels.
    num_parameters = sum(p.numel() for p in encoder.parameters())
    assert num_parameters == 28_681_000 - 2_209_000 - 96 * 49


def test_adapted_batch_norm_has_the_statistics_of_the_crops() -> None:
    from phenoprints.models.cnn import adapt_batch_norm, has_batch_norm

    encoder = models.build("cnn-tiny")
    images = crops(8)
    before = encoder.features(images)
    adapted = adapt_batch_norm(encoder, [images])
    first = adapted.layers[1]
    maps = adapted.layers[0](models.self_standardize(images)).detach()
    torch.testing.assert_close(first.running_mean, maps.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(first.running_var, maps.var(dim=(0, 2, 3)))
    assert torch.equal(encoder.features(images), before), "the encoder itself stays"
    assert not torch.allclose(adapted.features(images), before, atol=1e-3)
    one_by_one = torch.cat([adapted.features(image[None]) for image in images])
    torch.testing.assert_close(adapted.features(images), one_by_one, rtol=1e-4, atol=1e-5)
    twice = adapt_batch_norm(encoder, [images, images])
    torch.testing.assert_close(twice.features(images), adapted.features(images))
    assert has_batch_norm(encoder)
    with pytest.raises(ConfigurationError, match="vit-tiny has no batch norm to adapt"):
        adapt_batch_norm(models.build("vit-tiny"), [images])
