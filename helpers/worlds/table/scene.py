"""A table: blocks and bowls, and where they stand. From this small description all pictures and words follow.

Coordinates: `x` goes from 0 (left) to 1 (right), `y` from 0 (front, near the viewer) to 1 (back), `z` upwards in the
same unit. The table has nine areas, three by three. One thing stands in an area, alone or with others upon it: a bowl
holds one block, a block carries one block, and a tower has four blocks at most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from helpers.worlds.fields import SceneError, build, json_list, one_of, short
from helpers.worlds.street.scene import COLOURS as STREET_COLOURS

SCHEMA = "table/1"

KINDS = ("block", "bowl")
COLOURS = tuple(colour for colour in STREET_COLOURS if colour != "black")  # black is hard to tell from shadow
# Row by row from the back, as one reads them in the picture.
AREAS = ("back left", "back middle", "back right", "middle left", "centre", "middle right",
         "front left", "front middle", "front right")  # fmt: skip
SIDES = ("left", "right", "front", "back")
MAX_THINGS = 8  # so that an area is always free
MAX_HEIGHT = 4  # blocks of a tower
SIDE = 0.14  # of a block
RADIUS = 0.12  # of a bowl, at its rim
FLOOR = 0.025  # how high a block in a bowl stands above the table
REACH = 0.08  # how far from the middle of its area a thing may stand


def area_of(x: float, y: float) -> str:
    """The area that the place (x, y) is in."""
    return AREAS[3 * (2 - min(int(3 * y), 2)) + min(int(3 * x), 2)]


def middle_of(area: str) -> tuple[float, float]:
    """The place (x, y) in the middle of an area."""
    row, column = divmod(AREAS.index(area), 3)
    return (2 * column + 1) / 6, (5 - 2 * row) / 6


def neighbour(area: str, side: str) -> str | None:
    """The next area in the direction of `side`, one of SIDES; None at the edge of the table."""
    row, column = divmod(AREAS.index(area), 3)
    row += {"back": -1, "front": 1}.get(side, 0)
    column += {"left": -1, "right": 1}.get(side, 0)
    return AREAS[3 * row + column] if 0 <= row < 3 and 0 <= column < 3 else None


def at_edge(area: str, side: str) -> bool:
    """Whether `area` is one of the three at the `side` of the table."""
    return neighbour(area, side) is None


def _number(field: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise SceneError(f"{field}: {short(value)} is not a number from 0 to 1")


@dataclass(frozen=True, slots=True)
class Thing:
    """A block or a bowl. `on` is the place in the scene of the thing that it stands on or in; None is the table."""

    kind: str
    colour: str
    x: float
    y: float
    on: int | None = None

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        one_of("colour", self.colour, COLOURS)
        _number("x", self.x)
        _number("y", self.y)
        if self.on is not None and type(self.on) is not int:
            raise SceneError(f"on: {short(self.on)} is not the number of a thing, or null for the table")
        if self.kind == "bowl" and self.on is not None:
            raise SceneError("on: a bowl stands on the table")


@dataclass(frozen=True, slots=True)
class Gripper:
    """The robot's hand: the place of its finger tips, and the thing that it holds, if it does."""

    x: float = 0.5
    y: float = 1.0
    z: float = 0.42
    holds: int | None = None

    def __post_init__(self) -> None:
        for name in ("x", "y", "z"):
            _number(name, getattr(self, name))
        if self.holds is not None and type(self.holds) is not int:
            raise SceneError(f"holds: {short(self.holds)} is not the number of a thing, or null for none")


HOME = Gripper()


