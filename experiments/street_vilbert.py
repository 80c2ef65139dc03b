"""Train and measure the two-stream model of the street world: `python -m experiments train street-vilbert`.

Both tasks of ViLBERT's pretraining (Lu et al. 2019, section 2.2) are learned together with the questions. The regions
are the scene's own boxes; their features come from the frozen convolutions of the shipped street-resnet, as the paper's
come from a detector that is not trained further. A caption of another scene stands beside half of the pictures.

*Ours, other:* the paper is tuned for questions after its pretraining; an eighth of the questions go without a picture,
so that the same model can be asked blind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Figures
from experiments.shipped import ShippedModel
from experiments.street_language import ALONE, QUESTIONS, System, measure_language
from helpers.models.speakers import build_speaker
from helpers.models.vilbert import Detector, Regions, mask_regions, mask_words, region_loss, word_loss
from helpers.training.device import moved
from helpers.training.fit import Batch, Recipe, Shuffled, seeded
from helpers.training.statistics import share
from helpers.weights.pretrained import load
from helpers.worlds.boxed import load_boxed
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.captions import FOCI
from helpers.worlds.street.lessons import draw_questions, load_lessons, prompt_lengths, trimmed
from helpers.worlds.street.negatives import random_negatives, swapped_negatives
from helpers.worlds.street.questions import ANSWERS
from helpers.worlds.street.regions import CLASSES, table
from helpers.worlds.tokenizer import SPECIALS, StreetTokenizer

CANDIDATES = 50  # captions among which a picture's own is sought

CONFIGURATION: dict[str, Any] = {
    "architecture": "ViLBERT",
    "features": 384,
    "classes": len(CLASSES),
    "answers": len(ANSWERS),
    "visual": 128,
    "language": 128,
    "heads": 4,
    "text_layers": 2,
    "co_layers": 3,
}


def detector() -> Detector:
    """The frozen convolutions of the shipped street-resnet."""
    return Detector(load("street-resnet").model)


def tables(street: Drawn, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes float [n, 11, 5], classes as distributions float [n, 11, 14], and which regions there are, bool [n, 11]."""
    rows = [
        table(scene, words[0], [seed, i])
        for i, (scene, words) in enumerate(zip(street.scenes, street.captions, strict=True))
    ]
    return tuple(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))


def only_questions(ids: torch.Tensor, separator: int) -> torch.Tensor:
    """Rows `<sot> question <sep> answer <eot>`, int64 [B, T], without what begins at the separator: int64 [B, t]."""
    before = torch.arange(ids.shape[1], device=ids.device) < prompt_lengths(ids, separator)[:, None] - 1
    return trimmed(ids * before)


def only_captions(ids: torch.Tensor, separator: int) -> torch.Tensor:
    """Rows `<sot> focus <sep> caption <eot>`, all of one focus, int64 [B, T], without the focus: int64 [B, t]."""
    start = int(prompt_lengths(ids[:1], separator))
    return trimmed(torch.cat([ids[:, :1], ids[:, start:]], 1))


def without_picture(regions: Regions, rows: torch.Tensor) -> Regions:
    """The regions with nothing but an empty <IMG> left of the pictures `rows`, bool [B]."""
    hidden = rows[:, None, None]
    first = torch.zeros_like(regions.real)
    first[:, 0] = True
    real = torch.where(rows[:, None], first, regions.real)
    return Regions(regions.features.masked_fill(hidden, 0.0), regions.boxes.masked_fill(hidden, 0.0), real)


def batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """What `loss` takes: regions and their distributions, masked regions, captions whole and masked, questions."""
    street, lessons, tokenizer = load_boxed("train", scenes), load_lessons("train", scenes), StreetTokenizer()
    detect = detector()

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        images, boxes, posteriors, there, captions, questions, asked, answers = parts
        regions = Regions(detect(images, boxes), boxes, there)
        masked, named = mask_regions(regions, generator)
        aligned = torch.rand(len(images), generator=generator) < 0.5
        focus = int(torch.randint(len(FOCI), (), generator=generator))
        own = only_captions(captions[:, focus].long(), tokenizer.sep_id)
        ids = torch.where(aligned[:, None], own, own.roll(1, 0))
        maskable = (ids >= len(SPECIALS)) & (ids != tokenizer.eot_id)
        shown, filled = mask_words(ids, maskable, tokenizer.mask_id, tokenizer.vocab_size, generator)
        kinds = draw_questions(asked, QUESTIONS, generator)  # [B, 3]
        rows = torch.arange(len(images))[:, None]
        asking = only_questions(questions[rows, kinds].flatten(0, 1).long(), tokenizer.sep_id)
        right = answers[rows, kinds].flatten().long()
        blind = torch.rand(len(right), generator=generator) < 1 / ALONE
        return (*regions, posteriors, masked.features, named, ids, shown, filled, aligned, asking, right, blind)

    tensors = (street.images, *tables(street, recipe.seed), lessons.captions, lessons.questions, lessons.asked)
    return Shuffled((*tensors, lessons.answers), batch, recipe.seed, change)


