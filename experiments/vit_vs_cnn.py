"""Does a Vision Transformer catch up with a CNN as pictures become more? (Dosovitskiy et al. 2021, section 4.3)

Both networks have the same number of parameters and of products for a picture, within a tenth, and take the same
number of steps, whether the pictures are few and seen often or many and seen seldom. Two tasks are asked of the same
pictures, streets of 48 px with a vehicle on each side: which trees stand there, which a part of any crown tells, and
whether the two vehicles have the same colour, which only both ends of the picture tell together.

*Ours, smaller:* the paper compares models of 86 million parameters and more on 1.3 to 300 million photographs.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import ROOT, Experiment, Figures, Settings, interval
from helpers.files import whole
from helpers.models.resnet import BasicBlock
from helpers.street import render as street_render
from helpers.worlds.street.sample import CLASSES, HELD_OUT_VEHICLES, pick, scene_at
from helpers.worlds.street.scene import AGES, FACINGS, Scene, Vehicle
from helpers.models.vit import VisionTransformer

SIDE, PATCH, BATCH = 48, 8, 32
TASKS = {"trees": len(CLASSES["tree"]), "same colour": 2}
NUMBERS = (256, 1_280, 6_400, 32_000)
COLOURS = ("red", "blue")  # with three, a pilot of 700 steps left both networks at chance
KINDS = ("car", "van", "truck", "bus", "taxi")


def two_vehicles(split: str, i: int) -> tuple[Scene, dict[str, int]]:
    """Scene number `i` of `split` with a vehicle at each side, and the answer to each task; half have one colour."""
    rng = np.random.default_rng([zlib.crc32(f"two vehicles {split}".encode()), i])
    same = int(rng.random() < 0.5)
    colour = pick(rng, COLOURS)
    other = colour if same else pick(rng, tuple(c for c in COLOURS if c != colour))
    vehicles = []
    for lane, (own, x) in enumerate(zip((colour, other), pick(rng, ((0.16, 0.84), (0.84, 0.16))), strict=True)):
        kind = pick(rng, tuple(k for k in KINDS if (own, k) not in HELD_OUT_VEHICLES))
        x = round(x + rng.uniform(-0.04, 0.04), 3)
        vehicles.append(Vehicle(kind, own, pick(rng, AGES), pick(rng, FACINGS), lane == 0, x, lane))
    scene = replace(scene_at(split, i), vehicles=tuple(vehicles), being=None)
    return scene, {"trees": CLASSES["tree"].index(scene.labels["tree"]), "same colour": same}


def _draw(split: str, numbers: Sequence[int]) -> tuple[np.ndarray, list[list[int]]]:
    images, answers = np.empty((len(numbers), 3, SIDE, SIDE), np.uint8), []
    for out, i in zip(images, numbers, strict=True):
        scene, labels = two_vehicles(split, i)
        out[:] = street_render.render(scene, SIDE, zlib.crc32(f"two vehicles {split} {i}".encode())).transpose(2, 0, 1)
        answers.append([labels[task] for task in TASKS])
    return images, answers


def pictures(split: str, n: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The first `n` pictures of `split`, uint8 [n, 3, 48, 48], and for each task the answers, int64 [n].

    They are drawn on all cores and kept below build/, under a name that changes with the code that draws them.
    """
    sources = [Path(__file__), *sorted(Path(street_render.__file__).parent.glob("*.py"))]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    path = ROOT / "build" / "pictures" / f"two-vehicles-{split}-{n}-{key}.npz"
    if not path.exists():
        parts = [range(start, min(start + 64, n)) for start in range(0, n, 64)]
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            drawn = list(pool.map(partial(_draw, split), parts))
        images, answers = np.concatenate([part[0] for part in drawn]), np.concatenate([part[1] for part in drawn])
        with whole(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, images=images, answers=answers)
    with np.load(path) as kept:
        answers = torch.from_numpy(kept["answers"]).long()
        return torch.from_numpy(kept["images"]), dict(zip(TASKS, answers.unbind(1), strict=True))


class CNN(nn.Module):
    """A residual network of four stages and a mean over all places: float [B, 3, 48, 48] -> float [B, classes]."""

    def __init__(self, classes: int, widths: tuple[int, ...] = (16, 32, 54, 106)) -> None:
        super().__init__()
        stem = (nn.Conv2d(3, widths[0], 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        stages = (BasicBlock(a, b, stride=2) for a, b in pairwise(widths))
        self.body = nn.Sequential(*stem, BasicBlock(widths[0], widths[0]), *stages)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images).mean((2, 3)))  # [B, D, 3, 3] -> [B, D] -> [B, classes]


class ViT(nn.Module):
    """36 patches of 8·8·3 = 192 numbers, four blocks: float [B, 3, 48, 48] -> float [B, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = VisionTransformer(SIDE, PATCH, width=64, layers=4, heads=4, mlp=256, classes={"head": classes})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)["head"]


MODELS = {"cnn": CNN, "vit": ViT}


def run(settings: Settings, seed: int) -> Figures:
    """Train one network on one task; its accuracy and loss on pictures it never saw."""
    images, answers = pictures("train", max(settings["scenes"], settings["drawn"]))
    labels = answers[settings["task"]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[settings["model"]](TASKS[settings["task"]])
    optimizer = torch.optim.AdamW(model.parameters(), settings["rate"], weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings["rate"], total_steps=settings["steps"], pct_start=0.1
    )
    generator = torch.Generator().manual_seed(seed)
    # Each seed has its own pictures, so that the interval also tells how much depends on which are drawn.
    chosen = torch.randperm(len(images), generator=generator)[: settings["scenes"]]

    def standard(rows: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
        return (of[rows].float() - 128) / 64  # [B, 3, 48, 48]

    total = 0.0
    for step in range(settings["steps"]):
        rows = chosen[torch.randint(len(chosen), (BATCH,), generator=generator)]
        loss = F.cross_entropy(model(standard(rows, images)), labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step >= 0.9 * settings["steps"]:
            total += loss.item() / (settings["steps"] - int(0.9 * settings["steps"]))
    model.eval()
    figures: Figures = {"training loss": round(total, 4)}
    for split in ("validation", "test"):
        unseen, truth = pictures(split, settings["test"])
        with torch.inference_mode():
            logits = torch.cat([model(standard(rows, unseen)) for rows in torch.arange(len(unseen)).split(500)])
        figures[f"{split} loss"] = round(F.cross_entropy(logits, truth[settings["task"]]).item(), 4)
        figures[f"{split} accuracy"] = round((logits.argmax(1) == truth[settings["task"]]).float().mean().item(), 4)
    return figures


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """The verdict by the rule."""

    def gaps(task: str) -> list[list[float]]:
        """For each seed the gap at each number of pictures, in points."""
        arms = [[figures[f"{model}, {task}, {n}"] for n in NUMBERS] for model in ("cnn", "vit")]
        seeds = range(len(arms[0][0]))
        return [
            [100 * (c[s]["test accuracy"] - v[s]["test accuracy"]) for c, v in zip(*arms, strict=True)] for s in seeds
        ]

    told: Figures = {}
    for task in TASKS:
        of_seeds = gaps(task)
        slopes = [float(np.polyfit(np.log2(NUMBERS), of_seed, 1)[0]) for of_seed in of_seeds]
        at = {str(n): interval([of_seed[k] for of_seed in of_seeds]) for k, n in enumerate(NUMBERS)}
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
            "drawn": max(NUMBERS),
            "steps": 1_000,
            "test": 2_000,
        }
        for n in NUMBERS
        for task in TASKS
        for model in MODELS
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
