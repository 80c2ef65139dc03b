"""The four kinds of trees, in leaf or bare, and the dog, the cat and the person that walk beside them.

A tree is 1 unit high and stands at (0, 0). Leaves are round spots in clumps, each shaded by where it faces.
"""

from __future__ import annotations

import math

import numpy as np

from helpers.worlds.drawing.pen import RGB, Mat, Pen, Point, Sprite, curve, grey, mix, oval, path
from helpers.worlds.street.drawing.palette import leaf
from helpers.worlds.street.view import Look

BARK = {"oak": (92, 68, 48), "birch": (226, 224, 216), "pine": (98, 66, 46), "palm": (150, 116, 80)}
LEAVES = {  # in shadow, in half light, in sun
    "oak": ((24, 52, 22), (56, 104, 38), (134, 168, 64)),
    "birch": ((66, 94, 30), (124, 158, 52), (206, 214, 100)),
    "pine": ((10, 34, 32), (24, 66, 54), (74, 122, 88)),
    "palm": ((18, 62, 30), (50, 120, 48), (140, 188, 76)),
}
HEIGHTS = {"oak": 0.49, "birch": 0.50, "pine": 0.52, "palm": 0.53}  # of the picture, at the tree line
SNOW = (240, 244, 250)


def _bark(kind: str, sun: float) -> list[tuple[float, Mat]]:
    """Bark across a trunk: the sunny side is lighter."""
    rgb = BARK[kind]
    lit, dark = Mat(mix(rgb, (255, 248, 230), 0.22)), Mat(mix(rgb, (10, 12, 20), 0.55 if kind != "birch" else 0.38))
    return [(0, lit), (0.35, Mat(rgb)), (1, dark)] if sun <= 0 else [(0, dark), (0.65, Mat(rgb)), (1, lit)]


def draw_tree(kind: str, bare: bool, snow: bool, variant: int, height: float, look: Look, line: float) -> Sprite:
    """A tree `height` pixels high."""
    rng = np.random.default_rng([0x7EE, variant, *kind.encode()])
    half = 0.62 * look.crown
    pen = Pen((-half, -0.02, half, 1.1), height, line)
    wide = look.crown
    if bare:
        _bare(pen, kind, snow, rng, wide, look.sun)
    else:
        {"oak": _oak, "birch": _birch, "pine": _pine, "palm": _palm}[kind](pen, snow, rng, wide, look)
    return pen.sprite()


