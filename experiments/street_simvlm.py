"""Train and measure the prefix language model of the street world: `python -m experiments train street-simvlm`.

The recipe is SimVLM's (Wang et al. 2022, sections 3.2 to 3.4): one objective from the start, and some texts without a
picture in every step (the paper: 512 beside 4,096 pairs). A picture is never mirrored, since captions and questions
name sides.

*Ours, smaller:* 1.2 million parameters; captions and questions are learned together, where the paper is tuned for
questions afterwards. *Ours, other:* the paper starts from nothing, with 1.8 billion pairs; in a pilot with our 48,000
the convolutions had hardly learned to tell vehicles after a third of the training, so they are those of street-eye, and
the blocks start from street-text, which knows the language already. The convolutions stay as they are: in a pilot in
which they were trained on, colour and kind of vehicles were still guessed after 800 steps. Its eye was weaker too, so
this is no measurement of freezing alone.
*Ours, cheaper:* a picture is read once, for one caption and three questions, and so its tokens do not see the prompt;
all captions of a step are about the same, and so of about the same length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from experiments.runner import Figures
from experiments.shipped import ShippedModel
from experiments.street_language import lesson_batches, measure_speaker
from helpers.models.simvlm import prefix_lm_loss, sample_prefix
from helpers.models.speakers import build_speaker
from helpers.training.fit import Batch, Recipe, seeded
from helpers.weights.pretrained import load
from helpers.worlds.tokenizer import StreetTokenizer

SAMPLED = 0.5  # the share of captions of which a part belongs to the prefix

CONFIGURATION: dict[str, Any] = {
    "architecture": "SimVLM",
    "width": 128,
    "layers": 4,
    "heads": 4,
    "channels": [16, 32, 64, 128],
    "image": "convolution",
    "picture_sees_text": False,
}


def longer_prefixes(
    generator: torch.Generator, captions: torch.Tensor, start: torch.Tensor, *rest: torch.Tensor
) -> Batch:
    """The groups of a step, of which some captions begin in the prefix, as far as is drawn."""
    inside = torch.rand(len(captions), generator=generator) < SAMPLED
    longer = sample_prefix(start, (captions != 0).sum(1), generator)
    return captions, torch.where(inside, longer, start), *rest


def batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Pictures and groups as in `lesson_batches`, captions with prefixes of random length."""
    return lesson_batches(scenes, batch, recipe, longer_prefixes)


def loss(model: nn.Module, images: torch.Tensor, *groups: torch.Tensor) -> torch.Tensor:
    """The sum of the mean losses of captions, of answers, and of answers without a picture."""
    memory = model.remember(images)
    total = torch.zeros((), device=images.device)
    for at, seen in zip(range(0, len(groups), 2), (memory, memory, None), strict=True):
        ids, prefix = groups[at : at + 2]
        real = ids != 0
        total = total + prefix_lm_loss(model(ids, prefix=prefix, real=real, memory=seen), ids, prefix, real)
    return total


def build(seed: int) -> nn.Module:
    """The model, untrained but for the convolutions of the shipped street-eye and the blocks of street-text in it."""
    vocabulary = StreetTokenizer().vocab_size
    model = seeded(lambda: build_speaker(vocabulary, CONFIGURATION), seed)
    model.start_from(load("street-text").model)
    model.eye[0].load_state_dict(load("street-eye").model.stage.state_dict())
    model.eye[0].freeze()
    return model.to(memory_format=torch.channels_last)


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Every figure of `measure_language` on scenes drawn afresh with `seed`."""
    return measure_speaker(model, n, seed, lambda images: {"images": images})


MODELS = (
    ShippedModel(
        "street-simvlm",
        Recipe(0, 1.5e-3, 0.05, betas=(0.9, 0.98), warm_up=0.05),
        scenes=48_000,
        epochs=3,
        batch=48,
        build=build,
        batches=batches,
        loss=loss,
        measure=measure,
        facts={"configuration": CONFIGURATION},
        trial=256,
    ),
)
