"""Two streams by hand: `street-vilbert` in the page says which street a sentence belongs to, and answers questions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from IPython.display import HTML

from helpers.models.vilbert import Regions, ViLBERT
from helpers.page.ask import SHOWN, SURE
from helpers.page.explorers.figure import explorer, sprite
from helpers.page.explorers.weights import pack, vilbert_settings
from helpers.weights.pretrained import load
from helpers.weights.seen import look_at
from helpers.worlds.street.captions import caption, captions
from helpers.worlds.street.questions import LECTURE_QUESTIONS, questions
from helpers.worlds.street.regions import CLASSES
from helpers.worlds.street.sample import scenes as sampled
from helpers.worlds.street.scene import Scene

SENTENCES = (
    "a red truck",
    "a blue bus to the left of a red car",
    "a red bus to the left of a blue car",
    "a street with palm trees",
    "a snowy street",
)
QUESTIONS = (
    LECTURE_QUESTIONS[2],
    "who drives the bus?",
    "what colour is the car?",
    "how many trees are there?",
    "is the bus to the left or to the right of the car?",
)
SIDE = 224  # pixels of a picture to look at; the model sees 96


def regions_explorer(
    scenes: Sequence[Scene],
    sentences: Sequence[str] = SENTENCES,
    asked: Sequence[str] = QUESTIONS,
    layer: int = 1,
    inline: bool = False,
    alt: str = "Two streams by hand: a street with a frame around each region; a sentence and the probability that it "
    "belongs to each of several streets; a question and the most probable answers; each word lights up the regions at "
    "which it looks",
) -> HTML:
    """Return the interactive figure for some scenes of the street world.

    Args:
        scenes: what to choose from; a dozen fits.
        sentences, asked: sentences and questions that a click takes; the first of each stands in its box at first.
        layer: of the co-attention whose maps are shown at first, from 1.
        inline: see `helpers.page.explorers.figure.explorer`.

    Raises ValueError if there is no scene, or more than 24, no sentence or question, or no such layer.
    """
    settings, model = vilbert_settings(), load("street-vilbert").model
    if not 1 <= len(scenes) <= 24:
        raise ValueError(f"scenes: {len(scenes)} is not a number from 1 to 24")
    if not (sentences and asked):
        raise ValueError("sentences, asked: give one of each at least; it stands in the box at first")
    if layer not in range(1, settings["coLayers"] + 1):
        raise ValueError(f"layer: {layer} is not a number from 1 to {settings['coLayers']}")
    # Each street has a seed of its own, or the detector would err at the same region of all of them.
    pictures, seen = zip(*(look_at(scene, SIDE, seed) for seed, scene in enumerate(scenes)), strict=True)
    there = [one.regions.real[0] for one in seen]
    features = torch.cat([one.regions.features[0, real] for one, real in zip(seen, there, strict=True)])
    data = {
        "pictures": sprite(pictures, 6, 80),
        "columns": 6,
        "features": pack(features.numpy()),
        "scenes": [
            {
                "text": caption(scene, np.random.default_rng(seed), "everything"),
                "boxes": [[round(edge, 6) for edge in box] for box in one.regions.boxes[0, real].tolist()],
                "names": region_names(one.classes[0, real]),
            }
            for seed, (scene, one, real) in enumerate(zip(scenes, seen, there, strict=True))
        ],
        "known": {
            "sentence": [reading_of(model, one.regions, sentences[0]) for one in seen],
            "question": reading_of(model, seen[0].regions, asked[0], question=True),
        },
        "settings": settings,
        "examples": {"sentence": list(sentences), "question": list(asked)},
        "layer": layer,
        "words": sorted(words_read()),
        "shown": SHOWN,
        "sure": SURE,
    }
    for reading in data["known"]["sentence"][1:]:
        del reading["looks"]  # only the first street is shown with them before the model is there
    return explorer("regions", data, alt, "street-vilbert", inline, parts=["answers", "vilbert"])


def region_names(classes: torch.Tensor) -> list[str]:
    """What the detector calls the regions of a picture, with numbers where it calls several the same.

    classes: float [N, 14], a distribution for each region; the first is the whole picture.
    """
    said = [CLASSES[k] for k in classes[1:].argmax(1).tolist()]
    several, used = Counter(said), Counter()
    names = ["whole picture"]
    for name in said:
        used[name] += 1
        names.append(f"{name} {used[name]}" if several[name] > 1 else name)
    return names


def reading_of(model: ViLBERT, regions: Regions, text: str, question: bool = False) -> dict[str, Any]:
    """What `model` makes of the regions of one picture and a text.

    Of a question "answers", the probability of each; of a sentence "p", the probability that it belongs to the picture;
    and "looks", [layers, T, N]: where each token of the text looks among the regions, the mean over heads.
    """
    ids = load("street-vilbert").tokenizer.sequences([[text]], end=not question).ids  # [1, T]
    with torch.no_grad():
        streams = model(regions, ids)
        looks = torch.stack(model.looks(regions, ids))[:, 0].mean(1)[..., regions.real[0]]  # [layers, T, N]
        if question:
            found = {"answers": _rounded(model.answer(streams)[0].softmax(0))}
        else:
            found = {"p": round(model.alignment(streams).sigmoid().item(), 7)}
    return found | {"looks": [[_rounded(row) for row in layer] for layer in looks]}


def _rounded(numbers: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in numbers.tolist()]


@cache
def words_read() -> frozenset[str]:
    """The words of the street world's captions and questions: all of them occur within a few dozen scenes."""
    texts = []
    for i, scene in enumerate(sampled("train", 150, seed=0)):
        texts += [*captions(scene, 6, [0, i]), *(one.question for one in questions(scene, [0, i]))]
    return frozenset(re.findall(r"[^\W_]+", " ".join(texts).lower()))
