"""Which scenes there are: natural scenes, split into training, validation and test, and the shifts of the pictures.

Scene `i` of a split depends on (split, seed, i) alone, so any part of a split can be drawn anywhere, in parallel.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from helpers.worlds.chance import SPLITS, pick
from helpers.worlds.street.scene import (
    AGES,
    BEINGS,
    BUILDINGS,
    COLOURS,
    EVERGREEN,
    FACINGS,
    KINDS,
    MAX_TREES,
    SKIES,
    SURFACES,
    TREES,
    WEATHERS,
    Being,
    Scene,
    Trees,
    Vehicle,
)

# Never seen in training, validation or test: one pair for each colour, so that all colours stay equally frequent.
HELD_OUT_VEHICLES = (
    ("red", "taxi"),
    ("orange", "bicycle"),
    ("yellow", "van"),
    ("green", "car"),
    ("blue", "fire engine"),
    ("purple", "truck"),
    ("pink", "bus"),
    ("white", "bus"),
    ("black", "fire engine"),
)
HELD_OUT_TREES = (("palm", "overcast"), ("birch", "night"), ("pine", "dusk"))

# The names of the classes of each label in `Scene.labels`, in the order in which they are numbered.
CLASSES = {
    "vehicle": KINDS,
    "colour": COLOURS,
    "age": AGES,
    "tree": (*TREES, "none"),
    "road": tuple(f"{surface} {weather}" for surface in SURFACES for weather in WEATHERS),
    "sky": SKIES,
}

_KINDS_OF = {c: tuple(k for k in KINDS if (c, k) not in HELD_OUT_VEHICLES) for c in COLOURS}
_SKIES_OF = {t: tuple(s for s in SKIES if (t, s) not in HELD_OUT_TREES) for t in TREES}

# Lanes of the vehicles and how often: the nearest vehicle is in the near lane most often.
_LANES = {1: ((0,), (0,), (0,), (1,), (2,)), 2: ((0, 1), (0, 2), (0, 1), (0, 2), (1, 2)), 3: ((0, 1, 2),)}
_LEFT, _RIGHT = 0.12, 0.88  # vehicles stand between, so that the picture's edge cuts off little of them
_APART = 0.28  # vehicles at least this far apart in x do not hide each other
TWO_COLOURS, _TWO_KINDS = ("red", "blue"), ("car", "van", "truck", "bus", "taxi")  # of `two_vehicles`
_BEING_APART = 0.22  # nor does a vehicle hide a dog from here on


def sample_scene(rng: np.random.Generator, split: str = "train") -> Scene:
    """Draw one natural scene.

    Classes are near uniform, and vehicles hide neither each other nor the animal. Scenes of "train", "validation" and
    "test" hold none of the held-out pairs; scenes of "composition" have a held-out main vehicle, held-out trees
    under that sky, or both, a third each. Raises ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"split: {split!r} is not one of {', '.join(SPLITS)}")
    new = pick(rng, ("vehicle", "trees", "both")) if split == "composition" else ""
    vehicles = _vehicles(rng, split, held_out=new in ("vehicle", "both"))
    trees, sky = _trees_and_sky(rng, held_out=new in ("trees", "both"))
    return Scene(
        vehicles=vehicles,
        trees=trees,
        surface=pick(rng, SURFACES),
        weather=pick(rng, WEATHERS),
        sky=sky,
        buildings=pick(rng, BUILDINGS),
        being=_being(rng, vehicles) if rng.random() < 0.5 else None,
    )


def scene_at(split: str, i: int, seed: int = 0) -> Scene:
    """Scene number `i` of `split` for this seed."""
    return sample_scene(np.random.default_rng([zlib.crc32(split.encode()), seed, i]), split)


def scenes(split: str, n: int, seed: int = 0) -> tuple[Scene, ...]:
    """The first `n` scenes of `split`. Scenes of two different splits are never equal, whatever the seeds."""
    return tuple(scene_at(split, i, seed) for i in range(n))


