"""Words for a scene: a grammar of true captions, and the noisy alt-text of the web.

Every sentence is true of the scene it is made from. Where people could disagree (is the tree behind the truck or beside
it?) `helpers.worlds.street.relations` keeps a margin and nothing is said.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from helpers.worlds.chance import pick
from helpers.worlds.street.relations import LINED, called, left_of, next_to, side, tree_behind
from helpers.worlds.street.sample import sample_scene, scenes
from helpers.worlds.street.scene import EVERGREEN, Scene, Vehicle

# What a caption is about, and the facts that every caption with this focus states.
CAPTION_FACTS = {
    "what": ("vehicle",),
    "where": ("vehicle", "place"),
    "count": ("number",),
    "time": ("sky",),
    "road": ("road",),
    "everything": ("vehicle", "colour", "age", "tree", "road", "sky"),
}
FOCI = tuple(CAPTION_FACTS)

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
PLURALS = {"bus": "buses", "birch": "birches"}  # all others take an s

# Each word with the words that may stand for it.
AGE_WORDS = {"vintage": ("vintage", "old", "classic"), "modern": ("modern",)}
KIND_WORDS = {"taxi": ("taxi", "cab"), "bicycle": ("bicycle", "bike")}
SURFACE_WORDS = {"new": ("new", "smooth"), "cracked": ("cracked", "worn", "broken")}
WEATHER_WORDS = {"dry": ("dry",), "wet": ("wet", "soaked"), "snowy": ("snowy",)}
SKY_WORDS = {
    "day": ("on a clear day", "on a sunny day", "under a blue sky", "in bright daylight"),
    "dusk": ("at dusk", "at sunset", "in the evening light", "at the end of the day"),
    "night": ("at night", "after dark", "under a night sky", "in the dark"),
    "overcast": ("on an overcast day", "on a grey day", "under a cloudy sky", "under heavy clouds"),
}
BUILDING_WORDS = {"houses": ("houses", "a row of houses"), "towers": ("towers", "tall buildings")}


def caption(scene: Scene, rng: np.random.Generator, focus: str | None = None) -> str:
    """One true sentence about `scene`, lower-case and without a full stop, from 2 to about 30 words.

    `focus` is one of FOCI, or None for any. Raises ValueError for an unknown focus.
    """
    if focus is None:
        focus = pick(rng, FOCI)
    if focus not in CAPTION_FACTS:
        raise ValueError(f"focus: {focus!r} is not one of {', '.join(FOCI)}")
    return pick(rng, _SENTENCES[focus](scene, rng))


def captions(scene: Scene, n: int, seed: int | np.random.Generator | list[int] = 0) -> list[str]:
    """`n` true sentences about `scene`, going round the foci in random order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(FOCI))
    return [caption(scene, rng, FOCI[order[k % len(FOCI)]]) for k in range(n)]


# Phrases


