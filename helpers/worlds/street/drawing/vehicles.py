"""How each kind of vehicle looks from the side, modern and vintage, facing right.

Units are roughly metres, y upwards, the road at y = 0; `x` runs from the rear (0) to the front (the length).
A kind is told by its silhouette, its age by its shape: vintage vehicles have fenders that stand off the body, running
boards, separate round headlights and spoked wheels; the vintage bicycle is a penny-farthing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from helpers.worlds.drawing.pen import Fill, Mat, Pen, Point, Sprite, curve, grey, oval, path
from helpers.worlds.street.view import Look


@dataclass(frozen=True)
class Shape:
    """Measures of a kind: length and height in metres, and the share of the picture's width it takes in lane 0."""

    length: float
    height: float
    width: float


SHAPES = {
    ("truck", "modern"): Shape(5.5, 1.95, 0.46),
    ("truck", "vintage"): Shape(5.0, 2.05, 0.46),
    ("car", "modern"): Shape(4.4, 1.50, 0.41),
    ("car", "vintage"): Shape(4.3, 1.75, 0.41),
    ("bus", "modern"): Shape(8.6, 3.0, 0.50),
    ("bus", "vintage"): Shape(8.2, 3.0, 0.50),
    ("van", "modern"): Shape(4.9, 2.15, 0.41),
    ("van", "vintage"): Shape(4.7, 2.2, 0.41),
    ("taxi", "modern"): Shape(4.4, 1.80, 0.41),
    ("taxi", "vintage"): Shape(4.3, 2.05, 0.41),
    ("fire engine", "modern"): Shape(7.6, 3.1, 0.50),
    ("fire engine", "vintage"): Shape(7.2, 2.75, 0.50),
    ("bicycle", "modern"): Shape(1.85, 1.75, 0.31),
    ("bicycle", "vintage"): Shape(1.95, 2.2, 0.30),
}

CHROME = [(0, grey(205, 60)), (0.35, grey(245, 20)), (0.55, grey(95, 60)), (1, grey(60, 90))]
GLASS = [(0, Mat((26, 34, 44), 0, 175)), (0.45, Mat((24, 32, 40), 0, 95)), (1, Mat((14, 18, 24), 0, 40))]
RUBBER = [(0, grey(52)), (0.5, grey(30)), (1, grey(17))]
DARK = grey(15)
WARM = Mat((255, 246, 214), 0, 0, (120, 110, 80))
RED_LAMP = Mat((196, 20, 20), 0, 0, (150, 10, 10))
CREAM = Mat((236, 226, 200))
WOOD = [(0, Mat((196, 148, 94))), (1, Mat((128, 86, 50)))]


def coat(top: float = 1.12, bottom: float = 0.55, gloss: float = 34) -> Fill:
    """Varnished paint: the sky's gloss above, the street's shade below a soft line at the belt."""
    return [
        (0, Mat((gloss, gloss, gloss), top)),
        (0.10, Mat((gloss * 0.45,) * 3, 1.06)),
        (0.40, Mat((6, 6, 7), 1.0)),
        (0.52, Mat((0, 0, 0), 0.86)),
        (0.80, Mat((0, 0, 0), 0.74)),
        (1, Mat((0, 0, 0), bottom)),
    ]


