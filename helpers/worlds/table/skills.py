"""What the robot can do: put a block somewhere and push one, in words, on the table, and at times without success."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from helpers.worlds.chance import pick
from helpers.worlds.table.sample import near
from helpers.worlds.table.scene import AREAS, MAX_HEIGHT, SIDES, Scene, neighbour

SKILLS = ("put", "push", "done")
ASIDE = "aside"  # a free area of the table, whichever it is


class Refusal(ValueError):
    """What cannot be understood or done; the message is the sentence that the robot answers."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan: a skill, the thing that it moves, and where to.

    `target` of "put" is the number of a thing, an area or ASIDE, of "push" one of SIDES; "done" has neither.
    """

    skill: str
    thing: int | None = None
    target: int | str | None = None


DONE = Step("done")


# In words


def step_words(scene: Scene, step: Step) -> str:
    """The step as a sentence: "put the red block on the blue block"."""
    if step.skill == "done":
        return "done"
    name = scene.the(step.thing)
    if step.skill == "push":
        return f"push {name} to the {step.target}"
    if step.target == ASIDE:
        return f"put {name} aside"
    if step.target in AREAS:
        return f"put {name} at the {step.target}"
    kind = scene.things[step.target].kind
    return f"put {name} {'in' if kind == 'bowl' else 'on'} {scene.the(step.target)}"


_NAME = r"((?:the )?(?:object \d+|[a-z]+ (?:block|bowl)))"
_STEP = re.compile(
    rf"(?:put {_NAME} (?:(aside)|at the ([a-z ]+)|(?:on|in) {_NAME})|push {_NAME} to the ([a-z]+)|(done))"
)


def thing_called(scene: Scene, name: str) -> int:
    """The number of the thing that `name` means: "the red block", "object 3". Raises Refusal if none or two do."""
    name = name.removeprefix("the ")
    if name.startswith("object "):
        number = int(name.removeprefix("object ")[:9])
        if not 1 <= number <= len(scene.things):
            raise Refusal(f"there is no {name}")
        return number - 1
    colour, _, kind = name.partition(" ")
    found = scene.called(colour, kind)
    if len(found) != 1:
        raise Refusal(f"there is no {name}" if not found else f"there are {len(found)} {name}s")
    return found[0]


def read_step(scene: Scene, text: str) -> Step:
    """The step that a sentence of `step_words` says. Raises Refusal for anything else, and for things not there."""
    match = _STEP.fullmatch(text.strip())
    if not match:
        raise Refusal("i do not understand")
    thing, aside, area, on, pushed, side, done = match.groups()
    if done:
        return DONE
    if pushed:
        if side not in SIDES:
            raise Refusal(f"there is no side {side}")
        return Step("push", thing_called(scene, pushed), side)
    if area and area not in AREAS:
        raise Refusal(f"there is no area {area}")
    target = thing_called(scene, on) if on else area or aside
    return Step("put", thing_called(scene, thing), target)


# On the table


def why_not(scene: Scene, step: Step) -> str | None:
    """Why the step is not possible now, as a sentence; None if it is."""
    if step.skill == "done":
        return None
    i, target = step.thing, step.target
    if scene.things[i].kind == "bowl":
        return "a bowl cannot be moved"
    if (above := scene.above(i)) is not None:
        return f"{scene.the(above)} is on it"
    if step.skill == "push":
        return _why_not_push(scene, i, target)
    if target == ASIDE:
        return None if scene.free_areas() else "no area is free"
    if target in AREAS:
        base = scene.base_in(target)
        if base is None:
            return None
        return "it is there already" if base == i else f"{scene.the(base)} stands there"
    if target == i:
        return "it cannot be put on itself"
    if scene.things[i].on == target:
        return "it is there already"
    if (above := scene.above(target)) is not None:
        return f"{scene.the(above)} is {'in' if scene.things[target].kind == 'bowl' else 'on'} {scene.the(target)}"
    below = scene.things[target].on
    if below is not None and scene.things[below].kind == "bowl":
        return f"{scene.the(target)} is in a bowl"
    if scene.things[target].kind == "block" and scene.level(target) + 1 >= MAX_HEIGHT:
        return "the tower would be too high"
    return None


def _why_not_push(scene: Scene, i: int, side: str) -> str | None:
    if scene.things[i].on is not None:
        return "it does not stand on the table"
    area = neighbour(scene.area(i), side)
    if area is None:
        return "it is at the edge"
    base = scene.base_in(area)
    return None if base is None else f"{scene.the(base)} is in the way"


def moved(scene: Scene, i: int, x: float, y: float, on: int | None = None) -> Scene:
    """The scene with thing `i`, on which nothing stands, at another place."""
    things = list(scene.things)
    things[i] = replace(things[i], x=x, y=y, on=on)
    return replace(scene, things=tuple(things))


def apply(scene: Scene, step: Step, rng: np.random.Generator) -> Scene:
    """The table after a step that succeeded. Raises Refusal with the reason if it is not possible."""
    if (reason := why_not(scene, step)) is not None:
        raise Refusal(reason)
    if step.skill == "done":
        return scene
    if step.skill == "push":
        return moved(scene, step.thing, *near(neighbour(scene.area(step.thing), step.target), rng))
    if isinstance(step.target, int):
        on = scene.things[step.target]
        return moved(scene, step.thing, on.x, on.y, step.target)
    area = pick(rng, scene.free_areas()) if step.target == ASIDE else step.target
    return moved(scene, step.thing, *near(area, rng))


def attempt(scene: Scene, step: Step, rng: np.random.Generator, slips: float = 0.0) -> tuple[Scene, bool]:
    """The table after the robot tried the step, and whether it succeeded; with the probability `slips` it did not.

    A step that is not possible changes nothing. A block that slips stays where it was or, half of the time that it was
    lifted, falls on a free area that was not meant.
    """
    if why_not(scene, step) is not None:
        return scene, False
    if step.skill == "done" or rng.random() >= slips:
        return apply(scene, step, rng), True
    areas = [area for area in scene.free_areas() if area != step.target]
    if step.skill == "push" or step.target == ASIDE or not areas or rng.random() < 0.5:
        return scene, False
    return moved(scene, step.thing, *near(pick(rng, areas), rng)), False


def every_step(scene: Scene) -> list[Step]:
    """All steps that can be said of this scene, possible or not."""
    n = len(scene.things)
    steps = [Step("put", i, target) for i in range(n) for target in (*range(n), *AREAS, ASIDE) if target != i]
    return steps + [Step("push", i, side) for i in range(n) for side in SIDES] + [DONE]
