"""Prompts for the labels of the street world: the sentences from which CLIP's zero-shot classifier is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from helpers.worlds.street.captions import SKY_WORDS, plural, with_article
from helpers.worlds.street.sample import CLASSES
from helpers.worlds.street.scene import AGES, COLOURS, KINDS


def _vehicles(colours: Sequence[str], kind: str) -> list[str]:
    phrases = [with_article(f"{colour} {kind}") for colour in colours]
    old = [with_article(f"{age} {colour} {kind}") for age in AGES for colour in colours]
    return [
        *phrases,
        *(f"a picture of {phrase}" for phrase in phrases),
        *(f"{phrase} is parked on a new dry street without trees on a clear day" for phrase in old),
        *(f"{phrase} is driving along a cracked wet road lined with trees at night" for phrase in old),
    ]


def _tree(kind: str) -> list[str]:
    if kind == "none":
        return ["a street without trees", "a street with no trees", "a modern red car on a new road without trees"]
    return [
        f"a street lined with {kind} trees",
        f"a street with {with_article(kind)}",
        f"a street with two {plural(kind)}",
        f"a modern red car is parked on a new dry road lined with {kind} trees on a clear day",
    ]


def street_prompts(label: str) -> list[list[str]]:
    """Prompts for each class of a label, in the order of its classes.

    `label` is one of those of the street world (CLASSES of `helpers.worlds.street.sample`), or "colour_vehicle": every
    colour with every vehicle, numbered colour first, 63 classes. Raises ValueError for another one.
    """
    if label == "colour_vehicle":
        return [_vehicles([colour], kind) for colour in COLOURS for kind in KINDS]
    if label not in CLASSES:
        raise ValueError(f"label: {label!r} is not one of {', '.join(CLASSES)}, colour_vehicle")
    return [_PROMPTS[label](name) for name in CLASSES[label]]


_PROMPTS: dict[str, Callable[[str], list[str]]] = {
    "vehicle": lambda kind: _vehicles(COLOURS, kind),
    "colour": lambda colour: [text for kind in KINDS for text in _vehicles([colour], kind)],
    "age": lambda age: [f"a street with {with_article(f'{age} {colour} {k}')}" for colour in COLOURS for k in KINDS],
    "tree": _tree,
    "road": lambda road: [f"a {road} street", f"a modern red car is parked on a {road} road without trees"],
    "sky": lambda sky: [f"a street {words}" for words in SKY_WORDS[sky]],
}
