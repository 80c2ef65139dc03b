"""Streets as a model sees them that reads regions in place of pixels: `see` many of them, `look_at` one.

The features are those of the shipped street-resnet, whose convolutions are frozen.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from helpers.models.vilbert import Detector, Regions
from helpers.weights.pretrained import load
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.drawing.render import layers, render
from helpers.worlds.street.regions import table, to_words
from helpers.worlds.street.scene import Scene

BATCH = 250
SIZE = 96  # pixels that the model sees


class Seen(NamedTuple):
    """What is seen of n pictures, and what a detector says that it is."""

    regions: Regions
    classes: torch.Tensor  # float [n, N, classes], a distribution for each region


@cache
def detector() -> Detector:
    """The frozen convolutions of the shipped street-resnet."""
    return Detector(load("street-resnet").model)


def see(street: Drawn, seed: int = 0) -> Seen:
    """The regions of every picture of `street`, which is one of `helpers.worlds.boxed`; `seed` is the detector's."""
    lines = zip(street.scenes, street.captions, strict=True)
    return _see(street.images, [table(scene, words[0], [seed, i]) for i, (scene, words) in enumerate(lines)])


def look_at(scene: Scene, size: int = 384, seed: int = 0) -> tuple[np.ndarray, Seen]:
    """A picture of `scene` to look at, uint8 [size, size, 3], and the regions of the same as the model sees it."""
    words = to_words([(layer.name, layer.box) for layer in layers(scene, SIZE, seed)], SIZE)
    small = torch.from_numpy(render(scene, SIZE, seed)).permute(2, 0, 1)[None]  # [1, 3, 96, 96]
    return render(scene, size, seed), _see(small, [table(scene, words, seed)])


def nothing(n: int, like: Regions) -> Regions:
    """The regions of `n` pictures that are not shown: one, empty, for the whole picture."""
    features, boxes = (torch.zeros(n, 1, part.shape[-1]) for part in like[:2])
    return Regions(features, boxes, torch.ones(n, 1, dtype=torch.bool))


def _see(images: torch.Tensor, rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Seen:
    boxes, classes, real = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
    parts = zip(images.split(BATCH), boxes.split(BATCH), strict=True)
    features = torch.cat([detector()(pictures, own) for pictures, own in parts])
    return Seen(Regions(features, boxes, real), classes)
