"""What a model looks at among the regions of a picture, drawn as boxes over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from helpers.page.figures import ORANGE, show_picture

DIM = 0.35  # what is left of the light where nothing is looked at


def show_regions(
    ax: Axes,
    picture: np.ndarray,
    boxes: torch.Tensor,
    weights: torch.Tensor | None = None,
    labels: Sequence[str] = (),
    title: str = "",
    colour: str = ORANGE,
) -> None:
    """Draw `picture` with a frame around each region, and, if `weights` are given, dark where they are low.

    Args:
        picture: uint8 [S, S, 3].
        boxes: float [N, 4 or more]: left, top, right and bottom as shares of the picture, from 0 to 1.
        weights: float [N], none negative; frames are as opaque as the weight's share of the largest.
        labels: a word for each region, written into the corner of its frame; "" for none.

    Raises ValueError if weights or labels are not as many as boxes.
    """
    for name, part in (("weights", weights), ("labels", labels or None)):
        if part is not None and len(part) != len(boxes):
            raise ValueError(f"{name}: {len(part)} for {len(boxes)} boxes")
    side = len(picture)
    corners = (boxes[:, :4] * side).round().int().tolist()
    share = torch.ones(len(boxes)) if weights is None else weights.detach() / weights.max().clamp(min=1e-12)
    if weights is not None:
        light = np.full((side, side, 1), DIM)
        for (left, top, right, bottom), bright in zip(corners, share.tolist(), strict=True):
            part = light[top:bottom, left:right]
            np.maximum(part, DIM + (1 - DIM) * bright, out=part)
        picture = (picture * light).round().astype(np.uint8)
    show_picture(ax, picture, title)
    words = labels or [""] * len(boxes)
    for (left, top, right, bottom), bright, word in zip(corners, share.tolist(), words, strict=True):
        x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
        ax.plot(x, y, color=colour, lw=2, alpha=max(0.1, bright), scalex=False, scaley=False)
        if word:
            style = {"fc": "white", "ec": "none", "alpha": 0.85, "pad": 1.0}
            ax.text(left + 2, top + 2, word, va="top", fontsize=8.5, bbox=style)
