"""A few numbers as a small table that can be read at the back of a room, and pictures with words beside them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from IPython.display import HTML
from PIL import Image

from helpers.page.figures import GREEN, RED


def table(header: Sequence[str], rows: Iterable[Sequence[object]], strong: Iterable[int] = ()) -> HTML:
    """A table with `header` above `rows`: the first column, and any text, stands left, numbers stand right.

    The rows numbered in `strong`, from 0, are bold. A text is shown as it is, with no HTML in it.
    Raises ValueError if a row has another number of cells than the header.
    """
    rows, strong = [list(row) for row in rows], set(strong)
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, but the header has {len(header)}: {row}")

    def line(cells: Sequence[object], tag: str, bold: bool = False) -> str:
        sides = ["left" if k == 0 or not _is_number(cell) else "right" for k, cell in enumerate(cells)]
        weight = "font-weight:bold" if bold else ""
        return "".join(
            f'<{tag} style="text-align:{side};padding:0.25em 1em;{weight}">{escape(str(cell))}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )

    body = "".join(f"<tr>{line(row, 'td', number in strong)}</tr>" for number, row in enumerate(rows))
    return HTML(f"<table><thead><tr>{line(header, 'th')}</tr></thead><tbody>{body}</tbody></table>")


def _is_number(cell: object) -> bool:
    """Whether a cell is a number, or a text of one with signs and units such as "−3.0 %", "1,000" or "4.2 s"."""
    words = str(cell).replace(",", "").replace("−", "-").split()
    try:
        return bool(words) and len(words) <= 2 and float(words[0].rstrip("%")) is not None
    except ValueError:
        return False


@dataclass(frozen=True)
class Shown:
    """A picture in a table, uint8 [H, W, 3], with what it shows in words."""

    picture: np.ndarray
    alt: str


@dataclass(frozen=True)
class Marked:
    """A text in a table, with a sign before it that says whether it is right."""

    text: str
    right: bool


def picture_table(header: Sequence[str], rows: Iterable[Sequence[Shown | Marked | str]], side: int = 96) -> HTML:
    """A table with `header` above `rows` of pictures, `side` pixels wide, and texts, all standing left.

    A text is shown as it is, with no HTML in it. Raises ValueError if a row has another number of cells than the
    header.
    """
    rows = [list(row) for row in rows]
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, but the header has {len(header)}")
    style = "text-align:left;vertical-align:middle;padding:0.2em 0.8em"
    head = "".join(f'<th style="{style}">{escape(name)}</th>' for name in header)
    body = "".join(
        "<tr>" + "".join(f'<td style="{style}">{_cell(cell, side)}</td>' for cell in row) + "</tr>" for row in rows
    )
    return HTML(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _cell(cell: Shown | Marked | str, side: int) -> str:
    if isinstance(cell, Shown):
        height = round(side * cell.picture.shape[0] / cell.picture.shape[1])
        alt = escape(cell.alt)
        return f'<img alt="{alt}" width="{side}" height="{height}" style="margin:0" src="{webp(cell.picture)}">'
    if isinstance(cell, Marked):
        colour, sign = (GREEN, "✓") if cell.right else (RED, "✗")
        return f'<span style="color:{colour};font-weight:bold">{sign}</span> {escape(cell.text)}'
    return escape(cell)


def webp(picture: np.ndarray, quality: int = 80) -> str:
    """A picture, uint8 [H, W, 3], as the address of an image that is written into a page."""
    kept = io.BytesIO()
    Image.fromarray(picture).save(kept, format="webp", quality=quality, method=6)
    return "data:image/webp;base64," + base64.b64encode(kept.getvalue()).decode()
