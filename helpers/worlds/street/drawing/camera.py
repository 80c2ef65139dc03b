"""From the street to the picture: one-point perspective seen from the near kerb, and the window that is drawn.

Pictures are in unit coordinates: (0, 0) top left, (1, 1) bottom right. Depth 1 is the middle of the near lane;
a thing at depth z is drawn 1/z as large.
"""

from __future__ import annotations

from dataclasses import dataclass

from helpers.worlds.drawing.pen import Point
from helpers.worlds.street.scene import Vehicle

NEAR = 0.91  # height in the picture of the ground at depth 1
LANE_DEPTHS = (1.0, 1.27, 1.54)
KERB_NEAR, KERB_FAR = 0.845, 1.70
EDGES = (1.135, 1.405)  # between the lanes
PAVEMENT_FAR = 1.95
WALK, TREE_LINE, BUILD_LINE = 1.80, 1.88, 2.12


@dataclass(frozen=True)
class Frame:
    """The window of the plane that is drawn: its left and top edge, pixels in a unit, and pixels in all."""

    scale: float
    left: float
    top: float
    width: int
    height: int
    horizon: float = 0.43

    def row(self, depth: float) -> float:
        """Height in the picture, in units, of the ground at `depth`."""
        return self.horizon + (NEAR - self.horizon) / depth

    def ground(self, x: float, depth: float) -> Point:
        """The point of the picture that lies at `x` along the street (units at depth 1) and at `depth`."""
        return 0.5 + (x - 0.5) / depth, self.row(depth)

    def pixel(self, x: float, y: float) -> Point:
        return (x - self.left) * self.scale, (y - self.top) * self.scale


def depth_of(vehicle: Vehicle) -> float:
    """Parked vehicles stand nearer to their kerb."""
    shift = {0: -0.055, 2: 0.06}.get(vehicle.lane, 0) if vehicle.parked else 0
    return LANE_DEPTHS[vehicle.lane] + shift
