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
    "tags": Part("tags: unsafe,\nwatermark", ("tags",), "nothing is dropped"),
}
_ROWS = (("text", "address", "consent", "download"), ("picture", "duplicates", "CLIP", "tags"))
_X, _Y = (26, 50, 74, 98), (40, 14)


def flow(
    report: Mapping[str, Any], dropped: Mapping[str, Sequence[np.ndarray]] | None = None, lit: Collection[str] = ()
) -> Figure:
    """The diagram for a run's report.

    dropped: for a part's name up to three pictures uint8 [H, W, 3] that it dropped. lit: the names of the parts that
    are drawn in colour, the others in grey; by default all are.
    """
    steps = {step["step"]: step for step in report["steps"]}
    fig, ax = canvas(11.6, 4.9)
    ax.set(xlim=(0, 116), ylim=(0, 49))
    records = steps["wat"]["out"]
    box(ax, (6.5, _Y[0]), f"{records:,}\npages\n(WAT)", 11, 10, "0.4" if not lit else "0.75")
    for row, y in zip(_ROWS, _Y, strict=True):
        for name, x in zip(row, _X, strict=True):
            part = PARTS[name]
            first, last = steps[part.steps[0]], steps[part.steps[-1]]
            colour = (ORANGE if lit else GREEN if name in ("CLIP", "tags") else BLUE) if _bright(name, lit) else "0.75"
            box(ax, (x, y), part.text, 14, 8, colour)
            arrow(ax, (x - (14 if x == _X[0] else 17), y), (x - 7, y), label=f"{first['in']:,}", above=0.6)
            lost = first["in"] - last["out"]
            ink = RED if _bright(name, lit) and lost else "0.5"
            ax.text(x, y - 5, f"− {lost:,}" if lost else "− 0", ha="center", va="top", fontsize=12, color=ink)
            ax.text(x, y - 8, part.why, ha="center", va="top", fontsize=9, color="0.35")
            shown = list((dropped or {}).get(name, ()))[:3]
            for i, picture in enumerate(shown):
                left = x - 3.1 * len(shown) + 6.2 * i
                extent = (left + 0.2, left + 6, y - 16.6, y - 10.8)
                ax.imshow(picture, extent=extent, aspect="equal", alpha=1 if _bright(name, lit) else 0.35, zorder=2)
    # From the end of the first row to the head of the second.
    kept = steps["tags"]["out"]
    arrow(ax, (105, _Y[0]), (112, _Y[0]), (112, 21.5), (6.5, 21.5), (6.5, _Y[1]), (12, _Y[1]))
    arrow(ax, (105, _Y[1]), (108, _Y[1]), (108, 7), (106, 7))
    box(
        ax, (98, 5.5), f"{kept:,} pairs:\nshards, Parquet, faiss", 16, 6, ORANGE if not lit or "tags" in lit else "0.75"
    )
    return fig


def _bright(name: str, lit: Collection[str]) -> bool:
    return not lit or name in lit
