"""The way of the gripper during a step, as scenes to draw one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from helpers.worlds.table.scene import HOME, SIDE, Gripper, Scene, Thing
from helpers.worlds.table.skills import Step

_HIGH = 0.5  # the height at which the gripper travels
_GRIP = 0.6 * SIDE  # how far above a block's lower side it takes hold

Place = tuple[float, float, float]


def motion(before: Scene, step: Step, after: Scene, frames: int = 24) -> Iterator[Scene]:
    """About `frames` scenes between the table before a step and the table after it, which is the last of them.

    A block that was not moved is seen to slip from the fingers. Raises ValueError for fewer than 8 frames.
    """
    if frames < 8:
        raise ValueError(f"frames: {frames} is too few to show a motion; use 8 or more")
    if step.skill != "done":
        i = step.thing
        old, new = before.things[i], after.things[i]
        take = (old.x, old.y, before.height(i) + _GRIP)
        let = (new.x, new.y, after.height(i) + _GRIP)
        if step.skill == "push":
            carried = [take, let]
        elif old == new:
            carried = [take, (old.x, old.y, take[2] + 0.05)]
        else:
            carried = [take, (old.x, old.y, _HIGH), (new.x, new.y, _HIGH), let]
        home = (HOME.x, HOME.y, HOME.z)
        part = max(2, frames // 4)
        for x, y, z in _way([home, (old.x, old.y, _HIGH), take], part):
            yield replace(before, gripper=Gripper(x, y, z))
        for x, y, z in _way(carried, frames - 2 * part):
            yield _held(before, i, x, y, z)
        for x, y, z in _way([carried[-1], (*carried[-1][:2], _HIGH), home], part):
            yield replace(after, gripper=Gripper(x, y, z))
    yield replace(after, gripper=HOME)


def _held(scene: Scene, i: int, x: float, y: float, z: float) -> Scene:
    things = list(scene.things)
    things[i] = Thing("block", things[i].colour, x, y)
    return Scene(tuple(things), Gripper(x, y, z, i))


def _way(points: list[Place], n: int) -> Iterator[Place]:
    """`n` places along the line through `points`, slower where it begins and ends."""
    pairs = list(pairwise(points))
    lengths = [sum((b - a) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5 for pair in pairs]
    for k in range(n):
        t = (k + 0.5) / n
        way, part = t * t * (3 - 2 * t) * sum(lengths), 0
        while part < len(pairs) - 1 and way > lengths[part]:
            way, part = way - lengths[part], part + 1
        share = min(way / lengths[part], 1.0) if lengths[part] else 1.0
        yield tuple(round(min(max(p + share * (q - p), 0.0), 1.0), 4) for p, q in zip(*pairs[part], strict=True))
