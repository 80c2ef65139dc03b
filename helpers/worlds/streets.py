"""The street world as pictures to train on: `load_street` draws them on all cores and keeps them.

`Streets` are the natural scenes and their shifts. `OneVehicle` and `TwoVehicles` are simpler streets that an experiment
asks for. Nothing here may import torch, as every process that draws imports this module.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from helpers.worlds.chance import SPLITS
from helpers.worlds.drawn import Drawn, load
from helpers.worlds.street.captions import captions
from helpers.worlds.street.drawing.render import SIZES, render
from helpers.worlds.street.sample import CLASSES, one_vehicle, scene_at, two_vehicles
from helpers.worlds.street.scene import KINDS, Scene
from helpers.worlds.street.shifts import STILL_TRUE, read_adversarial, shift_args


def _checked(world: object, **lowest: int) -> None:
    """Raise ValueError, naming the field, if a value is out of range."""
    if world.split not in SPLITS:
        raise ValueError(f"split: {world.split!r} is not one of {', '.join(SPLITS)}")
    for name, low in lowest.items():
        value = getattr(world, name)
        if type(value) is not int or value < low:
            raise ValueError(f"{name}: {value!r} is not a whole number from {low}")
    if type(world.size) is not int or not SIZES[0] <= world.size <= SIZES[1]:
        raise ValueError(f"size: {world.size!r} is not a whole number of pixels from {SIZES[0]} to {SIZES[1]}")


@dataclass(frozen=True)
class Streets:
    """The first `n` scenes of a split, under one shift or as they are, with so many captions each.

    Under the shift "objectnet", where street, sky and trees are not in the picture, only the labels vehicle, colour and
    age are given, and no captions. Raises ValueError, naming the argument, if a value is out of range.
    """

    split: str
    n: int
    size: int = 96
    seed: int = 0
    shift: str | None = None
    captions: int = 4

    def __post_init__(self) -> None:
        _checked(self, n=1, seed=0, captions=0)
        if self.shift == "adversarial" and not (self.split == "test" and self.n <= len(self._stored)):
            raise ValueError(
                f"shift: 'adversarial' is a stored list of {len(self._stored)} test scenes; asked for {self.n} "
                f"of split {self.split!r}"
            )
        shift_args(self.shift, 0, self.seed)  # refuses an unknown shift

    @cached_property
    def _stored(self) -> tuple[tuple[Scene, int], ...]:
        return read_adversarial()

    @property
    def name(self) -> str:
        return f"{self.split}-{self.shift}" if self.shift else self.split

    @property
    def classes(self) -> Mapping[str, Sequence[str]]:
        return {label: CLASSES[label] for label in STILL_TRUE.get(self.shift, CLASSES)}

    @property
    def data(self) -> tuple[str, ...]:
        return ("street/adversarial.json",) if self.shift == "adversarial" else ()

    def scene(self, i: int) -> Scene:
        return self._stored[i][0] if self.shift == "adversarial" else scene_at(self.split, i, self.seed)

    def image_seed(self, i: int) -> int:
        """The seed that picture `i` is drawn with: light, noise and all that is not in the scene."""
        if self.shift == "adversarial":
            return self._stored[i][1]
        return zlib.crc32(f"{self.split} {self.seed} {i}".encode())

    def draw(self, i: int, scene: Scene) -> np.ndarray:
        return render(scene, self.size, self.image_seed(i), **shift_args(self.shift, i, self.seed))

    def labels(self, scene: Scene) -> dict[str, int]:
        return {label: classes.index(scene.labels[label]) for label, classes in self.classes.items()}

    def words(self, i: int, scene: Scene) -> list[str]:
        n = 0 if self.shift in STILL_TRUE else self.captions
        return captions(scene, n, [self.seed, i])


@dataclass(frozen=True)
class OneVehicle:
    """The first `n` scenes of a split with their main vehicle alone, in `styles` by turns; its kind is the label."""

    split: str
    n: int
    size: int = 48
    styles: Sequence[str] = ("photo",)
    name, classes, data = "one-vehicle", {"vehicle": KINDS}, ()

    def __post_init__(self) -> None:
        _checked(self, n=1)

    def scene(self, i: int) -> Scene:
        return one_vehicle(self.split, i)

    def draw(self, i: int, scene: Scene) -> np.ndarray:
        seed = zlib.crc32(f"one vehicle {self.split} {i}".encode())
        return render(scene, self.size, seed, self.styles[i % len(self.styles)])

    def labels(self, scene: Scene) -> dict[str, int]:
        return {"vehicle": KINDS.index(scene.main.kind)}

    def words(self, i: int, scene: Scene) -> list[str]:
        return []


@dataclass(frozen=True)
class TwoVehicles:
    """The first `n` scenes of a split with a vehicle on each side; half of them have the same colour.

    The label "trees" is told by a part of any crown, "same colour" only by both ends of the picture together.
    """

    split: str
    n: int
    size: int = 48
    name, classes, data = "two-vehicles", {"trees": CLASSES["tree"], "same colour": (False, True)}, ()

    def __post_init__(self) -> None:
        _checked(self, n=1)

    def scene(self, i: int) -> Scene:
        return two_vehicles(self.split, i)

    def draw(self, i: int, scene: Scene) -> np.ndarray:
        return render(scene, self.size, zlib.crc32(f"two vehicles {self.split} {i}".encode()))

    def labels(self, scene: Scene) -> dict[str, int]:
        one, other = scene.vehicles
        return {"trees": CLASSES["tree"].index(scene.labels["tree"]), "same colour": int(one.colour == other.colour)}

    def words(self, i: int, scene: Scene) -> list[str]:
        return []


def load_street(
    split: str,
    n: int,
    size: int = 96,
    seed: int = 0,
    shift: str | None = None,
    cache: bool = True,
    progress: bool = True,
    workers: int | None = None,
    captions: int = 4,
) -> Drawn:
    """The first `n` scenes of `split` as pictures of `size` px, under `shift` (one of SHIFTS) if one is named.

    The scenes, labels and captions are those of `Streets`; the pictures are drawn and kept by `helpers.worlds.drawn`,
    whose `load` explains `cache`, `progress` and `workers`. Raises ValueError for an argument out of range, CacheError
    if the cache folder is full or cannot be written.
    """
    return load(Streets(split, n, size, seed, shift, captions), cache, progress, workers)
