"""Words against streets: `street-clip` in the page, for any words, one street and the best of many."""

from __future__ import annotations

import torch
from IPython.display import HTML

from helpers.models.clip import encode_images, text_features
from helpers.page.explorers.figure import explorer, sprite
from helpers.page.explorers.weights import clip_settings, pack
from helpers.weights.pretrained import load
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.captions import captions

COLUMNS = 20  # of the sheet of pictures
TEXTS = ("a red bus", "a green taxi", "a snowy street", "a street at night", "palm trees", "")


def clip_explorer(
    streets: Drawn,
    texts: tuple[str, ...] = TEXTS,
    chosen: int = 0,
    n: int = 200,
    inline: bool = False,
    alt: str = "Zero-shot classification: a street, lines of words each with its probability, and beside them the "
    "streets that fit one line best, each with its cosine",
) -> HTML:
    """Return the interactive figure for streets of 96 px.

    Args:
        streets: what to choose from, as `load_street` gives them; a dozen are offered by themselves.
        texts: the lines of words to begin with; an empty one is left for the reader.
        chosen: the street to begin with.
        n: how many of the streets are searched, from the first on; each adds 2 kB to the figure.
        inline: see `helpers.page.explorers.figure.explorer`.

    Raises ValueError if there are fewer than 12 streets, or if `chosen` is none of them.
    """
    n = min(n, len(streets))
    if n < 12 or not 0 <= chosen < n:
        raise ValueError(f"expected 12 streets or more, and one of them chosen, not {n} and {chosen}")
    clip, images = load("street-clip"), streets.images[:n]
    with torch.inference_mode():
        features = encode_images(clip.model, images)  # [n, 128]
        known = text_features(clip.model, clip.tokenizer(list(texts)))  # [lines, 128]
    data = {
        "sprite": sprite([image.permute(1, 2, 0).numpy() for image in images], COLUMNS, quality=50),
        "columns": COLUMNS,
        "captions": [captions(streets.scenes[i], 1, [0, i])[0] for i in range(n)],
        "features": pack(features.numpy()),
        "texts": list(texts),
        "textFeatures": pack(known.numpy()),
        "dozen": _dozen(streets, n, chosen),
        "chosen": chosen,
        "settings": clip_settings() | {"width": features.shape[1]},
    }
    return explorer("clip", data, alt, "street-clip", inline)


def _dozen(streets: Drawn, n: int, chosen: int) -> list[int]:
    """Twelve of the first n streets, the chosen one first, that differ in what drives and in the sky while they can."""
    labels = list(zip(streets.labels["vehicle"].tolist(), streets.labels["sky"].tolist(), strict=True))
    order = sorted(range(n), key=lambda i: (i != chosen, labels[i] in labels[:i], i))
    return order[:12]
