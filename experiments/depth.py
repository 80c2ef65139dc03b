"""Do plain networks get worse with depth, and residual ones not? (He et al. 2016, sections 1 and 4.2, figure 6)

The networks are the paper's for CIFAR-10 with half its widths: 6n + 2 layers, three stages, shortcuts that pad with
zeros (option A), so that a residual network has exactly the parameters of the plain one. The task is to name the main
vehicle of a street scene of 32 px. *Ours, smaller:* the first convolution halves the side, there are 8,000 pictures
and few steps. *Ours, other:* the rate rises slowly at the start and falls along a cosine, and the gradient is clipped,
since that of a deep plain network explodes at the start: without both it never leaves chance, and says nothing.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Experiment, Figures, Settings, together
from helpers.models.resnet import cifar_network
from helpers.training.fit import Recipe, Shuffled, fit, seeded
from helpers.training.statistics import interval, predict
from helpers.worlds.street.sample import CLASSES
from helpers.worlds.streets import load_street

# In the pilot plain networks of 44 and of 32 layers ended at losses of 1.3 and 1.1, and so had hardly learned: they say
# nothing. One of 20 layers ended at 0.33.
DEPTHS = (8, 14, 20)
COMPARED = (20, 8)
BATCH, SIDE, TEST = 64, 32, 2_000


def pictures(split: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `n` scenes of `split`: float [n, 3, 32, 32], and the vehicle's class, int64 [n]."""
    street = load_street(split, n, size=SIDE, progress=False, captions=0)
    images = ((street.images.float() - 128) / 64).contiguous(memory_format=torch.channels_last)
    return images, street.labels["vehicle"]


def run(settings: Settings, seed: int) -> Figures:
    """Train one network; its training loss, test error and the norms of its layers' gradients."""
    images, labels = pictures("train", settings["scenes"])
    model = seeded(lambda: cifar_network(settings["depth"], settings["residual"], len(CLASSES["vehicle"])), seed)
    model.to(memory_format=torch.channels_last)
    steps = settings["steps"]
    recipe = Recipe(steps, settings["rate"], 1e-4, (0.9, 0.0), "sgd", warm_up=0.2, clip=1, seed=seed)
    norms, convolutions = {}, [m for m in model.modules() if isinstance(m, nn.Conv2d)]

    def note(step: int, model: nn.Module) -> None:
        if step - 1 in (0, steps // 2, steps - 1):
            norms[str(step - 1)] = [float(f"{m.weight.grad.norm().item():.3g}") for m in convolutions]

    def loss(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(images), labels)

    done = fit(model, Shuffled((images, labels), BATCH, seed), loss, recipe, after_step=note, progress=False)
    test_images, test_labels = pictures("test", settings["test"])
    # The training loss again, by the finished network and over all pictures: batches are noisy.
    train, test = predict(model, images), predict(model, test_images)
    part = max(1, steps // 50)
    return {
        "loss": round(F.cross_entropy(train, labels).item(), 4),
        "train error": round((train.argmax(1) != labels).float().mean().item(), 4),
        "test error": round((test.argmax(1) != test_labels).float().mean().item(), 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "curve": [round(sum(done.losses[i : i + part]) / part, 3) for i in range(0, steps, part)],
        "gradient norms": norms,
    }


def prepare(settings: list[Settings]) -> None:
    """Draw the pictures once, before several processes ask for them."""
    for split, key in (("train", "scenes"), ("test", "test")):
        for n in {own[key] for own in settings}:
            pictures(split, n)


def judge(figures: dict[str, list[Figures]]) -> Figures:
    """The verdict by the rule, on each claim and on both."""

    def rise(kind: str) -> Figures:
        deep, shallow = (figures[f"{kind}-{depth}"] for depth in COMPARED)
        return interval([d["loss"] - s["loss"] for d, s in zip(deep, shallow, strict=True)])

    plain, residual = rise("plain"), rise("residual")
    (low, high), margin = plain["interval"], plain["mean"] / 5
    plain["verdict"] = "confirmed" if low > 0 else "refuted" if high <= 0 else "undecided"
    low, high = residual["interval"]
    residual["verdict"] = "confirmed" if high < margin else "refuted" if low > margin else "undecided"
    # An arm that has learned nothing says nothing about depth.
    chance = [arm for arm, runs in figures.items() if max(run["loss"] for run in runs) > math.log(7) / 2]
    verdict = "undecided" if chance else together([plain["verdict"], residual["verdict"]])
    return {"verdict": verdict, "plain": plain, "residual": residual, "margin": margin, "did not learn": chance}


EXPERIMENT = Experiment(
    name="depth",
    hypothesis="After equally many steps a plain network of 20 layers has a higher training loss than one of 8; of "
    "residual networks the deeper one has hardly a higher one, less than a fifth of the plain rise.",
    arms={
        f"{kind}-{depth}": {
            "residual": kind == "residual",
            "depth": depth,
            "scenes": 8_000,
            "steps": 1_600,
            "test": TEST,
        }
        for depth in DEPTHS
        for kind in ("plain", "residual")
    },
    seeds=(0, 1, 2, 3, 4),
    metric="Cross-entropy over all training pictures after the last step, evaluation mode; the rise is that of 20 "
    "layers less that of 8, seed by seed. The test error is given beside it.",
    rule="With 95 % intervals (Student's t) over the seeds, each claim by itself. Plain networks get worse: confirmed "
    "if their rise lies wholly above 0, refuted if wholly at or below. Residual ones do not: confirmed if their rise "
    "lies wholly below a fifth of the mean plain rise, refuted if wholly above it. Otherwise undecided; and undecided "
    "if a run of any arm ends above half of what guessing costs, ln 7 / 2. Each arm takes the learning rate with the "
    "lowest loss in one run with another seed.",
    run=run,
    judge=judge,
    quick={"scenes": 512, "steps": 4, "test": 200},
    grid={"rate": (0.05, 0.15, 0.45)},
    tuned_by="loss",
    prepare=prepare,
)
