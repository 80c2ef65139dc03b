"""What a room meets in each deck: how many slides show a picture, how many code, and how much of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nbformat import NotebookNode

# The limits of a deck; a deck that has a reason to break one is named, with it, in EXCEPTIONS.
LEAST_PICTURES, MOST_CODE, MOST_LINES = 0.55, 0.40, 12
SLIDES_OF_AN_HOUR = (25, 32)
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("00", "pictures"): "the map of the course and how to work with it are lists and one link each",
}

_SHOWN = re.compile(r"<img|<svg|<canvas|<iframe|<table|class=.explorer")
_DRAWN_IN_TEXT = re.compile(r"\$\$|<svg|!\[|^\|", re.MULTILINE)


@dataclass
class Slide:
    """One slide: its heading, the pictures, tables, formulas and interactives on it, and its visible lines of code."""

    heading: str
    pictures: int = 0
    lines: int = 0


@dataclass(frozen=True)
class Deck:
    """The figures of a deck."""

    slides: tuple[Slide, ...]
    minutes: int

    @property
    def pictures(self) -> float:
        """The share of the slides with a picture, table, formula or interactive."""
        return sum(slide.pictures > 0 for slide in self.slides) / max(1, len(self.slides))

    @property
    def code(self) -> float:
        """The share of the slides that show code."""
        return sum(slide.lines > 0 for slide in self.slides) / max(1, len(self.slides))

    def problems(self) -> dict[str, str]:
        """What breaks a limit, each under the limit's name: "pictures", "code", "lines", "slides"."""
        found = {}
        if self.pictures < LEAST_PICTURES:
            found["pictures"] = f"{self.pictures:.0%} of the slides show a picture, fewer than {LEAST_PICTURES:.0%}"
        if self.code > MOST_CODE:
            found["code"] = f"{self.code:.0%} of the slides show code, more than {MOST_CODE:.0%}"
        if long := [f"“{s.heading}” ({s.lines})" for s in self.slides if s.lines > MOST_LINES]:
            found["lines"] = f"more than {MOST_LINES} lines of code on {', '.join(long)}"
        # A shorter notebook may have fewer slides; none may have more than an hour can bear.
        least = min(1.0, self.minutes / 60) * SLIDES_OF_AN_HOUR[0] * 0.75
        if not least <= len(self.slides) <= SLIDES_OF_AN_HOUR[1]:
            found["slides"] = f"{len(self.slides)} slides, not {least:.0f} to {SLIDES_OF_AN_HOUR[1]}"
        return found


def read_deck(notebook: NotebookNode) -> Deck:
    """The figures of the deck that `notebook`, executed, is exported as."""
    return Deck(tuple(_slides(notebook)), notebook.metadata.get("course", {}).get("minutes", 60))


def _slides(notebook: NotebookNode) -> Iterator[Slide]:
    slide = None
    for cell in notebook.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type", "")
        if kind in ("slide", "subslide"):
            if slide:
                yield slide
            slide = Slide(cell.source.splitlines()[0].lstrip("# ") if cell.source else "")
        if slide is None or kind in ("notes", "skip"):
            continue
        if cell.cell_type == "markdown":
            slide.pictures += bool(_DRAWN_IN_TEXT.search(cell.source))
            continue
        if "hide-input" not in cell.metadata.get("tags", []):
            slide.lines += len([line for line in cell.source.splitlines() if not line.startswith("# NBVAL_")])
        slide.pictures += sum(_is_picture(output.get("data", {})) for output in cell.get("outputs", []))
    if slide:
        yield slide


def _is_picture(data: dict) -> bool:
    shown = any(kind.startswith("image/") or "widget-view" in kind for kind in data)
    return shown or bool(_SHOWN.search("".join(data.get("text/html", ""))))


def report(decks: dict[str, Deck]) -> str:
    """A line for each deck, by its name, with what breaks a limit below it."""
    lines = [f"{'deck':<28}{'slides':>7}{'pictures':>10}{'code':>7}{'longest':>9}"]
    for name, deck in decks.items():
        longest = max((slide.lines for slide in deck.slides), default=0)
        lines.append(f"{name:<28}{len(deck.slides):>7}{deck.pictures:>10.0%}{deck.code:>7.0%}{longest:>9}")
        for limit, problem in deck.problems().items():
            reason = EXCEPTIONS.get((name[: name.find("_")], limit))
            lines.append(f"  {problem}" + (f"; allowed: {reason}" if reason else ""))
    return "\n".join(lines)
