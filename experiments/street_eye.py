"""Teach an eye what lies where in a street: `python -m experiments train street-eye`; models that read start from it.

A detector's features were trained to tell objects at their places, and VisualGPT and ViLBERT read such features. *Ours,
smaller:* the convolutions of street-resnet are trained on, without mirrored pictures, to tell of each place of 16 px
what vehicle, tree or being covers its middle, and what the whole street is like.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Figures
from experiments.shipped import ShippedModel
from helpers.models.resnet import PlaceReader
from helpers.training.fit import Batch, Recipe, Shuffled, seeded
from helpers.training.statistics import predict, share
from helpers.weights.pretrained import load
from helpers.worlds.boxed import load_boxed
from helpers.worlds.drawn import Drawn
from helpers.worlds.street.scene import (
    AGES,
    BEINGS,
    BUILDINGS,
    COLOURS,
    FACINGS,
    KINDS,
    SKIES,
    SURFACES,
    TREES,
    WEATHERS,
    Scene,
)

SIDE, CHANNELS = 6, [16, 32, 64, 128]
# What is told of a place, group by group; the last four are the same at all places of a picture.
OF_VEHICLES = (KINDS, COLOURS, AGES, FACINGS)
GROUPS = (*OF_VEHICLES, TREES, BEINGS, SURFACES, WEATHERS, SKIES, BUILDINGS)
STARTS = [sum(map(len, GROUPS[:k])) for k in range(len(GROUPS) + 1)]
UNKNOWN = -1  # in the place of a truth: this is not told, and does not count
RARE = 4.0  # so many times a sign that holds counts as one that does not: most places show no vehicle and no being
CONFIGURATION: dict[str, Any] = {"outputs": STARTS[-1], "channels": CHANNELS}


def signs(scene: Scene, words: str) -> torch.Tensor:
    """What holds where: bool [36, 39], the places row by row, of each of GROUPS its members in their order.

    words: the boxes of `helpers.worlds.street.regions.to_words`, from the back to the front. A vehicle hides the signs
    of those behind it. An object that covers no place's middle is told at the place of its own.
    """
    found = torch.zeros(SIDE, SIDE, STARTS[-1], dtype=torch.bool)
    middles = (torch.arange(SIDE) + 0.5) / SIDE
    for name, left, top, right, bottom in json.loads(words):
        if right <= left or bottom <= top:
            continue
        rows, columns = (middles >= top) & (middles < bottom), (middles >= left) & (middles < right)
        if not rows.any():
            rows = torch.arange(SIDE) == min(int(SIDE * (top + bottom) / 2), SIDE - 1)
        if not columns.any():
            columns = torch.arange(SIDE) == min(int(SIDE * (left + right) / 2), SIDE - 1)
        own = torch.zeros(STARTS[-1], dtype=torch.bool)
        if name.startswith("vehicles"):
            vehicle = scene.vehicles[int(name[9:-1])]
            told = (vehicle.kind, vehicle.colour, vehicle.age, vehicle.facing)
            for start, group, value in zip(STARTS, OF_VEHICLES, told, strict=False):
                own[start + group.index(value)] = True
            before = found[..., : STARTS[len(OF_VEHICLES)]]
            before &= ~(rows[:, None] & columns)[..., None]
        elif name.startswith("trees"):
            own[STARTS[4] + TREES.index(scene.trees.kind)] = True
        else:
            own[STARTS[5] + BEINGS.index(scene.being.kind)] = True
        found |= (rows[:, None] & columns)[..., None] & own
    for start, group, value in zip(
        STARTS[6:], GROUPS[6:], (scene.surface, scene.weather, scene.sky, scene.buildings), strict=False
    ):
        found[..., start + group.index(value)] = True
    return found.view(SIDE**2, STARTS[-1])


def truth_of(street: Drawn) -> torch.Tensor:
    """`signs` of all pictures of a `load_boxed`: bool [n, 36, 39]."""
    return torch.stack([signs(scene, words[0]) for scene, words in zip(street.scenes, street.captions, strict=True)])


def batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Pictures uint8 [B, 3, 96, 96], never mirrored, and what lies where, bool [B, 36, 39]."""
    street = load_boxed("train", scenes)
    return Shuffled((street.images, truth_of(street)), batch, recipe.seed)


def loss(model: nn.Module, images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of all signs at all places that are told, those that hold weighted by RARE.

    truth: bool or integer [B, 36, signs], 1 where a sign holds, 0 where not, or UNKNOWN.
    """
    told = truth != UNKNOWN
    weight = torch.tensor(RARE, device=images.device)
    of_sign = F.binary_cross_entropy_with_logits(model(images), truth.float(), told.float(), None, None, "none", weight)
    return of_sign.sum() / told.sum()


def build(seed: int) -> nn.Module:
    """The eye, untrained but for the convolutions of the shipped street-resnet."""
    model = seeded(lambda: PlaceReader(**CONFIGURATION), seed)
    model.stage.start_from(load("street-resnet").model)
    return model.to(memory_format=torch.channels_last)


def named(said: torch.Tensor, street: Drawn) -> Figures:
    """The share of places with a vehicle whose kind, colour, age and facing have the highest of the logits `said`,
    float [n, 36, 39], and of those with a tree or a being whose kind has."""
    truth, found = truth_of(street), {}
    names = ("kind", "colour", "age", "facing", "tree", "being")
    for name, start, end in zip(names, STARTS, STARTS[1:], strict=False):
        there = truth[..., start:end].any(2)
        right = truth[..., start:end].gather(2, said[..., start:end].argmax(2, keepdim=True))[..., 0]
        if there.any():
            found[name] = share(right[there])
    return found


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """The figures of `named` on `n` test scenes drawn afresh with `seed`."""
    street = load_boxed("test", n, seed, cache=False, progress=False)
    return named(predict(model, street.images), street)


MODELS = (
    ShippedModel(
        "street-eye",
        Recipe(0, 2e-3, 0.02, warm_up=0.05),
        scenes=24_000,
        epochs=4,
        batch=64,
        build=build,
        batches=batches,
        loss=loss,
        measure=measure,
        facts={"configuration": CONFIGURATION},
        trial=256,
    ),
)
