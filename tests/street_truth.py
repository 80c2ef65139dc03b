"""An independent judge of captions and answers: it reads the words back and looks at the scene's fields.

It shares no code with the grammar: its word lists, its margins and its way of reading are its own, and a word that it
does not know is an error, so that no claim goes unread.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations

from helpers.worlds.street.scene import Scene, Vehicle

AGES = {"vintage": "vintage", "old": "vintage", "classic": "vintage", "modern": "modern"}
COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black"]
KINDS = {k: k for k in ("truck", "car", "bus", "van", "taxi", "fire engine", "bicycle")}
KINDS |= {f"{k}s": k for k in KINDS if k != "bus"} | {"buses": "bus", "cab": "taxi", "bike": "bicycle"}
TREES = {t: t for t in ("oak", "birch", "pine", "palm")}
TREES |= {"oaks": "oak", "birches": "birch", "pines": "pine", "palms": "palm"}
SURFACES = {"new": "new", "smooth": "new", "cracked": "cracked", "worn": "cracked", "broken": "cracked"}
WEATHERS = {"dry": "dry", "wet": "wet", "soaked": "wet", "snowy": "snowy"}
SKIES = {
    "on a clear day": "day", "on a sunny day": "day", "under a blue sky": "day", "in bright daylight": "day",
    "at dusk": "dusk", "at sunset": "dusk", "in the evening light": "dusk", "at the end of the day": "dusk",
    "at night": "night", "after dark": "night", "under a night sky": "night", "in the dark": "night",
    "on an overcast day": "overcast", "on a grey day": "overcast", "under a cloudy sky": "overcast",
    "under heavy clouds": "overcast",
}  # fmt: skip
BUILDINGS = {"a row of houses": "houses", "houses": "houses", "tall buildings": "towers", "towers": "towers"}
NUMBERS = {word: n for n, word in enumerate(("no", "one", "two", "three", "four", "five", "six"))}


def _any(words) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_NUMBER, _ARTICLE = _any(NUMBERS), "an?"
PATTERNS = {
    name: re.compile(rf"(?:{pattern})(?![\w-])")
    for name, pattern in {
        "sky": rf"(?P<sky>{_any(SKIES)})",
        "whole": r"a picture of|there is|in the picture",
        "vehicles": rf"(?P<n>{_NUMBER}) vehicles?",
        "group": rf"(?P<n>{_NUMBER}) (?P<kind>{_any(KINDS)})",
        "vehicle": rf"{_ARTICLE} (?:(?P<age>{_any(AGES)}) )?(?:(?P<colour>{_any(COLOURS)}) )?(?P<kind>{_any(KINDS)})",
        "being": r"a (?P<being>dog|cat|person)(?: on the pavement)?",
        "road": rf"{_ARTICLE} (?:(?P<surface>{_any(SURFACES)}) )?(?:(?P<weather>{_any(WEATHERS)}) )?(?:street|road)",
        "the road": r"the road under",
        "road is": rf"is (?P<surface>{_any(SURFACES)}) and (?P<weather>{_any(WEATHERS)})",
        "parked": r"(?:is )?parked (?:on|along)",
        "moving": r"(?:is )?(?:driving|moving|rolling) (?:down|along)",
        "kerb": r"parked at the (?P<kerb>near|far) kerb",
        "facing": r"facing (?P<facing>left|right)",
        "side": r"on the (?P<side>left|right) side of the picture|in the (?P<middle>middle) of the picture",
        "only": r"as the only vehicle on",
        "lined": r"lined with",
        "treeless": r"without trees",
        "trees": rf"(?:(?P<n>{_NUMBER}|{_ARTICLE}) )?(?:(?P<leaf>bare|leafy) )?"
        rf"(?:(?P<tree>{_any(TREES)})(?: trees?)?|trees?)",
        "buildings": rf"(?P<buildings>{_any(BUILDINGS)})",
        "left of": r"to the left of",
        "right of": r"to the right of",
        "next to": r"next to",
        "in front of": r"in front of",
        "behind": r"behind",
        "farther": r"farther away",
        "joint": r"and|with|on",
    }.items()
}


@dataclass
class Reading:
    """What a caption claims: of each vehicle it names, of two of them, and of the scene; and the facts it states."""

    vehicles: list[list[Callable[[Scene, Vehicle], bool]]] = field(default_factory=list)
    pairs: list[tuple[int, int, Callable[[Vehicle, Vehicle], bool]]] = field(default_factory=list)
    scene: list[Callable[[Scene], bool]] = field(default_factory=list)
    facts: set[str] = field(default_factory=set)

    def true_of(self, scene: Scene) -> bool:
        """Whether the vehicles named can be found, all different, and every other claim holds."""
        return all(claim(scene) for claim in self.scene) and any(
            all(claim(scene, v) for v, claims in zip(chosen, self.vehicles, strict=True) for claim in claims)
            and all(claim(chosen[i], chosen[j]) for i, j, claim in self.pairs)
            for chosen in permutations(scene.vehicles, len(self.vehicles))
        )


def tokens(caption: str) -> list[tuple[str, dict[str, str]]]:
    """Cut a caption into known phrases, the longest first; an unknown word raises ValueError."""
    found, rest = [], caption
    while rest:
        matches = [(m.end(), name, m.groupdict()) for name, p in PATTERNS.items() if (m := p.match(rest))]
        if not matches:
            raise ValueError(f"cannot read {rest!r} in {caption!r}")
        end, name, groups = max(matches, key=lambda t: t[0])
        found.append((name, {k: v for k, v in groups.items() if v}))
        rest = rest[end:].lstrip(" ,")
    return found


def read(caption: str) -> Reading:
    """The claims of a caption."""
    reading, said = Reading(), tokens(caption)
    names = [name for name, _ in said]
    everything = sum(NUMBERS[g["n"]] for name, g in said if name == "group")
    for at, (name, g) in enumerate(said):
        before, after = (names[at - 1] if at else None), (names[at + 1] if at + 1 < len(names) else None)
        about_scene = reading.scene.append
        # What is said of "it" is said of the first vehicle named.
        about_it = reading.vehicles[0].append if reading.vehicles else None
        if name == "vehicle":
            claims = [lambda s, v, k=KINDS[g["kind"]]: v.kind == k]
            if "colour" in g:
                claims.append(lambda s, v, c=g["colour"]: v.colour == c)
            if "age" in g:
                claims.append(lambda s, v, a=AGES[g["age"]]: v.age == a)
            reading.vehicles.append(claims)
            reading.facts |= {"vehicle"} | (g.keys() & {"colour", "age"})
            me = len(reading.vehicles) - 1
            if before in ("left of", "right of"):
                sign = 1 if before == "left of" else -1
                if names[at - 2] == "being":
                    claims.append(lambda s, v, sign=sign: s.being is not None and sign * (v.x - s.being.x) > 0.1)
                else:
                    reading.pairs.append((me - 1, me, lambda a, b, sign=sign: sign * (b.x - a.x) > 0.1))
            if before == "next to":
                near = lambda a, b: abs(a.lane - b.lane) == 1 and 0.1 < abs(a.x - b.x) < 0.45  # noqa: E731
                reading.pairs.append((me - 1, me, near))
            if before == "behind":
                claims.append(_tree_behind)
            if after == "farther":
                reading.pairs.append((me - 1, me, lambda a, b: b.lane > a.lane))
        elif name == "parked":
            about_it(lambda s, v: v.parked)
        elif name == "moving":
            about_it(lambda s, v: not v.parked)
        elif name == "kerb":
            about_it(lambda s, v, lane={"near": 0, "far": 2}[g["kerb"]]: v.parked and v.lane == lane)
        elif name == "facing":
            about_it(lambda s, v, f=g["facing"]: v.facing == f)
        elif name == "side":
            low, high = {"left": (0, 0.42), "right": (0.58, 1), None: (0.42, 0.58)}[g.get("side")]
            about_it(lambda s, v, low=low, high=high: low <= v.x <= high)
        elif name == "only":
            about_scene(lambda s: len(s.vehicles) == 1)
        elif name == "vehicles":
            about_scene(lambda s, n=NUMBERS[g["n"]]: len(s.vehicles) == n)
        elif name == "group":
            about_scene(lambda s, n=NUMBERS[g["n"]], k=KINDS[g["kind"]]: sum(v.kind == k for v in s.vehicles) == n)
            about_scene(lambda s: len(s.vehicles) == everything)
        elif name == "being":
            about_scene(lambda s, b=g["being"]: s.being is not None and s.being.kind == b)
        elif name in ("road", "road is"):
            for part, words in (("surface", SURFACES), ("weather", WEATHERS)):
                if part in g:
                    about_scene(lambda s, p=part, w=words[g[part]]: getattr(s, p) == w)
                    reading.facts.add("road")
        elif name == "sky":
            about_scene(lambda s, sky=SKIES[g["sky"]]: s.sky == sky)
        elif name == "buildings":
            about_scene(lambda s, b=BUILDINGS[g["buildings"]]: s.buildings == b)
        elif name == "treeless":
            about_scene(lambda s: s.trees is None)
        elif name == "trees":
            if "tree" in g:
                about_scene(lambda s, t=TREES[g["tree"]]: s.trees is not None and s.trees.kind == t)
            if "leaf" in g:  # only a tree that sheds its leaves is bare or leafy
                about_scene(lambda s: s.trees is not None and s.trees.kind in ("oak", "birch"))
                about_scene(lambda s, bare=g["leaf"] != "leafy": s.trees is not None and s.trees.bare == bare)
            number = g.get("n")
            if before == "in front of":
                about_it(_tree_behind)
            elif before == "lined":
                about_scene(lambda s: s.trees is not None and len(s.trees.places) >= 3)
            elif after != "behind":
                n = 1 if number in ("a", "an") else NUMBERS[number]
                about_scene(lambda s, n=n: (len(s.trees.places) if s.trees else 0) == n)
            reading.facts |= {"tree", "number"} if number in NUMBERS else {"tree"}
        if name in STATES:
            reading.facts.add(STATES[name])
    return reading


def _tree_behind(scene: Scene, vehicle: Vehicle) -> bool:
    return scene.trees is not None and any(abs(x - vehicle.x) < 0.12 for x in scene.trees.places)


# The facts that a phrase states whatever its words are.
STATES = {
    **dict.fromkeys(("left of", "right of", "next to", "behind", "in front of", "farther", "kerb", "side"), "place"),
    **dict.fromkeys(("parked", "moving"), "place"),
    **dict.fromkeys(("only", "vehicles", "group"), "number"),
    "sky": "sky",
    "treeless": "tree",
}


def possible_answers(scene: Scene, question: str) -> set[str]:
    """Every answer that somebody could defend, trying each vehicle that the words could mean. One, if all is well."""
    vehicles, trees = list(scene.vehicles), list(scene.trees.places) if scene.trees else []
    tree = scene.trees.kind if scene.trees else None

    def meant(kind: str) -> list[Vehicle]:
        wide = {"car": {"car", "taxi"}, "truck": {"truck", "fire engine"}}.get(kind, {kind})
        return [v for v in vehicles if v.kind in wide]

    def count(noun: str) -> set[int]:
        if noun == "trees":
            return {len(trees)}
        if noun == "vehicles":
            return {len(vehicles)}
        kind = KINDS[noun]
        return {len(meant(kind)), sum(v.kind == kind for v in vehicles)}

    def places(noun: str) -> list[float]:
        if noun in ("dog", "cat", "person"):
            return [scene.being.x] if scene.being and scene.being.kind == noun else []
        return [v.x for v in meant(noun)]

    def yes(values) -> set[str]:
        return {"yes" if v else "no" for v in values}

    def told(a: float, b: float, margin: float) -> set[str]:
        if abs(a - b) < margin:
            return {"left", "right"}
        return {"left" if a < b else "right"}

    kind, colour = f"({_any(KINDS)})", f"({_any(COLOURS)})"
    rules: list[tuple[str, Callable[..., set[str]]]] = [
        (rf"is there an? {colour} {kind}\?", lambda c, k: yes(
            {any(v.colour == c for v in meant(k)), any(v.colour == c and v.kind == k for v in vehicles)})),
        (rf"is there an? {kind}\?", lambda k: yes({bool(meant(k)), any(v.kind == k for v in vehicles)})),
        (r"is there an? (oak|birch|pine|palm) tree\?", lambda t: yes([tree == t])),
        (r"is there a (dog|cat|person) on the pavement\?", lambda b: yes(
            [scene.being is not None and scene.being.kind == b])),
        (r"do you see any (houses|towers)\?", lambda b: yes([scene.buildings == b])),
        (r"what colour is the nearest vehicle\?", lambda: {min(vehicles, key=lambda v: v.lane).colour}),
        (rf"what colour is the {kind}\?", lambda k: {v.colour for v in meant(k)}),
        (r"what kind of vehicle is nearest\?", lambda: {min(vehicles, key=lambda v: v.lane).kind}),
        (rf"what kind of vehicle is {colour}\?", lambda c: {v.kind for v in vehicles if v.colour == c} if sum(
            v.colour == c for v in vehicles) == 1 else set()),
        (rf"what kind of tree is behind the {kind}\?", lambda k: {
            tree if any(abs(x - v.x) < 0.12 for x in trees) else "?" for v in meant(k)}),
        (r"what kind of trees is the street lined with\?", lambda: {tree} if len(trees) >= 3 else set()),
        (r"what kind of tree is in the picture\?", lambda: {tree}),
        (r"how many (vehicles|trees) are there\?", lambda n: {str(m) for m in count(n)}),
        (r"does the road look new\?", lambda: yes([scene.surface == "new"])),
        (r"is the road cracked\?", lambda: yes([scene.surface == "cracked"])),
        (r"is the road dry, wet or snowy\?", lambda: {scene.weather}),
        (rf'is this {kind} considered "vintage"\?', lambda k: yes(v.age == "vintage" for v in meant(k))),
        (rf"does the {kind} look modern\?", lambda k: yes(v.age == "modern" for v in meant(k))),
        (r"is it day, dusk or night\?|what time of day is it\?", lambda: {
            {"day": "day", "dusk": "dusk", "night": "night"}.get(scene.sky, "?")}),
        (r"is the sky overcast\?", lambda: yes([scene.sky == "overcast"]) if scene.sky in (
            "day", "overcast") else set()),
        (r"is the ([\w ]+) to the left or to the right of the ([\w ]+)\?", lambda a, b: set().union(
            *(told(x, y, 0.1) for x in places(a) for y in places(b)))),
        (rf"is the {kind} on the left or on the right side of the picture\?", lambda k: set().union(
            *(told(v.x, 0.5, 0.08) for v in meant(k)))),
        (rf"is the {kind} facing left or right\?", lambda k: {v.facing for v in meant(k)}),
        (rf"is there a tree behind the {kind}\?", lambda k: set().union(*(
            {"yes"} if any(abs(x - v.x) < 0.12 for x in trees) else
            {"yes", "no"} if any(abs(x - v.x) < 0.2 for x in trees) else {"no"} for v in meant(k)))),
        (r"are there more ([\w ]+) than ([\w ]+)\?", lambda a, b: yes(x > y for x in count(a) for y in count(b))),
        (rf"which is nearer, the {kind} or the {kind}\?", lambda a, b: {
            v.kind if v.lane < w.lane else w.kind for v in meant(a) for w in meant(b)}),
    ]  # fmt: skip
    found = [answer(*m.groups()) for pattern, answer in rules if (m := re.fullmatch(pattern, question))]
    if len(found) != 1:
        raise ValueError(f"{len(found)} rules read the question {question!r}")
    return found[0]
