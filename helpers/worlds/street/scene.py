"""A street scene: a small immutable description from which picture, captions, questions and labels all follow.

The world is the lecture's own picture, *a red truck is parked on a street lined with trees*. A scene holds
only facts a person could read off the picture; how it is drawn (light, palette, noise, style, camera) belongs to
`helpers.worlds.street.drawing`, so one scene can be drawn in many ways and every caption stays true of all of them.

Coordinates: `x` is the place along the street, 0 at the left edge of the picture and 1 at the right edge.
Lanes count away from the viewer: 0 is the near lane, 1 the middle lane, 2 the lane at the far kerb.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from helpers.worlds.fields import SceneError, build, json_list, one_of, short

SCHEMA = "street/1"

KINDS = ("truck", "car", "bus", "van", "taxi", "fire engine", "bicycle")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
AGES = ("modern", "vintage")
FACINGS = ("left", "right")
TREES = ("oak", "birch", "pine", "palm")
EVERGREEN = ("pine", "palm")  # these are never bare
SURFACES = ("new", "cracked")
WEATHERS = ("dry", "wet", "snowy")
SKIES = ("day", "dusk", "night", "overcast")
BUILDINGS = ("none", "houses", "towers")
BEINGS = ("dog", "cat", "person")
LANES = (0, 1, 2)
MAX_TREES = 6


def _place(field: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise SceneError(f"{field}: {short(value)} is not a number from 0 (left edge) to 1 (right edge)")


def _flag(field: str, value: object) -> None:
    if type(value) is not bool:
        raise SceneError(f"{field}: {short(value)} is not true or false")


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle. `age` is told by its shape; `parked` vehicles stand at a kerb (lane 0 or 2)."""

    kind: str
    colour: str
    age: str = "modern"
    facing: str = "right"
    parked: bool = True
    x: float = 0.5
    lane: int = 0

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        one_of("colour", self.colour, COLOURS)
        one_of("age", self.age, AGES)
        one_of("facing", self.facing, FACINGS)
        _flag("parked", self.parked)
        _place("x", self.x)
        one_of("lane", self.lane, LANES)
        if self.parked and self.lane == 1:
            raise SceneError("lane: a parked vehicle stands at a kerb, lane 0 or 2, not in the middle lane 1")


@dataclass(frozen=True, slots=True)
class Trees:
    """The trees behind the road: one kind, 1 to 6 of them, each at its place `x` (increasing)."""

    kind: str
    places: tuple[float, ...]
    bare: bool = False

    def __post_init__(self) -> None:
        one_of("kind", self.kind, TREES)
        _flag("bare", self.bare)
        if type(self.places) is not tuple or not 1 <= len(self.places) <= MAX_TREES:
            raise SceneError(f"places: expected 1 to {MAX_TREES} places of trees; for none leave `trees` empty")
        for place in self.places:
            _place("places", place)
        if any(a >= b for a, b in zip(self.places, self.places[1:], strict=False)):
            raise SceneError("places: places of trees must increase from left to right")
        if self.bare and self.kind in EVERGREEN:
            raise SceneError(f"bare: a {self.kind} keeps its leaves; only oak and birch can be bare")


@dataclass(frozen=True, slots=True)
class Being:
    """A dog, a cat or a person on the pavement behind the road."""

    kind: str
    x: float

    def __post_init__(self) -> None:
        one_of("kind", self.kind, BEINGS)
        _place("x", self.x)


@dataclass(frozen=True, slots=True)
class Scene:
    """A street. `vehicles` go from near to far, one a lane at most, so `vehicles[0]` is the one nearest to the viewer.

    Raises `SceneError`, naming the field, if a value is not allowed.
    """

    vehicles: tuple[Vehicle, ...]
    trees: Trees | None = None
    surface: str = "new"
    weather: str = "dry"
    sky: str = "day"
    buildings: str = "none"
    being: Being | None = None

    def __post_init__(self) -> None:
        if type(self.vehicles) is not tuple or not 1 <= len(self.vehicles) <= len(LANES):
            raise SceneError("vehicles: expected 1 to 3 vehicles")
        for field, value, kind in [("vehicles", v, Vehicle) for v in self.vehicles] + [
            ("trees", self.trees, Trees | None),
            ("being", self.being, Being | None),
        ]:
            if not isinstance(value, kind):
                raise SceneError(f"{field}: {short(value)} is of the wrong type")
        lanes = [v.lane for v in self.vehicles]
        if lanes != sorted(set(lanes)):
            raise SceneError(f"vehicles: lanes {lanes} must increase, near to far, with one vehicle a lane at most")
        one_of("surface", self.surface, SURFACES)
        one_of("weather", self.weather, WEATHERS)
        one_of("sky", self.sky, SKIES)
        one_of("buildings", self.buildings, BUILDINGS)

    @property
    def main(self) -> Vehicle:
        """The vehicle nearest to the viewer; the labels `vehicle`, `colour` and `age` are its."""
        return self.vehicles[0]

    @property
    def labels(self) -> dict[str, str]:
        """The scene as class labels: vehicle (7), colour (9), age (2), tree (5), road (6), sky (4)."""
        return {
            "vehicle": self.main.kind,
            "colour": self.main.colour,
            "age": self.main.age,
            "tree": self.trees.kind if self.trees else "none",
            "road": f"{self.surface} {self.weather}",
            "sky": self.sky,
        }

    def to_json(self) -> str:
        """The scene as one line of JSON, with the schema version; `from_json` gives back an equal scene."""
        return json.dumps({"schema": SCHEMA, **asdict(self)})

    @staticmethod
    def from_json(text: str | bytes) -> Scene:
        """Read a scene written by `to_json`.

        Raises `SceneError` with one sentence for anything else: not JSON, another schema version, an unknown,
        missing or ill-typed field.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError, TypeError) as error:
            raise SceneError(f"scene: not JSON ({short(error)})") from None
        if not isinstance(data, dict):
            raise SceneError(f"scene: expected a JSON object, found {short(data)}")
        if data.get("schema") != SCHEMA:
            raise SceneError(f"schema: {short(data.get('schema'))} is not {SCHEMA}; make it anew with this version")
        del data["schema"]
        vehicles = json_list("vehicles", data.get("vehicles"))
        data["vehicles"] = tuple(build("vehicles", Vehicle, v) for v in vehicles)
        if data.get("trees") is not None:
            trees = data["trees"]
            if isinstance(trees, dict) and "places" in trees:
                trees = trees | {"places": tuple(json_list("places", trees["places"]))}
            data["trees"] = build("trees", Trees, trees)
        if data.get("being") is not None:
            data["being"] = build("being", Being, data["being"])
        return build("scene", Scene, data)


RED_TRUCK = Scene(
    (Vehicle("truck", "red", "vintage"),), Trees("oak", (0.06, 0.27, 0.5, 0.74, 0.95)), buildings="houses"
)
"""The lecture's picture: a red truck is parked on a street lined with trees."""
