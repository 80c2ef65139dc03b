"""SimVLM as a diagram, and masks as coloured squares: who may look at whom among picture, prompt and text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from helpers.models.layers import prefix_mask
from helpers.page.diagram import arrow, box, canvas
from helpers.page.figures import BLUE, GREEN, ORANGE, SKY

PARTS = ("eye", "words", "sequence", "blocks", "next")
GREY, NOBODY = "0.78", 0.93  # a part that is not meant; a square that is shut
GROUPS = {"picture": 4, "prompt": 3, "text": 4}


def network_diagram(
    picture: np.ndarray, lit: str | None = None, *, blocks: int = 4, places: int = 36, width: int = 128, vocabulary: int
) -> Figure:
    """The whole network from left to right; every arrow carries its shape.

    Args:
        picture: uint8 [S, S, 3].
        lit: the one of PARTS that is drawn in colour, the others in grey; by default all are.
        blocks: residual blocks of the eye. places: tokens of the picture. width: numbers of each token. vocabulary: how
            many ids the model scores.

    Raises ValueError if `lit` is none of PARTS.
    """
    if lit not in (None, *PARTS):
        raise ValueError(f"lit: {lit!r} is not one of {', '.join(PARTS)}")

    def colour(part: str, own: str) -> str:
        return own if lit in (None, part) else GREY

    fig, ax = canvas(12.4, 3.7)
    ax.set(xlim=(-1, 123), ylim=(2, 39))
    ax.imshow(picture, extent=(0, 14, 20.5, 34.5), aspect="equal", zorder=2)
    ax.text(7, 35.5, "picture", ha="center", fontsize=12)
    ax.text(7, 8.5, "everything <sep>\na red truck is …", ha="center", va="center", fontsize=11)
    box(ax, (34, 27.5), f"{blocks} residual\nblocks", 15, 9, colour("eye", BLUE))
    box(ax, (34, 8.5), "word vectors", 17, 7, colour("words", ORANGE))
    box(ax, (60, 18), "one sequence\n+ positions", 17, 9, colour("sequence", SKY))
    box(ax, (87, 18), "4 blocks\nunder the mask", 18, 10, colour("blocks", GREEN))
    box(ax, (114, 18), "next word", 14, 8, colour("next", ORANGE))
    arrow(ax, (14.5, 27.5), (26.2, 27.5), label="3 × {0} × {0}".format(len(picture)))
    arrow(ax, (16.5, 8.5), (25.2, 8.5), label="T")
    arrow(ax, (41.8, 27.5), (60, 27.5), (60, 22.8), label=f"{places} × {width}")
    arrow(ax, (42.8, 8.5), (60, 8.5), (60, 13.2), label=f"T × {width}")
    arrow(ax, (68.8, 18), (77.7, 18), label="")
    ax.text(73.2, 15.5, f"({places} + T)\n× {width}", ha="center", va="top", fontsize=10, color="0.3")
    arrow(ax, (96.3, 18), (106.7, 18), label=f"T × {vocabulary}")
    mask = prefix_mask(torch.tensor([5]), 9)[0, 0]
    ax.imshow(mask.numpy(), extent=(82, 92, 26, 36), cmap="Greens" if lit in (None, "blocks") else "Greys", vmax=1.6)
    ax.text(93, 31, "mask", fontsize=11, va="center")
    return fig


def show_mask(ax: Axes, mask: torch.Tensor, title: str = "", groups: Mapping[str, int] = GROUPS) -> None:
    """Draw a mask as squares; each group of columns has its colour where the row may look at it.

    Args:
        mask: bool [T, T], True where the token of the row may look at that of the column.
        groups: {name: tokens} of three groups that follow one another, T in all.

    Raises ValueError if the groups do not fill the mask.
    """
    sizes = np.array(list(groups.values()))
    if len(sizes) != 3 or tuple(mask.shape) != (sizes.sum(),) * 2:
        raise ValueError(f"groups: three with {list(mask.shape)} tokens in all are needed, not {dict(groups)}")
    columns = np.repeat([to_rgb(c) for c in (BLUE, ORANGE, GREEN)], sizes, 0)  # [T, 3]
    ax.imshow(np.where(mask.numpy()[..., None], columns, NOBODY))
    for k in range(1, len(mask)):
        ax.axhline(k - 0.5, color="white", lw=1)
        ax.axvline(k - 0.5, color="white", lw=1)
    middle = sizes.cumsum() - sizes / 2 - 0.5
    ax.set_xticks(middle, groups)
    ax.set_yticks(middle, groups, rotation=90, va="center")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(title)
