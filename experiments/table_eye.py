"""Teach the robot's eye what lies on a table: `python -m experiments train table-eye`; palm-e starts from it.

The paper's encoders are Vision Transformers that were trained on photographs before (Driess et al. 2023, section 4).
*Ours, other:* the convolutions of street-eye and three blocks learn, for each place of the picture, of which colour and
kind the things are whose middle is there, which of them have nothing on them, which stand on the table or on what, and
in which area of the table they are. Every other picture is a street, of which it tells what street-eye tells: the robot
describes streets too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from experiments import street_eye
from experiments.runner import Figures
from experiments.shipped import ShippedModel
from helpers.models.palm_e import TableEye
from helpers.training.fit import Batch, Recipe, Shuffled, seeded
from helpers.training.statistics import predict, share
from helpers.weights.pretrained import load
from helpers.worlds.boxed import load_boxed
from helpers.worlds.table.drawing.camera import project
from helpers.worlds.table.lessons import load_table
from helpers.worlds.table.scene import AREAS, COLOURS, KINDS, SIDE, Scene, area_of

GRID: dict[str, Any] = {"image": 96, "patch": 16, "size": 128, "layers": 3, "channels": [16, 32, 64, 128]}
PLACES = GRID["image"] // GRID["patch"]
SIGNS = ("there", "free", "on the table", "on this")  # each is told of every kind and colour
NAMES = len(KINDS) * len(COLOURS)
OUTPUTS = len(SIGNS) * NAMES + len(AREAS)  # of a table; those of a street follow
CONFIGURATION: dict[str, Any] = {"width": 128, "outputs": OUTPUTS + street_eye.STARTS[-1], **GRID}


def signs(scene: Scene) -> torch.Tensor:
    """What is where: bool [36, 73], the places row by row, for each of SIGNS each colour of each kind, then each area.

    "on this" is told of what the thing stands on.
    """
    found = torch.zeros(PLACES, PLACES, OUTPUTS, dtype=torch.bool)
    names = [len(COLOURS) * KINDS.index(thing.kind) + COLOURS.index(thing.colour) for thing in scene.things]
    for i, thing in enumerate(scene.things):
        u, v = project(thing.x, thing.y, scene.height(i) + SIDE / 2)
        row, column = (min(max(int(PLACES * x), 0), PLACES - 1) for x in (v, u))
        here = found[row, column]
        here[names[i]] = True
        here[NAMES + names[i]] |= scene.above(i) is None
        here[2 * NAMES + names[i]] |= thing.on is None
        if thing.on is not None:
            here[3 * NAMES + names[thing.on]] = True
        here[len(SIGNS) * NAMES + AREAS.index(area_of(thing.x, thing.y))] = True
    return found.view(PLACES**2, OUTPUTS)


def batches(scenes: int, batch: int, recipe: Recipe) -> Callable[[int], Iterable[Batch]]:
    """Pictures uint8 [B, 3, 96, 96], half of them tables, and what is where, int8 [B, 36, 112], UNKNOWN of what is told
    of the other world only."""
    table, street = load_table("train", scenes), load_boxed("train", scenes)
    truth = torch.full((2 * scenes, PLACES**2, CONFIGURATION["outputs"]), street_eye.UNKNOWN, dtype=torch.int8)
    truth[:scenes, :, :OUTPUTS] = torch.stack([signs(scene) for scene in table.scenes])
    truth[scenes:, :, OUTPUTS:] = street_eye.truth_of(street)

    def change(parts: Batch, generator: torch.Generator, step: int) -> Batch:
        (rows,) = parts  # the pictures are mapped from a file: only those of the batch are read
        pictures = [(table if row < scenes else street).images[row % scenes] for row in rows.tolist()]
        return torch.stack(pictures), truth[rows]

    # An epoch is as long as the tables are many: in each, half of all pictures are shown.
    return Shuffled((torch.arange(2 * scenes),), batch, recipe.seed, change)


def loss(model: nn.Module, images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The loss of street_eye, over the signs that are told."""
    return street_eye.loss(model, images, truth)


def build(seed: int) -> nn.Module:
    """The eye, untrained but for the convolutions of the shipped street-eye."""
    model = seeded(lambda: TableEye(**CONFIGURATION), seed)
    model.encoder.stage.load_state_dict(load("street-eye").model.stage.state_dict())
    return model.to(memory_format=torch.channels_last)


def measure(model: nn.Module, n: int, seed: int) -> Figures:
    """Of `n` test pictures of tables drawn afresh with `seed`: the share of the signs that hold which are seen, and of
    those seen that hold; and the figures of `street_eye.named` on as many streets."""
    table = load_table("test", n, seed=seed, cache=False, progress=False)
    truth = torch.stack([signs(scene) for scene in table.scenes])
    said = predict(model, table.images)[..., :OUTPUTS] > 0
    street = load_boxed("test", n, seed, cache=False, progress=False)
    named = street_eye.named(predict(model, street.images)[..., OUTPUTS:], street)
    figures = {"found": share(said[truth]), "street": named}
    return figures | ({"true": share(truth[said])} if said.any() else {})  # after a quick trial it may say nothing


MODELS = (
    ShippedModel(
        "table-eye",
        Recipe(0, 2e-3, 0.05, warm_up=0.05),
        scenes=24_000,
        epochs=6,
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
