"""From the table to the picture: a pinhole camera in front of the table, looking down on it."""

from __future__ import annotations

import math

from helpers.worlds.drawing.pen import Point

EYE = (0.5, -1.30, 1.55)  # in the table's units
LOOKS_AT = (0.5, 0.46, 0.20)
ZOOM = 1.98  # picture widths for a thing as wide as it is far

_dy, _dz = LOOKS_AT[1] - EYE[1], LOOKS_AT[2] - EYE[2]
_far = math.hypot(_dy, _dz)
_FORWARD = (_dy / _far, _dz / _far)  # in the plane of y and z
_UP = (-_dz / _far, _dy / _far)


def depth(x: float, y: float, z: float) -> float:
    """How far the point lies ahead of the camera, in the table's units."""
    return (y - EYE[1]) * _FORWARD[0] + (z - EYE[2]) * _FORWARD[1]


def project(x: float, y: float, z: float = 0.0) -> Point:
    """The point of the picture, (0, 0) top left and (1, 1) bottom right, where the table's point (x, y, z) is seen."""
    ahead = depth(x, y, z)
    up = (y - EYE[1]) * _UP[0] + (z - EYE[2]) * _UP[1]
    return 0.5 + ZOOM * (x - EYE[0]) / ahead, 0.5 - ZOOM * up / ahead
