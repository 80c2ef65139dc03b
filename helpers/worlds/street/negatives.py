"""False captions of a street, to ask whether a model tells them from true ones.

A caption of another scene is often given away by a word for something that is not there. One with the colours of two
vehicles exchanged has the very same words: only what belongs to what tells it apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from helpers.worlds.street.captions import FOCI, caption
from helpers.worlds.street.reading import judge
from helpers.worlds.street.scene import Scene

TRIES = 12


def random_negatives(scenes: Sequence[Scene], seed: int) -> list[tuple[int, str, str]]:
    """For each scene its number, a caption of it, and a caption of another one that is false here.

    A scene for which none of several others gives a false caption is left out.
    """
    rng, found = np.random.default_rng([seed, 1]), []
    for i, scene in enumerate(scenes):
        focus = FOCI[int(rng.integers(len(FOCI)))]
        true = caption(scene, rng, focus)
        for _ in range(TRIES):
            false = caption(scenes[int(rng.integers(len(scenes)))], rng, focus)
            if judge(false, scene).false:
                found.append((i, true, false))
                break
    return found


def exchanged_colours(scene: Scene, seed: int | list[int]) -> tuple[str, str] | None:
    """A caption that names two vehicles, and the same with their colours exchanged, which is false of the scene.

    None if there is no such caption among several, as where only one vehicle stands or both have one colour.
    """
    if len({vehicle.colour for vehicle in scene.vehicles}) < 2:
        return None
    turned = tuple(vehicle.colour for vehicle in (*scene.vehicles[1:], scene.vehicles[0]))
    other = replace(scene, vehicles=tuple(replace(v, colour=c) for v, c in zip(scene.vehicles, turned, strict=True)))
    for number in range(TRIES):
        for focus in ("what", "where"):
            # The same draws, and so the same wording.
            true, false = (
                caption(s, np.random.default_rng([number, *np.atleast_1d(seed)]), focus) for s in (scene, other)
            )
            same_words = sorted(_words(true)) == sorted(_words(false))
            if true != false and same_words and judge(false, scene).false and not judge(true, scene).false:
                return true, false
    return None


def swapped_negatives(scenes: Sequence[Scene], seed: int) -> list[tuple[int, str, str]]:
    """For each scene that allows it its number, a true caption, and the same with colours exchanged."""
    pairs = ((i, exchanged_colours(scene, [seed, i])) for i, scene in enumerate(scenes))
    return [(i, *pair) for i, pair in pairs if pair]


def _words(text: str) -> list[str]:
    """The words of a caption, "a" and "an" as one."""
    return ["a" if word == "an" else word for word in text.replace(",", "").split()]