class _Body:
    """The pen of one vehicle: metres to its own units, with the look's proportions."""

    def __init__(self, pen: Pen, length: float, look: Look, moving: bool) -> None:
        self.pen, self.middle, self.moving = pen, length / 2, moving
        self.sx, self.sy, self.sr = look.length, look.height, look.wheel

    def at(self, points: list[Point]) -> list[Point]:
        return [((x - self.middle) * self.sx, y * self.sy) for x, y in points]

    def shape(self, points: list[Point], fill: Fill, *, cut=(), clip=None, **options) -> None:
        clip = None if clip is None else self.at(clip)
        self.pen.shape(self.at(points), fill, cut=[self.at(c) for c in cut], clip=clip, **options)

    def poly(self, fill: Fill, *corners: tuple[float, ...], **options) -> None:
        self.shape(path(*corners), fill, **options)

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: Fill, r: float = 0, **options) -> None:
        self.shape(path((x0, y0, r), (x1, y0, r), (x1, y1, r), (x0, y1, r)), fill, **options)

    def oval(self, x: float, y: float, rx: float, fill: Fill, ry: float | None = None, **options) -> None:
        self.shape(oval(x, y, rx, ry), fill, **options)

    def line(self, width: float, fill: Fill, *points: Point, **options) -> None:
        self.pen.stroke(self.at(list(points)), width, fill, **options)

    def window(self, *corners: tuple[float, ...], glow: float = 0) -> None:
        """A pane that mirrors the sky, with a slanting reflection."""
        outline = path(*corners)
        pane = GLASS if not glow else [(t, m._replace(glow=(glow, glow * 0.86, glow * 0.55))) for t, m in GLASS]
        self.shape(outline, pane)
        xs, ys = [p[0] for p in outline], [p[1] for p in outline]
        x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
        w = x1 - x0
        for a, b in ((0.30, 0.52), (0.60, 0.68)):
            lean = 0.5 * (y1 - y0)
            slab = [(x0 + a * w, y0), (x0 + b * w, y0), (x0 + b * w + lean, y1), (x0 + a * w + lean, y1)]
            self.shape(slab, Mat((60, 66, 72), 0, 150), clip=outline, opacity=0.32, ink=False)

    def driver(self, x: float, y: float, size: float = 0.17) -> None:
        """Somebody at the wheel, seen while the vehicle moves."""
        if self.moving:
            self.shape(path((x - 1.5 * size, y - 2.6 * size), (x - size, y - size, size * 0.8),
                (x + size * 0.6, y - size,
                       size * 0.8), (x + 1.1 * size, y - 2.6 * size)), Mat((58, 62, 74)), ink=False)  # fmt: skip
            self.oval(x, y, size, Mat((176, 128, 98)), size * 1.15, ink=False)
            self.shape(oval(x - 0.02, y + 0.25 * size, size * 1.05, size, 10, 190), Mat((52, 38, 30)), ink=False)

    def arch(self, x: float, r: float, clip: list[Point]) -> None:
        r *= self.sr
        self.pen.shape(oval((x - self.middle) * self.sx, r, r * 1.22), DARK, clip=self.at(clip), ink=False)

    def wheel(self, x: float, r: float, style: str) -> None:
        """`style`: "alloy", "steel" (lorries), "spoked" or "white" (white walls and a hub cap in body colour)."""
        r *= self.sr
        x, pen = (x - self.middle) * self.sx, self.pen
        pen.oval(x, r, r, RUBBER)
        pen.oval(x, r, r * 0.90, grey(36), ink=False)
        if style == "white":
            pen.oval(x, r, r * 0.82, [(0, grey(250)), (1, grey(196))])
            pen.oval(x, r, r * 0.58, grey(44), ink=False)
            pen.oval(x, r, r * 0.55, coat(1.15, 0.7, 24))
            pen.oval(x, r, r * 0.27, CHROME)
            return
        rim = r * (0.66 if style != "spoked" else 0.80)
        pen.oval(x, r, rim, [(0, grey(168)), (1, grey(108))])
        pen.oval(x, r, rim * 0.88, grey(30 if style != "steel" else 92), ink=False)
        if self.moving:
            # Spokes in motion melt into soft rings.
            pen.oval(x, r, rim * 0.86, [(0, grey(150)), (1, grey(84))], ink=False, soft=rim * 0.10)
            for k, level in ((0.66, 64), (0.42, 150)):
                pen.oval(x, r, rim * k, grey(level), ink=False, soft=rim * 0.08, opacity=0.7)
            pen.oval(x, r, rim * 0.26, CHROME)
            return
        if style == "alloy":
            for k in range(5):
                a = math.radians(90 + 72 * k)
                c, s = math.cos(a), math.sin(a)
                spoke = [(0.16, -0.13), (0.88, -0.10), (0.88, 0.10), (0.16, 0.13)]
                pen.shape([(x + rim * (u * c - v * s), r + rim * (u * s + v * c)) for u, v in spoke],
                          [(0, grey(232, 20)), (1, grey(150, 20))], ink=False)  # fmt: skip
            pen.oval(x, r, rim * 0.24, grey(176))
        elif style == "spoked":
            for k in range(10):
                a = math.radians(18 * k + 9)
                c, s = math.cos(a) * rim * 0.9, math.sin(a) * rim * 0.9
                pen.stroke([(x - c, r - s), (x + c, r + s)], r * 0.055, Mat((214, 206, 188)), ink=k % 2 == 0)
            pen.oval(x, r, rim * 0.30, CHROME)
        else:
            pen.oval(x, r, rim * 0.62, [(0, grey(150)), (1, grey(96))])
            for k in range(6):
                a = math.radians(60 * k)
                pen.oval(x + rim * 0.42 * math.cos(a), r + rim * 0.42 * math.sin(a), rim * 0.10, grey(40), ink=False)
            pen.oval(x, r, rim * 0.20, grey(190))

    def under(self, x0: float, x1: float, r: float, wheels: tuple[float, ...], floor: float) -> None:
        """The far wheels and the dark below the floor."""
        for x in wheels:
            self.oval(x + 0.16, r * self.sr / self.sy + 0.05, r * 0.86 * self.sr, grey(14), ink=False)
        self.rect(x0, r * 0.55, x1, floor, grey(10), ink=False)

    def headlight(self, x: float, y: float, r: float) -> None:
        """A separate round headlight in a chrome shell."""
        self.oval(x - 0.05, y, r * 1.18, CHROME)
        self.oval(x + 0.03, y, r * 0.92, [(0, Mat((255, 252, 236), 0, 0, (130, 120, 84))), (1, WARM)], ink=False)

    def fender(self, x: float, r: float, reach: float, tail: float, rise: float = 1.62) -> None:
        """A bulging mudguard over the wheel at `x`, `reach` ahead of and `tail` behind its middle."""
        r, top = r * self.sr / self.sy, r * rise * self.sr / self.sy
        outline = path(
            (x - tail, r * 0.50, 0.06),
            (x - tail * 0.96, r * 0.95, 0.30),
            (x - r * 0.85, top * 1.16, 0.60),
            (x + r * 0.62, top * 1.26, 0.60),
            (x + reach * 1.02, top * 0.92, 0.42),
            (x + reach * 1.02, r * 0.42, 0.12),
            (x + reach * 0.84, r * 0.42),
        )
        hole = path((x - r * 1.02, -0.2), (x - r * 1.02, r * 0.9, 0.25), (x - r * 0.7, r * 1.52, 0.4),
            (x + r * 0.7, r * 1.52, 0.4),
                    (x + r * 0.98, r * 0.9, 0.25), (x + r * 0.98, -0.2))  # fmt: skip
        self.shape(outline, coat(1.2, 0.66, 58), cut=[hole])
        shine = path(
            (x - r * 0.85, top * 0.95, 0.2),
            (x - r * 0.1, top * 1.12, 0.3),
            (x + r * 0.75, top * 0.98, 0.2),
            (x, top * 1.02, 0.3),
        )
        self.shape(shine, Mat((170, 170, 176), 1.1), clip=outline, soft=0.03, opacity=0.5, ink=False)


def _modern_car(b: _Body, taxi: bool) -> None:
    r, wheels = 0.35, (0.86, 3.52)
    b.under(0.3, 4.1, r, wheels, 0.5)
    cabin = path((0.42, 0.93), (1.02, 1.43, 0.45), (2.30, 1.47, 0.5), (3.30, 0.92))
    b.shape(cabin, coat(1.15, 0.9))
    body = path(
        (0.04, 0.26, 0.10), (0.00, 0.62, 0.12), (0.08, 0.96, 0.16), (0.70, 1.00, 0.3), (3.10, 0.96, 0.5),
        (4.08, 0.80, 0.45), (4.40, 0.56, 0.22), (4.36, 0.26, 0.12),
    )  # fmt: skip
    b.window((0.74, 0.95, 0.06), (1.14, 1.36, 0.22), (1.80, 1.39), (1.86, 0.95))
    b.window((1.98, 0.95), (1.93, 1.39), (2.27, 1.385, 0.2), (3.06, 0.94, 0.05))
    b.driver(2.42, 1.12)
    b.shape(body, coat())
    b.poly(Mat((90, 90, 94), 1.1), (0.15, 0.90, 0.03), (1.0, 0.93), (3.1, 0.89), (4.0, 0.74, 0.05), (3.0, 0.85),
        (1.0, 0.89),
           clip=body, soft=0.015, opacity=0.55, ink=False)  # fmt: skip
    for x in wheels:
        b.arch(x, r, body)
    b.rect(1.30, 0.24, 3.06, 0.33, DARK, clip=body, ink=False)
    b.line(0.022, Mat((0, 0, 0), 0.42), (1.92, 0.94), (1.90, 0.55), (1.80, 0.36), ink=True)
    b.line(0.022, Mat((0, 0, 0), 0.42), (3.02, 0.92), (3.02, 0.62), (2.92, 0.36))
    b.line(0.022, Mat((0, 0, 0), 0.42), (1.36, 0.62), (1.42, 0.93), ink=False)
    for x in (1.60, 2.66):
        b.rect(x, 0.80, x + 0.20, 0.84, CHROME, 0.02, ink=False)
    b.poly(WARM, (3.92, 0.72, 0.02), (4.26, 0.66, 0.08), (4.35, 0.54, 0.03), (4.10, 0.56, 0.05))
    b.poly(RED_LAMP, (0.02, 0.70), (0.07, 0.90, 0.04), (0.34, 0.88, 0.08), (0.22, 0.70, 0.06))
    b.poly(DARK, (4.20, 0.36, 0.02), (4.37, 0.36), (4.39, 0.46), (4.24, 0.46, 0.02), ink=False)
    b.oval(2.98, 1.00, 0.10, coat(1.1, 0.7), 0.07)
    for x in wheels:
        b.wheel(x, r, "alloy")
    if taxi:
        _checkers(b, 0.70, 0.56, 3.40, 0.72, 12)
        _taxi_sign(b, 1.72, 1.46)


