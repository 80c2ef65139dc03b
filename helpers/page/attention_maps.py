"""What a Transformer attends to, drawn over the picture that it reads."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes

from helpers.page.figures import show_picture


def show_attention(
    ax: Axes, picture: np.ndarray, weights: torch.Tensor, title: str = "", asks: int | None = None
) -> None:
    """Draw `picture` dark where little attention falls and a little brighter than it is where most does.

    Args:
        picture: uint8 [S, S, 3].
        weights: float [N], the attention to each of N = n · n patches, row by row, none negative; n divides S.
        asks: the number of the patch that asks, which gets a white frame.

    Raises ValueError if the patches do not fill the picture.
    """
    n = round(len(weights) ** 0.5)
    side = len(picture) // n
    if n * n != len(weights) or side * n != len(picture):
        raise ValueError(f"{len(weights)} patches do not fill a picture of {len(picture)} pixels")
    light = (weights / weights.max()).reshape(n, n).repeat_interleave(side, 0).repeat_interleave(side, 1)  # [S, S]
    shown = picture * (0.2 + 0.9 * light.detach().numpy()[..., None])
    show_picture(ax, shown.clip(0, 255).round().astype(np.uint8), title)
    if asks is not None:
        row, column = divmod(asks, n)
        left, top, right, bottom = (side * k - 0.5 for k in (column, row, column + 1, row + 1))
        ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="white", lw=2)
