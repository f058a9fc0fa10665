"""DINOv2's self-distillation: a student sees little, its slow average sees more, and both agree."""

# B crops · C channels · H W pixels · N samples or patches · D features · K outputs

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from phenoprints.models.masking import random_mask, token_noise
from phenoprints.models.vit import ViTEncoder

GLOBAL_SCALE, LOCAL_SCALE = (0.32, 1.0), (0.05, 0.32)
"""Area of a view as a share of the crop's (DINOv2's configuration for ViT-L)."""
LOCAL_SIDE = 96 / 224
"""Side of a local view as a share of a global one's."""
STUDENT_TEMPERATURE, TEACHER_TEMPERATURE = 0.1, 0.07
FIRST_MOMENTUM = 0.994
"""Of the teacher's average; it rises to 1 by a half cosine."""
MASK_RATIO = 0.3
"""Share of a global view's patches hidden from the student, the middle of DINOv2's 0.1 to 0.5."""
SINKHORN_ROUNDS = 3


@dataclass(frozen=True)
class DinoSettings:
    """Outputs of the heads, local views beside the two global ones, the losses' weights (A.9)."""

    num_outputs: int = 65_536
    num_local: int = 4
    dino_weight: float = 1.0
    koleo_weight: float = 0.1
    ibot_weight: float = 1.0


class DinoHead(nn.Module):
    """Three linear layers to a unit vector, and cosines with K learned directions."""

    def __init__(self, width: int, num_outputs: int, hidden: int = 2048, neck: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(),
            nn.Linear(hidden, neck),
        )  # fmt: skip
        self.directions = nn.Parameter(torch.empty(num_outputs, neck))
        nn.init.trunc_normal_(self.directions, std=0.02)

    def forward(self, x_ND: Tensor) -> Tensor:
        """Cosines (N, K)."""
        unit = functional.normalize(self.layers(x_ND), dim=-1, eps=1e-6)
        return functional.linear(unit, functional.normalize(self.directions, dim=-1, eps=1e-6))


