"""Words against streets: `street-clip` in the page, for any words, one street and the best of many."""

from __future__ import annotations

import torch
from IPython.display import HTML

from helpers.models.clip import encode_images, text_features
from helpers.page.explorers.figure import explorer, floats, halves, sprite
from helpers.page.explorers.weights import clip_settings
from helpers.weights.pretrained import load
from helpers.worlds.drawn import Drawn

COLUMNS = 20  # of the sheet of pictures
TEXTS = ("a red bus", "a green taxi", "a snowy street", "a street at night", "palm trees", "")


def clip_explorer(
    streets: Drawn,
    texts: tuple[str, ...] = TEXTS,
    chosen: int = 0,
    inline: bool = False,
    alt: str = "Zero-shot classification: a street, lines of words each with its probability, and below all the "
    "streets that fit one line best, each with its cosine",
) -> HTML:
    """Return the interactive figure for some streets of 96 px with captions.

    Args:
        streets: what to choose from, as `load_street` gives them; a dozen are offered by themselves.
        texts: the lines of words to begin with; an empty one is left for the reader.
        chosen: the street to begin with.
        inline: see `helpers.page.explorers.figure.explorer`.

    Raises ValueError if there are fewer than 12 streets, or if `chosen` is none of them.
    """
    if len(streets) < 12 or not 0 <= chosen < len(streets):
        raise ValueError(f"expected 12 streets or more, and one of them chosen, not {len(streets)} and {chosen}")
    clip = load("street-clip")
    with torch.inference_mode():
        features = encode_images(clip.model, streets.images)  # [n, 128]
        known = text_features(clip.model, clip.tokenizer(list(texts)))  # [lines, 128]
    data = {
        "sprite": sprite([image.permute(1, 2, 0).numpy() for image in streets.images], COLUMNS, quality=50),
        "columns": COLUMNS,
        "captions": [words[0] for words in streets.captions],
        "features": halves(features.numpy()),
        "texts": list(texts),
        "textFeatures": floats(known.numpy()),
        "dozen": _dozen(streets, chosen),
        "chosen": chosen,
        "settings": clip_settings() | {"width": features.shape[1]},
    }
    return explorer("clip", data, alt, "street-clip", inline)


def _dozen(streets: Drawn, chosen: int) -> list[int]:
    """Twelve streets, the chosen one first, that differ in what drives and in the sky as far as they can."""
    found, seen = [chosen], set()
    labels = list(zip(streets.labels["vehicle"].tolist(), streets.labels["sky"].tolist(), strict=True))
    seen.add(labels[chosen])
    for i, label in enumerate(labels):
        if i != chosen and label not in seen and len(found) < 12:
            found.append(i)
            seen.add(label)
    rest = [i for i in range(len(streets)) if i not in found]
    return found + rest[: 12 - len(found)]
