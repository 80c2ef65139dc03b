"""Reading captions: what a sentence states of a street, and whether that is true of a scene.

`read` takes a sentence apart, also one that a model wrote; `judge` compares it with a scene. `attribute_f1` adds up
both over many captions: are the facts that are stated true, and are the facts that were asked for stated?
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from helpers.worlds.street.captions import (
    AGE_WORDS,
    BUILDING_WORDS,
    CAPTION_FACTS,
    KIND_WORDS,
    NUMBERS,
    SKY_WORDS,
    SURFACE_WORDS,
    WEATHER_WORDS,
    plural,
)
from helpers.worlds.street.relations import LINED, left_of, next_to, side, tree_behind
from helpers.worlds.street.scene import BEINGS, COLOURS, EVERGREEN, FACINGS, KINDS, TREES, Scene, Vehicle

# Of which of CAPTION_FACTS each fact is one; a fact that no caption must state is of itself.
STATES = {
    "surface": "road",
    "weather": "road",
    "parked": "place",
    "kerb": "place",
    "side": "place",
    "order": "place",
    "next to": "place",
    "farther": "place",
    "beside being": "place",
    "tree behind": "place",
    "in front of": "place",
    "vehicles": "number",
    "kinds": "number",
    "trees": "number",
    "treeless": "tree",
    "lined": "tree",
    "leaves": "tree",
}


@dataclass(frozen=True)
class Fact:
    """One thing that a sentence states, such as Fact("colour", "red", (0,)) of the first vehicle that it names."""

    name: str
    value: str | int | bool
    of: tuple[int, ...] = ()  # the vehicles it is about, by their order in the sentence; none: the street

    @property
    def label(self) -> str:
        """Which of the facts of CAPTION_FACTS this is, such as "road" for a surface."""
        return STATES.get(self.name, self.name)


@dataclass(frozen=True)
class Reading:
    """What a sentence states, how many vehicles it names, and the words of it that are none of the grammar's."""

    facts: tuple[Fact, ...]
    vehicles: int
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """Which of the facts of a sentence are true of a scene and which are not, with the words that say nothing."""

    true: tuple[Fact, ...]
    false: tuple[Fact, ...]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """Counts from which an F1 follows, for one caption or for many."""

    true: int  # facts stated that are true
    stated: int  # facts stated, and words that state nothing
    said: int  # facts asked for that are truly stated
    asked: int

    def __add__(self, other: Score) -> Score:
        return Score(*(a + b for a, b in zip(self, other, strict=True)))

    def __iter__(self) -> Iterable[int]:
        return iter((self.true, self.stated, self.said, self.asked))

    @property
    def f1(self) -> float:
        """2pr / (p + r), p being the share of true facts among those stated, r of facts said among those asked for."""
        p, r = self.true / max(1, self.stated), self.said / max(1, self.asked)
        return 2 * p * r / (p + r) if p + r else 0.0


# The words of the grammar, each with what it means.


