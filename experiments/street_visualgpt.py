"""Train and measure the text decoder of the street world and VisualGPT, which starts from it.

`python -m experiments train street-text` teaches a decoder captions, questions and answers of streets that it never
sees; then `python -m experiments train street-visualgpt` gives it pictures (Chen et al. 2022): all weights are trained,
the new ones and the pretrained ones, as in the authors' code. A picture is never mirrored, since texts name sides.

As the paper's features come from a detector that was trained before, ours come from the convolutions of street-eye,
which are trained on. The first quarter of the steps shows streets with one vehicle only: which of several vehicles a
question means is learned sooner once it is known what a vehicle looks like, where it stands and where it faces. A step
has twelve pictures with six questions each, so that many steps fit into the time; a shorter training, with forty
pictures and three questions a step and about a third as many questions in all, left "is there a …?" nearly unlearned.

*Ours, other:* the pretrained decoder is of the street world too, where the paper takes GPT-2; one text in eight goes
without a picture, so that the same model can be asked blind; there is no training by reward afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn

from experiments.runner import Figures
from experiments.shipped import ShippedModel
from experiments.street_language import BATCH, lesson_batches, measure_speaker
from helpers.models.language import next_token_loss
from helpers.models.simvlm import prefix_lm_loss
from helpers.models.speakers import build_speaker
from helpers.training.device import moved
from helpers.training.fit import Batch, Recipe, Shuffled, seeded
from helpers.weights.pretrained import load
from helpers.worlds.street.lessons import draw_questions, load_lessons, trimmed
from helpers.worlds.tokenizer import StreetTokenizer

OTHER_STREETS = 1  # the seed of the streets whose texts are read without pictures
TEXT: dict[str, Any] = {"architecture": "LanguageModel", "length": 64, "width": 128, "layers": 4, "heads": 4}
CONFIGURATION: dict[str, Any] = TEXT | {
    "architecture": "VisualGPT",
    "fusion": "srau",
    "tau": 0.2,
    "channels": [16, 32, 64, 128],
}


def text_batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Ids of captions int64 [B, T], and of questions with their answers int64 [B, T], of streets of another seed."""
    lessons = load_lessons("train", scenes, OTHER_STREETS)

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        captions, questions, asked = parts
        focus = int(torch.randint(captions.shape[1], (), generator=generator))
        rows = torch.arange(len(captions))[:, None]
        return trimmed(captions[:, focus]), trimmed(questions[rows, draw_questions(asked, 1, generator)].flatten(0, 1))

    return Shuffled((lessons.captions, lessons.questions, lessons.asked), batch, recipe.seed, change)


def text_loss(model: nn.Module, *groups: torch.Tensor) -> torch.Tensor:
    """The sum of the mean losses of all tokens of captions and of questions with answers."""
    return sum(next_token_loss(model(ids, real=ids != 0), ids, ids != 0) for ids in groups)


def text_measure(model: nn.Module, n: int, seed: int) -> Figures:
    """The perplexity of the captions of `n` test scenes, and of their questions with answers: exp of the mean −ln p.

    The 95 % intervals are those of a mean over texts (the normal approximation), on the scale of the logarithm.
    """
    lessons, found = load_lessons("test", n, seed, cache=False, progress=False), {}
    with torch.inference_mode(), moved(model.eval()) as device:
        for name, rows in (
            ("captions", lessons.captions.flatten(0, 1)),
            ("questions", lessons.questions[lessons.asked]),
        ):
            sums, counts = [], []
            for part in rows.split(BATCH):
                ids = trimmed(part).to(device)
                log_p = model(ids, real=ids != 0)[:, :-1].log_softmax(2)
                log_p = log_p.gather(2, ids[:, 1:, None])[..., 0].masked_fill(ids[:, 1:] == 0, 0.0)
                sums.append(-log_p.sum(1).cpu()), counts.append((ids[:, 1:] != 0).sum(1).cpu())
            total, tokens = torch.cat(sums), torch.cat(counts).float()
            mean = (total.sum() / tokens.sum()).item()
            half = 1.96 * (total - mean * tokens).std().item() / tokens.mean().item() / math.sqrt(len(total))
            bounds = [round(math.exp(mean - half), 4), round(math.exp(mean + half), 4)]
            found[f"{name}_perplexity"] = {"value": round(math.exp(mean), 4), "interval": bounds, "n": len(total)}
    return found


def loss(model: nn.Module, images: torch.Tensor, *groups: torch.Tensor) -> torch.Tensor:
    """The sum of the mean losses of captions, of answers, and of answers without a picture; prompts do not count."""
    seen = model.look(images)  # [B, N, D]
    total = torch.zeros((), device=images.device)
    for at, pictures in zip(range(0, len(groups), 2), (seen, seen, None), strict=True):
        ids, start = groups[at : at + 2]
        if pictures is not None:
            pictures = pictures.repeat_interleave(len(ids) // len(images), 0)
        real = ids != 0
        total = total + prefix_lm_loss(model(ids, pictures, real), ids, start, real)
    return total


def build(seed: int) -> nn.Module:
    """VisualGPT with the shipped text decoder and the convolutions of the shipped street-eye in it."""
    model = seeded(lambda: build_speaker(StreetTokenizer().vocab_size, CONFIGURATION), seed)
    model.start_from(load("street-text").model)
    model.eye[0].load_state_dict(load("street-eye").model.stage.state_dict())
    return model.requires_grad_(True).to(memory_format=torch.channels_last)


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Every figure of `measure_language` on scenes drawn afresh with `seed`."""
    return measure_speaker(model, n, seed, lambda images: {"seen": model.look(images)})


MODELS = (
    ShippedModel(
        "street-text",
        Recipe(0, 2e-3, 0.05, betas=(0.9, 0.98), warm_up=0.05),
        scenes=24_000,
        epochs=4,
        batch=64,
        build=lambda seed: seeded(lambda: build_speaker(StreetTokenizer().vocab_size, TEXT), seed),
        batches=text_batches,
        loss=text_loss,
        measure=text_measure,
        facts={"configuration": TEXT},
        trial=256,
    ),
    ShippedModel(
        "street-visualgpt",
        Recipe(0, 1e-3, 0.05, betas=(0.9, 0.98), warm_up=0.02),
        scenes=48_000,
        epochs=5,
        batch=12,
        build=build,
        batches=partial(lesson_batches, n_questions=6),
        loss=loss,
        measure=measure,
        facts={"configuration": CONFIGURATION},
        trial=256,
    ),
)
