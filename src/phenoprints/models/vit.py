"""The paper's vision transformers: parallel blocks, normed queries and keys, fixed positions."""

# B crops · C channels · H W pixels · N tokens · K kept tokens · D features

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from typing_extensions import override

from phenoprints.foundations.errors import DataError
from phenoprints.models.encoder import Encoder, EncoderConfig
from phenoprints.models.masking import take_tokens
from phenoprints.models.positions import sincos_positions


@dataclass(frozen=True)
class ViTShape:
    """The numbers that make a vision transformer.

    `layer_scale` is the initial factor of each block's output, `drop_path` the rate of the last
    block (it grows linearly from 0). `max_channels` is 0 for fixed channels, else the channels for
    which a channel-agnostic encoder holds positions.
    """

    width: int
    num_blocks: int
    num_heads: int
    patch_px: int
    mlp_width: int
    layer_scale: float = 1e-4
    drop_path: float = 0.0
    max_channels: int = 0


class StochasticDepth(nn.Module):
    """Leaves out a block's output for some crops while training, and scales that of the others.

    The share that is kept is a tensor and no number: blocks that differ in it compile to one graph.
    With timm's layer each block is a graph of its own, and torch gives up compiling after eight.
    Source: Huang et al. 2016, doi:10.48550/arXiv.1603.09382.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        # No buffer: encoders are built without data, and this is not loaded from their weights.
        self.kept = torch.tensor(1.0 - rate, device="cpu")

    @override
    def forward(self, tokens_BND: Tensor) -> Tensor:
        if not self.training:
            return tokens_BND
        draws = torch.rand(len(tokens_BND), 1, 1, device=tokens_BND.device)
        return tokens_BND * ((draws < self.kept) / self.kept).to(tokens_BND.dtype)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def draw_rows(self, num_crops: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the rows of the crops that keep the block, and the factor of their outputs.

        Drawn on the CPU, so that the device is not waited for. Where no crop keeps it, the first
        one is computed with factor 0: each weight has a gradient, as DDP expects.
        """
        rows = torch.nonzero(torch.rand(num_crops, device="cpu") < self.kept)[:, 0]
        factor = torch.ones(()) / self.kept
        if not len(rows):
            rows, factor = torch.zeros(1, dtype=torch.int64), torch.zeros(())
        return rows.to(device, non_blocking=True), factor.to(device, non_blocking=True)


def packed_forward(block: Any, tokens_BND: Tensor) -> Tensor:
    """Return the forward pass of a ParallelScalingBlock for the crops that stochastic depth keeps.

    The crops are packed into a smaller batch, the others pass unchanged: equal to computing all of
    them and multiplying those that drop the block by 0, up to rounding, without their cost.
    Source: Oquab et al. 2023, doi:10.48550/arXiv.2304.07193, section 5, which fixes their number.
    """
    if not block.training:
        whole: Tensor = type(block).forward(block, tokens_BND)
        return whole
    rows, factor = block.drop_path.draw_rows(len(tokens_BND), tokens_BND.device)
    branch = block.ls(_branch(block, tokens_BND[rows])) * factor
    return tokens_BND.index_add(0, rows, branch.to(tokens_BND.dtype))


def _branch(block: Any, tokens_BND: Tensor) -> Tensor:
    """Return the residual of a ParallelScalingBlock before layer scale, as timm computes it."""
    B, N, D = tokens_BND.shape
    mlp, *qkv = torch.split(block.in_proj(block.in_norm(tokens_BND)), block.in_split, dim=-1)
    q, k, v = (t.view(B, N, block.num_heads, block.head_dim) for t in qkv)
    q, k, v = (t.transpose(1, 2) for t in (block.q_norm(q), block.k_norm(k), v))
    attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, D)
    grown: Tensor = block.mlp_out_proj(block.mlp_act(mlp + block.mlp_bias))
    out: Tensor = block.attn_out_proj(attended) + grown
    return out