def _trunk(pen: Pen, kind: str, sun: float, spine: list[Point], thick: float, thin: float) -> None:
    left, right = [], []
    for k, (x, y) in enumerate(spine):
        t = k / (len(spine) - 1)
        half = 0.5 * (thick + (thin - thick) * t) * (1 + 0.8 * max(0, 0.12 - t) / 0.12)
        left.append((x - half, y))
        right.append((x + half, y))
    outline = [*left, *right[::-1]]
    pen.shape(outline, _bark(kind, sun), across=True)
    if kind == "oak":  # furrows
        for share, start in ((0.22, 0.05), (0.45, 0.35), (0.62, 0.0), (0.80, 0.25)):
            furrow = [(a[0] + (b[0] - a[0]) * share, a[1]) for a, b in zip(left, right, strict=True)]
            a = int(start * len(furrow))
            pen.stroke(furrow[a : a + len(furrow) // 2], 0.05 * thick, Mat((48, 34, 26)), opacity=0.5, ink=False)


def _clumps(
    pen: Pen, kind: str, blobs: np.ndarray, per: int, size: float, snow: bool, rng: np.random.Generator, look: Look,
    squash: float = 0.85,
) -> None:  # fmt: skip
    """Leaves as spots in `blobs` (n, 3) of x, y, radius, back ones first, with a sunny and a shady side."""
    dark, mid, light = (leaf(look, rgb) for rgb in LEAVES[kind])
    cx, cy = blobs[:, 0].mean(), blobs[:, 1].mean()
    reach = max(float(np.abs(blobs[:, :2] - (cx, cy)).max()) + float(blobs[:, 2].max()), 1e-6)
    for x, y, r in blobs.tolist():
        pen.contour(_scallop(x, y, r, r * squash, rng))
    spots, colours = [], []
    for x, y, r in blobs.tolist():
        angle, far = rng.random(per) * 2 * math.pi, np.sqrt(rng.random(per))
        order = np.argsort(-far + 0.5 * rng.random(per))
        angle, far, noise = angle[order], far[order], rng.random(per)
        dx, dy = np.cos(angle) * far, np.sin(angle) * far
        px, py = x + r * dx, y + r * squash * dy
        # How much a leaf faces the sun: by its place on its clump, and of the clump in the crown.
        shade = 0.50 + 0.30 * (look.sun * dx * 0.8 + dy) + 0.34 * (noise - 0.5)
        shade += 0.30 * (look.sun * 0.8 * (px - cx) + (py - cy)) / reach
        rgb = _tones(np.clip(shade, 0, 1), dark, mid, light)
        if snow:
            white = (dy > 0.42) & (py > cy - 0.25 * reach) & (noise > 0.3)
            tones = _tones(np.clip(shade, 0, 1), (170, 186, 210), (205, 215, 230), SNOW)
            rgb = np.where(white[:, None], tones, rgb)
        spots.append(np.stack([px, py, size * (0.7 + 0.6 * noise)], -1))
        colours.append(rgb)
    pen.dots(np.concatenate(spots), np.concatenate(colours), leaves=True)


def _tones(shade: np.ndarray, dark: RGB, mid: RGB, light: RGB) -> np.ndarray:
    """Colours (n, 3) for shades from 0 (dark) to 1 (light)."""
    return np.stack([np.interp(shade, (0, 0.5, 1), band) for band in zip(dark, mid, light, strict=True)], -1)


def _scallop(x: float, y: float, rx: float, ry: float, rng: np.random.Generator) -> list[Point]:
    n, turn = 9, rng.random()
    points = []
    for k in range(n):
        for u in (0.0, 0.25, 0.5, 0.75):
            a = 2 * math.pi * (k + u + turn) / n
            bump = 0.92 + 0.13 * math.sin(math.pi * u)
            points.append((x + rx * bump * math.cos(a), y + ry * bump * math.sin(a)))
    return points


def _oak(pen: Pen, snow: bool, rng: np.random.Generator, wide: float, look: Look) -> None:
    lean = 0.03 * (rng.random() - 0.5)
    _trunk(pen, "oak", look.sun, curve((0, 0), (lean, 0.2), (lean * 0.5, 0.5)), 0.085, 0.055)
    for sx in (-1, 1):
        _trunk(pen, "oak", look.sun, curve((0.01 * sx, 0.24), (0.10 * sx, 0.38), (0.22 * sx * wide, 0.50)), 0.045, 0.02)
    ring = []
    for k in range(9):
        a = 2 * math.pi * (k + 0.5 * rng.random()) / 9
        ring.append((0.245 * wide * math.cos(a), 0.655 + 0.185 * math.sin(a), 0.135 + 0.04 * rng.random()))
    ring.sort(key=lambda b: -b[1])
    heart = [(0.02, 0.66, 0.20), (-0.12 * wide, 0.62, 0.15), (0.11 * wide, 0.58, 0.15), (-0.02, 0.76, 0.15)]
    _clumps(pen, "oak", np.array([*ring[:5], *heart, *ring[5:]]), 185, 0.0098, snow, rng, look)


def _birch(pen: Pen, snow: bool, rng: np.random.Generator, wide: float, look: Look) -> None:
    back = []
    for k in range(7):
        t = k / 6
        back.append(((rng.random() - 0.5) * 0.20 * wide, 0.42 + 0.46 * t, 0.10 - 0.035 * abs(t - 0.4)))
    _clumps(pen, "birch", np.array(back), 100, 0.0086, snow, rng, look, 1.2)
    _birch_trunk(pen, rng, look.sun)
    front = []
    for k in range(9):
        t = (k + 0.5) / 9
        side = (-1) ** k * (0.05 + 0.09 * rng.random()) * math.sin(math.pi * (0.18 + 0.78 * t))
        front.append((side * 1.35 * wide, 0.40 + 0.56 * t, 0.085 - 0.035 * t))
    front.reverse()
    _clumps(pen, "birch", np.array(front), 96, 0.0082, snow, rng, look, 1.35)


def _birch_trunk(pen: Pen, rng: np.random.Generator, sun: float) -> None:
    bend = 0.04 * (rng.random() - 0.5)
    spine = curve((0, 0), (bend, 0.3), (bend * 0.6, 0.6), (0, 0.93))
    _trunk(pen, "birch", sun, spine, 0.050, 0.012)
    for k in range(11):
        y = 0.03 + 0.05 * k + 0.02 * rng.random()
        x = bend * math.sin(min(y / 0.6, 1) * math.pi / 2)
        w, side = 0.012 + 0.012 * rng.random(), (-1) ** k * 0.010
        pen.shape(oval(x + side, y, w, 0.006), Mat((38, 36, 36)), ink=False)


def _pine(pen: Pen, snow: bool, rng: np.random.Generator, wide: float, look: Look) -> None:
    _trunk(pen, "pine", look.sun, [(0, 0), (0, 0.12), (0, 0.3)], 0.055, 0.04)
    dark, mid, light = (leaf(look, rgb) for rgb in LEAVES["pine"])
    tiers = 8
    for k in range(tiers):
        t = k / (tiers - 1)
        low, high = 0.10 + 0.70 * t, 0.10 + 0.70 * t + 0.24 - 0.05 * t
        reach = (0.235 * (1 - t) ** 0.9 + 0.045) * wide
        rim = []
        n = 11
        for j in range(n):
            u = -1 + 2 * j / (n - 1)
            droop = 0.035 * u * u
            rim.append((u * reach * (1 + 0.08 * (rng.random() - 0.5)), low - droop * 0.6 + 0.012 * rng.random()))
            if j < n - 1:
                rim.append(((u + 1 / (n - 1)) * reach * 0.96, low + 0.030 + 0.01 * rng.random()))
        skirt = [(0.0, high), *rim]
        skirt.insert(1, (-reach * 0.35, low + 0.55 * (high - low)))
        skirt.append((reach * 0.35, low + 0.55 * (high - low)))
        pen.shape(skirt, [(0, Mat(mix(mid, light, 0.30))), (0.55, Mat(mid)), (1, Mat(dark))])
        # The sunny side of each tier, then needles.
        side = -1 if look.sun <= 0 else 1
        sunny = [(0.0, high), (side * reach * 0.35, low + 0.55 * (high - low)), (side * reach * 0.95, low + 0.01),
                 (side * reach * 0.45, low + 0.03)]  # fmt: skip
        pen.shape(sunny, Mat(light), soft=0.008, opacity=0.45, clip=skirt, ink=False)
        u, v, noise = 2 * rng.random(34) - 1, rng.random(34), rng.random(34)
        shade = np.clip(0.35 + 0.35 * v + 0.35 * side * u + 0.4 * (noise - 0.5), 0, 1)
        rgb = _tones(shade, dark, mid, light)
        if snow:
            tones = _tones(shade, (190, 204, 224), (218, 226, 238), SNOW)
            rgb = np.where(((v < 0.42) & (noise > 0.25))[:, None], tones, rgb)
        spots = np.stack(
            [u * reach * (1 - v * 0.85), low + v * (high - low) * 0.8, 0.0085 + 0.005 * rng.random(34)], -1
        )
        pen.dots(spots, rgb)


def _palm(pen: Pen, snow: bool, rng: np.random.Generator, wide: float, look: Look) -> None:
    bend = 0.10 * (1 if rng.random() < 0.5 else -1) * (0.6 + 0.6 * rng.random())
    spine = curve((0, 0), (bend * 0.25, 0.25), (bend * 0.65, 0.5), (bend, 0.72))
    dark, mid, light = (leaf(look, rgb) for rgb in LEAVES["palm"])
    angles = [200, 338, 172, 8, 222, 316, 145, 36, 118, 62, 90]
    head = (bend, 0.73)
    for k, angle in enumerate(angles):
        if k == 4:
            _trunk(pen, "palm", look.sun, spine, 0.058, 0.034)
            for j in range(14):
                x, y = spine[min(int((j + 1) / 15 * len(spine)), len(spine) - 1)]
                pen.stroke(
                    [(x - 0.022, y + 0.006), (x, y - 0.002), (x + 0.022, y + 0.006)],
                    0.006,
                    Mat((96, 70, 46)),
                    ink=j % 3 == 0,
                )
        a = math.radians(angle + 14 * (rng.random() - 0.5))
        length = (0.34 + 0.05 * rng.random()) * (0.82 + 0.18 * abs(math.cos(a)))
        dx, dy = math.cos(a) * wide, math.sin(a)
        mids = (head[0] + dx * length * 0.55, head[1] + dy * length * 0.50 + 0.10)
        tip = (head[0] + dx * length * 1.08, head[1] + dy * length * 0.62 - 0.10 * abs(dx))
        rib = curve(head, mids, tip, steps=9)
        upper, lower = [], []
        for j in range(len(rib) - 1):
            (x0, y0), (x1, y1) = rib[j], rib[j + 1]
            ux, uy = x1 - x0, y1 - y0
            norm = math.hypot(ux, uy) or 1
            ux, uy = ux / norm, uy / norm
            t = j / (len(rib) - 1)
            w = 0.078 * math.sin(math.pi * (0.10 + 0.86 * t)) ** 0.7
            for line, sign in ((upper, 1), (lower, -1)):
                line.append((x0 + ux * 0.01, y0 + uy * 0.01))
                line.append((x0 + ux * 0.05 - sign * uy * w * 0.8, y0 + uy * 0.05 + sign * ux * w * 0.8 - 0.025))
        shade = 0.5 + 0.5 * (dy * 0.6 + look.sun * dx * 0.6)
        top = mix(mid, light, min(max(shade, 0), 1))
        frond = [*upper, tip, *lower[::-1]]
        pen.shape(frond, [(0, Mat(SNOW if snow else top)), (0.4, Mat(mix(mid, dark, 0.15))), (1, Mat(dark))], ink=False)
        pen.stroke(rib, 0.008, Mat(mix(light, (220, 220, 140), 0.3)))
        for line in (upper, lower):  # in a drawing, few of the leaflets
            for j in range(2, len(line) - 1, 6):
                pen.stroke([line[j], line[j + 1]], 0.003, Mat(mid))
    for dx, dy in ((-0.02, -0.03), (0.022, -0.032), (0.0, -0.045)):
        pen.oval(head[0] + dx, head[1] + dy, 0.022, [(0, Mat((150, 100, 54))), (1, Mat((76, 46, 24)))])


def _bare(pen: Pen, kind: str, snow: bool, rng: np.random.Generator, wide: float, sun: float) -> None:

    def grow(x: float, y: float, angle: float, length: float, thick: float, level: int) -> None:
        bent = angle + 0.25 * (rng.random() - 0.5)
        mx, my = x + math.cos(angle) * length * 0.5, y + math.sin(angle) * length * 0.5
        ex, ey = mx + math.cos(bent) * length * 0.5 * (wide if level < 3 else 1), my + math.sin(bent) * length * 0.5
        if thick > 0.016:
            _limb(pen, kind, sun, (x, y), (mx, my), (ex, ey), thick)
        else:
            rgb = mix(BARK[kind], (20, 18, 20), 0.15)
            pen.stroke(curve((x, y), (mx, my), (ex, ey), steps=3), max(thick, 0.006), Mat(rgb), opacity=0.95)
        if snow and thick > 0.005:
            up = thick * 0.45
            pen.stroke([(x, y + up), (mx, my + up), (ex, ey + up)], max(thick * 0.35, 0.005), Mat(SNOW), ink=False)
        if level == 5 or length < 0.03:
            return
        forks = (-1, 1) if level else (-1, 0, 1)
        for f in forks:
            spread = 0.44 * (0.75 + 0.5 * rng.random())
            turn = angle + f * spread + 0.16 * (rng.random() - 0.5)
            turn += 0.10 * math.cos(turn) * -1  # limbs level out
            grow(ex, ey, turn, length * (0.74 + 0.12 * rng.random()), thick * (0.62 if f else 0.7), level + 1)

    if kind == "oak":
        grow(0, 0, math.pi / 2 + 0.06 * (rng.random() - 0.5), 0.255, 0.080, 0)
        return
    twig = (78, 56, 52)
    for k in range(19):
        y, side = 0.25 + 0.036 * k, 1 if k % 2 else -1
        reach = (0.165 - 0.0065 * k) * (0.75 + 0.5 * rng.random()) * wide
        rise = 0.13 + 0.06 * rng.random() - 0.004 * k
        limb = curve(
            (0, y),
            (side * reach * 0.35, y + 0.45 * rise),
            (side * reach * 0.75, y + 0.9 * rise),
            (side * reach, y + rise),
        )
        pen.stroke(limb, 0.0075, Mat(mix((196, 190, 182), twig, 0.5)))
        if snow:
            pen.stroke([(px, py + 0.005) for px, py in limb], 0.005, Mat(SNOW), ink=False)
        for j in range(6, len(limb), 2):
            px, py = limb[j]
            length, out = 0.030 + 0.035 * rng.random(), side if j % 4 else -side * 0.4
            tip = (px + out * length * 0.9, py + length * 0.35)
            pen.stroke(
                curve((px, py), (px + out * length * 0.5, py + length * 0.45), tip, steps=3),
                0.0036,
                Mat(twig),
                ink=j % 4 == 0,
            )
    _birch_trunk(pen, rng, sun)
    for k in range(7):
        u = (k - 3) / 3
        pen.stroke(curve((0, 0.84), (u * 0.035, 0.94), (u * 0.075, 0.97 - 0.04 * abs(u)), steps=4), 0.006, Mat(twig))


def _limb(pen: Pen, kind: str, sun: float, a: Point, b: Point, c: Point, thick: float) -> None:
    pen.stroke([a, b, c], thick, Mat(BARK[kind]))
    side = -1 if sun <= 0 else 1
    lit = [(x + side * thick * 0.26, y + thick * 0.1) for x, y in (a, b, c)]
    dim = [(x - side * thick * 0.26, y - thick * 0.1) for x, y in (a, b, c)]
    pen.stroke(dim, thick * 0.45, Mat(mix(BARK[kind], (12, 10, 16), 0.45)), ink=False, opacity=0.8)
    pen.stroke(lit, thick * 0.28, Mat(mix(BARK[kind], (255, 244, 220), 0.30)), ink=False, opacity=0.8)


BEING_HEIGHTS = {"dog": 0.090, "cat": 0.088, "person": 0.180}  # of the picture, at the pavement


def draw_being(kind: str, variant: int, height: float, line: float) -> Sprite:
    """A being `height` pixels high, facing right; its anchor is between its feet."""
    rng = np.random.default_rng([0xBE, variant, *kind.encode()])
    pen = Pen((-0.85, -0.03, 0.85, 1.08), height, line)
    {"dog": _dog, "cat": _cat, "person": _person}[kind](pen, rng)
    return pen.sprite()


def _fur(rgb: tuple[float, float, float]) -> list[tuple[float, Mat]]:
    return [(0, Mat(mix(rgb, (255, 246, 226), 0.25))), (0.5, Mat(rgb)), (1, Mat(mix(rgb, (16, 14, 20), 0.42)))]


def _dog(pen: Pen, rng: np.random.Generator) -> None:
    rgb = ((158, 108, 62), (196, 156, 104), (108, 74, 50))[int(rng.random() * 3)]
    far = Mat(mix(rgb, (16, 14, 20), 0.5))
    for x in (-0.38, 0.30):
        pen.shape(path((x - 0.06, 0), (x - 0.06, 0.42), (x + 0.09, 0.42), (x + 0.04, 0)), far)
    tail = curve((-0.56, 0.62), (-0.72, 0.80), (-0.70, 0.98))
    pen.stroke(tail, 0.10, Mat(rgb))
    body = path((-0.62, 0.34, 0.15), (-0.64, 0.68, 0.2), (-0.2, 0.66, 0.3), (0.30, 0.74, 0.2), (0.50, 0.66, 0.15),
        (0.48, 0.36, 0.2),
                (0.1, 0.32, 0.2), (-0.3, 0.40, 0.2))  # fmt: skip
    pen.shape(body, _fur(rgb))
    for x in (-0.50, 0.36):
        pen.shape(
            path((x - 0.09, 0.0, 0.02), (x - 0.11, 0.50, 0.1), (x + 0.13, 0.50, 0.1), (x + 0.08, 0.0, 0.02)), _fur(rgb)
        )
    pen.shape(path((0.24, 0.60, 0.1), (0.36, 0.94, 0.12), (0.60, 1.0, 0.14), (0.80, 0.84, 0.08), (0.80, 0.72, 0.06),
        (0.58, 0.68, 0.1),
                   (0.48, 0.50, 0.1)), _fur(rgb))  # fmt: skip
    pen.shape(
        path((0.36, 0.96, 0.06), (0.28, 0.62, 0.08), (0.42, 0.62, 0.08), (0.50, 0.92, 0.06)),
        Mat(mix(rgb, (16, 14, 20), 0.45)),
    )
    pen.oval(0.79, 0.83, 0.045, Mat((20, 18, 20)))
    pen.oval(0.60, 0.88, 0.03, Mat((20, 18, 20)), ink=False)
    pen.stroke([(0.32, 0.62), (0.50, 0.64)], 0.07, Mat((40, 70, 150)), ink=False)


def _cat(pen: Pen, rng: np.random.Generator) -> None:
    """Sitting, the tail around its side, the face turned to the viewer."""
    rgb = ((86, 84, 88), (206, 134, 64), (60, 56, 60))[int(rng.random() * 3)]
    stripe = Mat(mix(rgb, (14, 12, 16), 0.5))
    pen.stroke(curve((-0.26, 0.07), (-0.54, 0.10), (-0.62, 0.36), (-0.50, 0.50)), 0.095, Mat(rgb))
    pen.shape(
        path(
            (-0.34, 0.0, 0.1),
            (-0.38, 0.34, 0.2),
            (-0.10, 0.66, 0.2),
            (0.16, 0.68, 0.1),
            (0.26, 0.3, 0.2),
            (0.24, 0.0, 0.05),
        ),
        _fur(rgb),
    )
    for y in (0.28, 0.40, 0.52):
        pen.stroke([(-0.31 + 0.25 * (y - 0.28), y), (-0.10, y + 0.03)], 0.035, stripe, ink=False)
    pen.shape(
        path((0.02, 0.0, 0.03), (0.06, 0.40, 0.1), (0.24, 0.40, 0.1), (0.26, 0.0, 0.03)),
        _fur(mix(rgb, (250, 244, 232), 0.25)),
    )
    pen.oval(0.12, 0.48, 0.13, Mat((240, 234, 224)), 0.16, ink=False)
    for x, out in ((-0.07, -0.03), (0.31, 0.03)):
        pen.shape([(x - 0.09, 0.84), (x + out, 1.06), (x + 0.09, 0.84)], Mat(rgb))
    pen.oval(0.12, 0.78, 0.24, _fur(rgb), 0.185)
    for x in (0.03, 0.21):
        pen.oval(x, 0.80, 0.04, Mat((206, 214, 84)), ink=False)
        pen.oval(x, 0.80, 0.016, Mat((16, 16, 16)), 0.036, ink=False)
    pen.oval(0.12, 0.71, 0.08, Mat((240, 234, 224)), 0.05, ink=False)
    pen.oval(0.12, 0.735, 0.022, Mat((220, 130, 130)), ink=False)


def _person(pen: Pen, rng: np.random.Generator) -> None:
    coat = ((176, 140, 98), (92, 104, 120), (122, 92, 96), (104, 118, 98))[int(rng.random() * 4)]
    hair = ((56, 38, 28), (28, 24, 24), (150, 110, 60))[int(rng.random() * 3)]
    skin = ((224, 178, 146), (150, 104, 78), (194, 144, 110))[int(rng.random() * 3)]
    legs = (56, 62, 82)
    pen.shape(
        path((-0.06, 0.46), (-0.15, 0.24, 0.05), (-0.21, 0.04), (-0.13, 0.02), (-0.05, 0.22), (0.05, 0.46)),
        Mat(mix(legs, (8, 8, 16), 0.4)),
    )
    pen.shape(
        path((-0.03, 0.46), (0.07, 0.24, 0.05), (0.10, 0.03), (0.18, 0.03), (0.16, 0.26, 0.05), (0.10, 0.46)),
        _fur(legs),
    )
    pen.shape(path((-0.24, 0.0, 0.02), (-0.22, 0.055, 0.02), (-0.10, 0.03)), grey(30))
    pen.shape(path((0.09, 0.0, 0.01), (0.09, 0.055, 0.02), (0.25, 0.025, 0.02), (0.25, 0.0, 0.01)), grey(30))
    pen.shape(path((-0.11, 0.76, 0.04), (-0.19, 0.56, 0.05), (-0.15, 0.44), (-0.10, 0.45), (-0.10, 0.57, 0.05),
        (-0.02, 0.74)),
              Mat(mix(coat, (8, 8, 16), 0.4)))  # fmt: skip
    pen.shape(path((-0.13, 0.38, 0.03), (-0.13, 0.72, 0.08), (-0.04, 0.83, 0.05), (0.06, 0.82, 0.05),
        (0.13, 0.70, 0.08), (0.15, 0.37, 0.03)),
              _fur(coat))  # fmt: skip
    pen.shape(
        path((0.0, 0.76, 0.04), (0.06, 0.60, 0.05), (0.17, 0.50), (0.20, 0.55), (0.13, 0.63, 0.05), (0.09, 0.75)),
        _fur(mix(coat, (255, 250, 240), 0.12)),
    )
    pen.oval(0.20, 0.51, 0.03, Mat(skin), ink=False)
    pen.oval(
        0.025, 0.90, 0.082, [(0, Mat(mix(skin, (255, 250, 240), 0.2))), (1, Mat(mix(skin, (40, 20, 20), 0.25)))], 0.098
    )
    pen.shape(
        path(
            (0.08, 0.96, 0.04),
            (0.0, 1.02, 0.06),
            (-0.075, 0.97, 0.05),
            (-0.075, 0.84, 0.04),
            (-0.02, 0.86, 0.03),
            (-0.01, 0.94, 0.03),
        ),
        Mat(hair),
    )
    pen.shape(
        path((-0.07, 0.80, 0.02), (-0.05, 0.84, 0.02), (0.08, 0.835, 0.02), (0.09, 0.79, 0.02)),
        Mat((186, 60, 56)),
        ink=False,
    )
