"""Regions of a street for a model that sees objects in place of pixels: whose they are, and what a detector would say.

The boxes are the scene's own, from the pictures of `helpers.worlds.boxed`. The classes are given as
distributions that are now and then wrong, since a detector's are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from helpers.worlds.street.scene import BEINGS, KINDS, TREES, Scene

CLASSES = (*KINDS, *TREES, *BEINGS)
MOST = 11  # <IMG>, three vehicles, six trees, a being
WHOLE = (0.0, 0.0, 1.0, 1.0, 1.0)
TRUST, MISTAKES = 0.8, 0.1  # the probability a detector gives to its class on average, and how often that is wrong


def to_words(boxes: Sequence[tuple[str, tuple[int, int, int, int]]], size: int) -> str:
    """Boxes in pixels, each with the name of its object in the scene, as a line of JSON with shares of the side."""
    return json.dumps([[name, *(round(edge / size, 4) for edge in box)] for name, box in boxes])


def table(scene: Scene, words: str, seed: int | list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes float32 [11, 5], distributions over CLASSES float32 [11, 14], and which regions there are, bool [11].

    A box is left, top, right, bottom and area, each from 0 to 1. The first region is the whole picture; its
    distribution is even, as it is no object. An object outside the picture has no region. words: of `to_words`.
    """
    rng = np.random.default_rng(seed)
    boxes = np.zeros((MOST, 5), np.float32)
    classes = np.full((MOST, len(CLASSES)), 1 / len(CLASSES), np.float32)
    there = np.zeros(MOST, bool)
    boxes[0], there[0] = WHOLE, True
    for row, (name, left, top, right, bottom) in enumerate(json.loads(words), start=1):
        if right <= left or bottom <= top:
            continue
        boxes[row] = left, top, right, bottom, (right - left) * (bottom - top)
        classes[row], there[row] = _posterior(CLASSES.index(_kind(scene, name)), rng), True
    return boxes, classes, there


def _kind(scene: Scene, name: str) -> str:
    """What the object "vehicles[0]", "trees[2]" or "being" is."""
    if name.startswith("vehicles"):
        return scene.vehicles[int(name[9:-1])].kind
    return scene.trees.kind if name.startswith("trees") else scene.being.kind


def _posterior(true: int, rng: np.random.Generator) -> np.ndarray:
    """A distribution over CLASSES whose peak is at `true`, or, as often as MISTAKES, at another class."""
    peak = int(rng.integers(len(CLASSES))) if rng.random() < MISTAKES else true
    others = rng.dirichlet(np.full(len(CLASSES), 0.3))
    trust = rng.beta(16 * TRUST, 16 * (1 - TRUST))
    return (trust * (np.arange(len(CLASSES)) == peak) + (1 - trust) * others).astype(np.float32)