class DinoBranch(nn.Module):
    """One of the two networks: an encoder with a head for crops and one for patches."""

    def __init__(self, encoder: ViTEncoder, num_outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.crop_head = DinoHead(encoder.width, num_outputs)
        self.patch_head = DinoHead(encoder.width, num_outputs)


class Dino(nn.Module):
    """Student and teacher; only the student learns, and the teacher's encoder is what is kept.

    The loss is the cross-entropy between the teacher's assignments of one global view (balanced by
    Sinkhorn-Knopp) and the student's of every other view, the same for hidden patches (iBOT), and
    KoLeo, which spreads the vectors of a batch. Sources: Oquab et al. 2023,
    doi:10.48550/arXiv.2304.07193; Paper A.9 for outputs, views and weights.
    """

    def __init__(self, encoder: ViTEncoder, settings: DinoSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or DinoSettings()
        self.student = DinoBranch(encoder, self.settings.num_outputs)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, encoder.width))
        nn.init.normal_(self.mask_token, std=0.02)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, images_BCHW: Tensor, keys_B: Tensor) -> dict[str, Tensor]:
        """`loss` and its parts `dino`, `ibot` and `koleo`: scalars in float32."""
        pixels = self.student.encoder.prepared(images_BCHW)
        keys = keys_B.to(pixels.device)
        views = [random_view(pixels, keys, i, GLOBAL_SCALE, pixels.shape[-1]) for i in range(2)]
        masks = [
            random_mask(keys + 1 + i, self.num_patches, MASK_RATIO).is_hidden for i in range(2)
        ]
        taught = [self._teach(*pair) for pair in zip(views, masks, strict=True)]
        learned = [self._learn(*pair) for pair in zip(views, masks, strict=True)]
        pairs = [(taught[0][0], learned[1][0]), (taught[1][0], learned[0][0])]
        pairs += [(t[0], local) for local in self._locals(pixels, keys) for t in taught]
        dino = torch.stack([cross_entropy(*pair) for pair in pairs]).mean()
        ibot = torch.stack(
            [cross_entropy(t[1], s[1]) for t, s in zip(taught, learned, strict=True)]
        ).mean()
        koleo = torch.stack([koleo_loss(s[2]) for s in learned]).sum()
        weights = self.settings
        loss = weights.dino_weight * dino + weights.ibot_weight * ibot
        loss = loss + weights.koleo_weight * koleo
        parts = {"dino": dino, "ibot": ibot, "koleo": koleo}
        return {"loss": loss, **{name: value.detach() for name, value in parts.items()}}

    @property
    def num_patches(self) -> int:
        """Patches of a global view."""
        return self.student.encoder.num_patches

    @property
    def _local_grid(self) -> int:
        """Patches along a side of a local view."""
        return max(round(LOCAL_SIDE * self.student.encoder.grid), 1)

    @property
    def num_local_patches(self) -> int:
        """Patches of a local view."""
        return self._local_grid**2

    @torch.no_grad()
    def _teach(self, view_BCHW: Tensor, hidden_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Return the teacher's assignments of the view, and of its patches hidden
        from the student.
        """
        tokens = self.teacher.encoder.encode_view(view_BCHW)
        crop = self.teacher.crop_head(tokens[:, 0])
        patches = self.teacher.patch_head(tokens[:, 1:][hidden_BN])
        return balanced(crop / TEACHER_TEMPERATURE), balanced(patches / TEACHER_TEMPERATURE)

    def _learn(self, view_BCHW: Tensor, hidden_BN: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the student's scores of the view and of hidden patches, and the view's vector."""
        tokens = self.student.encoder.encode_view(view_BCHW, hidden_BN, self.mask_token)
        crop = self.student.crop_head(tokens[:, 0])
        patches = self.student.patch_head(tokens[:, 1:][hidden_BN])
        return crop / STUDENT_TEMPERATURE, patches / STUDENT_TEMPERATURE, tokens[:, 0]

    def _locals(self, pixels_BCHW: Tensor, keys_B: Tensor) -> list[Tensor]:
        """Return the student's scores of the local views."""
        side = self._local_grid * self.student.encoder.shape.patch_px
        scores = []
        for number in range(self.settings.num_local):
            view = random_view(pixels_BCHW, keys_B, 2 + number, LOCAL_SCALE, side)
            tokens = self.student.encoder.encode_view(view)
            scores.append(self.student.crop_head(tokens[:, 0]) / STUDENT_TEMPERATURE)
        return scores

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Move every weight of the teacher towards the student's: m·teacher + (1 - m)·student."""
        pairs = zip(self.teacher.parameters(), self.student.parameters(), strict=True)
        for slow, fast in pairs:
            slow.lerp_(fast.detach(), 1.0 - momentum)


def teacher_momentum(step: int, num_steps: int) -> float:
    """Return the teacher's momentum after a step (from 0): from FIRST_MOMENTUM to 1 by a half
    cosine.
    """
    falling = (1.0 + math.cos(math.pi * min(step / max(num_steps, 1), 1.0))) / 2.0
    return 1.0 - (1.0 - FIRST_MOMENTUM) * falling


def random_view(
    pixels_BCHW: Tensor, keys_B: Tensor, number: int, scale: tuple[float, float], side_px: int
) -> Tensor:
    """View `number` of each crop: a random square of a share of its area, maybe mirrored, resized.

    A pure function of the crop's key; bilinear.
    """
    noise = token_noise(keys_B + 7919 * (number + 1), 4)
    uniform = ((noise >> 11) & ((1 << 53) - 1)).to(torch.float64) * 2.0**-53
    uniform = uniform.to(pixels_BCHW.dtype)
    side = torch.sqrt(scale[0] + (scale[1] - scale[0]) * uniform[:, 0])
    centers = (2.0 * uniform[:, 1:3] - 1.0) * (1.0 - side[:, None])
    mirror = torch.where(uniform[:, 3] < 0.5, -1.0, 1.0)
    theta = torch.zeros(len(side), 2, 3, dtype=pixels_BCHW.dtype, device=pixels_BCHW.device)
    theta[:, 0, 0], theta[:, 1, 1] = side * mirror, side
    theta[:, :, 2] = centers
    shape = [len(side), pixels_BCHW.shape[1], side_px, side_px]
    grid = functional.affine_grid(theta, shape, align_corners=False)
    return functional.grid_sample(pixels_BCHW, grid, align_corners=False)


@torch.no_grad()
def balanced(scores_NK: Tensor) -> Tensor:
    """Return assignments (N, K): rows sum to 1, columns have about equal sums.

    Sinkhorn-Knopp on exp(scores), over the samples of all processes (Caron et al. 2020).
    """
    q = torch.exp((scores_NK.float() - scores_NK.max()).clamp(min=-80.0))
    for _ in range(SINKHORN_ROUNDS):
        q = q / _over_processes(q.sum(dim=0, keepdim=True)).clamp(min=1e-30)
        q = q / q.sum(dim=1, keepdim=True).clamp(min=1e-30)
    return q


def _over_processes(total: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
    return total


def cross_entropy(target_NK: Tensor, scores_NK: Tensor) -> Tensor:
    """Return the mean cross-entropy between assignments and scores, in float32."""
    return -(target_NK * functional.log_softmax(scores_NK.float(), dim=-1)).sum(dim=-1).mean()


def koleo_loss(vectors_ND: Tensor) -> Tensor:
    """Average -log distance to the nearest other unit vector (Sablayrolles et al. 2019).

    0 for a single vector.
    """
    if len(vectors_ND) < 2:
        return vectors_ND.sum() * 0.0
    unit = functional.normalize(vectors_ND.float(), dim=-1)
    with torch.no_grad():
        similarity = unit @ unit.T
        similarity.fill_diagonal_(-2.0)
        nearest = similarity.argmax(dim=1)
    distance = (unit - unit[nearest]).norm(dim=-1)
    return -torch.log(distance + 1e-8).mean()
