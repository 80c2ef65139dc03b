"""Questions about a scene, with exact answers, balanced so that a model which never sees the picture cannot do well.

The trick is in which question is asked. For "is there a truck?" the wanted answer is drawn first, yes or no, and then a
vehicle that fits it; where a question would mostly have one answer, part of those questions are left out. `blind_rates`
measures what is left to guess.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helpers.worlds.chance import pick
from helpers.worlds.street.captions import plural, with_article
from helpers.worlds.street.relations import LINED, called, left_of, side, tree_behind
from helpers.worlds.street.sample import HELD_OUT_VEHICLES, scenes
from helpers.worlds.street.scene import BEINGS, COLOURS, KINDS, TREES, WEATHERS, Scene, Vehicle

YES_NO = ("yes", "no")
SIDES = ("left", "right")
TIMES = ("day", "dusk", "night")
NUMBERS = ("0", "1", "2", "3", "4", "5", "6")

# The closed vocabulary: every answer is one of these.
ANSWERS = (*YES_NO, *COLOURS, *KINDS, *TREES, *NUMBERS, *SIDES, *TIMES, *WEATHERS)

# The questions of the lecture's slide, about its red truck.
LECTURE_QUESTIONS = (
    'is this truck considered "vintage"?',
    "does the road look new?",
    "what kind of tree is behind the truck?",
)


@dataclass(frozen=True)
class QA:
    """A question with its true answer; `options` are all answers that the question allows, the answer among them."""

    question: str
    answer: str
    kind: str
    options: tuple[str, ...]


def questions(scene: Scene, seed: int | list[int] | np.random.Generator = 0) -> list[QA]:
    """At most one question of each kind in QUESTION_KINDS: those that have exactly one right answer in this scene."""
    rng = np.random.default_rng(seed)
    asked = []
    for kind, ask in _ASK.items():
        if found := ask(scene, rng):
            question, answer, options = found
            asked.append(QA(question, answer, kind, options))
    return asked


def lecture_answers(scene: Scene) -> dict[str, str | None]:
    """The lecture's three questions with their answers; None where a question has no single answer in this scene."""
    trucks = called(scene, "truck")
    truck = trucks[0] if len(trucks) == 1 else None
    behind = truck is not None and tree_behind(scene, truck)
    answers = (
        _yes(truck.age == "vintage") if truck else None,
        _yes(scene.surface == "new"),
        scene.trees.kind if behind else None,
    )
    return dict(zip(LECTURE_QUESTIONS, answers, strict=True))


# One function for each kind of question: (question, answer, options), or None if there is nothing to ask.

Asked = tuple[str, str, tuple[str, ...]] | None


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _yes_no(question: str, true: bool) -> Asked:
    return question, _yes(true), YES_NO


def _one_of_its_kind(scene: Scene, rng: np.random.Generator) -> Vehicle | None:
    """A vehicle that "the truck" can only mean itself."""
    clear = [v for v in scene.vehicles if len(called(scene, v.kind)) == 1]
    return pick(rng, clear) if clear else None


def _two_of_their_kind(scene: Scene, rng: np.random.Generator) -> tuple[Vehicle, Vehicle] | None:
    clear = [v for v in scene.vehicles if len(called(scene, v.kind)) == 1]
    if len(clear) < 2:
        return None
    first = pick(rng, clear)
    return first, pick(rng, [v for v in clear if v is not first])


def _exists(scene: Scene, rng: np.random.Generator) -> Asked:
    about = pick(rng, ("kind", "colour and kind", "tree", "being", "buildings"))
    true = rng.random() < 0.5
    if about == "kind":
        there = [v.kind for v in scene.vehicles]
        kind = pick(rng, there if true else [k for k in KINDS if not called(scene, k)])
        return _yes_no(f"is there {with_article(kind)}?", true)
    if about == "colour and kind":
        vehicle = pick(rng, scene.vehicles)
        colour, kind = vehicle.colour, vehicle.kind
        if not true:  # right in one and wrong in the other; never a pair kept for the composition split
            near = [(c, kind) for c in COLOURS] if rng.random() < 0.5 else [(colour, k) for k in KINDS]
            near = [(c, k) for c, k in near if not called(scene, k, c) and (c, k) not in HELD_OUT_VEHICLES]
            colour, kind = pick(rng, near)
        return _yes_no(f"is there {with_article(f'{colour} {kind}')}?", true)
    # Trees, beings and buildings are asked for only where there are some: otherwise "no" would be the better guess.
    if about == "tree" and scene.trees:
        kind = scene.trees.kind if true else pick(rng, [t for t in TREES if t != scene.trees.kind])
        return _yes_no(f"is there {with_article(kind)} tree?", true)
    if about == "being" and scene.being:
        kind = scene.being.kind if true else pick(rng, [b for b in BEINGS if b != scene.being.kind])
        return _yes_no(f"is there {with_article(kind)} on the pavement?", true)  # and not in a vehicle
    if about == "buildings" and scene.buildings != "none":
        kind = scene.buildings if true else {"houses": "towers", "towers": "houses"}[scene.buildings]
        return _yes_no(f"do you see any {kind}?", true)
    return None