def _checkers(b: _Body, x0: float, y0: float, x1: float, y1: float, n: int) -> None:
    """The chequered band of a taxi."""
    b.rect(x0, y0, x1, y1, grey(244), ink=False)
    step, mid = (x1 - x0) / n, (y0 + y1) / 2
    for k in range(n):
        low, high = (y0, mid) if k % 2 else (mid, y1)
        b.rect(x0 + k * step, low, x0 + (k + 1) * step, high, grey(18), ink=k % 2 == 0)


def _taxi_sign(b: _Body, x: float, y: float) -> None:
    b.rect(x - 0.26, y - 0.02, x + 0.26, y + 0.05, DARK)
    b.poly([(0, Mat((255, 226, 90), 0, 0, (120, 100, 20))), (1, Mat((250, 196, 40), 0, 0, (110, 80, 10)))],
           (x - 0.34, y + 0.04, 0.03), (x - 0.27, y + 0.30, 0.06), (x + 0.27, y + 0.30, 0.06),
           (x + 0.34, y + 0.04, 0.03))  # fmt: skip
    k = 0.055  # letters T A X I
    for cx, strokes in (
        (-0.18, (((-1, 1.4), (1, 1.4)), ((0, 1.4), (0, -1.4)))),
        (-0.05, (((-1, -1.4), (0, 1.4)), ((0, 1.4), (1, -1.4)))),
        (0.09, (((-1, -1.4), (1, 1.4)), ((-1, 1.4), (1, -1.4)))),
        (0.20, (((0, 1.4), (0, -1.4)),)),
    ):
        for a, c in strokes:
            b.line(0.03, DARK, *((x + cx + u * k, y + 0.165 + v * k) for u, v in (a, c)), ink=False)


def _vintage_car(b: _Body, taxi: bool) -> None:
    r, wheels = 0.42, (0.86, 3.40)
    b.under(0.5, 3.6, r, wheels, 0.55)
    cabin = path(
        (0.46, 0.60),
        (0.40, 1.20, 0.2),
        (0.66, 1.66, 0.55),
        (1.5, 1.74, 0.5),
        (2.22, 1.66, 0.22),
        (2.36, 1.08),
        (2.4, 0.5),
    )
    b.shape(cabin, coat(1.16, 0.7))
    b.poly(
        Mat((0, 0, 0), 0.55),
        (0.55, 1.50),
        (0.86, 1.64, 0.2),
        (2.20, 1.62, 0.1),
        (2.22, 1.52),
        clip=cabin,
        opacity=0.35,
        ink=False,
    )
    b.window((0.72, 1.14, 0.06), (0.80, 1.52, 0.18), (1.28, 1.55, 0.04), (1.28, 1.14, 0.04))
    b.window((1.42, 1.14, 0.04), (1.42, 1.55, 0.04), (2.06, 1.53, 0.06), (2.16, 1.14, 0.04))
    b.driver(1.86, 1.32, 0.15)
    hood = path((2.30, 0.50), (2.30, 1.10, 0.05), (2.9, 1.16, 0.3), (3.66, 1.08, 0.18), (3.78, 0.48, 0.05))
    b.shape(hood, coat(1.2, 0.66, 44))
    for k in range(5):
        b.line(0.03, Mat((0, 0, 0), 0.45), (2.62 + 0.13 * k, 0.96), (2.62 + 0.13 * k, 0.72), ink=k % 2 == 0)
    b.poly(CHROME, (3.66, 0.46, 0.03), (3.64, 1.14, 0.06), (3.80, 1.10, 0.06), (3.88, 0.46, 0.03))
    b.line(0.03, CHROME, (0.5, 1.08), (2.3, 1.08), (3.64, 1.0))
    b.line(0.025, Mat((0, 0, 0), 0.4), (1.35, 1.58), (1.35, 0.56))
    b.line(0.025, Mat((0, 0, 0), 0.4), (2.26, 1.1), (2.26, 0.56), ink=False)
    b.rect(1.42, 0.96, 1.60, 1.00, CHROME, 0.02, ink=False)
    b.rect(1.16, 0.34, 3.0, 0.45, [(0, grey(120, 40)), (0.3, grey(44)), (1, grey(20))], 0.03)
    b.oval(0.30, 1.00, 0.30, [(0, grey(60)), (1, grey(22))], 0.40)  # the spare wheel
    b.oval(0.30, 1.00, 0.16, CHROME, 0.22)
    for x in wheels:
        b.wheel(x, r, "spoked")
    b.fender(0.86, r, 0.66, 0.70)
    b.fender(3.40, r, 0.64, 0.86)
    b.headlight(3.82, 1.00, 0.19)
    b.rect(4.06, 0.40, 4.26, 0.52, CHROME, 0.05)
    b.rect(-0.06, 0.40, 0.14, 0.52, CHROME, 0.05)
    b.oval(0.16, 0.72, 0.08, RED_LAMP)
    if taxi:
        _checkers(b, 0.62, 0.84, 2.30, 1.02, 8)
        _taxi_sign(b, 1.44, 1.72)


