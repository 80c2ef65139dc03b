"""PaLM-E in pictures: the sentence that it reads, as a diagram and token by token, and the loop in which it acts."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterator, Sequence
from html import escape
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from helpers.page.diagram import arrow, box, canvas
from helpers.page.figures import BLUE, GREEN, ORANGE, PURPLE, RED

SENTENCE_PARTS = ("words", "picture", "interleave", "language", "answer")
LOOP_PARTS = ("look", "say", "act", "surprise", "again")
GREY, INK = "0.78", "0.3"
_PATCHES = 3  # of each picture are drawn as tokens


class _Lights:
    """What is drawn in colour and what in grey. Raises ValueError for the name of a part that there is not."""

    def __init__(self, lit: Collection[str], parts: Sequence[str]) -> None:
        if wrong := set(lit) - set(parts):
            raise ValueError(f"lit: {', '.join(sorted(wrong))} is not one of {', '.join(parts)}")
        self.lit = lit

    def on(self, part: str) -> bool:
        return not self.lit or part in self.lit

    def colour(self, part: str, colour: str) -> str:
        return colour if self.on(part) else GREY

    def ink(self, part: str) -> str:
        return "black" if self.on(part) else "0.6"

    def alpha(self, part: str) -> float:
        return 1.0 if self.on(part) else 0.3


def _photo(ax: Axes, picture: np.ndarray, left: float, low: float, side: float, alpha: float = 1.0) -> None:
    ax.imshow(picture, extent=(left, left + side, low, low + side), aspect="equal", alpha=alpha, zorder=3)


def sentence_diagram(
    picture: np.ndarray,
    prompt: Sequence[str],
    answer: Sequence[str],
    *,
    places: int = 36,
    width: int = 128,
    vocabulary: int = 704,
    lit: Collection[str] = (),
) -> Figure:
    """A multimodal sentence on its way through the model: from the words and the picture up to the answer.

    Args:
        picture: uint8 [S, S, 3], what is seen.
        prompt: the words before the picture's place, None there, and the words behind it, such as
            ["given", None, "human:", "clear", "…"]; about ten fit.
        answer: the words that are written, up to about six.
        places: how many tokens the picture has; width: of each embedding; vocabulary: of the language model.
        lit: names of SENTENCE_PARTS that are drawn in colour, the others in grey; by default all are.
    """
    lights = _Lights(lit, SENTENCE_PARTS)
    fig, ax = canvas(11.8, 5.4)
    ax.set(xlim=(0, 118), ylim=(0, 54))
    # Each word is a column as wide as it is long, the picture one for some of its patches.
    wide = [2.2 * _PATCHES + 7.4 if word is None else max(3.5, 1.1 * len(word) + 0.6) for word in prompt]
    gap = min(1.5, (80 - sum(wide)) / max(len(wide) - 1, 1))
    x, columns = 2.0, []
    for each in wide:
        columns.append((x, x + each))
        x += each + gap
    end = x - gap
    for word, (left, right) in zip(prompt, columns, strict=True):
        middle = (left + right) / 2
        if word is None:
            _picture_tokens(ax, lights, picture, places, width, left, right)
            continue
        ax.text(middle, 13, word, ha="center", va="center", fontsize=12, color=lights.ink("words"))
        _embedding(ax, middle, lights.colour("words", BLUE))
        arrow(ax, (middle, 14.8), (middle, 22.6), colour=lights.colour("words", INK))
    first = columns[0][0]
    text = f"each of {vocabulary} pieces of words\nhas its own vector [{width}]"
    ax.text(end + 2, 13, text, fontsize=11, color=lights.ink("words"), va="center")
    on = lights.colour("interleave", ORANGE)
    ax.plot([first - 0.8, end + 0.8, end + 0.8, first - 0.8, first - 0.8], [22, 22, 28.4, 28.4, 22], color=on, lw=2)
    ax.text(end + 2, 25.2, f"one sentence:\n[T, {width}]", fontsize=12, va="center", color=lights.ink("interleave"))
    middle = (first + end) / 2
    for k in (0.2, 0.5, 0.8):
        at = first + k * (end - first)
        arrow(ax, (at, 28.6), (at, 33.3), colour=lights.colour("language", INK))
    text = "language model: looks back at everything before, words and patches alike"
    box(ax, (middle, 37), text, end - first + 1.6, 7.4, lights.colour("language", GREEN))
    _written(ax, lights, answer, end, vocabulary)
    return fig


def _embedding(ax: Axes, x: float, colour: str, wide: float = 1.5) -> None:
    """An embedding, as a small column of cells."""
    for k in range(4):
        ax.fill([x - wide / 2, x + wide / 2, x + wide / 2, x - wide / 2],
                [23 + 1.1 * k, 23 + 1.1 * k, 24.1 + 1.1 * k, 24.1 + 1.1 * k],
                fc=colour, ec="white", lw=0.8, alpha=0.5 + 0.15 * (k % 3), zorder=3)  # fmt: skip


def _picture_tokens(
    ax: Axes, lights: _Lights, picture: np.ndarray, places: int, width: int, left: float, right: float
) -> None:
    """The picture below, its encoder, and some of its tokens in the sentence."""
    middle, colour = (left + right) / 2, lights.colour("picture", PURPLE)
    _photo(ax, picture, middle - 5.8, 0, 11.6, lights.alpha("picture"))
    box(ax, (middle, 15.6), "ViT", 9, 3.8, colour)
    arrow(ax, (middle, 11.7), (middle, 13.6), colour=lights.colour("picture", INK))
    arrow(ax, (middle, 17.6), (middle, 22.6), colour=lights.colour("picture", INK))
    ax.text(middle + 0.8, 19.6, f"[{places}, {width}]", fontsize=10.5, color=lights.ink("picture"), va="center")
    for k in range(_PATCHES):
        _embedding(ax, left + 2 + 2.2 * k, colour)
    ax.text(right - 3.6, 25.2, f"… {places}", fontsize=12, ha="center", va="center", color=lights.ink("picture"))


def _written(ax: Axes, lights: _Lights, answer: Sequence[str], end: float, vocabulary: int) -> None:
    """The answer, word by word, each of which is read again for the next."""
    colour, ink = lights.colour("answer", INK), lights.ink("answer")
    arrow(ax, (end + 0.8, 37), (end + 7, 37), colour=colour)
    ax.text(end + 4, 38.6, f"[{vocabulary}]", fontsize=10.5, ha="center", color=ink)
    text = " ".join(answer)
    lines, line = [], ""
    for word in text.split():
        if len(f"{line} {word}") > 17:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    box(ax, ((end + 7 + 117) / 2, 37), "\n".join([*lines, line]), 110 - end, 12, lights.colour("answer", RED))
    ax.text((end + 7 + 117) / 2, 47.2, "the answer, token by token:\nonly these are learned from", fontsize=10.5,
            ha="center", va="center", color=ink)  # fmt: skip
    back = (end + 7 + 117) / 2
    arrow(ax, (back, 31), (back, 29.6), (end - 3, 29.6), (end - 3, 33.3), colour=colour)


def loop_diagram(
    before: np.ndarray,
    after: np.ndarray,
    told: str,
    step: str,
    probability: float,
    event: str,
    lit: Collection[str] = (),
) -> Figure:
    """The control loop: look, say the next step, let a skill try it, look again.

    before, after: the table when it is looked at, and when the step has been tried, uint8 [S, S, 3]. told: the
    instruction; step: what is said, with its probability; event: what happens besides, such as "a hand moves the red
    block". lit: names of LOOP_PARTS, as for `sentence_diagram`.
    """
    lights = _Lights(lit, LOOP_PARTS)
    fig, ax = canvas(11.8, 4.8)
    ax.set(xlim=(0, 118), ylim=(0, 48))
    _photo(ax, before, 3, 16, 19, lights.alpha("look"))
    ax.text(12.5, 37, "1  look", ha="center", fontsize=13, weight="bold", color=lights.ink("look"))
    box(ax, (45, 25.5), "PaLM-E", 15, 12, lights.colour("say", GREEN))
    ax.text(45, 44.5, f"“{told}”", ha="center", fontsize=12, color=lights.ink("say"))
    arrow(ax, (45, 43), (45, 31.7), colour=lights.colour("say", INK))
    ax.text(47, 35.5, "2  say the next step", fontsize=13, weight="bold", color=lights.ink("say"))
    arrow(ax, (22.4, 25.5), (37.3, 25.5), colour=lights.colour("look", INK), label="picture")
    arrow(ax, (52.7, 25.5), (71.3, 25.5), colour=lights.colour("say", INK))
    words = step.split()
    half = (len(words) + 1) // 2
    said = " ".join(words[:half]) + "\n" + " ".join(words[half:])
    ax.text(62, 26.4, f"“{said.strip()}”", ha="center", va="bottom", fontsize=11, color=lights.ink("say"))
    ax.text(62, 24.4, f"p = {probability:.2f}", ha="center", va="top", fontsize=11, color=lights.ink("say"))
    box(ax, (79, 25.5), "skill\n(may slip)", 15, 12, lights.colour("act", BLUE))
    ax.text(79, 35.5, "3  act", ha="center", fontsize=13, weight="bold", color=lights.ink("act"))
    arrow(ax, (86.7, 25.5), (95.6, 25.5), colour=lights.colour("act", INK))
    _photo(ax, after, 96, 16, 19, lights.alpha("act"))
    ax.text(105.5, 43.6, fill(event, 22), ha="center", va="bottom", fontsize=12, color=lights.colour("surprise", RED))
    arrow(ax, (105.5, 43), (105.5, 35.6), colour=lights.colour("surprise", RED))
    on = lights.colour("again", ORANGE)
    arrow(ax, (105.5, 15.4), (105.5, 7), (12.5, 7), (12.5, 15.4), colour=on)
    ax.text(59, 8, "4  look again, until it says “done” or the steps are used up", ha="center", va="bottom",
            fontsize=13, weight="bold", color=lights.ink("again"))  # fmt: skip
    ax.text(59, 5.6, "what was tried is told again in the next prompt", ha="center", va="top", fontsize=11,
            color=lights.ink("again"))  # fmt: skip
    return fig


def token_strip(
    pieces: Sequence[str],
    places: Sequence[bool],
    target: Sequence[bool],
    pictures: Sequence[np.ndarray],
    side: int = 34,
) -> HTML:
    """A multimodal sentence token by token, each with its position: words, patches of pictures, and what is learned.

    Args:
        pieces: the text of each token, such as "<sep>".
        places: which tokens are those of pictures. Of each picture in turn as many as it has patches, a square number.
        target: which tokens are to be predicted; they are framed.
        pictures: uint8 [S, S, 3], in the order of the sentence.
        side: of a patch, in pixels.

    Raises ValueError if the places cannot be shared out evenly among the pictures, or not as squares.
    """
    n = sum(map(bool, places)) // max(1, len(pictures))
    rows = round(n**0.5)
    if n * len(pictures) != sum(map(bool, places)) or rows * rows != n:
        raise ValueError(f"{sum(map(bool, places))} places are not {len(pictures)} pictures of a square number each")
    parts = "".join(_chips(pieces, places, target, iter(pictures), rows, side))
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:6px 4px;align-items:flex-end">{parts}</div>')


def _chips(
    pieces: Sequence[str], places: Sequence[bool], target: Sequence[bool], pictures: Iterator[np.ndarray], rows: int,
    side: int,
) -> Iterator[str]:  # fmt: skip
    below = "display:block;font-size:0.7em;line-height:1.2;color:#4a5565"
    k = 0
    while k < len(pieces):
        if places[k]:
            n, picture = rows * rows, next(pictures)
            alt = escape(f"The {n} patches of the picture, one after the other, at the positions {k} to {k + n - 1}.")
            yield (
                f'<span style="text-align:center;border:2px solid {PURPLE};border-radius:5px;padding:2px">'
                f'<img alt="{alt}" width="{side * n // 2}" height="{2 * side}" style="margin:0;display:block" '
                f'src="{_webp(_cut_up(picture, rows, side))}"><span style="{below}">{k} to {k + n - 1}</span></span>'
            )
            k += n
            continue
        colour, fill = (RED, "#fdeee6") if target[k] else (BLUE, "#e8f1f8")
        yield (
            f'<span style="text-align:center;border:2px solid {colour};border-radius:5px;padding:2px 6px;'
            f'background:{fill};color:#17202c">{escape(pieces[k])}<span style="{below}">{k}</span></span>'
        )
        k += 1


def _cut_up(picture: np.ndarray, rows: int, side: int) -> np.ndarray:
    """The patches of a picture in two lines, in the order in which they are read, with white between them."""
    size, n, margin = picture.shape[0] // rows, rows * rows, 2
    at = (np.arange(side - margin) * size) // (side - margin)  # the pixels that are kept, or shown more than once
    found = np.full((2 * side, side * n // 2, 3), 255, np.uint8)
    for k in range(n):
        row, column = divmod(k, rows)
        patch = picture[row * size : (row + 1) * size, column * size : (column + 1) * size]
        down, right = divmod(k, n // 2)
        top, left = down * side + margin // 2, right * side + margin // 2
        found[top : top + side - margin, left : left + side - margin] = patch[at][:, at]
    return found


def _webp(picture: np.ndarray) -> str:
    kept = io.BytesIO()
    Image.fromarray(picture).save(kept, format="webp", quality=80, method=6)
    return "data:image/webp;base64," + base64.b64encode(kept.getvalue()).decode()


Line = tuple[str, str]  # a text and its colour


def columns_of_pictures(
    columns: Sequence[tuple[Sequence[np.ndarray], Sequence[Line]]], width: float = 12, letters: int = 26, lines: int = 6
) -> Figure:
    """Columns side by side, each of as many pictures, one below the other, and of texts below them.

    columns: (pictures, uint8 [S, S, 3], and texts with their colours). width: of the figure, in inches. letters: a text
    breaks after so many. lines: for how many lines of text there is room below the pictures.
    """
    n = len(columns[0][0])
    side = width / len(columns)
    fig, axes = plt.subplots(n, len(columns), figsize=(width, n * side + 0.24 * lines), squeeze=False, layout="none")
    low = 0.24 * lines / (n * side + 0.24 * lines)
    fig.subplots_adjust(0.01, low, 0.99, 0.995, 0.06, 0.04)
    for of_column, (pictures, texts) in zip(axes.T, columns, strict=True):
        for ax, picture in zip(of_column, pictures, strict=True):
            ax.imshow(picture)
            ax.axis("off")
        at = 0.06
        for text, colour in texts:
            wrapped = fill(text, letters)
            of_column[-1].text(0, -at / side, wrapped, transform=of_column[-1].transAxes, va="top", fontsize=12.5,
                               color=colour, linespacing=1.15)  # fmt: skip
            at += 0.22 * (1 + wrapped.count("\n")) + 0.06
    return fig
