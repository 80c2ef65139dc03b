"""Instructions in words and the goals that they set; some wordings are kept for the end.

A goal is a tuple of facts that shall hold together. `read` understands every wording that `say` writes, and answers
anything else with a Refusal: what it does not understand, things that are not there, and goals that cannot be reached.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np

from helpers.worlds.chance import pick
from helpers.worlds.table.scene import AREAS, COLOURS, MAX_HEIGHT, SIDES, Scene, at_edge, neighbour
from helpers.worlds.table.skills import Refusal, thing_called


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that may hold on a table.

    "on": `thing` stands on or in thing `target`; "table": it stands on the table; "at": it does so in the area
    `target`; "edge": it does so at the side `target` of the table; "free": nothing stands on or in it.
    """

    kind: str
    thing: int
    target: int | str | None = None


Goal = tuple[Fact, ...]


def holds(scene: Scene, fact: Fact) -> bool:
    """Whether the fact holds."""
    on = scene.things[fact.thing].on
    if fact.kind == "on":
        return on == fact.target
    if fact.kind == "free":
        return scene.above(fact.thing) is None
    if on is not None or scene.gripper.holds == fact.thing:
        return False
    if fact.kind == "at":
        return scene.area(fact.thing) == fact.target
    return fact.kind == "table" or at_edge(scene.area(fact.thing), fact.target)


def reached(scene: Scene, goal: Goal) -> bool:
    """Whether all facts of the goal hold."""
    return all(holds(scene, fact) for fact in goal)


def in_words(scene: Scene, goal: Goal) -> str:
    """What a goal means, fact by fact: "green block on table, red block on green block"."""

    def told(fact: Fact) -> str:
        name = scene.name(fact.thing)
        if fact.kind == "on":
            return f"{name} {'in' if scene.things[fact.target].kind == 'bowl' else 'on'} {scene.name(fact.target)}"
        if fact.kind == "free":
            return f"nothing on {name}"
        return f"{name} on table" if fact.kind == "table" else f"{name} at {fact.target}"

    return ", ".join(map(told, goal))


@dataclass(frozen=True, slots=True)
class Wordings:
    """The ways to say one kind of instruction: for training, and those that nobody hears before the end.

    {a} and {b} are things, {area} and {side} places, {up} and {down} colours of a tower from below or from above.
    """

    usual: tuple[str, ...]
    held_out: tuple[str, ...]


WORDINGS = {
    "stack": Wordings(
        ("put {a} on {b}", "place {a} on top of {b}", "stack {a} on {b}", "move {a} onto {b}", "{a} goes on {b}",
         "i want {a} on {b}"),
        ("could you set {a} on {b}", "set {a} down on top of {b}"),
    ),
    "bowl": Wordings(
        ("put {a} in {b}", "place {a} into {b}", "drop {a} in {b}", "{a} goes in {b}", "i want {a} in {b}"),
        ("could you lay {a} in {b}", "set {a} down in {b}"),
    ),
    "move": Wordings(
        ("move {a} to the {area}", "put {a} at the {area}", "bring {a} to the {area}", "{a} goes to the {area}"),
        ("i would like {a} at the {area}",),
    ),
    "push": Wordings(
        ("push {a} to the {side} edge", "slide {a} to the {side} edge", "push {a} all the way to the {side}"),
        ("{a} should slide to the {side} edge",),
    ),
    "unstack": Wordings(
        ("put {a} on the table", "take {a} down", "unstack {a}"), ("set {a} down on the table",)
    ),
    "unstack all": Wordings(
        ("unstack all the blocks", "take all the stacks down", "put all the blocks on the table"),
        ("all the blocks should stand on the table",),
    ),
    "sort": Wordings(
        ("sort the blocks by colour", "put each block in the bowl of its colour", "sort all the blocks into the bowls"),
        ("each block should be in the bowl of its colour",),
    ),
    "clear": Wordings(
        ("clear {b}", "take everything off {b}", "free {b}", "empty {b}"), ("nothing should be on {b}",)
    ),
    "swap": Wordings(
        ("swap {a} and {b}", "exchange {a} and {b}", "let {a} and {b} change places"),
        ("{a} and {b} should change places",),
    ),
    "tower": Wordings(
        ("build a tower: {up}", "build a tower of {up}, from the bottom up", "stack {up} from the bottom up",
         "build a tower with {down} from the top down"),
        ("i want a tower: {up}", "stack {down} from the top down"),
    ),
}  # fmt: skip
TASKS = tuple(WORDINGS)

_NAME = r"(?:the )?(?:object \d+|[a-z]+ (?:block|bowl))"
_LIST = r"[a-z]+(?:, [a-z]+)*,? and [a-z]+|[a-z]+(?:, [a-z]+)*"
_SLOTS = {"a": _NAME, "b": _NAME, "area": "[a-z ]+?", "side": "[a-z]+", "up": _LIST, "down": _LIST}


@cache
def _patterns() -> tuple[tuple[str, re.Pattern], ...]:
    """(task, pattern) of every wording; the slots of a pattern have its names."""
    found = []
    for task, wordings in WORDINGS.items():
        for wording in (*wordings.usual, *wordings.held_out):
            parts = re.split(r"\{(\w+)\}", wording)
            text = "".join(f"(?P<{p}>{_SLOTS[p]})" if k % 2 else re.escape(p) for k, p in enumerate(parts))
            found.append((task, re.compile(text)))
    return tuple(found)


