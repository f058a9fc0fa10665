"""The weakly supervised classifier: which condition did this crop receive."""

# B crops · C channels · H W pixels · K classes

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from phenoprints.models.encoder import Encoder


class Classifier(nn.Module):
    """An encoder and a linear head over conditions, trained with cross-entropy.

    Parameters
    ----------
    encoder
        Any encoder; its own pool gives the vector that the head sees.
    num_classes
        Conditions to tell apart.
    label_smoothing
        Share of the target spread over all classes (0: none).
    crops_per_visit
        Successive crops of one well whose mean vector is classified, as inference averages them.
    """

    def __init__(
        self,
        encoder: Encoder,
        num_classes: int,
        *,
        label_smoothing: float = 0.0,
        crops_per_visit: int = 1,
    ) -> None:
        super().__init__()
        self.encoder, self.label_smoothing = encoder, label_smoothing
        self.crops_per_visit = crops_per_visit
        self.head = nn.Linear(encoder.width, num_classes)

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """Scores (B / crops_per_visit, K) in float32."""
        vectors_BD = self.encoder(images_BCHW)
        visits = vectors_BD.reshape(-1, self.crops_per_visit, vectors_BD.shape[-1])
        out: Tensor = self.head(visits.mean(dim=1))
        return out.float()

    def forward(
        self,
        images_BCHW: Tensor,
        labels_B: Tensor,
        *,
        mixed_labels_B: Tensor | None = None,
        mixed_share: float = 0.0,
    ) -> dict[str, Tensor]:
        """`loss` (mean cross-entropy) and `accuracy` (share of crops told right), scalars.

        After CutMix, `mixed_labels_B` are the classes of the pasted rectangles and `mixed_share`
        the part of the crop that they cover.
        """
        logits, labels_B = self.logits(images_BCHW), labels_B[:: self.crops_per_visit]
        loss = functional.cross_entropy(logits, labels_B, label_smoothing=self.label_smoothing)
        if mixed_labels_B is not None:
            mixed_labels_B = mixed_labels_B[:: self.crops_per_visit]
            pasted = functional.cross_entropy(
                logits, mixed_labels_B, label_smoothing=self.label_smoothing
            )
            loss = (1.0 - mixed_share) * loss + mixed_share * pasted
        accuracy = (logits.argmax(dim=1) == labels_B).float().mean()
        return {"loss": loss, "accuracy": accuracy.detach()}


def cut_mix(
    images_BCHW: Tensor, *, share: float, center: tuple[float, float], shift: int = 1
) -> tuple[Tensor, float]:
    """Each crop with a rectangle of its neighbour in the batch pasted in, and the exact share.

    Parameters
    ----------
    images_BCHW
        Crops; crop i receives a rectangle of crop i - `shift` (the first ones of the last).
    share
        Wanted part of the area, 0 to 1; the rectangle is cut at the border.
    center
        Row and column of the rectangle's centre as fractions of the side.

    Source: Yun et al. 2019, doi:10.48550/arXiv.1905.04899.
    """
    H, W = images_BCHW.shape[-2:]
    half = share**0.5 / 2.0
    top, bottom = (round(min(max(center[0] + s * half, 0.0), 1.0) * H) for s in (-1, 1))
    left, right = (round(min(max(center[1] + s * half, 0.0), 1.0) * W) for s in (-1, 1))
    mixed = images_BCHW.clone()
    neighbours = torch.roll(images_BCHW, shift, dims=0)
    mixed[..., top:bottom, left:right] = neighbours[..., top:bottom, left:right]
    return mixed, (bottom - top) * (right - left) / (H * W)