def _modern_truck(b: _Body) -> None:
    r, wheels = 0.43, (1.12, 4.36)
    b.under(0.3, 5.1, r, wheels, 0.65)
    cabin = path((2.02, 1.10), (2.12, 1.84, 0.16), (2.7, 1.90, 0.4), (3.32, 1.84, 0.4), (4.02, 1.18))
    b.shape(cabin, coat(1.15, 0.9))
    b.window((2.24, 1.20, 0.05), (2.30, 1.74, 0.10), (2.70, 1.77), (2.70, 1.20))
    b.window((2.82, 1.20), (2.82, 1.77), (3.26, 1.74, 0.14), (3.78, 1.20, 0.05))
    b.driver(3.1, 1.44, 0.18)
    body = path(
        (0.06, 0.42, 0.06), (0.0, 1.12, 0.05), (0.10, 1.16), (2.0, 1.16), (4.0, 1.20, 0.3), (5.16, 1.10, 0.30),
        (5.42, 0.80, 0.12),
        (5.46, 0.40, 0.10), (5.0, 0.36),
    )  # fmt: skip
    b.shape(body, coat())
    # The open bed: its rail, the dark inside seen over it, and the gap to the cabin.
    b.rect(0.06, 1.12, 1.94, 1.20, [(0, grey(70, 40)), (1, grey(24))], 0.03)
    b.line(0.035, Mat((0, 0, 0), 0.25), (1.98, 1.2), (1.98, 0.46))
    b.line(0.022, Mat((0, 0, 0), 0.42), (2.76, 1.16), (2.76, 0.50))
    b.line(0.022, Mat((0, 0, 0), 0.42), (3.72, 1.16), (3.62, 0.50))
    for x in (2.5, 3.44):
        b.rect(x, 0.98, x + 0.2, 1.03, DARK, 0.02, ink=False)
    for x in wheels:
        b.arch(x, r, body)
        ring = path((x - 0.62, 0.42), (x - 0.60, 0.80, 0.2), (x - 0.36, 1.02, 0.2), (x + 0.36, 1.02, 0.2),
            (x + 0.60, 0.80, 0.2),
                    (x + 0.62, 0.42))  # fmt: skip
        b.shape(ring, grey(34), cut=[oval(x, r * b.sr, r * 1.18 * b.sr)], clip=body, ink=False)
    b.rect(1.7, 0.40, 3.8, 0.52, [(0, grey(90)), (1, grey(25))], 0.03)
    b.poly(WARM, (5.06, 1.02, 0.04), (5.34, 0.96, 0.06), (5.42, 0.78, 0.03), (5.16, 0.80, 0.05))
    b.rect(-0.02, 0.78, 0.12, 1.08, RED_LAMP, 0.03)
    b.poly(CHROME, (5.06, 0.38, 0.04), (5.12, 0.56, 0.03), (5.50, 0.58, 0.05), (5.52, 0.40, 0.05))
    b.rect(-0.10, 0.44, 0.16, 0.58, CHROME, 0.04)
    b.oval(3.86, 1.28, 0.13, DARK, 0.10)
    for x in wheels:
        b.wheel(x, r, "alloy")


def _vintage_truck(b: _Body) -> None:
    r, wheels = 0.44, (0.98, 4.02)
    b.under(0.2, 4.3, r, wheels, 0.66)
    # A bed of wooden stakes.
    b.rect(0.02, 0.62, 1.98, 0.76, grey(30))
    b.rect(0.06, 0.76, 1.94, 1.46, grey(26), ink=False)
    for k in range(3):
        b.rect(0.0, 0.80 + 0.23 * k, 1.98, 0.97 + 0.23 * k, WOOD, 0.02)
    for x in (0.06, 0.64, 1.24, 1.82):
        b.rect(x, 0.70, x + 0.10, 1.52, [(0, Mat((160, 112, 66))), (1, Mat((96, 62, 36)))], 0.01)
    cabin = path(
        (2.02, 0.56), (2.0, 1.30, 0.1), (2.10, 1.90, 0.42), (2.6, 2.02, 0.5), (3.10, 1.90, 0.34), (3.30, 1.30, 0.1),
        (3.34, 0.56),
    )  # fmt: skip
    b.shape(cabin, coat(1.16, 0.66, 44))
    b.window((2.26, 1.32, 0.06), (2.32, 1.78, 0.20), (2.92, 1.80, 0.14), (3.08, 1.32, 0.06))
    b.driver(2.74, 1.52, 0.17)
    hood = path(
        (3.20, 0.52), (3.22, 1.30, 0.06), (3.7, 1.36, 0.35), (4.32, 1.24, 0.34), (4.56, 0.94, 0.2), (4.58, 0.48, 0.05)
    )
    b.shape(hood, coat(1.2, 0.62, 54))
    b.poly(Mat((150, 150, 154), 1.15), (3.3, 1.25, 0.03), (3.75, 1.31, 0.2), (4.26, 1.20, 0.1), (3.8, 1.23, 0.2),
           clip=hood, soft=0.02, opacity=0.6, ink=False)  # fmt: skip
    for k in range(3):
        b.line(0.035, CHROME, (3.44, 1.13 - 0.09 * k), (3.98, 1.10 - 0.09 * k), ink=k != 1)
    b.line(0.025, Mat((0, 0, 0), 0.40), (3.22, 1.30), (3.22, 0.60))
    b.line(0.022, Mat((0, 0, 0), 0.45), (2.14, 1.24), (2.14, 0.62), (3.14, 0.62), (3.16, 1.24), ink=False)
    b.line(0.03, CHROME, (2.02, 1.22), (3.22, 1.22), ink=False)
    b.rect(2.26, 1.08, 2.46, 1.13, CHROME, 0.02, ink=False)
    # The grille bends around the nose.
    nose = path((4.34, 0.50, 0.03), (4.26, 1.14, 0.08), (4.52, 1.04, 0.12), (4.66, 0.50, 0.03))
    b.shape(nose, CHROME)
    for k in range(5):
        b.line(0.028, grey(40), (4.32, 0.58 + 0.10 * k), (4.62 - 0.03 * k, 0.56 + 0.10 * k), ink=k % 2 == 0)
    b.rect(1.62, 0.38, 3.40, 0.48, [(0, grey(130, 40)), (0.35, grey(50)), (1, grey(20))], 0.03)
    for x in wheels:
        b.wheel(x, r, "white")
    b.fender(0.98, r, 0.68, 0.70)
    b.fender(4.02, r, 0.66, 0.86, 1.62)
    b.headlight(4.50, 1.02, 0.19)
    b.rect(4.60, 0.38, 4.92, 0.54, CHROME, 0.06)
    b.rect(-0.14, 0.44, 0.16, 0.58, CHROME, 0.05)
    b.oval(0.10, 0.80, 0.08, RED_LAMP)


def _modern_van(b: _Body) -> None:
    r, wheels = 0.36, (0.96, 3.98)
    b.under(0.3, 4.6, r, wheels, 0.5)
    body = path(
        (0.05, 0.28, 0.08), (0.0, 1.0, 0.2), (0.08, 2.02, 0.16), (0.5, 2.10, 0.2), (3.1, 2.10, 0.5),
        (3.78, 1.86, 0.4), (4.40, 1.18, 0.3),
        (4.82, 0.98, 0.28), (4.90, 0.52, 0.15), (4.84, 0.28, 0.10),
    )  # fmt: skip
    b.shape(body, coat(1.12, 0.5))
    b.poly(Mat((110, 110, 114), 1.1), (0.2, 2.02, 0.03), (3.0, 2.03, 0.2), (3.6, 1.84, 0.1), (3.0, 1.95, 0.2),
        (0.2, 1.96),
           clip=body, soft=0.02, opacity=0.55, ink=False)  # fmt: skip
    b.window((2.94, 1.20, 0.05), (2.94, 1.82, 0.05), (3.36, 1.84, 0.10), (3.58, 1.70, 0.1), (4.12, 1.20, 0.06))
    b.driver(3.30, 1.46, 0.18)
    b.line(0.05, Mat((0, 0, 0), 0.9), (3.42, 1.18), (3.42, 1.84), ink=False)
    # A panel van: pressed panels instead of windows, and the rail of the sliding door.
    for x in (0.34, 1.66):
        b.rect(x, 1.16, x + 1.12, 1.84, Mat((10, 10, 10), 0.90), 0.08)
        b.line(0.03, Mat((60, 60, 62), 1.1), (x + 0.05, 1.16), (x + 1.06, 1.16), ink=False)
    b.line(0.03, Mat((0, 0, 0), 0.38), (0.3, 1.04), (2.84, 1.04))
    b.line(0.024, Mat((0, 0, 0), 0.40), (1.56, 2.0), (1.56, 0.40))
    b.line(0.024, Mat((0, 0, 0), 0.40), (2.86, 1.96), (2.86, 0.40))
    b.line(0.024, Mat((0, 0, 0), 0.40), (3.96, 1.20), (3.72, 0.42), ink=False)
    for x in (2.62, 2.98):
        b.rect(x, 0.92, x + 0.18, 0.97, DARK, 0.02, ink=False)
    for x in wheels:
        b.arch(x, r, body)
    b.rect(1.4, 0.26, 3.5, 0.40, grey(40), 0.03, clip=body, ink=False)
    b.poly(grey(38), (4.44, 0.28, 0.04), (4.42, 0.50, 0.08), (4.94, 0.54, 0.08), (4.94, 0.30, 0.08))
    b.poly(WARM, (4.34, 0.96, 0.04), (4.66, 0.98, 0.08), (4.85, 0.76, 0.04), (4.56, 0.76, 0.05))
    b.rect(0.0, 0.74, 0.13, 1.20, RED_LAMP, 0.04)
    b.oval(4.08, 1.28, 0.12, DARK, 0.15)
    for x in wheels:
        b.wheel(x, r, "steel")


