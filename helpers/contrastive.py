"""The contrastive loss of CLIP, also for texts that belong to more than one picture of a batch."""

from __future__ import annotations

import math

import torch

MAX_LOG_SCALE = math.log(100)  # Radford et al. 2021, section 2.5: logits are never scaled by more than 100


def contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor | float, positives: torch.Tensor | None = None
) -> torch.Tensor:
    """The symmetric cross-entropy over the similarities of B pictures and B texts (Radford et al. 2021, figure 3).

    image, text: features of length 1, float [B, D], row i of one belonging to row i of the other. scale: what the
    cosines are multiplied by. positives: bool [B, B], true where a text belongs to a picture; without it only the
    diagonal is. Where a row has several positives, each has the same share of the target (as SupCon's loss "out",
    Khosla et al. 2020, equation 2). Texts with equal features may be named positives or not, the loss is the same.
    Raises ValueError if the shapes do not fit, or if a row or column has no positive.
    """
    if image.ndim != 2 or image.shape != text.shape:
        raise ValueError(f"image {list(image.shape)} and text {list(text.shape)} are not both [B, D]")
    logits = scale * image @ text.T  # [B, B]
    if positives is None:
        positives = torch.eye(len(image), dtype=torch.bool, device=image.device)
    if positives.shape != logits.shape or not (positives.any(0) & positives.any(1)).all():
        raise ValueError(f"positives {list(positives.shape)} is not [B, B] with one or more in each row and column")
    target = positives.to(logits.dtype)
    by_row = -(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1)  # [B]
    by_column = -(target / target.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0)  # [B]
    return (by_row.mean() + by_column.mean()) / 2


def equal_rows(ids: torch.Tensor) -> torch.Tensor:
    """Whether two texts are the same, bool [B, B], for ids [B, n]."""
    return (ids[:, None] == ids[None]).all(2)  # [B, B, n] -> [B, B]
