"""Blocks, bowls and the gripper as pen strokes, in units of the picture with y upwards."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from helpers.worlds.drawing.pen import Fill, Mat, Pen, Point, grey
from helpers.worlds.table.drawing.camera import EYE, project
from helpers.worlds.table.scene import RADIUS, SIDE

Corner = tuple[float, float, float]
_TOP, _FRONT, _ASIDE = 1.16, 0.86, 0.66  # how much light the faces of a block get
STEEL = [(0, grey(206, 40)), (0.5, grey(150, 30)), (1, grey(96, 20))]


def seen(points: Sequence[Corner]) -> list[Point]:
    """Points of the table as the pen takes them."""
    return [(x, -y) for x, y in (project(*point) for point in points)]


def hull(points: Sequence[Point]) -> list[Point]:
    """The smallest convex outline around `points` (Andrew 1979)."""
    ordered = sorted(set(points))

    def half(dots: Sequence[Point]) -> list[Point]:
        line: list[Point] = []
        for p in dots:
            while len(line) > 1 and (line[-1][0] - line[-2][0]) * (p[1] - line[-2][1]) <= (
                line[-1][1] - line[-2][1]
            ) * (p[0] - line[-2][0]):
                line.pop()
            line.append(p)
        return line[:-1]

    return half(ordered) + half(ordered[::-1])


def corners(x: float, y: float, turn: float, side: float = SIDE) -> list[Point]:
    """The four corners of a block seen from above, the first at the front left, anticlockwise; `turn` in radians."""
    c, s, h = math.cos(turn), math.sin(turn), side / 2
    return [(x + c * a - s * b, y + s * a + c * b) for a, b in ((-h, -h), (h, -h), (h, h), (-h, h))]


def ring(x: float, y: float, z: float, radius: float, start: float = 0, stop: float = 360) -> list[Corner]:
    """A level circle, or a part of one in degrees (0 right, 90 back)."""
    t = np.radians(np.linspace(start, stop, 41 if stop - start > 180 else 21))
    return [(x + radius * a, y + radius * b, z) for a, b in zip(np.cos(t).tolist(), np.sin(t).tolist(), strict=True)]


def paint(light: float, gloss: float = 0) -> Mat:
    """The thing's own colour under so much light, with some white shine."""
    return Mat((gloss, gloss, gloss), light)


def draw_block(pen: Pen, x: float, y: float, z: float, turn: float, ink: bool, fine: bool, sunk: float = 0.0) -> None:
    """A block whose lower side is `z` above the table; the faces that look at the camera, lit from the left.

    Its lowest part, up to `sunk` above its lower side, is not drawn: it is in a bowl.
    """
    foot = corners(x, y, turn)
    for k in (2, 3, 0, 1):
        (ax, ay), (bx, by) = foot[k], foot[(k + 1) % 4]
        nx, ny = by - ay, ax - bx  # the face's direction, outwards
        if nx * (EYE[0] - ax) + ny * (EYE[1] - ay) <= 0:
            continue
        light = _FRONT if abs(ny) > abs(nx) else _ASIDE
        light *= 1 - 0.10 * nx / SIDE
        face = seen([(ax, ay, z + sunk), (bx, by, z + sunk), (bx, by, z + SIDE), (ax, ay, z + SIDE)])
        pen.shape(face, [(0, paint(light * 1.06, 6)), (1, paint(light * 0.84))], ink=ink)
    lid = seen([(a, b, z + SIDE) for a, b in foot])
    pen.shape(lid, [(0, paint(_TOP * 0.97, 14)), (1, paint(_TOP, 26))], ink=ink)
    if fine:
        inner = seen([(a, b, z + SIDE) for a, b in corners(x, y, turn, 0.74 * SIDE)])
        pen.stroke([*inner, inner[0]], 0.0022, paint(0.92), opacity=0.55, ink=False)
        near = seen([(*foot[0], z + SIDE), (*foot[1], z + SIDE)])
        pen.stroke(near, 0.0035, paint(1.24, 60), opacity=0.8, ink=False)
        pen.stroke(seen([(*foot[1], z + sunk), (*foot[1], z + SIDE)]), 0.0025, paint(1.1, 34), opacity=0.5, ink=False)


