"""Train and measure the shipped CLIP of the street world: `python -m experiments train street-clip`.

The recipe is CLIP's (Radford et al. 2021, sections 2.3 to 2.5) at a thousandth of its size, with three changes, each
for the small scale: every picture meets three captions in a step, of all that is to be seen, of its main vehicle and of
another part; pictures are mirrored, with "left" and "right" exchanged; some pictures are made grey, with the colours
left out of their captions: at first all of them, later a few, so that form is learned before colour can stand for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from experiments.runner import Figures
from experiments.shipped import ShippedModel
from helpers.models.clip import (
    CONFIGURATION,
    build_clip,
    clamp_scale,
    contrastive_loss,
    encode_images,
    image_features,
    text_features,
    zero_shot_classifier,
)
from helpers.training.device import moved
from helpers.training.fit import Batch, Recipe, Shuffled
from helpers.training.statistics import share
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.captions import caption
from helpers.worlds.street.prompts import street_prompts
from helpers.worlds.street.sample import CLASSES, HELD_OUT_TREES, HELD_OUT_VEHICLES
from helpers.worlds.street.scene import COLOURS, KINDS
from helpers.worlds.street.shifts import SHIFTS, read_adversarial
from helpers.worlds.streets import load_street
from helpers.worlds.tokenizer import StreetTokenizer

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: the brightness of red, green, blue
# The sentences kept for each picture, by focus: in each step one of each group is used.
GROUPS = (("everything",) * 2, ("what",) * 3, ("where", "count", "time", "road"))


GREY = 0.1  # the share of grey pictures at the end …
GREY_UNTIL = 0.6  # … and the part of the steps over which it falls to it


def uncoloured(text: str) -> str:
    """A caption without its colours: "an orange bus" becomes "a bus"."""
    return re.sub(rf"\b(?:{'|'.join(COLOURS)}) ", "", re.sub(r"\ban orange ", "a ", text))


def sentences(street: Drawn, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of the captions of each picture, in the order of GROUPS, int16 [n, 9, 32]; the same without colours.

    What is said of one vehicle is said of the main one, as alt-text says what a picture is of.
    """
    texts = []
    for i, scene in enumerate(street.scenes):
        rng = np.random.default_rng([seed, i])
        alone = replace(scene, vehicles=(scene.main,))
        foci = [focus for group in GROUPS for focus in group]
        texts += [caption(scene if focus in ("everything", "count") else alone, rng, focus) for focus in foci]
    tokenizer = StreetTokenizer()
    both = tokenizer(texts), tokenizer([uncoloured(text) for text in texts])
    return tuple(ids.short().view(len(street), -1, ids.shape[1]) for ids in both)  # [n·9, 32] -> [n, 9, 32]


def batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Pictures uint8 [B, 3, 96, 96], and for each of GROUPS one caption of each, int64 [B, 32]."""
    street, tokenizer = load_street("train", scenes, captions=0), StreetTokenizer()
    in_mirror = torch.arange(tokenizer.vocab_size)  # each id's id in the mirror
    (left,), (right,) = tokenizer.encode("left"), tokenizer.encode("right")
    in_mirror[[left, right]] = in_mirror[[right, left]]

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        images, ids, grey_ids = parts  # [B, 3, 96, 96], 2 × [B, 9, 32]
        share = max(GREY, 1 - step / (GREY_UNTIL * recipe.steps)) if GREY_UNTIL else GREY
        grey = torch.rand(len(images), generator=generator) < share
        luma = (images[grey].float() * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)  # [G, 1, 96, 96]
        images[grey] = luma.round().to(torch.uint8).expand(-1, 3, -1, -1)
        texts, first, rows = [], 0, torch.arange(len(images))
        for group in GROUPS:
            which = first + torch.randint(len(group), (len(images),), generator=generator)
            texts.append(torch.where(grey[:, None], grey_ids[rows, which], ids[rows, which]).long())
            first += len(group)
        if torch.rand((), generator=generator) < 0.5:
            images, texts = images.flip(3), [in_mirror[ids] for ids in texts]
        return images, *texts

    return Shuffled((street.images, *sentences(street, recipe.seed)), batch, recipe.seed, change)


def loss(model: nn.Module, images: torch.Tensor, *texts: torch.Tensor) -> torch.Tensor:
    """The mean of the contrastive losses of the pictures with each of the groups of captions [B, 32]."""
    pictures, scale = image_features(model, images), model.logit_scale.exp()
    groups = text_features(model, torch.cat(texts)).chunk(len(texts))  # [groups·B, D] -> groups of [B, D]
    return torch.stack([contrastive_loss(pictures, group, scale) for group in groups]).mean()


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Every zero-shot figure of the model on scenes drawn afresh with `seed`: the test split, unseen pairs, shifts.

    "colour_vehicle" is right if both are, out of 63 pairs. "unseen_pairs" is the same figure for scenes whose main
    vehicle is a pair that training never showed, with the single labels beside it. "r1_1000" is the share of captions
    of everything, no two equal, whose own picture is the nearest of 1,000.
    """
    with moved(model.eval()):
        return _measured(model, n, seed)


