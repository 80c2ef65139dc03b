"""Caption and ask: a street model in the page describes a street word by word and answers questions about it.

The models are `street-visualgpt`, whose blocks look at the picture from the side, and `street-simvlm`, which reads it
before the text. Beside each word stands how much of the picture counted for it: a gate, or a share of the attention.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from IPython.display import HTML

from helpers.models.language import generate
from helpers.models.layers import prefix_mask
from helpers.models.simvlm import SimVLM
from helpers.models.visualgpt import VisualGPT
from helpers.page.ask import SHOWN, SURE
from helpers.page.explorers.figure import explorer, packed_pictures
from helpers.page.explorers.weights import simvlm_settings, visualgpt_settings
from helpers.weights.pretrained import load
from helpers.worlds.street.captions import FOCI, captions
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.questions import ANSWERS, LECTURE_QUESTIONS, questions
from helpers.worlds.street.sample import scenes as sampled
from helpers.worlds.street.scene import Scene
from helpers.worlds.tokenizer import SEPARATOR, StreetTokenizer

PROMPT = "everything"  # what the caption is to be about, one of FOCI
# How each model is computed in the page, and what tells how much of the picture counted for a word.
SPEAKERS = {
    "street-visualgpt": ("visualgpt", visualgpt_settings, "gate", "its gate for the picture"),
    "street-simvlm": ("simvlm", simvlm_settings, "on the picture", "share of its attention that goes to the picture"),
}
EXAMPLES = (*LECTURE_QUESTIONS, "is there a bus?", "what colour is the nearest vehicle?", "who drives the truck?")


def ask_explorer(
    scenes: Sequence[Scene],
    question: str = EXAMPLES[2],
    examples: Sequence[str] = EXAMPLES,
    inline: bool = False,
    model: str = "street-visualgpt",
    alt: str = "Caption and ask: a street; the sentence that the model writes about it, each word above its "
    "probability and how much of the picture counted for it; and a question with the model's most probable answers",
) -> HTML:
    """Return the interactive figure for some scenes of the street world.

    Args:
        scenes: what to choose from; a dozen fits.
        question: what stands in the box at first.
        examples: questions that a click asks.
        inline: see `helpers.page.explorers.figure.explorer`.
        model: one of SPEAKERS.

    Raises ValueError if there is no scene, or more than 24, and for another model.
    """
    if not 1 <= len(scenes) <= 24:
        raise ValueError(f"scenes: {len(scenes)} is not a number from 1 to 24")
    if model not in SPEAKERS:
        raise ValueError(f"model: {model!r} is not one of {', '.join(SPEAKERS)}")
    part, settings_of, name, key = SPEAKERS[model]
    settings, shipped = settings_of(), load(model)
    pictures = [render(scene, settings["side"]) for scene in scenes]
    data = {
        "pictures": packed_pictures(pictures),
        "scenes": [captions(scene, 1, [0, i])[0] for i, scene in enumerate(scenes)],
        "known": caption_of(shipped.model, shipped.tokenizer, pictures[0]),
        "model": model,
        "settings": settings,
        "share": {"name": name, "key": key},
        "prompt": PROMPT,
        "question": question,
        "examples": list(examples),
        "words": sorted(known_words()),
        "shown": SHOWN,
        "sure": SURE,
    }
    return explorer("ask", data, alt, model, inline, parts=["answers", "pictures", "eye", "decoder", part])


def caption_of(model: VisualGPT | SimVLM, tokenizer: StreetTokenizer, picture: np.ndarray) -> list[dict[str, float]]:
    """What `model` writes about a picture, uint8 [S, S, 3], token by token: "id", its probability "p", its "share".

    The share is that of the place which writes the token: how much of the picture counts for it, 0 to 1, a mean over
    the blocks: of a VisualGPT, how far its gates let the picture in; of a SimVLM, how much of its attention goes to the
    picture. Computed in float64, as the page does.
    """
    model = copy.deepcopy(model).double()
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.inference_mode():
        inputs = {"images": image} if isinstance(model, SimVLM) else {"seen": model.look(image)}
        begun = tokenizer.sequences([[PROMPT, SEPARATOR]], end=False).ids
        ids = generate(model, begun, 40, end=tokenizer.eot_id, **inputs).ids  # [1, n]
        read = torch.cat([begun, ids], 1)[:, :-1]
        places = slice(begun.shape[1] - 1, None)  # those that wrote ids
        if isinstance(model, SimVLM):
            prefix = torch.tensor([begun.shape[1]])
            logits = model(read, image, prefix)
            share = torch.stack([seen.sum(2).mean(1) for seen in looks(model, read, image, prefix)]).mean(0)  # [1, T]
        else:
            logits = model(read, inputs["seen"])
            share = torch.stack([visual.mean(2) for visual, _ in model.gates(read, inputs["seen"])]).mean(0)
        p = logits[0, places].softmax(1).gather(1, ids[0, :, None])[:, 0]
    columns = zip(ids[0].tolist(), p.tolist(), share[0, places].tolist(), strict=True)
    return [{"id": i, "p": round(p, 7), "share": round(share, 7)} for i, p, share in columns]


def looks(model: SimVLM, ids: torch.Tensor, images: torch.Tensor, prefix: torch.Tensor) -> list[torch.Tensor]:
    """How much of the attention of each token of a text goes where in the picture, for each block: float [B, h, N, T].

    ids: int64 [B, T]. images: uint8 [B, 3, S, S]. prefix: int64 [B], as in SimVLM's `forward`. N places; what is
    missing to 1, of a token, goes to the text.
    """
    n = model.tokens
    mask = prefix_mask(n + prefix, n + ids.shape[1])  # [B, 1, N + T, N + T]
    if not model.picture_sees_text:
        mask[:, :, :n, n:] = False
    found: list[torch.Tensor] = []
    hooks = [
        block.self_attention.register_forward_hook(
            lambda layer, given, named, out: found.append(layer.weights(given[0], mask=named["mask"])), with_kwargs=True
        )
        for block in model.decoder.blocks
    ]
    try:
        model.decoder.read(torch.cat([model.look(images), model.decoder.token_embedding(ids)], 1), mask=mask)
    finally:
        for hook in hooks:
            hook.remove()
    return [weights[:, :, n:, :n].transpose(2, 3) for weights in found]


@cache
def known_words() -> frozenset[str]:
    """The words of the street world's captions, questions and answers: all of them occur within a few dozen scenes."""
    texts = [*ANSWERS, *FOCI]
    for i, scene in enumerate(sampled("train", 150, seed=0)):
        texts += [*captions(scene, 6, [0, i]), *(asked.question for asked in questions(scene, [0, i]))]
    return frozenset(re.findall(r"[^\W_]+", " ".join(texts).lower()))
