"""A few numbers as a small table that can be read at the back of a room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from IPython.display import HTML

from helpers.page.figures import GREEN, RED


@dataclass(frozen=True)
class Marked:
    """A text in a table, with a sign before it that says whether it is right."""

    text: str
    right: bool


def table(header: Sequence[str], rows: Iterable[Sequence[object]], strong: Iterable[int] = ()) -> HTML:
    """A table with `header` above `rows`: the first column, and any text, stands left, numbers stand right.

    The rows numbered in `strong`, from 0, are bold. A text is shown as it is, with no HTML in it; before one that is
    Marked stands a green or a red sign.
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
            f'<{tag} style="text-align:{side};padding:0.25em 1em;{weight}">{_shown(cell)}</{tag}>'
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


def _shown(cell: object) -> str:
    if not isinstance(cell, Marked):
        return escape(str(cell))
    colour, sign = (GREEN, "✓") if cell.right else (RED, "✗")
    return f'<span style="color:{colour};font-weight:bold">{sign}</span> {escape(cell.text)}'