def losses(model: nn.Module, *parts: torch.Tensor) -> dict[str, torch.Tensor]:
    """The four mean losses of a batch: "words", "regions", "alignment" and "questions".

    Words and regions are filled in only where text and picture belong together, as in the authors' code.
    """
    features, boxes, there, posteriors, hidden, named, ids, shown, filled, aligned, asking, right, blind = parts
    streams = model(Regions(hidden, boxes, there), shown)
    regions = Regions(features, boxes, there)
    every = torch.arange(len(ids), device=ids.device).repeat_interleave(len(asking) // len(ids))
    asked = model(without_picture(regions.rows(every), blind), asking)
    return {
        "words": word_loss(model.words(streams), ids, filled & aligned[:, None]),
        "regions": region_loss(model.classes(streams), posteriors, named & aligned[:, None]),
        "alignment": F.binary_cross_entropy_with_logits(model.alignment(streams), aligned.float()),
        "questions": F.cross_entropy(model.answer(asked), right),
    }


def loss(model: nn.Module, *parts: torch.Tensor) -> torch.Tensor:
    """The sum of the four losses, unweighted, as the paper adds its two."""
    return sum(losses(model, *parts).values())


def build(seed: int) -> nn.Module:
    """The untrained model."""
    return seeded(lambda: build_speaker(StreetTokenizer().vocab_size, CONFIGURATION), seed)


class Seen:
    """The regions of scenes, of which rows can be taken as of a tensor."""

    def __init__(self, regions: Regions) -> None:
        self.regions = regions

    def __len__(self) -> int:
        return len(self.regions.real)

    def __getitem__(self, rows: torch.Tensor | slice) -> Seen:
        return Seen(self.regions.rows(rows))


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Every figure of `measure_language`, and "retrieval_r1": how often a picture's own caption is first of 50."""
    tokenizer, detect = StreetTokenizer(), detector()
    with moved(model.eval()) as device, torch.inference_mode():

        def see(street: Drawn) -> Seen:
            boxes, _, there = tables(street, seed)
            parts = zip(street.images.split(250), boxes.split(250), strict=True)
            return Seen(Regions(torch.cat([detect(images, own) for images, own in parts]), boxes, there))

        def regions(seen: Seen | None, n: int) -> Regions:
            if seen is None:
                empty = Regions(
                    torch.zeros(n, 1, CONFIGURATION["features"]), torch.zeros(n, 1, 5), torch.ones(n, 1).bool()
                )
                return Regions(*(part.to(device) for part in empty))
            return Regions(*(part.to(device) for part in seen.regions))

        def answer(seen: Seen | None, questions: list[str]) -> list[str]:
            ids = tokenizer.sequences([[question] for question in questions], end=False).ids.to(device)
            return [ANSWERS[k] for k in model.answer(model(regions(seen, len(ids)), ids)).argmax(1).tolist()]

        def align(seen: Seen, texts: list[str]) -> torch.Tensor:
            ids = tokenizer.sequences([[text] for text in texts]).ids.to(device)
            return model.alignment(model(regions(seen, len(ids)), ids)).cpu()

        def negatives(scenes: Sequence, seed: int) -> dict[str, list[tuple[int, str, str]]]:
            return {"random": random_negatives(scenes, seed), "swapped": swapped_negatives(scenes, seed)}

        def draw(split: str, n: int, seed: int) -> Drawn:
            return load_boxed(split, n, seed, cache=False, progress=False)

        figures = measure_language(System(see, answer, align=align, negatives=negatives, draw=draw), n, seed)
        street = draw("test", min(n, CANDIDATES), seed)
        seen, own = see(street), random_negatives(street.scenes, seed)
        if not own:  # so few scenes that no caption is false of another
            return figures
        texts = [true for _, true, _ in own]
        scores = torch.stack([align(seen[torch.full((len(texts),), i)], texts) for i, _, _ in own])
        return figures | {"retrieval_r1": share(scores.argmax(1) == torch.arange(len(own)))}


MODELS = (
    ShippedModel(
        "street-vilbert",
        Recipe(0, 1e-3, 0.05, betas=(0.9, 0.98), warm_up=0.05),
        scenes=48_000,
        epochs=5,
        batch=48,
        build=build,
        batches=batches,
        loss=loss,
        measure=measure,
        facts={"configuration": CONFIGURATION},
        trial=256,
    ),
)
