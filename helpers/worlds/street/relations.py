"""What may be said of a scene beyond its fields: where things stand to each other, and what a word may refer to.

Between "yes" and "no" lies a margin in which people would disagree. There the answer is None, and captions and
questions keep silent. All distances are in the scene's `x`, the width of the picture being 1.
"""

from __future__ import annotations

from helpers.worlds.street.scene import Scene, Vehicle

LEFT_MARGIN = 0.15  # of two things, one is left of the other only from this distance on
BEHIND = 0.10  # a tree this near to a vehicle's middle stands behind it
NOT_BEHIND = 0.25  # from here on it clearly does not: half of the longest vehicle and a crown
NEXT_TO = 0.40  # two vehicles in neighbouring lanes are next to each other up to here
LINED = 3  # a street is lined with trees from this number on

# A taxi is a car and a fire engine is a truck, so "the car" is doubtful where a taxi stands.
MAY_BE_CALLED = {"car": ("car", "taxi"), "truck": ("truck", "fire engine")}


def called(scene: Scene, kind: str, colour: str | None = None) -> list[Vehicle]:
    """All vehicles that a person could mean by "the `kind`" or "the `colour` `kind`"."""
    kinds = MAY_BE_CALLED.get(kind, (kind,))
    return [v for v in scene.vehicles if v.kind in kinds and colour in (None, v.colour)]


def left_of(a: float, b: float) -> bool | None:
    """Whether place `a` is left of place `b`; None if they are too near to tell."""
    return None if abs(a - b) < LEFT_MARGIN else a < b


def side(x: float) -> str | None:
    """The part of the picture, "left", "middle" or "right", that place `x` is in; None between them."""
    if x <= 0.4:
        return "left"
    if x >= 0.6:
        return "right"
    return "middle" if 0.45 <= x <= 0.55 else None


def tree_behind(scene: Scene, vehicle: Vehicle) -> bool | None:
    """Whether a tree stands behind `vehicle`; None if the nearest one stands half behind it."""
    distance = min((abs(x - vehicle.x) for x in scene.trees.places), default=1) if scene.trees else 1
    return None if BEHIND < distance < NOT_BEHIND else distance <= BEHIND


def next_to(a: Vehicle, b: Vehicle) -> bool:
    """Whether `a` and `b` are next to each other: in neighbouring lanes, apart, but not far apart."""
    return abs(a.lane - b.lane) == 1 and LEFT_MARGIN <= abs(a.x - b.x) <= NEXT_TO