def _meanings(words: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {word: meaning for meaning, all_words in words.items() for word in all_words}


_AGE, _SURFACE, _WEATHER = _meanings(AGE_WORDS), _meanings(SURFACE_WORDS), _meanings(WEATHER_WORDS)
_SKY, _BUILDING = _meanings(SKY_WORDS), _meanings(BUILDING_WORDS)
_KIND = _meanings({kind: KIND_WORDS.get(kind, (kind,)) for kind in KINDS})
_TREE = {form: tree for tree in TREES for form in (tree, plural(tree), f"{tree} tree", f"{tree} trees")}
_NUMBER = {word: n for n, word in enumerate(NUMBERS)}
_GROUP = {form: kind for kind in KINDS for form in (kind, plural(kind))}


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


# What a sentence is made of. At each place the longest phrase that fits is read; groups are named as facts are.
_PHRASES = {
    name: re.compile(rf"(?:{pattern})(?![\w-])")
    for name, pattern in {
        "vehicle": rf"an? (?:(?P<age>{_any(_AGE)}) )?(?:(?P<colour>{_any(COLOURS)}) )?(?P<kind>{_any(_KIND)})",
        "being": rf"an? (?P<being>{_any(BEINGS)})(?: on the pavement)?",
        "road": rf"an? (?:(?P<surface>{_any(_SURFACE)}) )?(?:(?P<weather>{_any(_WEATHER)}) )?(?:street|road)",
        "road is": rf"is (?P<surface>{_any(_SURFACE)}) and (?P<weather>{_any(_WEATHER)})",
        "sky": rf"(?P<sky>{_any(_SKY)})",
        "buildings": rf"(?P<buildings>{_any(_BUILDING)})",
        "trees": rf"(?:(?P<n>an?|{_any(NUMBERS)}) )?(?:(?P<leaves>bare|leafy) )?(?P<tree>{_any(_TREE)}|trees?)",
        "vehicles": rf"(?P<n>{_any(NUMBERS)}) vehicles?",
        "group": rf"(?P<n>{_any(NUMBERS)}) (?P<kind>{_any(_GROUP)})",
        "parked": r"(?:is )?parked (?:on|along)",
        "moving": r"(?:is )?(?:driving|moving|rolling) (?:down|along)",
        "kerb": r"parked at the (?P<kerb>near|far) kerb",
        "facing": rf"facing (?P<facing>{_any(FACINGS)})",
        "side": r"on the (?P<side>left|right) side of the picture|in the (?P<middle>middle) of the picture",
        "order": r"to the (?P<order>left|right) of",
        "next to": r"next to",
        "in front of": r"in front of",
        "behind": r"behind",
        "farther": r"farther away",
        "only": r"as the only vehicle on",
        "lined": r"lined with",
        "treeless": r"without trees",
        "nothing": r"a picture of|there is|in the picture|the road under|and|with|on",
    }.items()
}
_Phrase = tuple[str, dict[str, str]]


def _phrases(text: str) -> tuple[list[_Phrase], list[str]]:
    """The phrases of a sentence in their order, and the words between them that belong to none."""
    found, unread, rest = [], [], text.lower().strip(" ,.")
    while rest:
        fits = [(m.end(), name, m.groupdict()) for name, p in _PHRASES.items() if (m := p.match(rest))]
        if fits:
            end, name, groups = max(fits, key=lambda fit: fit[0])
            found.append((name, {key: value for key, value in groups.items() if value}))
        else:
            end = len(rest.split(" ", 1)[0])
            unread.append(rest[:end])
        rest = rest[end:].lstrip(" ,.")
    return found, unread


def read(text: str) -> Reading:
    """What a sentence states, whoever wrote it. A word that is not of the grammar is kept as unread; nothing raises."""
    said, unread = _phrases(text)
    facts: list[Fact] = []
    named = 0  # vehicles so far
    kinds_counted = 0
    for at, (name, groups) in enumerate(said):
        before = said[at - 1][0] if at else ""
        after = said[at + 1][0] if at + 1 < len(said) else ""
        it = (0,)  # what is said of "it" is said of the first vehicle named
        if name == "vehicle":
            me, named = named, named + 1
            facts.append(Fact("vehicle", _KIND[groups["kind"]], (me,)))
            facts += [Fact("colour", groups["colour"], (me,))] if "colour" in groups else []
            facts += [Fact("age", _AGE[groups["age"]], (me,))] if "age" in groups else []
            if before == "order" and at > 1:
                way = said[at - 1][1]["order"]
                being = said[at - 2][0] == "being"
                facts.append(Fact("beside being", way, (me,)) if being else Fact("order", way, (me - 1, me)))
            elif before == "next to":
                facts.append(Fact("next to", True, (me - 1, me)))
            elif before == "behind":
                facts.append(Fact("tree behind", True, (me,)))
            if after == "farther":
                facts.append(Fact("farther", True, (me - 1, me)))
        elif name in ("parked", "moving"):
            facts.append(Fact("parked", name == "parked", it))
        elif name in ("kerb", "facing"):
            facts.append(Fact(name, groups[name], it))
        elif name == "side":
            facts.append(Fact("side", groups.get("side", "middle"), it))
        elif name in ("road", "road is"):
            facts += [Fact("surface", _SURFACE[groups["surface"]])] if "surface" in groups else []
            facts += [Fact("weather", _WEATHER[groups["weather"]])] if "weather" in groups else []
        elif name == "sky":
            facts.append(Fact("sky", _SKY[groups["sky"]]))
        elif name == "buildings":
            facts.append(Fact("buildings", _BUILDING[groups["buildings"]]))
            facts += [Fact("in front of", True, it)] if before == "in front of" else []
        elif name == "being":
            facts.append(Fact("being", groups["being"]))
        elif name == "vehicles":
            facts.append(Fact("vehicles", _NUMBER[groups["n"]]))
        elif name == "group":
            kinds_counted += _NUMBER[groups["n"]]
            facts.append(Fact("kinds", f"{_NUMBER[groups['n']]} {_GROUP[groups['kind']]}"))
        elif name == "only":
            facts.append(Fact("vehicles", 1))
        elif name == "treeless":
            facts.append(Fact("treeless", True))
        elif name == "trees":
            facts += [Fact("tree", _TREE[groups["tree"]])] if groups["tree"] in _TREE else []
            facts += [Fact("leaves", groups["leaves"])] if "leaves" in groups else []
            if before == "in front of":
                facts.append(Fact("tree behind", True, it))
            elif before == "lined":
                facts.append(Fact("lined", True))
            elif after != "behind" and "n" in groups:
                facts.append(Fact("trees", _NUMBER.get(groups["n"], 1)))
            elif after != "behind":
                facts.append(Fact("treeless", False))
    if kinds_counted:  # "two trucks and one car": these are all
        facts.append(Fact("vehicles", kinds_counted))
    # Of a vehicle that the sentence does not name, such as "it" in "parked on a road", nothing can be true.
    return Reading(tuple(dict.fromkeys(facts)), named, tuple(unread))


def _holds(fact: Fact, scene: Scene, meant: Sequence[Vehicle | None]) -> bool:
    """Whether a fact is true of a scene, if the sentence means these vehicles, None being one that is not there."""
    if any(not 0 <= i < len(meant) or meant[i] is None for i in fact.of):
        return False
    who: list[Vehicle] = [meant[i] for i in fact.of]
    trees = len(scene.trees.places) if scene.trees else 0
    match fact.name:
        case "vehicle":
            return who[0].kind == fact.value
        case "colour" | "age" | "facing" | "parked":
            return getattr(who[0], fact.name) == fact.value
        case "kerb":
            return who[0].parked and who[0].lane == {"near": 0, "far": 2}[fact.value]
        case "side":
            return side(who[0].x) == fact.value
        case "order":
            return left_of(who[0].x, who[1].x) is (fact.value == "left")
        case "next to":
            return next_to(*who)
        case "farther":
            return who[1].lane > who[0].lane
        case "beside being":
            return scene.being is not None and left_of(scene.being.x, who[0].x) is (fact.value == "left")
        case "tree behind":
            return tree_behind(scene, who[0]) is True
        case "in front of":
            return scene.buildings != "none"
        case "surface" | "weather" | "sky" | "buildings":
            return getattr(scene, fact.name) == fact.value
        case "being":
            return scene.being is not None and scene.being.kind == fact.value
        case "vehicles":
            return len(scene.vehicles) == fact.value
        case "kinds":
            n, kind = fact.value.split(" ", 1)
            return sum(v.kind == kind for v in scene.vehicles) == int(n)
        case "trees":
            return trees == fact.value
        case "treeless":
            return (trees == 0) == fact.value
        case "lined":
            return trees >= LINED
        case "tree":
            return scene.trees is not None and scene.trees.kind == fact.value
        case "leaves":
            return (
                scene.trees is not None
                and scene.trees.kind not in EVERGREEN
                and scene.trees.bare == (fact.value == "bare")
            )
    raise ValueError(f"fact: {fact.name!r} is none that a sentence can state")


def judge(text: str, scene: Scene) -> Judgement:
    """Compare a sentence with a scene: the vehicles it names are taken for those for which most of it is true.

    What people could disagree about, so that no caption of the grammar states it, counts as false.
    """
    reading = read(text)
    there = [*scene.vehicles, *[None] * max(0, min(reading.vehicles, 3) - len(scene.vehicles))]
    best: list[Fact] | None = None
    # A sentence of the grammar names three vehicles at most; of a fourth nothing is true.
    for meant in permutations(there, min(reading.vehicles, len(there))):
        true = [fact for fact in reading.facts if _holds(fact, scene, meant)]
        best = true if best is None or len(true) > len(best) else best
    true = best or []
    return Judgement(tuple(true), tuple(fact for fact in reading.facts if fact not in true), reading.unread)


def score(text: str, scene: Scene, asked: Sequence[str]) -> Score:
    """The counts of one caption. `asked` are labels of CAPTION_FACTS; raises ValueError for another."""
    known = {label for labels in CAPTION_FACTS.values() for label in labels}
    if wrong := set(asked) - known:
        raise ValueError(f"asked: {', '.join(sorted(wrong))} not among the facts {', '.join(sorted(known))}")
    found = judge(text, scene)
    said = {fact.label for fact in found.true}
    stated = len(found.true) + len(found.false) + len(found.unread)
    return Score(len(found.true), stated, len(said & set(asked)), len(set(asked)))


def attribute_f1(texts: Sequence[str], scenes: Sequence[Scene], asked: Sequence[str]) -> float:
    """The F1 of facts, 0 to 1, over captions and their scenes, all asked for the same facts of CAPTION_FACTS."""
    scores = [score(text, scene, asked) for text, scene in zip(texts, scenes, strict=True)]
    return sum(scores, Score(0, 0, 0, 0)).f1