def named(model: nn.Module) -> Callable[[Drawn], dict[str, torch.Tensor]]:
    """A function that says of pictures, for each label, which the model names rightly, zero-shot: bool [n]."""
    rows = {}
    for label in (*CLASSES, "colour_vehicle"):
        rows[label] = zero_shot_classifier(model, StreetTokenizer(), street_prompts(label))

    def right(street: Drawn) -> dict[str, torch.Tensor]:
        features = encode_images(model, street.images)
        truth = street.labels | {"colour_vehicle": street.labels["colour"] * len(KINDS) + street.labels["vehicle"]}
        return {label: (features @ rows[label].T).argmax(1) == truth[label] for label in truth}

    return right


def _measured(model: nn.Module, n: int, seed: int) -> Figures:
    right = named(model)

    def drawn(split: str, n: int, shift: str | None = None) -> Drawn:
        return load_street(split, n, seed=seed, shift=shift, cache=False, progress=False, captions=0)

    street = drawn("test", n)
    found: Figures = {label: share(hits) for label, hits in right(street).items()}
    street = drawn("composition", n)
    hits = right(street)
    new = torch.tensor([(scene.main.colour, scene.main.kind) in HELD_OUT_VEHICLES for scene in street.scenes])
    found["unseen_pairs"] = share(hits["colour_vehicle"][new])
    found["unseen_pairs"] |= {label: share(hits[label][new]) for label in ("vehicle", "colour")}
    new = torch.tensor(
        [(scene.trees.kind, scene.sky) in HELD_OUT_TREES if scene.trees else False for scene in street.scenes]
    )
    found["unseen_pairs"] |= {label: share(hits[label][new]) for label in ("tree", "sky")}
    found["r1_1000"] = share(_first_of_1000(model, StreetTokenizer(), seed))
    for shift in SHIFTS:
        # The adversarial list is as long as the failures that were found.
        m = min(n, len(read_adversarial())) if shift == "adversarial" else n
        found[shift] = {label: share(hits) for label, hits in right(drawn("test", m, shift)).items()}
    return found


def _first_of_1000(model: nn.Module, tokenizer: StreetTokenizer, seed: int) -> torch.Tensor:
    """For 1,000 scenes with captions of which no two are equal: bool [1000], whether each caption finds its picture."""
    street = load_street("test", 1_100, seed=seed, cache=False, progress=False, captions=0)
    captions: dict[str, int] = {}
    for i, scene in enumerate(street.scenes):
        captions.setdefault(caption(scene, np.random.default_rng([seed, i]), "everything"), i)
    texts, places = zip(*list(captions.items())[:1_000], strict=True)
    pictures = encode_images(model, street.images[list(places)])  # [1000, D]
    with torch.inference_mode():
        ids = tokenizer(list(texts)).to(model.logit_scale.device)
        similarity = text_features(model, ids).cpu() @ pictures.T  # [1000, 1000]
    return similarity.argmax(1) == torch.arange(len(texts))


MODELS = (
    ShippedModel(
        "street-clip",
        Recipe(0, 1.2e-3, 0.05, betas=(0.9, 0.98), clip=0),
        scenes=48_000,
        epochs=10,
        batch=128,
        build=lambda seed: build_clip(seed=seed),
        batches=batches,
        loss=loss,
        measure=measure,
        named=named,
        facts={"configuration": json.loads(CONFIGURATION.read_text(encoding="utf-8"))},
        after_step=clamp_scale,
    ),
)
