"""Networks of others: RGB weights on any channels, OpenPhenom by its published names."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import ConfigurationError, DataError  # noqa: E402
from phenoprints.models.pretrained import openphenom_from  # noqa: E402

SMALL = "vit_tiny_patch16_224"
DINO = "vit_small_patch14_reg4_dinov2"


def crops(channels: int, side: int = 64) -> torch.Tensor:
    stream = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, channels, side, side), dtype=torch.uint8, generator=stream)


@pytest.mark.parametrize("name", sorted(models.BASELINES))
def test_the_baselines_of_table_4_exist_in_timm(name: str) -> None:
    import timm

    assert name in timm.list_models(pretrained=True)


def test_equal_channels_look_like_a_gray_picture() -> None:
    torch.manual_seed(0)
    encoder = models.timm_encoder(SMALL, crop_px=64)
    gray = crops(1)
    expected = encoder.features(gray.expand(-1, 3, -1, -1))
    for channels in (1, 6):
        repeated = encoder.features(gray.expand(-1, channels, -1, -1))
        torch.testing.assert_close(repeated, expected, rtol=1e-3, atol=1e-3)


def test_three_channels_give_timms_own_tokens() -> None:
    torch.manual_seed(0)
    encoder = models.timm_encoder(SMALL, crop_px=64)
    pixels = encoder.prepared(crops(3))
    expected = encoder.backbone.forward_intermediates(
        pixels, norm=False, output_fmt="NLC", return_prefix_tokens=True, intermediates_only=True
    )
    for tokens, (patches, prefix) in zip(encoder.block_outputs(pixels), expected, strict=True):
        torch.testing.assert_close(tokens, torch.cat([prefix[:, :1], patches], dim=1))


def test_registers_are_left_out_and_crops_fitted_to_the_patch() -> None:
    encoder = models.timm_encoder(DINO, crop_px=64)
    assert encoder.input_px == 56
    *_, last = encoder.block_outputs(encoder.prepared(crops(5)))
    assert last.shape == (2, 1 + 16, 384)
    torch.testing.assert_close(encoder.features(crops(5)), last[:, 0])
    assert encoder.trimmed(4).features(crops(5)).shape == (2, 384)


def test_weights_come_from_a_file_with_positions_resampled(tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(1)
    published = timm.create_model(SMALL, pretrained=False)
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    encoder = models.timm_encoder(SMALL, crop_px=64, weights=tmp_path / "model.safetensors")
    assert encoder.backbone.pos_embed.shape == (1, 17, 192)
    torch.testing.assert_close(
        encoder.backbone.blocks[3].mlp.fc1.weight, published.blocks[3].mlp.fc1.weight
    )
    models.save(tmp_path / "folder", encoder)
    assert torch.equal(
        models.load(tmp_path / "folder").features(crops(4)), encoder.features(crops(4))
    )
    with pytest.raises(DataError, match=r"reg_token|missing weights"):
        models.timm_encoder(DINO, weights=tmp_path / "model.safetensors")


def test_other_networks_of_timm_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no model called 'vit_tiny_17'"):
        models.timm_encoder("vit_tiny_17")
    with pytest.raises(ConfigurationError, match="not a vision transformer"):
        models.timm_encoder("resnet18")


def published_weights() -> dict[str, torch.Tensor]:
    """Random weights under OpenPhenom's published names and shapes, written out one by one."""
    stream = torch.Generator().manual_seed(0)

    def some(*shape: int) -> torch.Tensor:
        return 0.02 * torch.randn(shape, generator=stream)

    root = "encoder.vit_backbone"
    weights = {
        f"{root}.cls_token": some(1, 1, 384),
        f"{root}.pos_embed": some(1, 2817, 384),
        f"{root}.patch_embed.proj.weight": some(384, 1, 16, 16),
        f"{root}.patch_embed.proj.bias": some(384),
        f"{root}.fc_norm.weight": some(384),
        f"{root}.fc_norm.bias": some(384),
        "decoder.mask_token": some(1, 1, 512),
        "encoder_decoder_proj.weight": some(512, 384),
    }
    for i in range(12):
        block = f"{root}.blocks.{i}"
        weights |= {
            f"{block}.in_norm.weight": some(384) + 1,
            f"{block}.in_norm.bias": some(384),
            f"{block}.in_proj.weight": some(2688, 384),
            f"{block}.mlp_bias": some(1536),
            f"{block}.q_norm.weight": some(64) + 1,
            f"{block}.q_norm.bias": some(64),
            f"{block}.k_norm.weight": some(64) + 1,
            f"{block}.k_norm.bias": some(64),
            f"{block}.attn_out_proj.weight": some(384, 384),
            f"{block}.attn_out_proj.bias": some(384),
            f"{block}.mlp_out_proj.weight": some(384, 1536),
            f"{block}.mlp_out_proj.bias": some(384),
            f"{block}.ls.gamma": some(384),
        }
    return weights