def _vintage_van(b: _Body) -> None:
    r, wheels = 0.42, (0.92, 3.76)
    b.under(0.3, 4.0, r, wheels, 0.56)
    body = path(
        (0.16, 0.50), (0.02, 1.2, 0.3), (0.22, 2.02, 0.60), (1.2, 2.20, 0.6), (2.5, 2.16, 0.4), (2.98, 1.96, 0.34),
        (3.20, 1.26, 0.1),
        (3.24, 0.50),
    )  # fmt: skip
    b.shape(body, coat(1.16, 0.6, 44))
    b.poly(Mat((130, 130, 134), 1.1), (0.3, 1.96, 0.1), (1.2, 2.13, 0.5), (2.5, 2.09, 0.3), (1.2, 2.06, 0.5),
           clip=body, soft=0.025, opacity=0.6, ink=False)  # fmt: skip
    b.window((2.36, 1.30, 0.06), (2.36, 1.86, 0.12), (2.82, 1.86, 0.14), (3.00, 1.30, 0.06))
    b.driver(2.64, 1.54, 0.16)
    # The panel carries a painted oval, as delivery vans did.
    b.oval(1.22, 1.42, 0.74, CREAM, 0.36)
    b.oval(1.22, 1.42, 0.66, Mat((0, 0, 0), 0.9), 0.29, ink=False)
    b.oval(1.22, 1.42, 0.58, CREAM, 0.22, ink=False)
    b.line(0.05, grey(70), (0.86, 1.44), (1.58, 1.44), ink=False)
    b.line(0.03, CHROME, (0.08, 1.06), (3.2, 1.10), ink=False)
    b.line(0.025, Mat((0, 0, 0), 0.4), (2.24, 2.0), (2.24, 0.56))
    hood = path(
        (3.10, 0.48), (3.12, 1.26, 0.05), (3.55, 1.32, 0.3), (4.06, 1.20, 0.30), (4.28, 0.92, 0.2), (4.30, 0.46)
    )
    b.shape(hood, coat(1.2, 0.62, 54))
    for k in range(3):
        b.line(0.03, Mat((0, 0, 0), 0.42), (3.34, 1.12 - 0.09 * k), (3.78, 1.09 - 0.09 * k), ink=k != 1)
    b.shape(path((4.10, 0.48, 0.03), (4.02, 1.10, 0.08), (4.26, 1.0, 0.12), (4.38, 0.48, 0.03)), CHROME)
    b.line(0.03, grey(50), (4.14, 0.95), (4.22, 0.52), ink=False)
    b.rect(1.4, 0.36, 3.2, 0.46, [(0, grey(120, 40)), (0.35, grey(44)), (1, grey(20))], 0.03)
    for x in wheels:
        b.wheel(x, r, "white")
    b.fender(0.92, r, 0.66, 0.70)
    b.fender(3.76, r, 0.64, 0.84)
    b.headlight(4.22, 1.00, 0.18)
    b.rect(4.34, 0.36, 4.62, 0.50, CHROME, 0.05)
    b.rect(-0.1, 0.40, 0.16, 0.54, CHROME, 0.05)
    b.oval(0.12, 0.78, 0.08, RED_LAMP)


def _modern_bus(b: _Body) -> None:
    r, wheels = 0.48, (2.0, 6.7)
    b.under(0.4, 8.2, r, wheels, 0.6)
    body = path(
        (0.06, 0.34, 0.10), (0.0, 1.4, 0.2), (0.05, 2.84, 0.22), (0.6, 2.95, 0.2), (8.1, 2.95, 0.3),
        (8.50, 2.70, 0.3), (8.62, 1.3, 0.3),
        (8.56, 0.34, 0.14),
    )  # fmt: skip
    b.shape(body, coat(1.10, 0.5))
    b.rect(1.0, 2.90, 3.4, 3.08, [(0, grey(225)), (1, grey(150))], 0.08)
    band = path(
        (0.22, 1.46, 0.10),
        (0.22, 2.54, 0.14),
        (8.22, 2.54, 0.2),
        (8.46, 2.3, 0.1),
        (8.54, 1.30, 0.06),
        (7.0, 1.30),
        (6.9, 1.46),
    )
    b.shape(band, grey(22))
    for k in range(5):
        x = 0.36 + 1.26 * k
        b.window((x, 1.52, 0.06), (x, 2.46, 0.06), (x + 1.16, 2.46, 0.06), (x + 1.16, 1.52, 0.06), glow=150)
        for j in (0.35, 0.82):
            b.oval(x + j, 1.66, 0.11, grey(34), 0.16, ink=False)
    b.window((7.72, 1.36, 0.05), (7.72, 2.22, 0.05), (8.38, 2.22, 0.15), (8.47, 1.36, 0.05))
    b.driver(8.02, 1.78, 0.19)
    b.rect(6.84, 0.46, 7.60, 2.46, [(0, grey(30)), (1, grey(20))], 0.06)
    for x in (6.90, 7.24):
        b.window((x, 0.60, 0.04), (x, 2.38, 0.04), (x + 0.29, 2.38, 0.04), (x + 0.29, 0.60, 0.04), glow=110)
    b.rect(7.66, 2.30, 8.30, 2.50, Mat((250, 170, 30), 0, 0, (160, 100, 10)), 0.03)
    for k in range(4):
        b.line(0.05, grey(30), (7.74 + 0.14 * k, 2.34), (7.74 + 0.14 * k, 2.46), ink=False)
    b.rect(0.10, 1.16, 6.78, 1.27, Mat((225, 225, 222)), ink=False)
    b.line(0.03, Mat((0, 0, 0), 0.42), (0.1, 0.74), (6.8, 0.74), ink=False)
    for x in wheels:
        b.arch(x, r, body)
    b.poly(WARM, (8.28, 0.66, 0.04), (8.28, 0.90, 0.05), (8.60, 0.94, 0.06), (8.60, 0.68, 0.05))
    b.rect(0.0, 0.78, 0.16, 1.30, RED_LAMP, 0.04)
    b.line(0.07, DARK, (8.50, 2.5), (8.78, 2.40), (8.80, 2.05))
    for x in wheels:
        b.wheel(x, r, "steel")


