"""Networks of others: RGB weights on any channels, OpenPhenom by its published names."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints import models  # noqa: E402
from phenoprints.foundations.errors import ConfigurationError, DataError  # noqa: E402
from phenoprints.models.masking import random_mask  # noqa: E402
from phenoprints.models.pretrained import (  # noqa: E402
    openphenom_autoencoder_from,
    openphenom_from,
)

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


def published_encoder(
    weights: dict[str, torch.Tensor], pixels: torch.Tensor, kept: torch.Tensor | None = None
) -> torch.Tensor:
    """The published encoder written out: class token and (kept) patch tokens after 12 blocks."""
    from torch.nn.functional import gelu, layer_norm, linear, unfold

    B, C = pixels.shape[:2]
    root = "encoder.vit_backbone"
    kernel = weights[f"{root}.patch_embed.proj.weight"].reshape(384, 256)
    tokens = torch.cat(
        [
            linear(
                unfold(pixels[:, c : c + 1], 16, stride=16).transpose(1, 2), kernel,
                weights[f"{root}.patch_embed.proj.bias"],
            )
            for c in range(C)
        ],
        dim=1,
    )  # fmt: skip
    tokens = torch.cat([weights[f"{root}.cls_token"].expand(B, -1, -1), tokens], dim=1)
    tokens = tokens + weights[f"{root}.pos_embed"][:, : tokens.shape[1]]
    if kept is not None:
        patches = tokens[:, 1:].gather(1, kept[..., None].expand(-1, -1, 384))
        tokens = torch.cat([tokens[:, :1], patches], dim=1)
    for i in range(12):
        w = {k: weights[f"{root}.blocks.{i}.{k}"] for k in BLOCK}
        normed = layer_norm(tokens, (384,), w["in_norm.weight"], w["in_norm.bias"], eps=1e-6)
        mlp, q, k, v = linear(normed, w["in_proj.weight"]).split([1536, 384, 384, 384], dim=-1)
        q, k, v = (t.reshape(B, -1, 6, 64).transpose(1, 2) for t in (q, k, v))
        q = layer_norm(q, (64,), w["q_norm.weight"], w["q_norm.bias"], eps=1e-6)
        k = layer_norm(k, (64,), w["k_norm.weight"], w["k_norm.bias"], eps=1e-6)
        attention = (q @ k.transpose(-2, -1) / 8).softmax(-1) @ v
        attention = attention.transpose(1, 2).reshape(B, -1, 384)
        out = linear(attention, w["attn_out_proj.weight"], w["attn_out_proj.bias"])
        hidden = gelu(mlp + w["mlp_bias"])
        out = out + linear(hidden, w["mlp_out_proj.weight"], w["mlp_out_proj.bias"])
        tokens = tokens + w["ls.gamma"] * out
    return tokens


def standardised(images: torch.Tensor) -> torch.Tensor:
    return torch.nn.InstanceNorm2d(images.shape[1], affine=False)(images.float() / 255)


def test_openphenom_equals_the_published_architecture_written_out() -> None:
    weights = published_weights()
    encoder = openphenom_from(weights)
    images = crops(2, side=256)[:1]
    patches = published_encoder(weights, standardised(images))[:, 1:]
    torch.testing.assert_close(encoder.features(images), patches.mean(1), rtol=1e-3, atol=1e-4)
    channelwise = openphenom_from(weights, channelwise=True)
    expected = patches.reshape(1, 2, 256, 384).mean(2).flatten(1)
    torch.testing.assert_close(channelwise.features(images), expected, rtol=1e-3, atol=1e-4)


def with_decoder(width: int = 64, depth: int = 2, channels: int = 6) -> dict[str, torch.Tensor]:
    """The published names of encoder and decoder; the decoder as small as the test likes."""
    stream = torch.Generator().manual_seed(1)

    def some(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(shape, generator=stream)

    def linear(name: str, out: int, into: int, *, bias: bool = True) -> dict[str, torch.Tensor]:
        named = {f"{name}.weight": some(out, into)}
        return named | ({f"{name}.bias": some(out)} if bias else {})

    def norm(name: str) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": some(width) + 1, f"{name}.bias": some(width)}

    weights = published_weights() | {
        "decoder.mask_token": some(1, 1, width),
        "decoder.placeholder": torch.zeros(1, 1, width),
        "decoder.pos_embeddings": some(1, 1 + 256 * channels, width),
        **linear("encoder_decoder_proj", width, 384),
        **linear("decoder_pred", 256, width),
        **linear("decoder.cross_attention.q", width, width, bias=False),
        **linear("decoder.cross_attention.kv", 2 * width, width, bias=False),
        **linear("decoder.cross_attention.proj", width, width),
        **linear("decoder.mlp.fc1", 4 * width, width),
        **linear("decoder.mlp.fc2", width, 4 * width),
    }
    for name in ("context_norm", "query_norm", "out_norm"):
        weights |= norm(f"decoder.{name}")
    for c in range(channels):
        weights[f"decoder.modality_tokens.{c}"] = some(1, 1, width)
        for i in range(depth):
            root = f"decoder.decoders.{c}.{i}"
            weights |= norm(f"{root}.norm1") | norm(f"{root}.norm2")
            weights |= linear(f"{root}.attn.qkv", 3 * width, width)
            weights |= linear(f"{root}.attn.proj", width, width)
            weights |= linear(f"{root}.mlp.fc1", 4 * width, width)
            weights |= linear(f"{root}.mlp.fc2", width, 4 * width)
    return weights


def published_decoder(
    w: dict[str, torch.Tensor], latent: torch.Tensor, order: torch.Tensor, *, depth: int
) -> torch.Tensor:
    """CAMAEDecoder and the linear layers around it, written out: pixels of all tokens."""
    from torch.nn.functional import gelu, layer_norm, linear

    width = w["decoder.mask_token"].shape[-1]

    def lin(name: str, x: torch.Tensor) -> torch.Tensor:
        return linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, (width,), w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-6)

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
        q, k, v = (t.reshape(len(t), -1, heads, width // heads).transpose(1, 2) for t in (q, k, v))
        scores = q @ k.transpose(-2, -1) * (width // heads) ** -0.5
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)

    latent = lin("encoder_decoder_proj", latent)
    B, T = order.shape
    hidden = w["decoder.mask_token"].expand(B, T + 1 - latent.shape[1], -1)
    shuffled = torch.cat([latent[:, 1:], hidden], dim=1)
    tokens = shuffled.gather(1, order.argsort(1)[..., None].expand(-1, -1, width))
    kinds = [w[f"decoder.modality_tokens.{c}"].expand(-1, 256, -1) for c in range(T // 256)]
    tokens = tokens + w["decoder.pos_embeddings"][:, 1 : 1 + T] + torch.cat(kinds, dim=1)
    context = norm("decoder.context_norm", tokens)
    k, v = lin("decoder.cross_attention.kv", context).chunk(2, dim=-1)
    decoded = []
    for c, x in enumerate(tokens.split(256, dim=1)):
        q = lin("decoder.cross_attention.q", norm("decoder.query_norm", x))
        x = lin("decoder.cross_attention.proj", attend(q, k, v, 8))
        grown = gelu(lin("decoder.mlp.fc1", norm("decoder.out_norm", x)))
        x = x + lin("decoder.mlp.fc2", grown)
        for i in range(depth):
            root = f"decoder.decoders.{c}.{i}"
            qkv = lin(f"{root}.attn.qkv", norm(f"{root}.norm1", x)).chunk(3, dim=-1)
            x = x + lin(f"{root}.attn.proj", attend(*qkv, 16))
            grown = gelu(lin(f"{root}.mlp.fc1", norm(f"{root}.norm2", x)))
            x = x + lin(f"{root}.mlp.fc2", grown)
        decoded.append(x)
    return lin("decoder_pred", torch.cat(decoded, dim=1))


def test_openphenom_reconstructs_and_loses_as_published() -> None:
    """Pixels and loss with equal weights, against the published code written out."""
    weights, images, keys = with_decoder(), crops(6, side=256), torch.tensor([3, 4])
    model = openphenom_autoencoder_from(weights)
    pixels, order = standardised(images), random_mask(keys, 1536, 0.75).order
    latent = published_encoder(weights, pixels, order[:, :384])
    predicted = published_decoder(weights, latent, order, depth=2)

    made = model.reconstruct(images, keys)
    image = predicted.reshape(2, 6, 16, 16, 16, 16).permute(0, 1, 2, 4, 3, 5).reshape(pixels.shape)
    torch.testing.assert_close(made.prediction, image, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(made.target, pixels, rtol=1e-5, atol=1e-5)

    target = pixels.reshape(2, 6, 16, 16, 16, 16).permute(0, 1, 2, 4, 3, 5).reshape(2, 1536, 256)
    is_hidden = torch.ones(2, 1536).scatter(1, order[:, :384], 0)
    square = (predicted - target).square().mean(-1)
    spectra = [torch.fft.fft2(x.reshape(2, 1536, 16, 16)).abs() for x in (predicted, target)]
    magnitude = (spectra[0] - spectra[1]).abs().flatten(2).mean(-1)
    parts = [(x * is_hidden).sum() / is_hidden.sum() for x in (square, magnitude)]
    with torch.no_grad():
        loss = model(images, keys)["loss"]
    torch.testing.assert_close(loss, 0.99 * parts[0] + 0.01 * parts[1], rtol=1e-4, atol=1e-5)

    model.has_latent_norm = True
    assert (model.reconstruct(images, keys).prediction - image).abs().max() > 0.1


def test_openphenom_s_weights_have_178_million_values() -> None:
    """The published size, with the decoder of 512 × 8 for six channels."""
    with torch.device("meta"):
        encoder = models.build("ca-vit-s16", channels=11)
    assert isinstance(encoder, models.ViTEncoder)
    with torch.device("meta"):
        model = models.MaskedAutoencoder(
            encoder, models.DecoderShape(512, 8), num_channels=6, latent_norm=False
        )
    assert sum(v.numel() for v in model.state_dict().values()) == pytest.approx(178.05e6, rel=1e-4)


def test_an_encoder_alone_has_no_decoder_to_show() -> None:
    with pytest.raises(DataError, match="the decoder's weights are missing"):
        openphenom_autoencoder_from(published_weights())


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
