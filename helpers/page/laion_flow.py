"""The pipeline of `helpers.laion` as one diagram: what enters each part, and some of what it dropped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from helpers.page.diagram import arrow, box, canvas
from helpers.page.figures import BLUE, GREEN, ORANGE, RED


@dataclass(frozen=True)
class Part:
    """A box of the diagram: its text, the steps of the report that it stands for, and why they drop things."""

    text: str
    steps: tuple[str, ...]
    why: str


PARTS = {
    "text": Part("text,\nlanguage", ("alt", "language"), "none, or too short"),
    "address": Part("address,\nseen before?", ("address", "seen"), "private, or known"),
    "consent": Part("robots.txt,\nopt-outs", ("robots", "opt-out"), "the site says no"),
    "download": Part("polite\ndownload", ("download",), "broken, hostile, no"),
    "picture": Part("format, size,\nrights", ("picture",), "damaged, tiny, no"),
    "duplicates": Part("same bytes?\nsame look?", ("same bytes", "same look"), "copies"),
    "CLIP": Part("CLIP:\ncosine ≥ t", ("similarity",), "unlike their text"),
    "tags": Part("tags: unsafe,\nwatermark", ("tags",), ""),
}
_ROWS = (("text", "address", "consent", "download"), ("picture", "duplicates", "CLIP", "tags"))
_X, _Y = (26, 50, 74, 98), (42, 18)


def flow(
    report: Mapping[str, Any], dropped: Mapping[str, Sequence[np.ndarray]] | None = None, lit: Collection[str] = ()
) -> Figure:
    """The diagram for a run's report.

    dropped: for a part's name up to three pictures uint8 [H, W, 3] that it dropped. lit: the names of the parts that
    are drawn in colour, the others in grey; by default all are.
    """
    steps = {step["step"]: step for step in report["steps"]}
    fig, ax = canvas(11.6, 4.7)
    ax.set(xlim=(0, 116), ylim=(0, 47))
    box(ax, (6.5, _Y[0]), f"{steps['wat']['out']:,}\npages\n(WAT)", 11, 9, "0.75" if lit else "0.4")
    for row, y in zip(_ROWS, _Y, strict=True):
        for name, x in zip(row, _X, strict=True):
            part, bright = PARTS[name], not lit or name in lit
            entered, left = steps[part.steps[0]]["in"], steps[part.steps[-1]]["out"]
            colour = ORANGE if lit else GREEN if name in ("CLIP", "tags") else BLUE
            box(ax, (x, y), part.text, 14, 7, colour if bright else "0.75")
            begin = x - (14 if x == _X[0] else 17)
            if y == _Y[0] or x > _X[0]:
                arrow(ax, (begin, y), (x - 7, y))
            ax.text((begin + x - 7) / 2, y + 0.8, f"{entered:,}", ha="center", fontsize=11, color="0.3")
            if name == "tags":  # which drops nothing
                continue
            ink = RED if bright else "0.5"
            ax.text(x, y - 4.3, f"− {entered - left:,}", ha="center", va="top", fontsize=12, color=ink)
            ax.text(x, y - 7.4, part.why, ha="center", va="top", fontsize=10, color="0.35")
            shown = list((dropped or {}).get(name, ()))[:3]
            for i, picture in enumerate(shown):
                start = x - 3.1 * len(shown) + 6.2 * i
                ax.imshow(picture, extent=(start + 0.2, start + 6, y - 16.2, y - 10.4), aspect="equal", zorder=2)
    # From the end of the first row to the head of the second, and out of the pipeline.
    arrow(ax, (105, _Y[0]), (112, _Y[0]), (112, 23.6), (6.5, 23.6), (6.5, _Y[1]), (19, _Y[1]))
    arrow(ax, (98, _Y[1] - 3.5), (98, _Y[1] - 8))
    kept = f"{steps['tags']['out']:,} pairs:\nshards, Parquet,\nfaiss index"
    box(ax, (98, _Y[1] - 12.5), kept, 17, 9, "0.75" if lit and "tags" not in lit else ORANGE)
    return fig