def _vintage_bus(b: _Body) -> None:
    r, wheels = 0.52, (1.75, 6.75)
    b.under(0.4, 7.2, r, wheels, 0.7)
    body = path(
        (0.20, 0.56), (0.0, 1.4, 0.4), (0.22, 2.62, 0.95), (1.5, 2.96, 0.9), (5.0, 2.96, 0.7), (5.96, 2.66, 0.5),
        (6.26, 1.60, 0.1),
        (6.28, 0.56),
    )  # fmt: skip
    b.shape(body, coat(1.14, 0.55, 40))
    roof = path((0.10, 2.06), (0.24, 2.60, 0.85), (1.5, 2.96, 0.9), (5.0, 2.96, 0.7), (5.94, 2.66, 0.5), (6.12, 2.08))
    b.shape(roof, [(0, Mat((255, 250, 235))), (0.5, CREAM), (1, Mat((190, 178, 150)))], clip=body)
    b.line(0.05, CHROME, (0.14, 2.06), (6.12, 2.06))
    for k in range(5):
        x = 0.50 + 0.94 * k
        b.window((x, 1.46, 0.10), (x, 2.34, 0.22), (x + 0.76, 2.34, 0.22), (x + 0.76, 1.46, 0.10), glow=150)
        b.oval(x + 0.4, 1.60, 0.12, grey(34), 0.16, ink=False)
    b.window((5.22, 1.46, 0.08), (5.22, 2.34, 0.2), (5.74, 2.34, 0.24), (6.00, 1.46, 0.08), glow=60)
    b.driver(5.54, 1.80, 0.19)
    # A rail for luggage on the roof.
    b.line(0.05, CHROME, (1.0, 3.08), (4.6, 3.08))
    for k in range(5):
        b.line(0.05, CHROME, (1.0 + 0.9 * k, 2.92), (1.0 + 0.9 * k, 3.08), ink=False)
    b.line(0.05, CHROME, (0.06, 1.24), (6.26, 1.24), ink=False)
    b.line(0.028, Mat((0, 0, 0), 0.42), (5.14, 2.3), (5.14, 0.6))
    hood = path((6.16, 0.54), (6.18, 1.66, 0.08), (6.8, 1.70, 0.4), (7.40, 1.52, 0.38), (7.62, 1.1, 0.2), (7.64, 0.54))
    b.shape(hood, coat(1.2, 0.62, 54))
    for k in range(4):
        b.line(0.045, Mat((0, 0, 0), 0.42), (6.44 + 0.17 * k, 1.42), (6.44 + 0.17 * k, 1.14), ink=k % 2 == 0)
    b.shape(path((7.42, 0.56, 0.03), (7.34, 1.40, 0.08), (7.60, 1.32, 0.12), (7.74, 0.56, 0.03)), CHROME)
    b.rect(2.6, 0.42, 5.9, 0.56, [(0, grey(120, 40)), (0.35, grey(44)), (1, grey(20))], 0.03)
    for x in wheels:
        b.wheel(x, r, "white")
    b.fender(1.75, r, 0.84, 0.88, 1.5)
    b.fender(6.75, r, 0.82, 1.04, 1.6)
    b.headlight(7.40, 1.28, 0.23)
    b.rect(7.66, 0.44, 8.02, 0.62, CHROME, 0.06)
    b.rect(-0.1, 0.46, 0.2, 0.64, CHROME, 0.06)
    b.oval(0.12, 0.95, 0.10, RED_LAMP)


def _ladder(b: _Body, x0: float, y0: float, x1: float, y1: float, rungs: int, gap: float = 0.26) -> None:
    for dy in (0.0, gap):
        b.line(0.09, [(0, grey(240, 20)), (1, grey(150))], (x0, y0 + dy), (x1, y1 + dy))
    for k in range(rungs + 1):
        t = k / rungs
        x, y = x0 + (x1 - x0) * t, y0 + (y1 - y0) * t
        b.line(0.06, grey(205), (x, y), (x, y + gap), ink=k % 2 == 0)


def _blue_light(b: _Body, x: float, y: float) -> None:
    b.rect(x - 0.22, y - 0.03, x + 0.22, y + 0.05, grey(60))
    b.rect(x - 0.19, y + 0.03, x + 0.19, y + 0.27, [(0, Mat((120, 190, 255), 0, 0, (60, 110, 200))),
        (1, Mat((20, 80, 230), 0, 0,
           (20, 60, 200)))], 0.10)  # fmt: skip


def _modern_fire_engine(b: _Body) -> None:
    r, wheels = 0.50, (1.7, 6.0)
    b.under(0.3, 7.2, r, wheels, 0.7)
    box = path((0.06, 0.46, 0.06), (0.0, 2.44, 0.08), (5.02, 2.44, 0.05), (5.02, 0.46))
    b.shape(box, coat(1.10, 0.55))
    cab = path(
        (5.06, 0.42), (5.06, 2.50, 0.14), (7.0, 2.50, 0.22), (7.48, 1.5, 0.2), (7.60, 0.9, 0.15), (7.58, 0.42, 0.12)
    )
    b.shape(cab, coat(1.14, 0.55))
    for k in range(3):
        x = 0.30 + 1.56 * k
        b.rect(
            x,
            0.94 if k != 1 else 1.12,
            x + 1.40,
            2.06,
            [(0, grey(214, 40)), (0.5, grey(176, 30)), (1, grey(140, 20))],
            0.04,
        )
        for j in range(6):
            y = 1.18 + 0.15 * j
            b.line(0.02, grey(120), (x + 0.03, y), (x + 1.37, y), ink=False)
    b.window((5.24, 1.42, 0.06), (5.24, 2.24, 0.06), (5.96, 2.24, 0.05), (5.96, 1.42, 0.05))
    b.window((6.10, 1.42, 0.05), (6.10, 2.24, 0.05), (6.86, 2.24, 0.12), (7.20, 1.42, 0.06))
    b.driver(6.56, 1.80, 0.20)
    b.line(0.03, Mat((0, 0, 0), 0.4), (6.03, 2.4), (6.03, 0.6))
    # Reflecting bands.
    b.rect(
        0.02, 0.66, 7.56, 0.84, Mat((252, 240, 120)), clip=path((0.0, 0.4), (0.0, 2), (7.58, 2), (7.58, 0.4)), ink=False
    )
    b.rect(5.10, 1.08, 7.50, 1.22, grey(244), clip=cab, ink=False)
    for outline in (box, cab):
        for x in wheels:
            b.arch(x, r, outline)
    b.rect(0.2, 2.42, 4.9, 2.54, grey(70))
    _ladder(b, -0.25, 2.60, 6.3, 2.72, 15, 0.28)
    b.rect(0.6, 2.42, 0.8, 2.66, grey(80), ink=False)
    b.rect(4.4, 2.42, 4.6, 2.70, grey(80), ink=False)
    _blue_light(b, 6.72, 2.52)
    _blue_light(b, 0.36, 2.86)
    b.poly(WARM, (7.24, 0.92, 0.04), (7.24, 1.10, 0.04), (7.56, 1.06, 0.05), (7.58, 0.90, 0.04))
    b.rect(0.0, 0.88, 0.14, 1.3, RED_LAMP, 0.04)
    b.poly(CHROME, (7.0, 0.40, 0.05), (7.0, 0.62, 0.05), (7.72, 0.64, 0.07), (7.72, 0.42, 0.07))
    for x in wheels:
        b.wheel(x, r, "steel")