def one_vehicle(split: str, i: int) -> Scene:
    """Scene number `i` of `split` with its main vehicle alone, in the near lane."""
    scene = scene_at(split, i)
    return replace(scene, vehicles=(replace(scene.main, lane=0),), being=None)


def two_vehicles(split: str, i: int) -> Scene:
    """Scene number `i` of `split` with a red or blue vehicle at each side; in half of the scenes both have one colour.

    With three colours, networks as small as the course's stay at chance for a thousand steps.
    """
    rng = np.random.default_rng([zlib.crc32(f"two vehicles {split}".encode()), i])
    same, colour = rng.random() < 0.5, pick(rng, TWO_COLOURS)
    other = colour if same else pick(rng, tuple(c for c in TWO_COLOURS if c != colour))
    vehicles = []
    for lane, (own, x) in enumerate(zip((colour, other), pick(rng, ((0.16, 0.84), (0.84, 0.16))), strict=True)):
        kind = pick(rng, tuple(k for k in _TWO_KINDS if (own, k) not in HELD_OUT_VEHICLES))
        x = round(x + rng.uniform(-0.04, 0.04), 3)
        vehicles.append(Vehicle(kind, own, pick(rng, AGES), pick(rng, FACINGS), lane == 0, x, lane))
    return replace(scene_at(split, i), vehicles=tuple(vehicles), being=None)


def _vehicles(rng: np.random.Generator, split: str, held_out: bool) -> tuple[Vehicle, ...]:
    lanes = pick(rng, _LANES[1 + int(rng.random() * 3)])
    vehicles = []
    for lane, x in zip(lanes, _places(rng, len(lanes), split), strict=True):
        colour = pick(rng, COLOURS)
        kind = pick(rng, _KINDS_OF[colour])
        if held_out and not vehicles:
            colour, kind = pick(rng, HELD_OUT_VEHICLES)
        parked = lane != 1 and rng.random() < 0.6
        vehicles.append(Vehicle(kind, colour, pick(rng, AGES), pick(rng, FACINGS), parked, x, lane))
    return tuple(vehicles)


def _places(rng: np.random.Generator, n: int, split: str) -> list[float]:
    """Places of `n` vehicles, the main one first and towards the middle, none hidden behind another.

    The fourth decimal of the main vehicle's place is the split's own. It moves the vehicle by less than a tenth of a
    pixel at 96 px, and makes scenes of two splits unequal by construction.
    """
    spare = _RIGHT - _LEFT - _APART * (n - 1)
    central = []
    while not central:
        places = [_LEFT + _APART * k + spare * u for k, u in enumerate(sorted(rng.random(n).tolist()))]
        central = [x for x in places if 0.25 <= x <= 0.75]
    main = pick(rng, central)
    others = [round(x, 3) for x in places if x != main]
    if rng.random() < 0.5:
        others.reverse()
    return [round(round(main, 3) + SPLITS.index(split) / 10_000, 4), *others]


def _trees_and_sky(rng: np.random.Generator, held_out: bool) -> tuple[Trees | None, str]:
    if held_out:
        kind, sky = pick(rng, HELD_OUT_TREES)
    else:
        kind = pick(rng, (*TREES, None))
        sky = pick(rng, _SKIES_OF.get(kind, SKIES))
    if kind is None:
        return None, sky
    n = 1 + int(rng.random() * MAX_TREES)
    # One tree in each n-th of the street, so that no two crowns merge.
    places = tuple(round(0.03 + 0.94 * (k + 0.15 + 0.7 * rng.random()) / n, 3) for k in range(n))
    return Trees(kind, places, bare=kind not in EVERGREEN and rng.random() < 0.4), sky


def _being(rng: np.random.Generator, vehicles: tuple[Vehicle, ...]) -> Being | None:
    for _ in range(8):
        x = round(0.05 + 0.9 * rng.random(), 3)
        if all(abs(x - v.x) >= _BEING_APART for v in vehicles):
            return Being(pick(rng, BEINGS), x)
    return None
