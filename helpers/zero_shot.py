"""A classifier out of sentences: the names of classes, put into prompts, become its rows (Radford et al. 2021, 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from helpers.clip import image_features, text_features
from helpers.street.captions import SKY_WORDS, plural, with_article
from helpers.street.sample import CLASSES
from helpers.street.scene import AGES, COLOURS, KINDS

if TYPE_CHECKING:
    from open_clip.model import CLIP

Tokenizer = Callable[[list[str]], torch.Tensor]  # texts -> ids int64 [n, context_length]


def zero_shot_classifier(model: CLIP, tokenizer: Tokenizer, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
    """The rows of a classifier, float [classes, embed_dim], from the prompts of each class.

    A class is the mean of its prompts' features, brought back to length 1: an ensemble in the embedding space (Radford
    et al. 2021, section 3.1.4). Raises ValueError if a class has no prompt.
    """
    if not prompts or not all(prompts):
        raise ValueError("prompts: every class needs at least one sentence")
    with torch.inference_mode():
        features = text_features(model, tokenizer([text for texts in prompts for text in texts]))  # [all, D]
        means = [group.mean(0) for group in features.split([len(texts) for texts in prompts])]  # classes x [D]
        return F.normalize(torch.stack(means), dim=-1)


def encode_images(model: CLIP, images: torch.Tensor, batch: int = 250) -> torch.Tensor:
    """Features of length 1, float [n, embed_dim], of many pictures uint8 [n, 3, side, side]."""
    with torch.inference_mode():
        return torch.cat([image_features(model, images[i : i + batch]) for i in range(0, len(images), batch)])


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

    `label` is one of those of the street world (`helpers.street.sample.CLASSES`), or "colour_vehicle": every colour
    with every vehicle, numbered colour first, 63 classes. Raises ValueError for another one.
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