def _vintage_fire_engine(b: _Body) -> None:
    r, wheels = 0.56, (1.45, 5.75)
    b.under(0.4, 6.3, r, wheels, 0.74)
    # Open body with seats, hose reel and a ladder on posts.
    bed = path((0.16, 0.66, 0.05), (0.05, 1.50, 0.15), (3.0, 1.50, 0.08), (3.1, 0.66))
    b.shape(bed, coat(1.14, 0.62, 40))
    b.line(0.05, Mat((226, 186, 84)), (0.24, 1.36), (2.9, 1.36), ink=False)
    b.line(0.05, Mat((226, 186, 84)), (0.24, 0.84), (2.9, 0.84), ink=False)
    b.oval(2.28, 1.78, 0.40, [(0, Mat((206, 170, 100))), (1, Mat((120, 84, 40)))])  # the hose reel
    b.oval(2.28, 1.78, 0.27, Mat((150, 112, 60)))
    b.oval(2.28, 1.78, 0.12, CHROME)
    seat = path((3.0, 0.62), (3.0, 1.70, 0.2), (3.22, 1.72, 0.1), (3.34, 1.22, 0.1), (4.10, 1.18, 0.1), (4.16, 0.62))
    b.shape(seat, coat(1.14, 0.6))
    b.rect(3.30, 1.16, 3.98, 1.30, Mat((70, 44, 30)), 0.05)
    b.rect(3.18, 1.24, 3.34, 1.74, Mat((70, 44, 30)), 0.05)
    if b.moving:
        b.poly(Mat((30, 34, 52)), (3.36, 1.24, 0.05), (3.40, 1.80, 0.12), (3.66, 1.80, 0.12), (3.92, 1.26, 0.05))
        b.oval(3.60, 1.98, 0.18, Mat((190, 140, 108)), 0.20)
        b.shape(oval(3.60, 2.04, 0.24, 0.20, 0, 180), CHROME)
    b.line(0.07, grey(40), (3.86, 1.70), (4.16, 1.20))
    hood = path((4.10, 0.60), (4.12, 1.52, 0.06), (4.8, 1.58, 0.3), (5.92, 1.50, 0.12), (6.02, 0.58, 0.05))
    b.shape(hood, coat(1.2, 0.64, 54))
    for k in range(6):
        b.line(0.045, Mat((0, 0, 0), 0.4), (4.56 + 0.17 * k, 1.32), (4.56 + 0.17 * k, 0.98), ink=k % 2 == 0)
    b.poly(CHROME, (5.90, 0.56, 0.04), (5.88, 1.62, 0.1), (6.10, 1.60, 0.08), (6.18, 0.56, 0.04))
    b.line(0.06, CHROME, (4.14, 1.50), (4.22, 2.16), (4.34, 2.22))  # the frame of the wind screen
    b.poly([(0, Mat((150, 170, 186), 0, 70)), (1, Mat((110, 130, 146), 0, 60))], (4.10, 1.54), (4.20, 2.10),
        (4.34, 2.14), (4.26, 1.54),
           opacity=0.55, ink=False)  # fmt: skip
    for x in (0.5, 2.86):
        b.line(0.09, CHROME, (x, 1.48), (x, 2.26))
    _ladder(b, -0.45, 2.22, 5.2, 2.34, 13, 0.28)
    _blue_light(b, 4.9, 1.58)
    b.oval(5.34, 1.80, 0.15, [(0, Mat((255, 222, 120))), (1, Mat((150, 104, 20)))], 0.17)  # the bell
    b.line(0.05, CHROME, (5.34, 1.98), (5.34, 2.06), ink=False)
    b.rect(2.2, 0.46, 4.9, 0.60, [(0, Mat((226, 186, 84))), (0.4, grey(50)), (1, grey(22))], 0.03)
    for x in wheels:
        b.wheel(x, r, "spoked")
    b.fender(1.45, r, 0.86, 0.90, 1.5)
    b.fender(5.75, r, 0.82, 1.06, 1.56)
    b.headlight(6.30, 1.34, 0.24)
    b.rect(6.30, 0.46, 6.86, 0.62, CHROME, 0.06)
    b.oval(0.10, 1.0, 0.10, RED_LAMP)


def _bicycle_wheel(b: _Body, x: float, r: float, spokes: int, tyre: float, tint: Fill) -> None:
    r *= b.sr
    x, pen = (x - b.middle) * b.sx, b.pen
    pen.shape(oval(x, r, r), RUBBER, cut=[oval(x, r, r - tyre)])
    pen.shape(oval(x, r, r - tyre * 0.85), tint, cut=[oval(x, r, r - tyre * 1.75)], ink=False)
    if b.moving:
        pen.oval(x, r, r - tyre * 1.7, grey(206), ink=False, opacity=0.22)
    for k in range(0 if b.moving else spokes):
        a = math.pi * (k + 0.25) / spokes
        c, s = math.cos(a) * (r - tyre), math.sin(a) * (r - tyre)
        pen.stroke([(x - c, r - s), (x + c, r + s)], 0.008, grey(196), opacity=0.9, ink=k % 3 == 0)
    pen.oval(x, r, 0.05, CHROME)


