"""Boxes and arrows in one look, for the drawing of a network: every arrow carries its shape."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from helpers.page.figures import BLUE

Point = tuple[float, float]


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of so many inches whose axes, not shown, run from 0 to 10 · `width` and 10 · `height`."""
    fig, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=(0, 10 * width), ylim=(0, 10 * height), aspect="equal")
    ax.axis("off")
    return fig, ax


def box(ax: Axes, centre: Point, text: str, width: float = 14, height: float = 7, colour: str = BLUE) -> None:
    """A rounded box around `centre` with `text` in it, framed in `colour` and filled with a light tint of it."""
    tint = [1 - 0.18 * (1 - part) for part in to_rgb(colour)]
    ax.text(*centre, text, ha="center", va="center", fontsize=12, zorder=3)
    corner = (centre[0] - width / 2, centre[1] - height / 2)
    style = {"boxstyle": "round,pad=0,rounding_size=1", "ec": colour, "fc": tint, "lw": 1.8, "zorder": 2}
    ax.add_patch(FancyBboxPatch(corner, width, height, **style))


def arrow(ax: Axes, *points: Point, label: str = "", colour: str = "black", above: float = 1.5) -> None:
    """A line through `points` that ends in a head; `label` stands `above` the middle of its first part."""
    for start, end in pairwise(points):
        head = "-|>" if end == points[-1] else "-"
        shape = {"arrowstyle": head, "color": colour, "lw": 1.8, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
        ax.annotate("", end, start, arrowprops=shape, zorder=1)
    if label:
        (x, y), (to_x, to_y) = points[:2]
        ax.text((x + to_x) / 2, (y + to_y) / 2 + above, label, ha="center", va="bottom", fontsize=10, color="0.3")


def plus(ax: Axes, centre: Point, colour: str = "black") -> None:
    """A circle with a plus: what comes in is added."""
    ax.plot(*centre, "o", ms=17, mfc="white", mec=colour, mew=1.8, zorder=3)
    ax.plot(*centre, "+", ms=10, mec=colour, mew=1.8, zorder=4)
