"""Questions about a table, with exact answers: what is where, what is possible, and what a step has done.

As in the street world the wanted answer is drawn first, so that yes and no are equally frequent, and nothing is asked
that people might answer in two ways. No question of the training splits puts a held-out pair of colours together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from helpers.worlds.chance import pick
from helpers.worlds.street.captions import with_article
from helpers.worlds.street.questions import QA, YES_NO
from helpers.worlds.table.sample import HELD_OUT
from helpers.worlds.table.scene import AREAS, COLOURS, MAX_HEIGHT, SIDES, Scene
from helpers.worlds.table.skills import ASIDE, Step, every_step, step_words, why_not

NUMBERS = tuple(map(str, range(6)))
_APART = 0.2  # of two things, one is left of the other, or nearer, only from this distance on

Asked = tuple[str, str, tuple[str, ...]] | None


def questions(scene: Scene, seed: int | list[int] | np.random.Generator = 0) -> list[QA]:
    """At most one question of each kind in QUESTION_KINDS: those that have exactly one right answer on this table."""
    rng = np.random.default_rng(seed)
    asked = []
    for kind, ask in _ASK.items():
        if found := ask(scene, rng):
            question, answer, options = found
            asked.append(QA(question, answer, kind, options))
    return asked


def affordance(scene: Scene, rng: np.random.Generator, held_out: bool = False) -> QA:
    """Whether a step is possible here: in half of the cases it is. With `held_out` pairs of colours kept for the end
    may be asked for."""
    wanted = rng.random() < 0.5
    steps = [step for step in every_step(scene)[:-1] if held_out or not _kept(scene, step)]
    fits = [step for step in steps if (why_not(scene, step) is None) == wanted]
    # First what kind of step, then which, or nearly all would be about areas.
    kinds = sorted({_sort(step) for step in fits})
    kind = pick(rng, kinds)
    step = pick(rng, [step for step in fits if _sort(step) == kind])
    question = f"is it possible to {step_words(scene, step)} here?"
    return QA(question, "yes" if wanted else "no", "affordance", YES_NO)


def success(before: Scene, step: Step, succeeded: bool) -> QA:
    """Whether a step that was tried between two pictures succeeded."""
    question = f"was {step_words(before, step)} successful?"
    return QA(question, "yes" if succeeded else "no", "success", YES_NO)


def _sort(step: Step) -> str:
    if step.skill == "push":
        return "push"
    return "aside" if step.target == ASIDE else "area" if step.target in AREAS else "thing"


def _kept(scene: Scene, step: Step) -> bool:
    if not isinstance(step.target, int):
        return False
    return (scene.things[step.thing].colour, scene.things[step.target].colour) in HELD_OUT


# One function for each kind of question: (question, answer, options), or None if there is nothing to ask.


def _named(scene: Scene) -> list[int]:
    """The things that have a name of their own."""
    return [i for i in range(len(scene.things)) if not scene.name(i).startswith("object ")]


def _exists(scene: Scene, rng: np.random.Generator) -> Asked:
    there = {(thing.colour, thing.kind) for thing in scene.things}
    if rng.random() < 0.5:
        return f"is there {with_article(' '.join(pick(rng, sorted(there))))}?", "yes", YES_NO
    kind = pick(rng, ("block", "bowl"))
    absent = [colour for colour in COLOURS if (colour, kind) not in there]
    return f"is there {with_article(f'{pick(rng, absent)} {kind}')}?", "no", YES_NO


def _where(scene: Scene, rng: np.random.Generator) -> Asked:
    if not (named := _named(scene)):
        return None
    i = pick(rng, named)
    return f"where is {scene.the(i)}?", scene.area(i), AREAS


def _count(scene: Scene, rng: np.random.Generator) -> Asked:
    blocks = len(scene.blocks())
    if rng.random() < 0.5:
        return "how many blocks are there?", str(blocks), NUMBERS[1:]
    return "how many bowls are there?", str(len(scene.things) - blocks), NUMBERS[:4]


def _under(scene: Scene, rng: np.random.Generator) -> Asked:
    named = _named(scene)
    stacked = [i for i in named if scene.things[i].on is not None]
    flat = [i for i in named if scene.things[i].on is None and scene.things[i].kind == "block"]
    options = ("the table", *(scene.the(i) for i in range(len(scene.things))))
    if stacked and (not flat or rng.random() < 0.7):
        i = pick(rng, stacked)
        return f"what is under {scene.the(i)}?", scene.the(scene.things[i].on), options
    return (f"what is under {scene.the(pick(rng, flat))}?", "the table", options) if flat else None


def _above(scene: Scene, rng: np.random.Generator) -> Asked:
    named = _named(scene)
    loaded = [i for i in named if scene.above(i) is not None]
    free = [i for i in named if scene.above(i) is None]
    options = ("nothing", *(scene.the(i) for i in scene.blocks()))
    i = pick(rng, loaded if loaded and (not free or rng.random() < 0.7) else free) if named else None
    if i is None:
        return None
    above, place = scene.above(i), "in" if scene.things[i].kind == "bowl" else "on"
    return f"what is {place} {scene.the(i)}?", "nothing" if above is None else scene.the(above), options


def _on(scene: Scene, rng: np.random.Generator) -> Asked:
    """Is this on that? The answer "no" is about a thing that is stacked too, or the picture would not be needed."""
    stacked = [i for i in _named(scene) if scene.things[i].on is not None]
    if not stacked:
        return None
    i = pick(rng, stacked)
    true = rng.random() < 0.5
    others = [k for k in _named(scene) if k not in (i, scene.things[i].on)]
    others = [k for k in others if (scene.things[i].colour, scene.things[k].colour) not in HELD_OUT]
    if not true and not others:
        return None
    k = scene.things[i].on if true else pick(rng, others)
    place = "in" if scene.things[k].kind == "bowl" else "on"
    return f"is {scene.the(i)} {place} {scene.the(k)}?", "yes" if true else "no", YES_NO


def _two(scene: Scene, rng: np.random.Generator, axis: str) -> tuple[int, int] | None:
    named = _named(scene)
    place = [getattr(thing, axis) for thing in scene.things]
    pairs = [(i, k) for i in named for k in named if abs(place[i] - place[k]) >= _APART]
    return pick(rng, pairs) if pairs else None


def _side(scene: Scene, rng: np.random.Generator) -> Asked:
    if (pair := _two(scene, rng, "x")) is None:
        return None
    i, k = pair
    left = scene.things[i].x < scene.things[k].x
    return f"is {scene.the(i)} to the left or to the right of {scene.the(k)}?", SIDES[not left], SIDES[:2]


def _nearer(scene: Scene, rng: np.random.Generator) -> Asked:
    if (pair := _two(scene, rng, "y")) is None:
        return None
    names = tuple(scene.the(i) for i in pair)
    near = min(pair, key=lambda i: scene.things[i].y)
    return f"which is nearer, {names[0]} or {names[1]}?", scene.the(near), names


def _highest(scene: Scene, rng: np.random.Generator) -> Asked:
    heights = [scene.level(i) + 1 for i in scene.blocks() if scene.height(i) == 0 or scene.level(i) > 0]
    if not heights or (max(heights) == 1 and rng.random() < 0.6):  # most tables have no tower
        return None
    return "how many blocks has the highest tower?", str(max(heights)), NUMBERS[1 : MAX_HEIGHT + 1]


_ASK: dict[str, Callable[[Scene, np.random.Generator], Asked]] = {
    "exists": _exists,
    "where": _where,
    "count": _count,
    "under": _under,
    "above": _above,
    "on": _on,
    "side": _side,
    "nearer": _nearer,
    "highest": _highest,
}
QUESTION_KINDS = tuple(_ASK)