def _rider(b: _Body, hip: Point, hand: Point, knee: Point, foot: Point, size: float = 1.0) -> None:
    """A rider in grey, so that the bicycle alone carries the colour."""
    (hx, hy), (ax, ay) = hip, hand
    sx, sy = hx + 0.30 * size, hy + 0.50 * size
    b.line(0.13 * size, Mat((70, 74, 84)), hip, knee, foot)
    b.poly([(0, Mat((142, 148, 156))), (1, Mat((96, 100, 110)))], (hx - 0.14 * size, hy - 0.06, 0.06),
        (sx - 0.16 * size, sy, 0.10),
           (sx + 0.08 * size, sy + 0.03, 0.08), (hx + 0.16 * size, hy - 0.08, 0.06))  # fmt: skip
    b.line(
        0.085 * size, Mat((150, 156, 164)), (sx - 0.02, sy - 0.05), ((sx + ax) / 2 + 0.02, (sy + ay) / 2 - 0.06), hand
    )
    b.oval(sx + 0.08 * size, sy + 0.19 * size, 0.125 * size, Mat((206, 156, 122)), 0.14 * size)
    b.shape(oval(sx + 0.06 * size, sy + 0.23 * size, 0.15 * size, 0.14 * size, -8, 190), Mat((40, 42, 50)))
    b.oval(foot[0] + 0.04, foot[1] - 0.02, 0.09, Mat((36, 34, 36)), 0.045)


def _modern_bicycle(b: _Body) -> None:
    r = 0.37
    rear, front, crank = (0.40, r * b.sr), (1.46, r * b.sr), (0.86, 0.36)
    tube = coat(1.15, 0.8, 30)
    _bicycle_wheel(b, rear[0], r, 9, 0.055, tube)
    _bicycle_wheel(b, front[0], r, 9, 0.055, tube)

    b.line(0.045, tube, rear, (0.69, 0.78))
    b.line(0.05, tube, rear, crank)
    if b.moving:
        _rider(b, (0.66, 1.0), (1.28, 1.05), (1.0, 0.80), (0.95, 0.26))
    b.line(0.075, tube, (0.68, 0.80), crank)
    b.line(0.085, tube, crank, (1.29, 0.80))
    b.line(0.080, tube, (0.69, 0.79), (1.27, 0.87))
    b.line(0.065, tube, (1.25, 0.98), (1.30, 0.80), front)
    # Mudguards, a pannier and a chain guard in the frame's colour.
    for x, a0, a1 in ((rear[0], 20, 175), (front[0], 40, 165)):
        pts = oval(x, r * b.sr / b.sy, r * 1.12 * b.sr, r * 1.12 * b.sr / b.sy, a0, a1)
        b.line(0.05, tube, *pts)
    b.rect(0.14, 0.40, 0.56, 0.76, coat(1.1, 0.7), 0.06)
    b.line(0.02, Mat((0, 0, 0), 0.45), (0.15, 0.64), (0.55, 0.64), ink=False)
    b.oval(crank[0], crank[1], 0.10, grey(54))
    b.oval(crank[0], crank[1], 0.05, CHROME, ink=False)
    b.line(0.04, grey(70), crank, (0.95, 0.24))
    b.line(0.04, grey(60), (0.67, 0.80), (0.655, 0.92))
    b.poly(grey(28), (0.50, 0.95, 0.05), (0.52, 1.0, 0.03), (0.84, 0.97, 0.04), (0.82, 0.93, 0.03))
    b.line(0.045, grey(40), (1.24, 0.97), (1.22, 1.06), (1.36, 1.08), (1.44, 1.02))
    b.oval(1.40, 0.92, 0.055, WARM)
    b.oval(0.05, 0.62, 0.04, RED_LAMP)
    if not b.moving:
        b.line(0.035, grey(70), (0.72, 0.36), (0.60, 0.0))


def _vintage_bicycle(b: _Body) -> None:
    big, small = 0.76, 0.26
    front, rear = (1.15, big * b.sr), (0.24, small * b.sr)
    tube = coat(1.15, 0.8, 30)
    _bicycle_wheel(b, rear[0], small, 7, 0.05, tube)
    _bicycle_wheel(b, front[0], big, 12, 0.06, tube)
    crown = (1.10, big * 2 * b.sr + 0.10)
    back = [(1.10, crown[1]), (0.72, crown[1] - 0.06), (0.34, crown[1] * 0.62), (0.22, 0.55), rear]
    if b.moving:
        _rider(b, (0.86, crown[1] + 0.12), (1.24, crown[1] + 0.22), (1.16, big * 1.35), (1.06, big * 0.8), 0.86)
    b.line(0.085, tube, *curve(*back))
    b.line(0.085, tube, crown, (front[0], front[1]))
    pts = oval(front[0], big * b.sr / b.sy, big * 1.06 * b.sr, big * 1.06 * b.sr / b.sy, 60, 170)
    b.line(0.05, tube, *pts)
    b.oval(front[0], front[1] / b.sy, 0.10, CHROME)
    b.line(0.045, grey(70), (front[0], front[1] / b.sy), (1.24, big * b.sr / b.sy - 0.22))
    b.rect(1.18, big - 0.27, 1.32, big - 0.22, grey(40), 0.01)
    b.poly(Mat((92, 56, 34)), (0.66, crown[1] + 0.02, 0.04), (0.68, crown[1] + 0.10, 0.04),
        (1.02, crown[1] + 0.08, 0.04),
           (0.98, crown[1] + 0.02, 0.04))  # fmt: skip
    b.line(0.05, grey(50), crown, (1.12, crown[1] + 0.16))
    b.line(0.05, grey(50), (1.04, crown[1] + 0.17), (1.12, crown[1] + 0.18), (1.28, crown[1] + 0.12))
    b.headlight(1.28, crown[1] - 0.02, 0.075)
    if not b.moving:
        b.line(0.04, grey(80), (0.46, 0.78), (0.62, 0.0))


_DRAW = {
    ("truck", "modern"): _modern_truck,
    ("truck", "vintage"): _vintage_truck,
    ("car", "modern"): lambda b: _modern_car(b, taxi=False),
    ("car", "vintage"): lambda b: _vintage_car(b, taxi=False),
    ("bus", "modern"): _modern_bus,
    ("bus", "vintage"): _vintage_bus,
    ("van", "modern"): _modern_van,
    ("van", "vintage"): _vintage_van,
    ("taxi", "modern"): lambda b: _modern_car(b, taxi=True),
    ("taxi", "vintage"): lambda b: _vintage_car(b, taxi=True),
    ("fire engine", "modern"): _modern_fire_engine,
    ("fire engine", "vintage"): _vintage_fire_engine,
    ("bicycle", "modern"): _modern_bicycle,
    ("bicycle", "vintage"): _vintage_bicycle,
}


def draw(kind: str, age: str, moving: bool, width: float, look: Look, line: float) -> Sprite:
    """The vehicle facing right, `width` pixels long before the look's proportions, anchored below its middle."""
    shape = SHAPES[kind, age]
    half, top = shape.length / 2 * look.length, shape.height * look.height * max(1, look.wheel)
    rider = 0.75 * look.height if kind == "bicycle" and moving else 0
    pen = Pen((-half - 0.5, -0.06, half + 0.4, top + 0.25 + rider), width / shape.length, line)
    _DRAW[kind, age](_Body(pen, shape.length, look, moving))
    return pen.sprite()
