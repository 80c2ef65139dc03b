"""Teach the robot's eye what lies on a table: `python -m experiments train table-eye`; palm-e starts from it.

The paper's encoders are Vision Transformers that were trained on photographs before (Driess et al. 2023, section 4).
*Ours, other:* the convolutions of street-eye and three blocks learn, for each place of the picture, of which colour and
kind the things are whose middle is there, which of them have nothing on them, and which stand on the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from experiments.runner import Figures
from experiments.shipped import ShippedModel
from helpers.models.palm_e import TableEye
from helpers.training.fit import Batch, Recipe, Shuffled, seeded
from helpers.training.statistics import predict, share
from helpers.weights.pretrained import load
from helpers.worlds.table.drawing.camera import project
from helpers.worlds.table.lessons import load_table
from helpers.worlds.table.scene import COLOURS, KINDS, SIDE, Scene

GRID: dict[str, Any] = {"image": 96, "patch": 16, "size": 128, "layers": 3, "channels": [16, 32, 64, 128]}
PLACES, SIGNS = GRID["image"] // GRID["patch"], ("there", "free", "on the table")
OUTPUTS = len(SIGNS) * len(KINDS) * len(COLOURS)
CONFIGURATION: dict[str, Any] = {"width": 128, "outputs": OUTPUTS, **GRID}
RARE = 3.0  # so many times a thing that is there counts as one that is not: most places are empty


def signs(scene: Scene) -> torch.Tensor:
    """Which things are where: bool [36, 48], the places row by row, and for each of SIGNS each colour of each kind."""
    found = torch.zeros(PLACES, PLACES, len(SIGNS), len(KINDS), len(COLOURS), dtype=torch.bool)
    for i, thing in enumerate(scene.things):
        u, v = project(thing.x, thing.y, scene.height(i) + SIDE / 2)
        row, column = (min(max(int(PLACES * x), 0), PLACES - 1) for x in (v, u))
        kind, colour = KINDS.index(thing.kind), COLOURS.index(thing.colour)
        found[row, column, 0, kind, colour] = True
        found[row, column, 1, kind, colour] |= scene.above(i) is None
        found[row, column, 2, kind, colour] |= thing.on is None
    return found.view(PLACES**2, OUTPUTS)


def batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Pictures uint8 [B, 3, 96, 96], and what is where, bool [B, 36, 48]."""
    table = load_table("train", scenes)
    truth = torch.stack([signs(scene) for scene in table.scenes])

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        (rows,) = parts  # the pictures are mapped from a file: only those of the batch are read
        return table.images[rows], truth[rows]

    return Shuffled((torch.arange(scenes),), batch, recipe.seed, change)


def loss(model: nn.Module, images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of all signs at all places, those that hold weighted by RARE."""
    weight = torch.tensor(RARE, device=images.device)
    return F.binary_cross_entropy_with_logits(model(images), truth.float(), pos_weight=weight)


def build(seed: int) -> nn.Module:
    """The eye, untrained but for the convolutions of the shipped street-eye."""
    model = seeded(lambda: TableEye(**CONFIGURATION), seed)
    model.encoder.stage.load_state_dict(load("street-eye").model.stage.state_dict())
    return model.to(memory_format=torch.channels_last)


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Of `n` test pictures drawn afresh with `seed`: the share of the signs that hold which are seen, and of those seen
    that hold."""
    table = load_table("test", n, seed=seed, cache=False, progress=False)
    truth = torch.stack([signs(scene) for scene in table.scenes])
    said = predict(model, table.images) > 0
    return {"found": share(said[truth]), "true": share(truth[said])}


MODELS = (
    ShippedModel(
        "table-eye",
        Recipe(0, 1.5e-3, 0.05, warm_up=0.05),
        scenes=24_000,
        epochs=1,
        batch=64,
        build=build,
        batches=batches,
        loss=loss,
        measure=measure,
        facts={"configuration": CONFIGURATION},
        tested=900,
        trial=256,
    ),
)
