"""The table in words: one sentence that names everything, and the facts that such a sentence tells."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from helpers.worlds.street.captions import with_article
from helpers.worlds.table.scene import AREAS, COLOURS, KINDS, Scene

_THING = rf"(?:an? )?((?:{'|'.join(COLOURS)}) (?:{'|'.join(KINDS)}))"
_STACK = re.compile(rf"{_THING}(?: (?:on|in) {_THING})*")


def stacks(scene: Scene) -> dict[str, list[str]]:
    """For each area that is taken, in the order of AREAS: the names of what stands there, from below upwards."""
    found: dict[str, list[str]] = {}
    for area in AREAS:
        i = scene.base_in(area)
        while i is not None:
            thing = scene.things[i]
            found.setdefault(area, []).append(f"{thing.colour} {thing.kind}")
            i = scene.above(i)
    return found


def caption(scene: Scene) -> str:
    """Everything on the table, area by area: "a red block on a blue block at the back left, a pink bowl at …"."""
    phrases = []
    for area, names in stacks(scene).items():
        text = with_article(names[0])
        for name in names[1:]:
            text = f"{with_article(name)} {'in' if text.endswith('bowl') and ' on ' not in text else 'on'} {text}"
        phrases.append(f"{text} at the {area}")
    return ", ".join(phrases)


def facts(text: str) -> Counter[tuple[str, str]]:
    """What a caption tells: (thing, area) of each thing, and (upper, lower) of each that stands on another.

    What is not written as captions are is passed over.
    """
    found: Counter[tuple[str, str]] = Counter()
    for phrase in text.split(", "):
        stack, _, area = phrase.partition(" at the ")
        if area in AREAS and _STACK.fullmatch(stack):
            names = re.findall(_THING, stack)
            found.update((name, area) for name in names)
            found.update(pairwise(names))
    return found


def overlap(written: str, true: str) -> tuple[int, int, int]:
    """How many facts of two captions agree, how many the written one has, and how many the true one has."""
    a, b = facts(written), facts(true)
    return (a & b).total(), a.total(), b.total()