def say(
    scene: Scene, task: str, slots: dict[str, int | str | list[int]], rng: np.random.Generator, held_out: bool = False
) -> str:
    """An instruction of the kind `task` in one of its wordings; `slots` as in Wordings, a tower as block numbers."""
    wording = pick(rng, WORDINGS[task].held_out if held_out else WORDINGS[task].usual)
    told = {}
    for name, value in slots.items():
        if isinstance(value, list):
            colours = [scene.things[i].colour for i in value]
            for slot, order in (("up", colours), ("down", colours[::-1])):
                last = " and " if rng.random() < 0.5 else ", "
                told[slot] = ", ".join(order[:-1]) + last + order[-1]
        else:
            told[name] = scene.the(value) if isinstance(value, int) else value
    return wording.format(**told)


def read(scene: Scene, text: str) -> tuple[str, Goal]:
    """The kind of an instruction and the goal that it sets on this table. Raises Refusal with the robot's answer."""
    text = " ".join(re.sub(r"[.!?]+$", "", text.lower().strip()).split())
    for task, pattern in _patterns():
        if match := pattern.fullmatch(text):
            return task, goal_of(scene, task, match.groupdict())
    raise Refusal("i do not understand")


def goal_of(scene: Scene, task: str, slots: dict[str, str]) -> Goal:
    """The goal of an instruction whose slots hold words. Raises Refusal if they mean nothing here, or nothing possible.

    The facts stand in the order in which they are best brought about, which is one that can be seen in the picture.
    """
    things = {name: thing_called(scene, slots[name]) for name in ("a", "b") if name in slots}
    moving = [things[name] for name in ("a", *(("b",) if task == "swap" else ())) if name in things]
    if any(scene.things[i].kind == "bowl" for i in moving):
        raise Refusal("a bowl cannot be moved")
    a, b = things.get("a"), things.get("b")
    if a is not None and a == b:
        raise Refusal("these are one and the same")
    if task in ("stack", "bowl"):
        return (Fact("on", a, b),)
    if task == "unstack":
        return (Fact("table", a),)
    if task == "clear":
        return (Fact("free", b),)
    if task == "move":
        return (_at(scene, a, slots["area"]),)
    if task == "push":
        return (_edge(scene, a, slots["side"]),)
    if task == "swap":
        for i in (a, b):
            if scene.things[i].on is not None:
                raise Refusal(f"{scene.the(i)} does not stand on the table")
        return Fact("at", a, scene.area(b)), Fact("at", b, scene.area(a))
    if task == "tower":
        return _tower(scene, slots)
    by_colour = sorted(scene.blocks(), key=lambda i: COLOURS.index(scene.things[i].colour))
    if task == "unstack all":
        return tuple(Fact("table", i) for i in by_colour)
    return _sorted(scene, by_colour)


def _at(scene: Scene, a: int, area: str) -> Fact:
    if area not in AREAS:
        raise Refusal(f"there is no area {area}")
    base = scene.base_in(area)
    if base is not None and scene.things[base].kind == "bowl":
        raise Refusal(f"{scene.the(base)} stands there")
    return Fact("at", a, area)


def _edge(scene: Scene, a: int, side: str) -> Fact:
    if side not in SIDES:
        raise Refusal(f"there is no side {side}")
    area = scene.area(a)
    while (area := neighbour(area, side)) is not None:
        base = scene.base_in(area)
        if base is not None and scene.things[base].kind == "bowl":
            raise Refusal(f"{scene.the(base)} is in the way")
    # What stands on something is put aside first, and where it lands depends on chance.
    edge = [scene.base_in(area) for area in AREAS if at_edge(area, side)]
    if all(base is not None and scene.things[base].kind == "bowl" for base in edge):
        raise Refusal(f"{scene.the(edge[0])} is in the way")
    return Fact("edge", a, side)


def _tower(scene: Scene, slots: dict[str, str]) -> Goal:
    colours = re.split(r",? and |, ", slots.get("up") or slots["down"])
    if "up" not in slots:
        colours = colours[::-1]
    for colour in colours:
        if colours.count(colour) > 1:
            raise Refusal(f"{colour} is named twice")
    blocks = [thing_called(scene, f"{colour} block") for colour in colours]
    if not 2 <= len(blocks) <= MAX_HEIGHT:
        raise Refusal(f"a tower has 2 to {MAX_HEIGHT} blocks")
    pairs = zip(blocks[1:], blocks[:-1], strict=True)
    return Fact("table", blocks[0]), *(Fact("on", upper, lower) for upper, lower in pairs)


def _sorted(scene: Scene, by_colour: list[int]) -> Goal:
    facts = []
    for i in by_colour:
        bowls = scene.called(scene.things[i].colour, "bowl")
        if bowls and not any(fact.target == bowls[0] for fact in facts):
            facts.append(Fact("on", i, bowls[0]))
    if not facts:
        raise Refusal("no bowl has the colour of a block")
    return tuple(facts)