def _colour(scene: Scene, rng: np.random.Generator) -> Asked:
    vehicle = _one_of_its_kind(scene, rng)
    if vehicle is None or rng.random() < 0.2:
        return "what colour is the nearest vehicle?", scene.main.colour, COLOURS
    return f"what colour is the {vehicle.kind}?", vehicle.colour, COLOURS


def _type(scene: Scene, rng: np.random.Generator) -> Asked:
    clear = [v for v in scene.vehicles if sum(o.colour == v.colour for o in scene.vehicles) == 1]
    if not clear or rng.random() < 0.2:
        return "what kind of vehicle is nearest?", scene.main.kind, KINDS
    vehicle = pick(rng, clear)
    return f"what kind of vehicle is {vehicle.colour}?", vehicle.kind, KINDS


def _tree(scene: Scene, rng: np.random.Generator) -> Asked:
    if scene.trees is None:
        return None
    vehicle = _one_of_its_kind(scene, rng)
    if vehicle and tree_behind(scene, vehicle):
        return f"what kind of tree is behind the {vehicle.kind}?", scene.trees.kind, TREES
    if len(scene.trees.places) >= LINED:
        return "what kind of trees is the street lined with?", scene.trees.kind, TREES
    return "what kind of tree is in the picture?", scene.trees.kind, TREES


def _count_vehicles(scene: Scene, rng: np.random.Generator) -> Asked:
    return "how many vehicles are there?", str(len(scene.vehicles)), NUMBERS[1:4]


def _count_trees(scene: Scene, rng: np.random.Generator) -> Asked:
    n = len(scene.trees.places) if scene.trees else 0
    if n == 0 and rng.random() < 1 / 3:  # a fifth of all streets has no tree, against two fifteenths for each number
        return None
    return "how many trees are there?", str(n), NUMBERS


def _road(scene: Scene, rng: np.random.Generator) -> Asked:
    if rng.random() < 0.5:
        return _yes_no(LECTURE_QUESTIONS[1], scene.surface == "new")
    return _yes_no("is the road cracked?", scene.surface == "cracked")


def _weather(scene: Scene, rng: np.random.Generator) -> Asked:
    return "is the road dry, wet or snowy?", scene.weather, WEATHERS


def _age(scene: Scene, rng: np.random.Generator) -> Asked:
    vehicle = _one_of_its_kind(scene, rng)
    if vehicle is None:
        return None
    if rng.random() < 0.5:
        return _yes_no(f'is this {vehicle.kind} considered "vintage"?', vehicle.age == "vintage")
    return _yes_no(f"does the {vehicle.kind} look modern?", vehicle.age == "modern")


def _time(scene: Scene, rng: np.random.Generator) -> Asked:
    # Overcast is day too, but people might not say so.
    if scene.sky == "overcast" or (scene.sky == "day" and rng.random() < _DAY_MOSTLY):
        return None
    return pick(rng, ("is it day, dusk or night?", "what time of day is it?")), scene.sky, TIMES


def _sky(scene: Scene, rng: np.random.Generator) -> Asked:
    if scene.sky in ("dusk", "night") or (scene.sky == "day" and rng.random() < _DAY_MOSTLY):
        return None
    return _yes_no("is the sky overcast?", scene.sky == "overcast")


def _side(scene: Scene, rng: np.random.Generator) -> Asked:
    if pair := _two_of_their_kind(scene, rng):
        first, second = pair
        if (left := left_of(first.x, second.x)) is not None:
            question = f"is the {first.kind} to the left or to the right of the {second.kind}?"
            return question, SIDES[not left], SIDES
    vehicle = _one_of_its_kind(scene, rng)
    if vehicle is None:
        return None
    if scene.being and rng.random() < 0.5 and (left := left_of(scene.being.x, vehicle.x)) is not None:
        return f"is the {scene.being.kind} to the left or to the right of the {vehicle.kind}?", SIDES[not left], SIDES
    if (part := side(vehicle.x)) in SIDES:
        return f"is the {vehicle.kind} on the left or on the right side of the picture?", part, SIDES
    return None


def _facing(scene: Scene, rng: np.random.Generator) -> Asked:
    vehicle = _one_of_its_kind(scene, rng)
    return (f"is the {vehicle.kind} facing left or right?", vehicle.facing, SIDES) if vehicle else None


def _behind(scene: Scene, rng: np.random.Generator) -> Asked:
    vehicle = _one_of_its_kind(scene, rng)
    if vehicle is None or scene.trees is None or (behind := tree_behind(scene, vehicle)) is None:
        return None
    if behind and rng.random() < _TREE_MOSTLY_BEHIND:
        return None
    return _yes_no(f"is there a tree behind the {vehicle.kind}?", behind)