@dataclass(frozen=True, slots=True)
class Scene:
    """A table with 1 to 8 things, and the gripper. The order of the things says nothing; it numbers them.

    Raises `SceneError`, naming the field, if a value is not allowed or things cannot stand so.
    """

    things: tuple[Thing, ...]
    gripper: Gripper = HOME

    def __post_init__(self) -> None:
        if type(self.things) is not tuple or not 1 <= len(self.things) <= MAX_THINGS:
            raise SceneError(f"things: expected 1 to {MAX_THINGS} things")
        for thing in self.things:
            if not isinstance(thing, Thing):
                raise SceneError(f"things: {short(thing)} is of the wrong type")
        if not isinstance(self.gripper, Gripper):
            raise SceneError(f"gripper: {short(self.gripper)} is of the wrong type")
        held = self.gripper.holds
        if held is not None:
            self._there("holds", held)
            if self.things[held].kind == "bowl" or self.things[held].on is not None:
                raise SceneError(f"holds: thing {held} is a bowl, or stands on something: only a free block is held")
        self._supports(held)
        self._areas(held)

    def _there(self, field: str, number: int) -> None:
        if not 0 <= number < len(self.things):
            raise SceneError(f"{field}: there is no thing {number}; they are numbered from 0 to {len(self.things) - 1}")

    def _supports(self, held: int | None) -> None:
        for i, thing in enumerate(self.things):
            below, seen = thing.on, {i}
            while below is not None:
                self._there("on", below)
                if below in seen:
                    raise SceneError(f"on: thing {i} stands on itself")
                if below == held:
                    raise SceneError(f"on: thing {i} stands on the one that the gripper holds")
                seen.add(below)
                below = self.things[below].on
        for i, thing in enumerate(self.things):
            if thing.on is None:
                continue
            below = self.things[thing.on]
            if (thing.x, thing.y) != (below.x, below.y):
                raise SceneError(f"x, y: thing {i} is not where the thing is that it stands on")
            if self.above(thing.on) != i:
                raise SceneError(f"on: two things stand on thing {thing.on}, which carries one")
            if below.on is not None and self.things[below.on].kind == "bowl":
                raise SceneError(f"on: thing {i} stands on a block in a bowl, which carries nothing")
            if self.level(i) >= MAX_HEIGHT:
                raise SceneError(f"on: thing {i} makes a tower higher than {MAX_HEIGHT} blocks")

    def _areas(self, held: int | None) -> None:
        taken: dict[str, int] = {}
        for i in self.bases():
            if i == held:
                continue
            thing = self.things[i]
            area = area_of(thing.x, thing.y)
            x, y = middle_of(area)
            if max(abs(thing.x - x), abs(thing.y - y)) > REACH + 1e-9:
                raise SceneError(f"x, y: thing {i} is more than {REACH} away from the middle of its area, {area}")
            if area in taken:
                raise SceneError(f"x, y: the things {taken[area]} and {i} both stand in the area {area}")
            taken[area] = i

    # What follows from the fields.

    def bases(self) -> Iterator[int]:
        """The things that stand on the table, and the one in the gripper."""
        return (i for i, thing in enumerate(self.things) if thing.on is None)

    def above(self, i: int) -> int | None:
        """The thing on or in thing `i`."""
        return next((k for k, thing in enumerate(self.things) if thing.on == i), None)

    def top(self, i: int) -> int:
        """The uppermost thing of the stack that thing `i` is in."""
        while (above := self.above(i)) is not None:
            i = above
        return i

    def level(self, i: int) -> int:
        """How many blocks are under thing `i`; a bowl does not count."""
        level, below = 0, self.things[i].on
        while below is not None:
            level += self.things[below].kind == "block"
            below = self.things[below].on
        return level

    def height(self, i: int) -> float:
        """How high the lower side of thing `i` is above the table."""
        if self.gripper.holds == i:
            return max(self.gripper.z - 0.6 * SIDE, 0.0)
        on = self.things[i].on
        return FLOOR if on is not None and self.things[on].kind == "bowl" else SIDE * self.level(i)

    def area(self, i: int) -> str:
        """The area that thing `i` is in."""
        return area_of(self.things[i].x, self.things[i].y)

    def base_in(self, area: str) -> int | None:
        """The thing that stands on the table in `area`."""
        return next((i for i in self.bases() if i != self.gripper.holds and self.area(i) == area), None)

    def free_areas(self) -> list[str]:
        """The areas in which nothing stands."""
        taken = {self.area(i) for i in self.bases() if i != self.gripper.holds}
        return [area for area in AREAS if area not in taken]

    def blocks(self) -> list[int]:
        """The numbers of the blocks."""
        return [i for i, thing in enumerate(self.things) if thing.kind == "block"]

    def called(self, colour: str, kind: str) -> list[int]:
        """The things of this colour and kind."""
        return [i for i, thing in enumerate(self.things) if (thing.colour, thing.kind) == (colour, kind)]

    def name(self, i: int) -> str:
        """What thing `i` is called: "red block", or "object 3", counted from 1, where another looks the same."""
        thing = self.things[i]
        return f"object {i + 1}" if len(self.called(thing.colour, thing.kind)) > 1 else f"{thing.colour} {thing.kind}"

    def the(self, i: int) -> str:
        """Its name in a sentence: "the red block", "object 3"."""
        name = self.name(i)
        return name if name.startswith("object ") else f"the {name}"

    # JSON.

    def to_json(self) -> str:
        """The scene as one line of JSON, with the schema version; `from_json` gives back an equal scene."""
        return json.dumps({"schema": SCHEMA, **asdict(self)})

    @staticmethod
    def from_json(text: str | bytes) -> Scene:
        """Read a scene written by `to_json`.

        Raises `SceneError` with one sentence for anything else: not JSON, another schema version, an unknown,
        missing or ill-typed field, or things that cannot stand so.
        """
        try:
            data: Any = json.loads(text)
        except (ValueError, RecursionError, TypeError) as error:
            raise SceneError(f"scene: not JSON ({short(error)})") from None
        if not isinstance(data, dict):
            raise SceneError(f"scene: expected a JSON object, found {short(data)}")
        if data.get("schema") != SCHEMA:
            raise SceneError(f"schema: {short(data.get('schema'))} is not {SCHEMA}; make it anew with this version")
        del data["schema"]
        data["things"] = tuple(build("things", Thing, thing) for thing in json_list("things", data.get("things")))
        if "gripper" in data:
            data["gripper"] = build("gripper", Gripper, data["gripper"])
        return build("scene", Scene, data)
