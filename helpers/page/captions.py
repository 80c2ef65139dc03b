"""Captions on a page: which of their words are false of a street, and how much each word owes to something."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from IPython.display import HTML
from PIL import Image

from helpers.page.figures import BLUE, RED
from helpers.worlds.street.captions import (
    AGE_WORDS,
    BUILDING_WORDS,
    KIND_WORDS,
    NUMBERS,
    SKY_WORDS,
    SURFACE_WORDS,
    WEATHER_WORDS,
    plural,
)
from helpers.worlds.street.reading import judge
from helpers.worlds.street.scene import Scene

SYNONYMS = {**AGE_WORDS, **BUILDING_WORDS, **KIND_WORDS, **SKY_WORDS, **SURFACE_WORDS, **WEATHER_WORDS}
SMALL_WORDS = {"a", "an", "at", "in", "of", "on", "row", "the", "under"}  # of a phrase such as "on a clear day"


def false_words(text: str, scene: Scene) -> set[str]:
    """The words of `text` by which it states something that is false of `scene`, and those that state nothing."""
    judged, words = judge(text, scene), {word.strip(",.") for word in text.lower().split()}
    found = set(judged.unread) - SMALL_WORDS
    for fact in judged.false:
        value = NUMBERS[fact.value] if type(fact.value) is int and fact.value < len(NUMBERS) else str(fact.value)
        phrases = {value, plural(value), *SYNONYMS.get(value, ())}
        said = {word for phrase in phrases for word in phrase.split()} - SMALL_WORDS
        named = {"lined": {"lined"}, "treeless": {"without", "trees"}, "parked": {"parked", "driving", "moving"}}
        found |= (said | named.get(fact.name, set())) & words
    return found


def marked(text: str, scene: Scene) -> str:
    """HTML of `text` in which the words that are false of `scene` are struck through in red.

    The words keep the colour of the page's text: red ones could not be read on white, nor dark red ones on black.
    """
    false = false_words(text, scene)
    style = f"text-decoration:line-through {RED} 0.15em;font-weight:bold"
    return " ".join(
        f'<span style="{style}">{escape(word)}</span>' if word.strip(",.").lower() in false else escape(word)
        for word in text.split()
    )


def caption_table(
    pictures: Sequence[np.ndarray],
    scenes: Sequence[Scene],
    columns: Mapping[str, Sequence[str]],
    side: int | None = None,
) -> HTML:
    """A row for each picture, uint8 [H, W, 3]: the picture, then a caption from each of `columns`, false words struck.

    side: of the pictures as shown, in pixels of the page (default: 96, or less where the captions need the room).
    Raises ValueError if a column has not one caption for each picture.
    """
    for name, texts in columns.items():
        if not len(texts) == len(pictures) == len(scenes):
            raise ValueError(f"{name}: {len(texts)} captions for {len(pictures)} pictures of {len(scenes)} scenes")
    cell = "text-align:left;vertical-align:middle;padding:0.2em 0.8em"
    head = "".join(f'<th style="{cell}">{escape(name)}</th>' for name in ("", *columns))
    body = "".join(
        f'<tr><td style="{cell}">{_image(picture, scene, side)}</td>'
        + "".join(f'<td style="{cell};font-size:1.05em">{marked(texts[i], scene)}</td>' for texts in columns.values())
        + "</tr>"
        for i, (picture, scene) in enumerate(zip(pictures, scenes, strict=True))
    )
    return HTML(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def word_bars(words: Sequence[str], values: Sequence[float], colours: Sequence[str] = (), height: float = 3.0) -> HTML:
    """The words of a sentence, in a line that breaks where it must, each above a bar of its value, 0 to 1.

    colours: of each bar (default: all blue). height: of a bar of value 1, in times the height of a letter.
    Raises ValueError if words, values and colours differ in number, or a value is out of range.
    """
    colours = colours or [BLUE] * len(words)
    if not len(words) == len(values) == len(colours):
        raise ValueError(f"{len(words)} words have {len(values)} values and {len(colours)} colours")
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"values: {min(values)} to {max(values)} do not lie between 0 and 1")
    parts = []
    for word, value, colour in zip(words, values, colours, strict=True):
        bar = f"display:block;margin:0 auto;width:1.6em;height:{height * value:.2f}em;background-color:{colour}"
        whole = "display:inline-block;text-align:center;vertical-align:top;padding:0 0.25em 0.6em;font-size:1.15em"
        told = f"{escape(word)}, {value:.2f}"
        parts.append(f'<span style="{whole}" title="{told}">{escape(word)}<span style="{bar}"></span></span>')
    return HTML(f'<div style="line-height:1.4">{"".join(parts)}</div>')


def _image(picture: np.ndarray, scene: Scene, side: int | None = None) -> str:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, format="webp", quality=86, method=6)
    colour, kind = scene.main.colour, scene.main.kind
    width, fixed = (96, "") if side is None else (side, f'style="min-width:{side}px" ')
    return (
        f'<img alt="a street with a {colour} {kind}, drawn" width="{width}" height="{width}" {fixed}'
        f'src="data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}">'
    )
