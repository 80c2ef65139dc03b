"""Does a Vision Transformer catch up with a CNN as pictures become more? (Dosovitskiy et al. 2021, section 4.3)

Both networks have the same number of parameters and of products for a picture, within a tenth, and take the same
number of steps, whether the pictures are few and seen often or many and seen seldom. Two tasks are asked of the same
pictures, streets of 48 px with a vehicle on each side: which trees stand there, which a part of any crown tells, and
whether the two vehicles have the same colour, which only both ends of the picture tell together.

The networks, the tasks and a run are those of `near_and_far`, which takes this experiment's place when it has run.

*Ours, smaller:* the paper compares models of 86 million parameters and more on 1.3 to 300 million photographs.
"""

from __future__ import annotations

import numpy as np

from experiments.near_and_far import ARCHITECTURES, TASKS, prepare, run
from experiments.runner import Experiment, Figures
from helpers.training.statistics import interval

SCENE_COUNTS = (256, 1_280, 6_400, 32_000)


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
