"""Does a Vision Transformer catch up with a CNN as pictures become more? (Dosovitskiy et al. 2021, section 4.3)

Both networks have the same number of parameters and of products for a picture, within a tenth, and take the same
number of steps, whether the pictures are few and seen often or many and seen seldom. Two tasks are asked of the same
pictures, streets of 48 px with a vehicle on each side: which trees stand there, which a part of any crown tells, and
whether the two vehicles have the same colour, which only both ends of the picture tell together.

*Ours, smaller:* the paper compares models of 86 million parameters and more on 1.3 to 300 million photographs.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Experiment, Figures, Settings
from helpers.models.resnet import SmallResNet
from helpers.models.vit import VisionTransformer
from helpers.training.fit import Batch, Recipe, Shuffled, fit, seeded
from helpers.training.statistics import interval, predict
from helpers.worlds.drawn import Drawn, load
from helpers.worlds.streets import TwoVehicles

SIDE, PATCH, BATCH = 48, 8, 32
TASKS = {label: len(classes) for label, classes in TwoVehicles.classes.items()}
SCENE_COUNTS = (256, 1_280, 6_400, 32_000)


def pictures(split: str, n: int) -> Drawn:
    """The first `n` streets of `split` with a vehicle on each side."""
    return load(TwoVehicles(split, n, SIDE), progress=False)


def standard(images: torch.Tensor) -> torch.Tensor:
    """uint8 [B, 3, 48, 48] -> float, about -2 to 2."""
    return (images.float() - 128) / 64


class ViT(nn.Module):
    """36 patches of 8·8·3 = 192 numbers, four blocks: float [B, 3, 48, 48] -> float [B, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = VisionTransformer(SIDE, PATCH, width=64, layers=4, heads=4, mlp=256, classes={"head": classes})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)["head"]


ARCHITECTURES = {"cnn": SmallResNet, "vit": ViT}


def run(settings: Settings, seed: int) -> Figures:
    """Train one network on one task; its accuracy and loss on pictures it never saw."""
    street, task = pictures("train", max(settings["scenes"], settings["drawn"])), settings["task"]
    model = seeded(lambda: ARCHITECTURES[settings["model"]](TASKS[task]), seed)
    # Each seed has its own pictures, so that the interval also tells how much depends on which are drawn.
    chosen = torch.randperm(len(street), generator=torch.Generator().manual_seed(seed))[: settings["scenes"]]

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        (rows,) = parts  # the pictures are mapped from a file: only those of the batch are read
        return standard(street.images[rows]), street.labels[task][rows]

    def loss(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(images), labels)

    recipe = Recipe(settings["steps"], settings["rate"], seed=seed)
    losses = fit(model, Shuffled((chosen,), BATCH, seed, change), loss, recipe, progress=False).losses
    last = losses[int(0.9 * len(losses)) :]
    figures: Figures = {"training loss": round(sum(last) / len(last), 4)}
    for split in ("validation", "test"):
        unseen = pictures(split, settings["test"])
        logits, truth = predict(model, standard(unseen.images)), unseen.labels[task]
        figures[f"{split} loss"] = round(F.cross_entropy(logits, truth).item(), 4)
        figures[f"{split} accuracy"] = round((logits.argmax(1) == truth).float().mean().item(), 4)
    return figures


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """The verdict by the rule."""

    def gaps(task: str) -> list[list[float]]:
        """For each seed the gap at each number of pictures, in points."""
        arms = [[figures[f"{model}, {task}, {n}"] for n in SCENE_COUNTS] for model in ("cnn", "vit")]
        seeds = range(len(arms[0][0]))
        return [
            [100 * (c[s]["test accuracy"] - v[s]["test accuracy"]) for c, v in zip(*arms, strict=True)] for s in seeds
        ]

    told: Figures = {}
    for task in TASKS:
        of_seeds = gaps(task)
        slopes = [float(np.polyfit(np.log2(SCENE_COUNTS), of_seed, 1)[0]) for of_seed in of_seeds]
        at = {str(n): interval([of_seed[k] for of_seed in of_seeds]) for k, n in enumerate(SCENE_COUNTS)}
        crossed = [int(n) for n, gap in at.items() if gap["interval"][1] < 0]
        told[task] = {"slope": interval(slopes), "gap": at, "crossover": min(crossed, default=None)}
    slopes = [told[task]["slope"]["interval"] for task in TASKS]
    if all(high < 0 for _, high in slopes):
        verdict = "confirmed"
    else:
        verdict = "refuted" if any(low >= 0 for low, _ in slopes) else "undecided"
    return {"verdict": verdict, **told}


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures once, before several processes ask for them."""
    for n in {max(own["scenes"], own["drawn"]) for own in settings}:
        pictures("train", n)
    for n in {own["test"] for own in settings}:
        pictures("validation", n), pictures("test", n)


EXPERIMENT = Experiment(
    name="vit_vs_cnn",
    hypothesis="At equal steps, parameters and products the accuracy by which a convolutional network leads a Vision "
    "Transformer shrinks as the number of different pictures grows, on a local and on a long-range task.",
    arms={
        f"{model}, {task}, {n}": {
            "model": model,
            "task": task,
            "scenes": n,
            "drawn": max(SCENE_COUNTS),
            "steps": 1_000,
            "test": 2_000,
        }
        for n in SCENE_COUNTS
        for task in TASKS
        for model in ARCHITECTURES
    },
    seeds=(0, 1, 2),
    metric="Test accuracy; the gap is the convolutional network's less the transformer's, in points; the slope is the "
    "least-squares change of the gap for each doubling of the number of pictures, seed by seed.",
    rule="With 95 % intervals (Student's t) over the seeds: confirmed if the slope lies wholly below 0 on both tasks; "
    "refuted if it lies wholly at or above 0 on one; otherwise undecided. The crossover is the smallest number of "
    "pictures where the gap lies wholly below 0; there may be none. The learning rate is the one with the lowest "
    "validation loss at 6,400 pictures in one run with another seed, for each network and task.",
    run=run,
    judge=judge,
    quick={"scenes": 256, "drawn": 256, "steps": 4, "test": 100},
    grid={"rate": (3e-4, 1e-3, 3e-3)},
    tuned_by="validation loss",
    tuned=lambda settings: settings | {"scenes": 6_400},
    prepare=prepare,
)