def with_article(phrase: str) -> str:
    """`phrase` with "a" or "an" before it."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def plural(noun: str) -> str:
    """More than one of `noun`."""
    return PLURALS.get(noun, noun + "s")


def _listed(phrases: list[str]) -> str:
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)


def _noun(vehicle: Vehicle, rng: np.random.Generator, age: float = 0.3, colour: float = 0.9) -> str:
    """ "an old red truck"; age and colour are said with the probabilities given."""
    words = []
    if rng.random() < age:
        words.append(pick(rng, AGE_WORDS[vehicle.age]))
    if rng.random() < colour:
        words.append(vehicle.colour)
    words.append(pick(rng, KIND_WORDS.get(vehicle.kind, (vehicle.kind,))))
    return with_article(" ".join(words))


def _trees(scene: Scene, rng: np.random.Generator, number: str, kind: float = 0.6) -> str:
    """ "bare oak trees" for number "", "two trees" for "two", "a palm" for "a"."""
    trees = scene.trees
    words = []
    if trees.kind not in EVERGREEN and rng.random() < 0.5:
        words.append("bare" if trees.bare else "leafy")
    noun = "tree"
    if rng.random() < kind:
        noun = pick(rng, (f"{trees.kind} tree", trees.kind))
    words.append(noun if number in ("a", "one") else plural(noun))
    return with_article(" ".join(words)) if number == "a" else " ".join([number, *words]).strip()


def _road(scene: Scene, rng: np.random.Generator, surface: float = 0.0, weather: float = 0.0) -> str:
    """ "a cracked wet road"; surface and weather are said with the probabilities given."""
    words = []
    if rng.random() < surface:
        words.append(pick(rng, SURFACE_WORDS[scene.surface]))
    if rng.random() < weather:
        words.append(pick(rng, WEATHER_WORDS[scene.weather]))
    return with_article(" ".join([*words, pick(rng, ("street", "road"))]))


def _tree_line(scene: Scene, rng: np.random.Generator, kind: float = 0.6) -> str:
    """What the trees make of the street: "lined with oak trees", "with two palms", "without trees"."""
    n = len(scene.trees.places) if scene.trees else 0
    if n == 0:
        return "without trees"
    if n < LINED:
        return "with " + _trees(scene, rng, "a" if n == 1 else "two", kind)
    return "lined with " + _trees(scene, rng, "", kind)


def _doing(vehicle: Vehicle, rng: np.random.Generator) -> str:
    """ "parked on" or "moving along", to be followed by the street."""
    if vehicle.parked:
        return pick(rng, ("parked on", "parked along"))
    if vehicle.kind == "bicycle":
        return pick(rng, ("moving along", "rolling down"))
    return pick(rng, ("driving down", "driving along"))


def _being(scene: Scene) -> str:
    return f"a {scene.being.kind} on the pavement"


# Sentences: each function returns all that its focus allows to say of the scene, one wording of each.


def _what(scene: Scene, rng: np.random.Generator) -> list[str]:
    vehicle = pick(rng, scene.vehicles)
    thing = _noun(vehicle, rng)
    said = [
        thing,
        f"a picture of {thing}",
        f"there is {thing} in the picture",
        f"{thing} facing {vehicle.facing}",
        f"{thing} on {_road(scene, rng)}",
    ]
    if len(scene.vehicles) > 1:
        said += [_listed([_noun(v, rng) for v in scene.vehicles])] * 2
    if scene.being:
        said += [f"{thing} and {_being(scene)}", f"a {scene.being.kind} and {thing}"]
    return said


def _where(scene: Scene, rng: np.random.Generator) -> list[str]:
    vehicle = pick(rng, scene.vehicles)
    thing = _noun(vehicle, rng)
    said = [f"{thing} is {_doing(vehicle, rng)} {_road(scene, rng)} {_tree_line(scene, rng)}"] * 2
    if part := side(vehicle.x):
        said.append(f"{thing} {'in the middle' if part == 'middle' else f'on the {part} side'} of the picture")
    if vehicle.parked:
        said.append(f"{thing} parked at the {'near' if vehicle.lane == 0 else 'far'} kerb")
    if tree_behind(scene, vehicle):
        said += [f"{thing} in front of {_trees(scene, rng, 'a')}", f"{_trees(scene, rng, 'a')} behind {thing}"]
    if scene.buildings != "none":
        said.append(f"{thing} in front of {pick(rng, BUILDING_WORDS[scene.buildings])}")
    for other in scene.vehicles:
        if other is vehicle:
            continue
        it = _noun(other, rng)
        if (left := left_of(vehicle.x, other.x)) is not None:
            said += [f"{thing} to the {'left' if left else 'right'} of {it}"] * 2
        if next_to(vehicle, other):
            said.append(f"{thing} next to {it}")
        if other.lane > vehicle.lane:
            said.append(f"{thing} with {it} farther away")
    if scene.being and (left := left_of(scene.being.x, vehicle.x)) is not None:
        said.append(f"{_being(scene)} to the {'left' if left else 'right'} of {thing}")
    return said


def _count(scene: Scene, rng: np.random.Generator) -> list[str]:
    n, trees = len(scene.vehicles), len(scene.trees.places) if scene.trees else 0
    vehicles = "one vehicle" if n == 1 else f"{NUMBERS[n]} vehicles"
    kinds = Counter(v.kind for v in scene.vehicles)
    groups = _listed([f"{NUMBERS[m]} {k if m == 1 else plural(k)}" for k, m in kinds.items()])
    counted = _trees(scene, rng, NUMBERS[trees]) if trees else "no trees"
    thing = _noun(scene.main, rng)
    return [
        f"{vehicles} on {_road(scene, rng)}",
        f"{vehicles} and {counted}",
        f"{groups} on {_road(scene, rng)} with {counted}",
        f"{_road(scene, rng)} with {counted} and {vehicles}",
        f"{thing} and {counted}" if n > 1 else f"{thing} as the only vehicle on {_road(scene, rng)}",
    ]


def _time(scene: Scene, rng: np.random.Generator) -> list[str]:
    vehicle, sky = pick(rng, scene.vehicles), pick(rng, SKY_WORDS[scene.sky])
    thing = _noun(vehicle, rng)
    said = [
        f"{thing} {sky}",
        f"{_road(scene, rng)} {sky}",
        f"{_road(scene, rng)} {sky} with {thing}",
        f"{thing} {_doing(vehicle, rng)} {_road(scene, rng)} {sky}",
    ]
    if scene.trees:
        said.append(f"{thing} and {_trees(scene, rng, NUMBERS[len(scene.trees.places)])} {sky}")
    if scene.buildings != "none":
        said.append(f"{pick(rng, BUILDING_WORDS[scene.buildings])} and {thing} {sky}")
    return said


def _road_sentences(scene: Scene, rng: np.random.Generator) -> list[str]:
    vehicle = pick(rng, scene.vehicles)
    thing = _noun(vehicle, rng)
    surface, weather = pick(rng, SURFACE_WORDS[scene.surface]), pick(rng, WEATHER_WORDS[scene.weather])
    return [
        f"{thing} on {_road(scene, rng, 1, 1)}",
        f"{thing} is {_doing(vehicle, rng)} {_road(scene, rng, 1)}",
        f"{thing} is {_doing(vehicle, rng)} {_road(scene, rng, 0, 1)}",
        f"{_road(scene, rng, 1, 1)} {_tree_line(scene, rng)}",
        f"the road under {thing} is {surface} and {weather}",
    ]


def _everything(scene: Scene, rng: np.random.Generator) -> list[str]:
    vehicle, sky = scene.main, pick(rng, SKY_WORDS[scene.sky])
    thing = _noun(vehicle, rng, 1, 1)
    road = f"{_road(scene, rng, 1, 1)} {_tree_line(scene, rng, 1)}"
    also = [_noun(v, rng) for v in scene.vehicles[1:]] + ([f"a {scene.being.kind}"] if scene.being else [])
    said = [f"{thing} is {_doing(vehicle, rng)} {road} {sky}", f"{sky} {thing} is {_doing(vehicle, rng)} {road}"]
    if also:  # one more thing, as a longer sentence would not fit into 32 tokens
        said = [f"{sentence}, with {pick(rng, also)}" for sentence in said]
    return said


_SENTENCES = {
    "what": _what,
    "where": _where,
    "count": _count,
    "time": _time,
    "road": _road_sentences,
    "everything": _everything,
}


# The text that a web page puts beside a picture

ALT_KINDS = ("clean", "wrong", "partial", "file name", "advert", "empty")
_ADVERTS = (
    "buy cheap {} parts online",
    "free shipping on all orders",
    "best {} insurance, compare now",
    "click here for more {} deals",
    "{} for sale - call us today",
    "sign up to our newsletter and save 10%",
)
_EMPTY = ("", " ", "-", "image", "untitled", "photo", "alt")


@dataclass(frozen=True)
class AltText:
    """Text found beside a picture, a true caption of the same picture, and what kind of text it is (ALT_KINDS)."""

    text: str
    true_caption: str
    kind: str


def alt_text(scene: Scene, rng: np.random.Generator, noise: float) -> AltText:
    """The alt-text of `scene` on a web where a share `noise`, from 0 to 1, of all texts is bad.

    The bad ones are, with equal probability: "wrong" (a caption of another scene, surely false here), "partial" (a
    caption cut short), "file name", "advert" and "empty". Raises ValueError if `noise` is out of range.
    """
    if not 0 <= noise <= 1:
        raise ValueError(f"noise: {noise!r} is not a rate from 0 to 1")
    truth = caption(scene, rng)
    kind = pick(rng, ALT_KINDS[1:]) if rng.random() < noise else "clean"
    return AltText(_bad_text(kind, scene, truth, rng) if kind != "clean" else truth, truth, kind)


def _bad_text(kind: str, scene: Scene, truth: str, rng: np.random.Generator) -> str:
    if kind == "wrong":
        while True:
            other = sample_scene(rng)
            if _nothing_in_common(scene, other):
                return caption(other, rng)
    if kind == "partial":
        words = truth.split()
        return " ".join(words[: 1 + int(rng.random() * (len(words) - 1))])
    if kind == "file name":
        n = int(rng.integers(10_000))
        return pick(rng, (f"IMG_{n:04d}.jpg", f"DSC{n:05d}.JPG", f"image{n % 100}.png", f"photo-{n:04d}-1024x768.jpeg"))
    if kind == "advert":
        return pick(rng, _ADVERTS).format(pick(rng, scene.vehicles).kind)
    return pick(rng, _EMPTY)


def _nothing_in_common(scene: Scene, other: Scene) -> bool:
    """Whether every caption of `other` is false of `scene`: each names vehicles, their number, the sky or the road."""
    return (
        not any(called(scene, v.kind) for v in other.vehicles)
        and len(scene.vehicles) != len(other.vehicles)
        and scene.sky != other.sky
        and scene.surface != other.surface
        and scene.weather != other.weather
    )


@dataclass(frozen=True)
class CaptionStatistics:
    """How varied the captions of a set of scenes are; a caption is shared by the scenes that it was written for."""

    scenes: int
    captions: int
    distinct: int
    shared_median: float  # scenes that share one caption, for the median caption written
    shared_max: int
    most_shared: str
    unique: float  # share of all captions written that belong to one scene only
    words_median: float
    words_max: int

    def __str__(self) -> str:
        return (
            f"{self.captions:,} captions of {self.scenes:,} scenes: {self.distinct:,} distinct, {self.unique:.0%} "
            f"of all written for one scene only; scenes that share a caption: {self.shared_median:.0f} in the median, "
            f"{self.shared_max:,} at most ({self.most_shared!r}); words: {self.words_median:.0f} in the median, "
            f"{self.words_max} at most"
        )


def caption_statistics(n: int = 20_000, per_scene: int = 4, seed: int = 0, split: str = "train") -> CaptionStatistics:
    """Write `per_scene` captions for each of `n` scenes and count the distinct ones and those that scenes share."""
    written = [set(captions(s, per_scene, [seed, i])) for i, s in enumerate(scenes(split, n, seed))]
    shared = Counter(text for texts in written for text in texts)
    every = [text for texts in written for text in texts]
    sharing = [shared[text] for text in every]
    most, count = shared.most_common(1)[0]
    words = [len(text.split()) for text in every]
    return CaptionStatistics(
        scenes=n,
        captions=len(every),
        distinct=len(shared),
        shared_median=float(np.median(sharing)),
        shared_max=count,
        most_shared=most,
        unique=float(np.mean(np.array(sharing) == 1)),
        words_median=float(np.median(words)),
        words_max=max(words),
    )
