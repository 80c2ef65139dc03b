"""Which tables there are, split into training, validation and test, and the colour combinations kept for the end.

Scene `i` of a split depends on (split, seed, i) alone, so any part of a split can be drawn anywhere, in parallel.
"""

from __future__ import annotations

import zlib

import numpy as np

from helpers.worlds.chance import SPLITS, pick
from helpers.worlds.table.scene import AREAS, COLOURS, MAX_HEIGHT, Scene, Thing, middle_of

# (what is put, what it is put on or in): in training, validation and test no block of the first colour is or comes on
# or in a thing of the second, and nobody asks for it. Each colour is once the one and once the other.
HELD_OUT = (
    ("red", "green"),
    ("orange", "purple"),
    ("yellow", "blue"),
    ("green", "pink"),
    ("blue", "orange"),
    ("purple", "white"),
    ("pink", "yellow"),
    ("white", "red"),
)

BLOCKS, BOWLS = (2, 3, 4, 5), (0, 1, 2, 3)
_JITTER = 0.05  # how far from the middle of its area a thing is put at most
_STACKED = 0.35  # how often a block stands on another thing, if one can carry it


def generator(word: str, *numbers: int) -> np.random.Generator:
    """A generator that belongs to a word and to numbers from 0."""
    return np.random.default_rng([zlib.crc32(word.encode()), *numbers])


def near(area: str, rng: np.random.Generator) -> tuple[float, float]:
    """A place (x, y) near the middle of `area`."""
    x, y = middle_of(area)
    return round(x + _JITTER * (2 * rng.random() - 1), 3), round(y + _JITTER * (2 * rng.random() - 1), 3)


def carries(things: list[Thing], held_out: bool) -> dict[str, list[int]]:
    """For each colour of a block: which of `things` can carry it now; with `held_out` also those kept for the end."""
    height = [0] * len(things)
    for i, thing in enumerate(things):
        below = thing.on
        while below is not None:
            height[i], below = height[i] + 1, things[below].on
    loaded = {thing.on for thing in things}
    free = [
        i
        for i, thing in enumerate(things)
        if i not in loaded
        and height[i] + 1 < MAX_HEIGHT
        and not (thing.on is not None and things[thing.on].kind == "bowl")
    ]
    return {c: [i for i in free if held_out or (c, things[i].colour) not in HELD_OUT] for c in COLOURS}


def sample_scene(
    rng: np.random.Generator, split: str = "train", colours: tuple[tuple[str, str], ...] = (), duplicates: bool = False
) -> Scene:
    """Draw one table with 2 to 5 blocks and up to 3 bowls, some of the blocks on or in others.

    `colours` are (kind, colour) that must be there. No two blocks have one colour, and no two bowls, unless
    `duplicates`. The composition split's scenes have no held-out pair at the start either: its instructions ask for
    them. Raises ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"split: {split!r} is not one of {', '.join(SPLITS)}")
    wanted = {kind: [c for k, c in colours if k == kind] for kind in ("block", "bowl")}
    kinds: list[tuple[str, str]] = []
    for kind, counts in (("bowl", BOWLS), ("block", BLOCKS)):
        own = wanted[kind]
        n = max(pick(rng, counts), len(own))
        others = [c for c in rng.permutation(COLOURS).tolist() if duplicates or c not in own]
        chosen = own + (rng.choice(COLOURS, n - len(own)).tolist() if duplicates else others[: n - len(own)])
        order = rng.permutation(n)
        kinds += [(kind, chosen[k]) for k in order]
    areas = iter(rng.permutation(AREAS).tolist())
    things: list[Thing] = []
    for kind, colour in kinds:
        below = carries(things, held_out=False)[colour] if kind == "block" and rng.random() < _STACKED else []
        if below:
            on = pick(rng, below)
            things.append(Thing(kind, colour, things[on].x, things[on].y, on))
        else:
            things.append(Thing(kind, colour, *near(next(areas), rng)))
    return shuffled(tuple(things), rng)


def shuffled(things: tuple[Thing, ...], rng: np.random.Generator) -> Scene:
    """The same table with its things in another order."""
    order = rng.permutation(len(things)).tolist()
    place = {old: new for new, old in enumerate(order)}
    moved = (things[old] for old in order)
    return Scene(tuple(Thing(t.kind, t.colour, t.x, t.y, None if t.on is None else place[t.on]) for t in moved))


def scene_at(split: str, i: int, seed: int = 0) -> Scene:
    """Scene number `i` of `split` for this seed."""
    return sample_scene(generator(f"table {split}", seed, i), split)


def scenes(split: str, n: int, seed: int = 0) -> tuple[Scene, ...]:
    """The first `n` scenes of `split`."""
    return tuple(scene_at(split, i, seed) for i in range(n))
