"""How many pictures do a Vision Transformer and a CNN need? (Dosovitskiy et al. 2021, section 4.3)

Both networks have the same number of parameters and of products for a picture, within a tenth, and take the same
number of steps, whether the pictures are few and seen often or many and seen seldom. Two tasks are asked of the same
pictures, streets of 48 px with a vehicle on each side: which trees stand there, which a part of any crown tells, and
whether the two vehicles have the same colour, which only both ends of the picture tell together.

Accuracies are compared where neither network is at chance or near to all right, which for the trees is from 32 to 288
pictures. The far task is all or nothing: a run finds the rule, or guesses to its end. So its runs are counted.

*Ours, smaller:* the paper compares models of 86 million parameters and more on 1.3 to 300 million photographs.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Experiment, Figures, Settings, together
from helpers.models.resnet import SmallResNet
from helpers.models.vit import VisionTransformer
from helpers.training.fit import Batch, Recipe, Shuffled, fit, seeded
from helpers.training.statistics import interval, predict, share
from helpers.worlds.drawn import Drawn, load
from helpers.worlds.streets import TwoVehicles

SIDE, PATCH, BATCH = 48, 8, 32
TASKS = {label: len(classes) for label, classes in TwoVehicles.classes.items()}
SCENE_COUNTS = {"trees": (32, 96, 288), "same colour": (1_024, 4_096)}
LEARNED = 0.9  # the accuracy from which a run has found the rule of the far task; guessing has 0.5


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
    """The verdict by the rule, on each task and on both."""

    def accuracies(model: str, task: str, n: int) -> np.ndarray:
        return np.array([run["test accuracy"] for run in figures[f"{model}, {task}, {n}"]])

    counts = SCENE_COUNTS["trees"]
    gaps = {n: 100 * (accuracies("cnn", "trees", n) - accuracies("vit", "trees", n)) for n in counts}
    slopes = np.polyfit(np.log2(counts), np.stack(list(gaps.values())), 1)[0]  # one for each seed
    slope = interval(slopes.tolist())
    low, high = slope["interval"]
    trees: Figures = {"verdict": "confirmed" if high < 0 else "refuted" if low >= 0 else "undecided", "slope": slope}
    trees["gap"] = {str(n): interval(gap.tolist()) for n, gap in gaps.items()}

    learned = {
        model: {
            str(n): share(torch.from_numpy(accuracies(model, "same colour", n) >= LEARNED))
            for n in SCENE_COUNTS["same colour"]
        }
        for model in ARCHITECTURES
    }
    (cnn_low, cnn_high), (vit_low, vit_high) = (
        learned[model][str(min(SCENE_COUNTS["same colour"]))]["interval"] for model in ("cnn", "vit")
    )
    verdict = "confirmed" if vit_low > cnn_high else "refuted" if cnn_low > vit_high else "undecided"
    far: Figures = {"verdict": verdict, "learned": learned}
    return {"verdict": together([trees["verdict"], far["verdict"]]), "trees": trees, "same colour": far}


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures once, before several processes ask for them."""
    for n in {max(own["scenes"], own["drawn"]) for own in settings}:
        pictures("train", n)
    for n in {own["test"] for own in settings}:
        pictures("validation", n), pictures("test", n)


EXPERIMENT = Experiment(
    name="vit_vs_cnn",
    hypothesis="At equal steps, parameters and products: on a local task the accuracy by which a convolutional network "
    "leads a Vision Transformer shrinks as the number of different pictures grows; on a task that only both ends of "
    "the picture tell together the Vision Transformer needs fewer of them.",
    arms={
        f"{model}, {task}, {n}": {
            "model": model,
            "task": task,
            "scenes": n,
            "drawn": 2 * max(max(counts) for counts in SCENE_COUNTS.values()),
            "steps": 600,
            "test": 2_000,
        }
        for task, counts in SCENE_COUNTS.items()
        for n in counts
        for model in ARCHITECTURES
    },
    seeds=tuple(range(30, 38)),  # none that the pilots used
    metric="Test accuracy. Trees: the gap is the convolutional network's less the transformer's, in points; the slope "
    "is the least-squares change of the gap for each doubling of the number of pictures, seed by seed. Same colour: "
    "the share of the runs with an accuracy of 0.9 or more.",
    rule="Trees, with the 95 % interval (Student's t) over the seeds: confirmed if the slope lies wholly below 0, "
    "refuted if wholly at or above 0. Same colour, with 1,024 pictures and 95 % intervals (Wilson): confirmed if the "
    "transformer's share lies wholly above the convolutional network's, refuted if wholly below. Otherwise undecided. "
    "The learning rate is the one with the lowest validation loss in one run with another seed, with 288 pictures for "
    "trees and 4,096 for the same colour, for each network and task.",
    run=run,
    judge=judge,
    quick={"scenes": 256, "drawn": 256, "steps": 4, "test": 100},
    grid={"rate": (3e-4, 1e-3, 3e-3)},
    tuned_by="validation loss",
    tuned=lambda settings: settings | {"scenes": max(SCENE_COUNTS[settings["task"]])},
    prepare=prepare,
)
