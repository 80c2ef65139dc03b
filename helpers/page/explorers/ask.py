"""Caption and ask: `street-visualgpt` in the page describes a street word by word and answers questions about it."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from IPython.display import HTML

from helpers.models.language import generate
from helpers.models.visualgpt import VisualGPT
from helpers.page.ask import SHOWN, SURE
from helpers.page.explorers.figure import explorer, packed_pictures
from helpers.page.explorers.weights import visualgpt_settings
from helpers.weights.pretrained import load
from helpers.worlds.street.captions import FOCI, captions
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.questions import ANSWERS, LECTURE_QUESTIONS, questions
from helpers.worlds.street.sample import scenes as sampled
from helpers.worlds.street.scene import Scene
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer

PROMPT = "everything"  # what the caption is to be about, one of FOCI
EXAMPLES = (*LECTURE_QUESTIONS, "is there a bus?", "what colour is the nearest vehicle?", "who drives the truck?")


def ask_explorer(
    scenes: Sequence[Scene],
    question: str = EXAMPLES[2],
    examples: Sequence[str] = EXAMPLES,
    inline: bool = False,
    alt: str = "Caption and ask: a street; the sentence that the model writes about it, each word above its "
    "probability and its gate for the picture; and a question with the model's most probable answers",
) -> HTML:
    """Return the interactive figure for some scenes of the street world.

    Args:
        scenes: what to choose from; a dozen fits.
        question: what stands in the box at first.
        examples: questions that a click asks.
        inline: see `helpers.page.explorers.figure.explorer`.

    Raises ValueError if there is no scene, or more than 24.
    """
    if not 1 <= len(scenes) <= 24:
        raise ValueError(f"scenes: {len(scenes)} is not a number from 1 to 24")
    settings, shipped = visualgpt_settings(), load("street-visualgpt")
    pictures = [render(scene, settings["side"]) for scene in scenes]
    data = {
        "pictures": packed_pictures(pictures),
        "scenes": [captions(scene, 1, [0, i])[0] for i, scene in enumerate(scenes)],
        "known": caption_of(shipped.model, shipped.tokenizer, pictures[0]),
        "settings": settings,
        "prompt": PROMPT,
        "question": question,
        "examples": list(examples),
        "words": sorted(known_words()),
        "shown": SHOWN,
        "sure": SURE,
    }
    return explorer("ask", data, alt, "street-visualgpt", inline, parts=["pictures", "visualgpt"])


def caption_of(model: VisualGPT, tokenizer: StreetTokenizer, picture: np.ndarray) -> list[dict[str, float]]:
    """What `model` writes about a picture, uint8 [S, S, 3], token by token: "id", its probability "p" and its "gate".

    The gate is that of the place which writes the token: the share of the picture that it lets in, 0 to 1, a mean over
    the blocks and their numbers. Computed in float64, as the page does.
    """
    model = copy.deepcopy(model).double()
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.inference_mode():
        seen = model.look(image)
        begun = tokenizer.sequences([[PROMPT, SEPARATOR]], end=False).ids
        ids = generate(model, begun, 40, end=tokenizer.eot_id, seen=seen).ids  # [1, n]
        read = torch.cat([begun, ids], 1)[:, :-1]
        places = slice(begun.shape[1] - 1, None)  # those that wrote ids
        p = model(read, seen)[0, places].softmax(1).gather(1, ids[0, :, None])[:, 0]
        gate = torch.stack([visual.mean(2) for visual, _ in model.gates(read, seen)]).mean(0)[0, places]
    columns = zip(ids[0].tolist(), p.tolist(), gate.tolist(), strict=True)
    return [{"id": i, "p": round(p, 7), "gate": round(gate, 7)} for i, p, gate in columns]


@cache
def known_words() -> frozenset[str]:
    """The words of the street world's captions, questions and answers: all of them occur within a few dozen scenes."""
    texts = [*ANSWERS, *FOCI]
    for i, scene in enumerate(sampled("train", 150, seed=0)):
        texts += [*captions(scene, 6, [0, i]), *(asked.question for asked in questions(scene, [0, i]))]
    return frozenset(re.findall(r"[^\W_]+", " ".join(texts).lower()))