_BOWL_HEIGHT, _FOOT = 0.085, 0.068


def draw_bowl_back(pen: Pen, x: float, y: float, ink: bool) -> None:
    """The bowl's outside and its hollow: what a block in it stands before."""
    rim, foot = ring(x, y, _BOWL_HEIGHT, RADIUS), ring(x, y, 0, _FOOT)
    body = hull(seen(rim) + seen(foot))
    pen.shape(body, [(0, paint(1.06, 16)), (0.55, paint(0.92)), (1, paint(0.60))], across=True, ink=ink)
    pen.shape(seen(rim), [(0, paint(1.22, 30)), (1, paint(1.0, 12))], ink=ink)
    hollow = seen(ring(x, y, _BOWL_HEIGHT, RADIUS * 0.90))
    pen.shape(hollow, [(0, paint(0.46)), (0.5, paint(0.66)), (1, paint(0.96))], ink=ink)
    base = seen(ring(x, y, 0.028, _FOOT * 1.02))
    pen.shape(base, [(0, paint(0.56)), (1, paint(0.78))], clip=hollow, soft=0.003, ink=False)


def draw_bowl_front(pen: Pen, x: float, y: float, ink: bool, fine: bool) -> None:
    """The bowl's near wall, which hides the foot of a block in it."""
    outer = ring(x, y, _BOWL_HEIGHT, RADIUS, 180, 360)
    inner = ring(x, y, _BOWL_HEIGHT, RADIUS * 0.90, 180, 360)
    foot = ring(x, y, 0, _FOOT, 180, 360)
    wall = seen(outer) + seen(foot)[::-1]
    pen.shape(wall, [(0, paint(1.06, 16)), (0.45, paint(0.94)), (1, paint(0.60))], across=True, ink=ink)
    pen.shape(seen(outer) + seen(inner)[::-1], [(0, paint(1.22, 40)), (1, paint(1.12, 24))], ink=False)
    if ink:
        pen.contour(seen(inner) + seen(outer)[::-1])
    if fine:
        shine = ring(x, y, 0.055, RADIUS * 0.86, 208, 246)
        pen.stroke(seen(shine), 0.006, paint(1.2, 90), opacity=0.45, ink=False)


def draw_gripper(pen: Pen, x: float, y: float, z: float, wide: float, ink: bool, fine: bool) -> None:
    """Two fingers, `wide` apart, whose tips are at the height `z`, and the arm that carries them."""
    half, palm = wide / 2 + 0.018, z + 0.15
    for way in (-1, 1):
        finger = [(x + way * half, y, z), (x + way * half, y, palm)]
        pen.stroke(seen(finger), 0.026, STEEL, ink=ink)
        if fine:
            pen.stroke(seen([(x + way * half, y, z), (x + way * half, y, z + 0.05)]), 0.020, grey(52), ink=False)
    left, right = x - 0.125, x + 0.125
    box = [(left, y, palm), (right, y, palm), (right, y, palm + 0.055), (left, y, palm + 0.055)]
    pen.shape(seen(box), [(0, grey(84, 30)), (1, grey(46, 10))], ink=ink)
    arm: Fill = [(0, grey(120, 40)), (0.35, grey(214, 60)), (1, grey(92, 20))]
    post = [(x - 0.035, y, palm + 0.055), (x + 0.035, y, palm + 0.055), (x + 0.035, y, 1.6), (x - 0.035, y, 1.6)]
    pen.shape(seen(post), arm, across=True, ink=ink)
    pen.shape(
        seen([(x - 0.05, y, palm + 0.055), (x + 0.05, y, palm + 0.055), (x + 0.05, y, palm + 0.085),
              (x - 0.05, y, palm + 0.085)]), Mat((226, 120, 40)), ink=ink,
    )  # fmt: skip
