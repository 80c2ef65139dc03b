"""The networks that read every label of a street scene: `python -m experiments train street-vit` makes one again.

"street-resnet-reference" is not shipped: by its failures the adversarial scenes are chosen, as ImageNet-A was chosen by
a ResNet-50's (Hendrycks et al. 2021).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Figures
from experiments.shipped import ShippedModel
from helpers.models.readers import build_street_model
from helpers.training.fit import Batch, Recipe, Shuffled, seeded
from helpers.training.statistics import accuracies, share
from helpers.worlds.drawn import Drawn
from helpers.worlds.drawn import load as draw
from helpers.worlds.street.sample import CLASSES
from helpers.worlds.street.shifts import SHIFTS, read_adversarial, write_adversarial
from helpers.worlds.streets import Streets, load_street

HEADS = {label: len(names) for label, names in CLASSES.items()}
FRESH, ADVERSARIAL_SCENES = 10_000, 500  # scenes among which the adversarial ones are sought, and how many are kept


def batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Pictures uint8 [B, 3, 96, 96], and of each label the classes int64 [B]; half of the batches are mirrored."""
    street = load_street("train", scenes, captions=0)

    def mirror(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        images, *labels = parts
        if torch.rand((), generator=generator) < 0.5:
            images = images.flip(3)  # no label depends on the side
        return images, *labels

    return Shuffled((street.images, *(street.labels[label] for label in HEADS)), batch, recipe.seed, mirror)


def loss(model: nn.Module, images: torch.Tensor, *labels: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of all labels together."""
    logits = model(images)
    return sum(F.cross_entropy(logits[label], truth) for label, truth in zip(HEADS, labels, strict=True))


def named(model: nn.Module, street: Drawn) -> dict[str, torch.Tensor]:
    """For each label of `street`: bool [n], whether the network named it rightly."""
    return accuracies(model, street.images, street.labels)


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Every figure of the network on `n` scenes drawn afresh with `seed`: the test split, unseen pairs, each shift."""

    def figures(split: str, n: int, shift: str | None = None) -> Figures:
        street = load_street(split, n, seed=seed, shift=shift, cache=False, progress=False, captions=0)
        return {label: share(right) for label, right in named(model, street).items()}

    unseen = figures("composition", n)
    found = figures("test", n) | {
        "unseen_pairs": {label: unseen[label] for label in ("vehicle", "colour", "tree", "sky")}
    }
    for shift in SHIFTS:
        # The adversarial list is as long as the failures that were found.
        found[shift] = figures("test", min(n, len(read_adversarial())) if shift == "adversarial" else n, shift)
    return found


def choose_adversarial(model: nn.Module, quick: bool, folder: Path) -> None:
    """Store the first natural scenes, freshly drawn, whose vehicle the network takes for another, and their seeds."""
    world = Streets("test", 500 if quick else FRESH, seed=9, captions=0)
    street, path = draw(world, progress=False), folder / "street" / "adversarial.json"
    wrong = (~named(model, street)["vehicle"]).nonzero().flatten().tolist()[:ADVERSARIAL_SCENES]
    write_adversarial([(street.scenes[i], world.image_seed(i)) for i in wrong], "street-resnet-reference", path)
    print(f"{len(wrong)} of {world.n} scenes deceive the reference; written to {path}", file=sys.stderr)


def _reader(
    name: str, configuration: dict[str, Any], rate: float, weight_decay: float, scenes: int, epochs: int
) -> ShippedModel:
    return ShippedModel(
        name,
        Recipe(0, rate, weight_decay, warm_up=0.15),
        scenes,
        epochs,
        batch=128,
        build=lambda seed: seeded(lambda: build_street_model(HEADS, configuration), seed).to(
            memory_format=torch.channels_last
        ),
        batches=batches,
        loss=loss,
        measure=measure,
        named=lambda model: partial(named, model),
        facts={"labels": HEADS, "configuration": configuration},
    )


def _resnet(*widths: int) -> dict[str, Any]:
    return {"architecture": "StreetResNet", "widths": list(widths)}


_VIT = {"architecture": "StreetViT", "width": 128, "layers": 6, "heads": 4}
_REFERENCE = _reader("street-resnet-reference", _resnet(16, 32, 64, 96), 3e-3, 0.02, scenes=12_000, epochs=4)
MODELS = (
    _reader("street-resnet", _resnet(16, 32, 64, 128), 3e-3, 0.02, scenes=24_000, epochs=6),
    _reader("street-vit", _VIT, 1e-3, 0.05, scenes=48_000, epochs=8),
    replace(_REFERENCE, measure=None, named=None, finish=choose_adversarial),
)
