"""Tasks for the robot: a table, an instruction in words, and the goal that it sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helpers.worlds.chance import pick
from helpers.worlds.table.instructions import TASKS, Goal, reached, read, say
from helpers.worlds.table.planner import next_step
from helpers.worlds.table.sample import HELD_OUT, generator, sample_scene
from helpers.worlds.table.scene import AREAS, SIDES, Scene
from helpers.worlds.table.skills import Refusal

COMPOSED = ("stack", "bowl", "tower")  # the tasks in which a colour is put on a colour


@dataclass(frozen=True, slots=True)
class Task:
    """What the robot is told, and where."""

    scene: Scene
    kind: str  # one of TASKS
    instruction: str
    goal: Goal


def unseen(scene: Scene, goal: Goal) -> bool:
    """Whether the goal puts a colour on a colour as no training task does."""
    return any(
        fact.kind == "on" and (scene.things[fact.thing].colour, scene.things[fact.target].colour) in HELD_OUT
        for fact in goal
    )


def sample_task(
    rng: np.random.Generator, split: str = "train", kind: str | None = None, held_out_wording: bool = False
) -> Task:
    """Draw a task whose goal does not hold yet and can be reached.

    The composition split's tasks all put a colour on a colour as none of the other splits does. Raises ValueError for
    an unknown split or kind, and for a kind that has no such pair.
    """
    kinds = COMPOSED if split == "composition" else TASKS
    if kind is not None and kind not in kinds:
        raise ValueError(f"kind: {kind!r} is not one of {', '.join(kinds)}")
    while True:
        wanted = kind or pick(rng, kinds)
        scene, slots = _asked(rng, split, wanted)
        if slots is None:
            continue
        text = say(scene, wanted, slots, rng, held_out_wording)
        try:
            _, goal = read(scene, text)
            next_step(scene, goal)
        except Refusal:
            continue
        if not reached(scene, goal) and unseen(scene, goal) == (split == "composition"):
            return Task(scene, wanted, text, goal)


def _asked(rng: np.random.Generator, split: str, kind: str) -> tuple[Scene, dict | None]:
    """A scene, and what an instruction of this kind may name in it; None if there is nothing to ask."""
    if split != "composition":
        colours: tuple[tuple[str, str], ...] = ()
        if kind == "sort":
            colour = pick(rng, [a for a, _ in HELD_OUT])
            colours = (("block", colour), ("bowl", colour))
        scene = sample_scene(rng, split, colours)
        return scene, named(scene, kind, rng)
    moved, under = pick(rng, HELD_OUT)
    colours = (("block", moved), ("bowl" if kind == "bowl" else "block", under))
    scene = sample_scene(rng, split, colours)
    blocks = [int(i) for i in rng.permutation(scene.blocks())]
    first, second = (scene.called(colour, k)[0] for k, colour in colours)
    if kind != "tower":
        return scene, {"a": first, "b": second}
    rest = [i for i in blocks if i not in (first, second)][: int(rng.random() * 3)]
    at = int(rng.random() * (len(rest) + 1))
    return scene, {"up": [*rest[:at], second, first, *rest[at:]]}


def named(scene: Scene, kind: str, rng: np.random.Generator) -> dict[str, int | str | list[int]] | None:
    """What an instruction of this kind may name on this table, as in Wordings; None if there is nothing to ask."""
    blocks = [int(i) for i in rng.permutation(scene.blocks())]
    bowls = [i for i in range(len(scene.things)) if i not in blocks]
    if kind in ("sort", "unstack all"):
        return {}
    if kind in ("stack", "swap"):
        return {"a": blocks[0], "b": blocks[1]}
    if kind == "bowl":
        return {"a": blocks[0], "b": pick(rng, bowls)} if bowls else None
    if kind == "move":
        return {"a": blocks[0], "area": pick(rng, AREAS)}
    if kind == "push":
        return {"a": blocks[0], "side": pick(rng, SIDES)}
    if kind == "unstack":
        return {"a": blocks[0]}
    if kind == "clear":
        loaded = [i for i in range(len(scene.things)) if scene.above(i) is not None]
        return {"b": pick(rng, loaded)} if loaded else None
    return {"up": blocks[: pick(rng, (2, 3, 3, 4))]}


def instruction(scene: Scene, kind: str, rng: np.random.Generator) -> str | None:
    """An instruction of this kind for a table that is given, possible or not; None if there is nothing to ask.

    None, too, if it puts a colour on a colour as no training task does.
    """
    if (slots := named(scene, kind, rng)) is None:
        return None
    text = say(scene, kind, slots, rng)
    try:
        return None if unseen(scene, read(scene, text)[1]) else text
    except Refusal:
        return text


def task_at(split: str, i: int, seed: int = 0, kind: str | None = None, held_out_wording: bool = False) -> Task:
    """Task number `i` of `split` for this seed."""
    return sample_task(generator(f"task {split} {kind}", seed, i), split, kind, held_out_wording)
