"""Attention by hand: `street-vit` in the page, for a dozen streets; any patch asks, every layer and head answers."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np
from IPython.display import HTML

from helpers.page.explorers.figure import differences, explorer
from helpers.page.explorers.weights import vit_settings
from helpers.weights.store import load_result
from helpers.worlds.street.captions import captions
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.sample import CLASSES
from helpers.worlds.street.scene import Scene


def attention_explorer(
    scenes: Sequence[Scene],
    asks: int = 0,
    layer: int = 3,
    head: int = 1,
    inline: bool = False,
    alt: str = "Attention: a street of 36 patches, one of which asks; maps of where each head of each layer looks, "
    "one of them enlarged with its weights in per cent; and the model's answers for the street",
) -> HTML:
    """Return the interactive figure for some scenes of the street world.

    Args:
        scenes: what to choose from; a dozen fits.
        asks: the token that asks at first: 0 is [CLS], 1 to 36 are the patches, row by row.
        layer, head: the map that is enlarged at first, both counted from 1.
        inline: see `helpers.page.explorers.figure.explorer`.

    Raises ValueError if there is no scene, or no such token, layer or head.
    """
    settings, labels = vit_settings(), load_result("street-vit")["labels"]
    limits = {
        "asks": (asks, 0, (settings["side"] // settings["patch"]) ** 2),
        "layer": (layer, 1, settings["layers"]),
        "head": (head, 1, settings["heads"]),
        "scenes": (len(scenes), 1, 24),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise ValueError(f"{name}: {value} is not a number from {low} to {high}")
    pictures = np.stack([render(scene, settings["side"]) for scene in scenes])  # uint8 [n, S, S, 3]
    data = {
        "pictures": base64.b64encode(zlib.compress(differences(pictures).tobytes(), 9)).decode(),
        "scenes": [captions(scene, 1, [0, i])[0] for i, scene in enumerate(scenes)],
        "truth": [[CLASSES[label].index(scene.labels[label]) for label in labels] for scene in scenes],
        "classes": {label: [str(name) for name in CLASSES[label]] for label in labels},
        "settings": settings,
        "asks": asks,
        "layer": layer - 1,
        "head": head - 1,
    }
    return explorer("attention", data, alt, "street-vit", inline)