def _more(scene: Scene, rng: np.random.Generator) -> Asked:
    trees = len(scene.trees.places) if scene.trees else 0
    kinds = Counter(v.kind for v in scene.vehicles)
    clear = [k for k in KINDS if len(called(scene, k)) == kinds[k]]
    there = [k for k in clear if kinds[k]]
    about = pick(rng, ("two kinds", "kind and trees", "vehicles and trees"))
    if about == "vehicles and trees" or not there:
        first, second = ("vehicles", len(scene.vehicles)), ("trees", trees)
    elif about == "kind and trees":
        kind = pick(rng, there)
        first, second = (plural(kind), kinds[kind]), ("trees", trees)
    else:
        kind, other = pick(rng, there), pick(rng, clear)
        first, second = (plural(kind), kinds[kind]), (plural(other), kinds[other])
    if first[1] == second[1]:
        return None
    if second[0] == "trees" and second[1] > first[1] and rng.random() < _TREES_MOSTLY_MORE[first[0] == "vehicles"]:
        return None
    if rng.random() < 0.5:
        first, second = second, first
    return _yes_no(f"are there more {first[0]} than {second[0]}?", first[1] > second[1])


def _nearer(scene: Scene, rng: np.random.Generator) -> Asked:
    pair = _two_of_their_kind(scene, rng)
    if pair is None:
        return None
    first, second = pair
    nearer = first if first.lane < second.lane else second
    return f"which is nearer, the {first.kind} or the {second.kind}?", nearer.kind, (first.kind, second.kind)


# Shares of a too frequent answer that are left out, so that both answers come to a half (see `blind_rates`).
_TREE_MOSTLY_BEHIND = 0.877
_DAY_MOSTLY = 0.222  # the pairs of tree and sky that are held out make day more frequent
_TREES_MOSTLY_MORE = {True: 0.375, False: 0.67}  # than vehicles, than vehicles of one kind

_ASK: dict[str, Callable[[Scene, np.random.Generator], Asked]] = {
    "exists": _exists,
    "colour": _colour,
    "type": _type,
    "tree": _tree,
    "count vehicles": _count_vehicles,
    "count trees": _count_trees,
    "road": _road,
    "weather": _weather,
    "age": _age,
    "time": _time,
    "sky": _sky,
    "side": _side,
    "facing": _facing,
    "behind": _behind,
    "more": _more,
    "nearer": _nearer,
}
QUESTION_KINDS = tuple(_ASK)


# What can be guessed without the picture


@dataclass(frozen=True)
class BlindRate:
    """What guessing reaches on one kind of question. All rates are shares of right answers from 0 to 1."""

    kind: str
    asked: int  # questions in the half that is tested
    chance: float  # a uniform guess among the options
    majority: float  # always the option that is most frequent for this kind
    blind: float  # the answer that was most frequent for exactly this question in the other half
    margin: float  # half the width of the 95 % interval of `blind`


@dataclass(frozen=True)
class BlindTable:
    """One BlindRate for each kind of question, in `rows`; printing it gives a table."""

    rows: tuple[BlindRate, ...]

    def __str__(self) -> str:
        lines = [f"{'kind of question':<18}{'asked':>8}{'chance':>10}{'majority':>10}{'question only':>20}"]
        for r in self.rows:
            blind = f"{r.blind:.1%} ± {r.margin:.1%}"
            lines.append(f"{r.kind:<18}{r.asked:>8,}{r.chance:>10.1%}{r.majority:>10.1%}{blind:>20}")
        return "\n".join(lines)


def blind_rates(n: int = 20_000, seed: int = 0, split: str = "train") -> BlindTable:
    """Ask the questions of `n` scenes and measure what a predictor that reads only the question gets right.

    It is fitted on the first half of the scenes and tested on the second. Options are counted by their place in
    `options`, so that "the one named first" is one class, whatever it is.
    """
    halves: list[dict[str, list[QA]]] = [defaultdict(list), defaultdict(list)]
    for i, scene in enumerate(scenes(split, n, seed)):
        for qa in questions(scene, [seed, i]):
            halves[i >= n // 2][qa.kind].append(qa)
    rows = []
    for kind in QUESTION_KINDS:
        seen, tested = halves[0][kind], halves[1][kind]
        place = Counter(q.options.index(q.answer) for q in seen).most_common(1)[0][0]
        answers: dict[str, Counter] = defaultdict(Counter)
        for q in seen:
            answers[q.question][q.answer] += 1
        best = {question: counts.most_common(1)[0][0] for question, counts in answers.items()}
        blind = float(np.mean([best.get(q.question, q.options[place]) == q.answer for q in tested]))
        rows.append(
            BlindRate(
                kind=kind,
                asked=len(tested),
                chance=float(np.mean([1 / len(q.options) for q in tested])),
                majority=float(np.mean([q.options[place] == q.answer for q in tested])),
                blind=blind,
                margin=1.96 * float(np.sqrt(blind * (1 - blind) / len(tested))),
            )
        )
    return BlindTable(tuple(rows))