def test_openphenom_equals_the_published_architecture_written_out() -> None:
    from torch.nn.functional import gelu, layer_norm, linear, unfold

    weights = published_weights()
    encoder = openphenom_from(weights)
    images = crops(2, side=256)[:1]
    pixels = images.float() / 255
    pixels = torch.nn.InstanceNorm2d(2, affine=False)(pixels)
    root = "encoder.vit_backbone"
    kernel = weights[f"{root}.patch_embed.proj.weight"].reshape(384, 256)
    tokens = torch.cat(
        [
            linear(
                unfold(pixels[:, c : c + 1], 16, stride=16).transpose(1, 2), kernel,
                weights[f"{root}.patch_embed.proj.bias"],
            )
            for c in range(2)
        ],
        dim=1,
    )  # fmt: skip
    tokens = torch.cat([weights[f"{root}.cls_token"].expand(1, -1, -1), tokens], dim=1)
    tokens = tokens + weights[f"{root}.pos_embed"][:, : tokens.shape[1]]
    for i in range(12):
        w = {k: weights[f"{root}.blocks.{i}.{k}"] for k in BLOCK}
        normed = layer_norm(tokens, (384,), w["in_norm.weight"], w["in_norm.bias"], eps=1e-6)
        mlp, q, k, v = linear(normed, w["in_proj.weight"]).split([1536, 384, 384, 384], dim=-1)
        q, k, v = (t.reshape(1, -1, 6, 64).transpose(1, 2) for t in (q, k, v))
        q = layer_norm(q, (64,), w["q_norm.weight"], w["q_norm.bias"], eps=1e-6)
        k = layer_norm(k, (64,), w["k_norm.weight"], w["k_norm.bias"], eps=1e-6)
        attention = (q @ k.transpose(-2, -1) / 8).softmax(-1) @ v
        attention = attention.transpose(1, 2).reshape(1, -1, 384)
        out = linear(attention, w["attn_out_proj.weight"], w["attn_out_proj.bias"])
        hidden = gelu(mlp + w["mlp_bias"])
        out = out + linear(hidden, w["mlp_out_proj.weight"], w["mlp_out_proj.bias"])
        tokens = tokens + w["ls.gamma"] * out
    patches = tokens[:, 1:]
    torch.testing.assert_close(encoder.features(images), patches.mean(1), rtol=1e-3, atol=1e-4)
    channelwise = openphenom_from(weights, channelwise=True)
    expected = patches.reshape(1, 2, 256, 384).mean(2).flatten(1)
    torch.testing.assert_close(channelwise.features(images), expected, rtol=1e-3, atol=1e-4)


BLOCK = (
    "in_norm.weight", "in_norm.bias", "in_proj.weight", "mlp_bias", "q_norm.weight", "q_norm.bias",
    "k_norm.weight", "k_norm.bias", "attn_out_proj.weight", "attn_out_proj.bias",
    "mlp_out_proj.weight", "mlp_out_proj.bias", "ls.gamma",
)  # fmt: skip


def test_weights_that_are_not_openphenoms_are_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = published_weights()
    del weights["encoder.vit_backbone.blocks.3.ls.gamma"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match=r"1 missing weights: backbone\.blocks\.3\.ls\.gamma"):
        models.openphenom(tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="this is not OpenPhenom"):
        openphenom_from({"weight": torch.zeros(1)})
