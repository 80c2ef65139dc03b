"""The oracle: it knows where everything is, and says for any goal the step that comes next."""

from __future__ import annotations

import numpy as np

from helpers.worlds.table.instructions import Fact, Goal, holds
from helpers.worlds.table.scene import AREAS, MAX_HEIGHT, Scene, at_edge, neighbour
from helpers.worlds.table.skills import ASIDE, DONE, Refusal, Step, apply

LONGEST = 24  # more steps than any plan for a table of eight things has


def next_step(scene: Scene, goal: Goal) -> Step:
    """The step towards the first fact of the goal that does not hold, DONE if all do.

    It depends on the table as it is now, not on what was done before, so that planning again after a failure or a
    disturbance is nothing else than asking again. Raises Refusal if the goal has become impossible.
    """
    for fact in goal:
        if not holds(scene, fact):
            return _towards(scene, fact)
    return DONE


def plan(scene: Scene, goal: Goal, rng: np.random.Generator) -> list[Step]:
    """All steps to the goal if each succeeds, with DONE at the end. Raises Refusal if the goal is impossible."""
    steps: list[Step] = []
    while len(steps) < LONGEST:
        steps.append(next_step(scene, goal))
        if steps[-1] == DONE:
            return steps
        scene = apply(scene, steps[-1], rng)
    raise Refusal("that takes too many steps")


def looks(scene: Scene, goal: Goal) -> list[str]:
    """What one looks up, one thing after another, to find the next step: "on red block: green block".

    For each fact of the goal, up to the first that does not hold, whether it holds; and then what is in its way.
    """
    found: list[str] = []
    for fact in goal:
        found += _holding(scene, fact)
        if not holds(scene, fact):
            found += _in_the_way(scene, fact)
            break
    return list(dict.fromkeys(found))


def _holding(scene: Scene, fact: Fact) -> list[str]:
    if fact.kind == "free":
        return _on(scene, fact.thing)
    here = [f"{scene.name(fact.thing)}: {scene.area(fact.thing)}"] if fact.kind in ("at", "edge") else []
    return [*here, _under(scene, fact.thing)]


def _in_the_way(scene: Scene, fact: Fact) -> list[str]:
    found = _on(scene, fact.thing)
    if scene.top(fact.thing) != fact.thing:
        return found
    if fact.kind == "on":
        found += _on(scene, fact.target)
        below: int | None = fact.target  # how high the target is, and whether it lies in a bowl
        while below is not None and scene.things[below].kind == "block":
            found.append(_under(scene, below))
            below = scene.things[below].on
    elif fact.kind == "at":
        found += _at(scene, fact.target)
    elif fact.kind == "edge" and scene.things[fact.thing].on is None:
        area = neighbour(scene.area(fact.thing), fact.target)
        found += _at(scene, area)
        base = scene.base_in(area)
        if base is not None and scene.things[base].kind == "bowl":
            for area in (area for area in AREAS if at_edge(area, fact.target)):
                found += _at(scene, area)
    return found


def _under(scene: Scene, i: int) -> str:
    below = scene.things[i].on
    return f"under {scene.name(i)}: {'table' if below is None else scene.name(below)}"


def _on(scene: Scene, i: int) -> list[str]:
    """What stands on a thing, and on that, up to the top."""
    found = []
    while (above := scene.above(i)) is not None:
        found.append(f"on {scene.name(i)}: {scene.name(above)}")
        i = above
    return [*found, f"on {scene.name(i)}: nothing"]


def _at(scene: Scene, area: str) -> list[str]:
    base = scene.base_in(area)
    return [f"at {area}: nothing"] if base is None else [f"at {area}: {scene.name(base)}", *_on(scene, base)]


def _towards(scene: Scene, fact: Fact) -> Step:
    i, target = fact.thing, fact.target
    if (top := scene.top(i)) != i:
        return Step("put", top, ASIDE)
    if fact.kind == "table":
        return Step("put", i, ASIDE)
    if fact.kind == "on":
        return _onto(scene, i, target)
    if fact.kind == "at":
        return _into(scene, i, target)
    return _push(scene, i, target)


def _onto(scene: Scene, i: int, target: int) -> Step:
    """Free the target, and bring it down if it is too high or in a bowl, then put thing `i` there."""
    if (top := scene.top(target)) != target:
        return Step("put", top, ASIDE)
    below = scene.things[target].on
    in_bowl = below is not None and scene.things[below].kind == "bowl"
    if in_bowl or (scene.things[target].kind == "block" and scene.level(target) + 1 >= MAX_HEIGHT):
        return Step("put", target, ASIDE)
    return Step("put", i, target)


def _into(scene: Scene, i: int, area: str) -> Step:
    base = scene.base_in(area)
    if base is None:
        return Step("put", i, area)
    top = scene.top(base)
    if scene.things[top].kind == "bowl" or scene.things[base].kind == "bowl":
        raise Refusal(f"{scene.the(base)} stands there")
    return Step("put", top, ASIDE)


def _push(scene: Scene, i: int, side: str) -> Step:
    """Push towards the side; where a bowl is in the way, carry the block to a free area at the edge."""
    if scene.things[i].on is not None:
        return Step("put", i, ASIDE)
    area = neighbour(scene.area(i), side)
    base = scene.base_in(area)
    if base is None:
        return Step("push", i, side)
    if scene.things[base].kind == "block":
        return Step("put", scene.top(base), ASIDE)
    edge = [area for area in AREAS if at_edge(area, side)]
    for area in edge:
        if scene.base_in(area) is None:
            return Step("put", i, area)
    for area in edge:
        if scene.things[base := scene.base_in(area)].kind == "block":
            return Step("put", scene.top(base), ASIDE)
    raise Refusal(f"{scene.the(base)} is in the way")