class ViTEncoder(Encoder):
    """timm's VisionTransformer with ParallelScalingBlock, and positions that are not learned.

    A channel-agnostic encoder embeds every channel with one shared patch embedding and repeats
    the positions, so that tokens are those of channel 1, then those of channel 2, and so on.
    Names inside `backbone` are timm's and those of the published weights.
    """

    def __init__(self, config: EncoderConfig) -> None:
        from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer

        super().__init__(config)
        shape = self.shape = ViTShape(**config.architecture)
        if config.crop_px % shape.patch_px:
            raise DataError(
                f"{config.name}: crops of {config.crop_px} px do not divide into patches of "
                f"{shape.patch_px} px."
            )
        self.grid = config.crop_px // shape.patch_px
        self.checkpoints_activations = False
        self.backbone = VisionTransformer(
            img_size=config.crop_px,
            patch_size=shape.patch_px,
            in_chans=1 if shape.max_channels else len(config.channels),
            num_classes=0,
            embed_dim=shape.width,
            depth=shape.num_blocks,
            num_heads=shape.num_heads,
            mlp_ratio=shape.mlp_width / shape.width,
            init_values=shape.layer_scale,
            qkv_bias=False,
            qk_norm=True,
            block_fn=ParallelScalingBlock,
        )
        positions = sincos_positions(shape.width, self.grid, num_repeats=max(shape.max_channels, 1))
        self.backbone.pos_embed = nn.Parameter(positions, requires_grad=False)
        if shape.drop_path:
            for number, block in enumerate(self.backbone.blocks):
                rate = shape.drop_path * number / max(shape.num_blocks - 1, 1)
                block.drop_path = StochasticDepth(rate)
        self._drop_blocks(config.num_blocks)

    def _drop_blocks(self, num_blocks: int) -> None:
        if num_blocks < len(self.backbone.blocks):
            # The final norm belongs to the last block, and features are never normed.
            self.backbone.blocks = self.backbone.blocks[:num_blocks]
            self.backbone.norm = nn.Identity()

    @property
    @override
    def width(self) -> int:
        return self.shape.width

    @property
    @override
    def is_channel_agnostic(self) -> bool:
        return self.shape.max_channels > 0

    @property
    def num_patches(self) -> int:
        """Patches of one channel."""
        return self.grid**2

    def num_tokens(self, num_channels: int) -> int:
        """Tokens of a crop without the class token."""
        return self.num_patches * (num_channels if self.is_channel_agnostic else 1)

    def patch_tokens(self, pixels_BCHW: Tensor) -> Tensor:
        """Embedded patches with their positions, without the class token: (B, N, D)."""
        B, C, H, W = pixels_BCHW.shape
        if not self.is_channel_agnostic:
            tokens = self.backbone.patch_embed(pixels_BCHW)
        else:
            self._check_max_channels(C)
            tokens = self.backbone.patch_embed(pixels_BCHW.reshape(B * C, 1, H, W))
            tokens = tokens.reshape(B, C * self.num_patches, self.width)
        positioned: Tensor = tokens + self.backbone.pos_embed[:, 1 : 1 + tokens.shape[1]]
        return positioned

    def _check_max_channels(self, num_channels: int) -> None:
        if num_channels > self.shape.max_channels:
            raise DataError(
                f"{self.config.name}: got {num_channels} channels, it has positions for at most "
                f"{self.shape.max_channels}."
            )

    def _with_class_token(self, tokens_BND: Tensor) -> Tensor:
        token = self.backbone.cls_token + self.backbone.pos_embed[:, :1]
        return torch.cat([token.expand(len(tokens_BND), -1, -1), tokens_BND], dim=1)

    def _run(self, block: nn.Module, tokens: Tensor) -> Tensor:
        out: Tensor
        if self.checkpoints_activations and torch.is_grad_enabled():
            out = checkpoint(block, tokens, use_reentrant=False)
        else:
            out = block(tokens)
        return out

    @override
    def block_outputs(self, pixels_BCHW: Tensor) -> Iterator[Tensor]:
        yield from self._outputs(self.patch_tokens(pixels_BCHW))

    def _outputs(self, tokens_BND: Tensor) -> Iterator[Tensor]:
        """Yield the class token and these after each block."""
        tokens = self._with_class_token(tokens_BND)
        for block in self.backbone.blocks:
            tokens = self._run(block, tokens)
            yield tokens

    def encode_kept(self, pixels_BCHW: Tensor, kept_BK: Tensor) -> Iterator[Tensor]:
        """Yield class token and visible tokens (B, 1 + K, D) after each block, without a norm."""
        yield from self._outputs(take_tokens(self.patch_tokens(pixels_BCHW), kept_BK))

    def encode_view(
        self,
        pixels_BCHW: Tensor,
        hidden_BN: Tensor | None = None,
        mask_token: Tensor | None = None,
    ) -> Tensor:
        """Normed tokens (B, 1 + N, D) of standardised squares of any side that has whole patches.

        Positions are resampled to the view's grid; hidden patches are replaced by the mask token.
        """
        projection = self.backbone.patch_embed.proj
        patches = functional.conv2d(
            pixels_BCHW, projection.weight, projection.bias, projection.stride
        )
        tokens = patches.flatten(2).transpose(1, 2)
        if hidden_BN is not None and mask_token is not None:
            tokens = torch.where(hidden_BN[..., None], mask_token.to(tokens.dtype), tokens)
        outputs = self._outputs(tokens + self._positions(patches.shape[-1]))
        normed: Tensor = self.backbone.norm(deque(outputs, maxlen=1).pop())
        return normed

    def _positions(self, grid: int) -> Tensor:
        positions: Tensor = self.backbone.pos_embed[:, 1:]
        if grid == self.grid:
            return positions
        square = positions.transpose(1, 2).reshape(1, -1, self.grid, self.grid)
        resampled = functional.interpolate(square, size=(grid, grid), mode="bicubic")
        return resampled.flatten(2).transpose(1, 2)

    def _cut(self, config: EncoderConfig) -> Encoder:
        with torch.device("meta"):
            shorter = ViTEncoder(config)
        kept = {name: v for name, v in self.state_dict().items() if name in shorter.state_dict()}
        shorter.load_state_dict(kept, assign=True)
        shorter.backbone.pos_embed.requires_grad_(False)
        return shorter.train(self.training)


def vit_config(
    name: str, shape: ViTShape, *, channels: tuple[str, ...], crop_px: int
) -> EncoderConfig:
    """Return the configuration of a vision transformer that pools the mean of its patch tokens."""
    architecture: dict[str, Any] = asdict(shape)
    return EncoderConfig(
        name=name,
        family="vit",
        architecture=architecture,
        channels=() if shape.max_channels else channels,
        crop_px=crop_px,
        pool="mean",
        num_blocks=shape.num_blocks,
    )
