"""Everything behind the trees: the sky and, in front of it, hills, houses or towers."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from helpers.worlds.drawing.pen import RGB, Mat, Pen, Sprite, grey, mix, oval, path
from helpers.worlds.drawing.texture import noise
from helpers.worlds.street.drawing.camera import BUILD_LINE, Frame
from helpers.worlds.street.drawing.palette import Light, leaf
from helpers.worlds.street.view import Look


def _smooth(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _over(picture: np.ndarray, colour, cover: np.ndarray) -> np.ndarray:
    colour = np.asarray(colour, np.float32)
    return picture + (colour - picture) * cover[..., None]


def draw_sky(sky: str, frame: Frame, variant: int, light: Light, look: Look) -> tuple[Image.Image, Image.Image]:
    """The sky over the whole frame (RGB), and its contour lines (L)."""
    rng = np.random.default_rng([0x5C1, variant, *sky.encode()])
    w, h = 288, 288  # clouds are soft, so one resolution does for every size
    left, top, span_x, span_y = frame.left, frame.top, frame.width / frame.scale, frame.height / frame.scale
    u = (left + span_x * (np.arange(w, dtype=np.float32) + 0.5) / w)[None, :]
    v = (top + span_y * (np.arange(h, dtype=np.float32) + 0.5) / h)[:, None]
    t = np.clip(v / (frame.horizon + 0.2), 0, 1)  # 0 at the zenith, 1 below the horizon, behind the buildings
    stops = np.array([light.zenith, mix(light.zenith, light.middle, 0.45), light.middle, light.horizon], np.float32)
    at = (0, 0.35, 0.62, 1) if sky == "dusk" else (0, 0.3, 0.6, 1)
    picture = np.stack([np.interp(t[:, 0], at, stops[:, c]) for c in range(3)], -1).astype(np.float32)
    picture = np.repeat(picture[:, None], w, 1)

    def disc(x: float, y: float, radius: float) -> np.ndarray:
        return np.sqrt((u - x) ** 2 + (v - y) ** 2) / radius

    side = 0.5 + 0.36 * look.sun + 0.10 * (float(rng.random()) - 0.5)
    ink_shapes: list[list] = []
    # Clouds get flatter towards the horizon, as a layer seen from below.
    raw = noise(rng, w, h, (3.2 * span_x, 5.5 * span_y), 6)
    if sky == "day":
        y = 0.13 + 0.04 * float(rng.random())
        d = disc(side, y, 0.042)
        picture = _over(picture, (255, 250, 226), np.clip(1.1 / (1 + (d / 2.2) ** 2.2), 0, 1) * 0.85)
        cover = _smooth(raw - 0.16 * np.abs(v - 0.26) / 0.26, 0.44, 0.66) * np.clip(
            (frame.horizon + 0.06 - v) / 0.12, 0, 1
        )
        below = np.roll(raw, -7, 0)  # thick below and thin above: lit from above
        shade = np.clip(0.62 + 1.9 * (below - raw) + 0.1 * look.sun * (np.roll(raw, 7, 1) - raw), 0, 1)
        cloud = (
            np.array((176, 190, 212), np.float32)
            + (np.array((255, 254, 250), np.float32) - (176, 190, 212)) * shade[..., None]
        )
        picture += (cloud - picture) * (cover * 0.94)[..., None]
        picture = _over(picture, (255, 252, 236), _smooth(-d, -1.15, -0.85))
        ink_shapes += [oval(side, y, 0.045)]
        ink_shapes += [_cloud(0.15 + 0.7 * float(rng.random()), 0.09 + 0.1 * k, 0.08, rng) for k in range(2)]
    elif sky == "dusk":
        y = frame.horizon - 0.075
        d = disc(side, y, 0.055)
        picture = _over(picture, (255, 214, 130), np.clip(1.2 / (1 + (d / 2.6) ** 1.8), 0, 1) * 0.8)
        streak = noise(rng, w, h, (1.6 * span_x, 13 * span_y), 5)
        cover = _smooth(streak, 0.50, 0.78) * np.clip((frame.horizon + 0.02 - v) / 0.10, 0, 1)
        lit = np.clip(0.25 + 1.6 * v / frame.horizon - 0.7 + 1.4 * (streak - np.roll(streak, -5, 0)), 0, 1)
        cloud = (
            np.array((92, 62, 112), np.float32)
            + (np.array((255, 150, 104), np.float32) - (92, 62, 112)) * lit[..., None]
        )
        picture += (cloud - picture) * (cover * 0.78)[..., None]
        picture = _over(picture, (255, 244, 206), _smooth(-d, -1.1, -0.9))
        ink_shapes += [oval(side, y, 0.055, start=0, stop=180)]
        for k in range(9):
            a = math.radians(12 + 19.5 * k)
            ink_shapes += [[(side + r * math.cos(a), y - r * math.sin(a)) for r in (0.07, 0.10)]]
    elif sky == "night":
        x, y = 1 - side, 0.12 + 0.03 * float(rng.random())
        d = disc(x, y, 0.042)
        picture = _over(picture, (150, 170, 220), np.clip(0.9 / (1 + (d / 1.5) ** 2.0), 0, 1) * 0.55)
        cover = _smooth(raw, 0.55, 0.85) * np.clip((frame.horizon - v) / 0.2, 0, 1)
        picture += (np.array((44, 54, 92), np.float32) - picture) * (cover * 0.5)[..., None]
        moon = _smooth(-d, -1.08, -0.92)
        face = 238 - 26 * _smooth(noise(rng, w, h, (34, 34), 2), 0.5, 0.62)
        picture = (
            _over(picture, (1, 1, 1), moon * 0) + (np.stack([face, face, face * 0.93], -1) - picture) * moon[..., None]
        )
        ink_shapes += [
            oval(x, y, 0.045),
            [(x + 0.012 + 0.036 * math.cos(a), y + 0.036 * math.sin(a)) for a in np.linspace(1.9, 4.4, 9)],
        ]
    else:
        soft = noise(rng, w, h, (2.2 * span_x, 5 * span_y), 5)
        tone = (soft - 0.5) * 58 + 16 * (soft[np.maximum(np.arange(h) - 4, 0)] - soft) / 0.1
        picture += tone[..., None] * np.clip((frame.horizon + 0.1 - v) / 0.25, 0, 1)[..., None]
        ink_shapes += [_cloud(-0.05 + 0.29 * k, 0.07 + 0.09 * (k % 2), 0.13, rng) for k in range(5)]
    image = Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
    image = image.resize((frame.width, frame.height), Image.Resampling.BICUBIC)
    if sky == "night":
        _stars(image, frame, rng)
    return image, _sky_ink(frame, ink_shapes, sky, rng)


def _stars(image: Image.Image, frame: Frame, rng: np.random.Generator) -> None:
    layer = Image.new("L", (frame.width * 2, frame.height * 2))
    on = ImageDraw.Draw(layer)
    for _ in range(130):
        x, y = frame.pixel(-0.6 + 2.2 * float(rng.random()), -0.7 + (frame.horizon + 0.62) * float(rng.random()))
        r, power = 0.0011 + 0.0016 * float(rng.random()) ** 3, 90 + 165 * float(rng.random()) ** 2
        r = max(r * frame.scale, 0.42) * 2
        on.ellipse((2 * x - r, 2 * y - r, 2 * x + r, 2 * y + r), fill=int(power))
    image.paste((236, 240, 255), (0, 0), layer.reduce(2))


def _cloud(x: float, y: float, size: float, rng: np.random.Generator) -> list:
    points = []
    for k in range(7):
        a = math.pi * k / 6
        cx, cy = x - size * math.cos(a), y - 0.45 * size * math.sin(a)
        bump = size * (0.26 + 0.08 * float(rng.random()))
        points += [
            (cx - bump * math.cos(b + a - math.pi / 2), cy - bump * math.sin(b + a - math.pi / 2) * 0.8)
            for b in (0.5, 1.1, 1.57, 2.0, 2.6)
        ]
    return [*points, points[0]]


def _sky_ink(frame: Frame, shapes: list, sky: str, rng: np.random.Generator) -> Image.Image:
    layer = Image.new("L", (frame.width * 2, frame.height * 2))
    on = ImageDraw.Draw(layer)
    width = max(2, round(frame.scale / 110))
    for points in shapes:
        on.line([tuple(2 * c for c in frame.pixel(x, y)) for x, y in points], fill=255, width=width, joint="curve")
    if sky == "night":
        for _ in range(16):
            cx, cy = float(rng.random()), 0.38 * float(rng.random())
            for dx, dy in ((0.012, 0), (0, 0.012)):
                ends = [frame.pixel(cx - dx, cy - dy), frame.pixel(cx + dx, cy + dy)]
                on.line([(2 * a, 2 * b) for a, b in ends], fill=255, width=width)
    return layer.reduce(2)


def _pen(frame: Frame, base: float, line: float) -> Pen:
    """A pen over the frame's width, its anchor at the left edge of the picture on the line `base`."""
    left, right = frame.left - 0.02, frame.left + frame.width / frame.scale + 0.02
    return Pen((left, -0.03, right, max(base - frame.top, 0.1)), frame.scale, line)


def draw_backdrop(kind: str, snow: bool, frame: Frame, variant: int, look: Look, line: float) -> Sprite:
    """Hills ("none"), "houses" or "towers" across the frame; anchored at (0, base line)."""
    pen = _pen(frame, frame.row(BUILD_LINE), line)
    _hills(pen, frame, variant, look, snow, low=kind != "none")
    if kind == "houses":
        _houses(pen, frame, variant, look, snow)
    elif kind == "towers":
        _towers(pen, frame, variant, look)
    return pen.sprite()


def _slots(frame: Frame, width: float) -> range:
    """Numbers of the lots of `width` that the frame shows, lot 0 starting at the left edge of the picture."""
    return range(math.floor(frame.left / width) - 1, math.ceil((frame.left + frame.width / frame.scale) / width) + 1)


def _hills(pen: Pen, frame: Frame, variant: int, look: Look, snow: bool, low: bool) -> None:
    rng = np.random.default_rng([0x417, variant])
    a, b = float(rng.random()) * 6, float(rng.random()) * 6
    left, right = frame.left - 0.05, frame.left + frame.width / frame.scale + 0.05
    for k, (height, rough, rgb) in enumerate(
        ((0.120, 0.040, (128, 152, 172)), (0.085, 0.030, (112, 142, 120)), (0.050, 0.016, (104, 136, 78)))
    ):
        if low and k == 1:
            continue
        xs = np.linspace(left, right, 40).tolist()
        ridge = [(x, height + rough * (math.sin(3.1 * x + a + 2 * k) + 0.5 * math.sin(7.3 * x + b + k))) for x in xs]
        rgb = mix(rgb, (226, 232, 240), 0.72) if snow else leaf(look, rgb) if k else rgb
        pen.shape(
            [(left, -0.03), *ridge, (right, -0.03)],
            [(0, Mat(mix(rgb, (255, 255, 240), 0.12))), (1, Mat(mix(rgb, (40, 60, 50), 0.16)))],
        )
    # A far wood and a hedge.
    spots, fills = [], []
    for _ in range(260):
        x = left + (right - left) * float(rng.random())
        y = 0.012 + 0.030 * float(rng.random()) * (0.7 + 0.5 * math.sin(9 * x + a))
        rgb = mix((58, 88, 50), (112, 138, 74), float(rng.random()) * 0.5 + y * 8)
        spots.append((x, y, 0.007 + 0.005 * float(rng.random())))
        fills.append(mix(rgb, (236, 240, 246), 0.65) if snow and y > 0.02 else leaf(look, rgb))
    order = np.argsort([-s[1] for s in spots])
    if not low:
        pen.dots(np.array(spots)[order], [fills[i] for i in order])


def _lit_window(rng: np.random.Generator, share: float) -> Mat:
    tone = float(rng.random())
    if float(rng.random()) < share:
        return Mat((64, 68, 74), 0, 44, (236, 186 - 30 * tone, 96 - 30 * tone))
    return Mat((40, 48, 60), 0, 70, (6, 8, 14))


def _houses(pen: Pen, frame: Frame, variant: int, look: Look, snow: bool) -> None:
    lot = 0.205
    for i in _slots(frame, lot):
        rng = np.random.default_rng([0x405E, variant, i + 1000])
        r = lambda: float(rng.random())  # noqa: B023, E731
        wall, roof = look.walls[int(r() * len(look.walls))], look.roofs[int(r() * len(look.roofs))]
        x0 = i * lot + 0.018 * r() + 0.12 * (variant % 5) / 5
        w, floors = lot * (0.80 + 0.10 * r()), 2 if r() < 0.75 else 1
        eaves, top = 0.072 + 0.062 * (floors - 1), 0.0
        x1, gable = x0 + w, r() < 0.5
        pen.rect(
            x0,
            -0.02,
            x1,
            eaves,
            [(0, Mat(mix(wall, (20, 20, 30), 0.20))), (0.15, Mat(wall)), (1, Mat(mix(wall, (60, 50, 40), 0.18)))],
        )
        if wall[0] - wall[2] > 70:  # brick courses
            for k in range(9):
                y = eaves * (k + 0.5) / 9
                pen.stroke([(x0, y), (x1, y)], 0.0012, Mat(mix(wall, (230, 210, 190), 0.35)), opacity=0.5, ink=False)
        rise = 0.070 + 0.030 * r()
        top = eaves + rise
        tiles = [(0, Mat(mix(roof, (255, 236, 214), 0.22))), (1, Mat(mix(roof, (10, 8, 14), 0.28)))]
        if snow:
            tiles = [(0, Mat((244, 247, 252))), (1, Mat((206, 214, 228)))]
        chimney = x0 + w * (0.22 + 0.5 * r())
        pen.rect(
            chimney,
            eaves + rise * 0.3,
            chimney + 0.022,
            top + 0.022,
            [(0, Mat((150, 100, 84))), (1, Mat((104, 66, 56)))],
        )
        pen.rect(
            chimney - 0.003,
            top + 0.016,
            chimney + 0.025,
            top + 0.026,
            Mat((236, 240, 246)) if snow else Mat((92, 62, 54)),
        )
        if gable:
            mid = (x0 + x1) / 2
            pen.shape(
                [(x0 - 0.002, eaves), (mid, top), (x1 + 0.002, eaves)],
                [(0, Mat(mix(wall, (20, 20, 30), 0.12))), (1, Mat(wall))],
            )
            for a, c in (
                ((x0 - 0.014, eaves - 0.010), (mid, top + 0.004)),
                ((x1 + 0.014, eaves - 0.010), (mid, top + 0.004)),
            ):
                pen.stroke([a, c], 0.014, tiles[0][1])
            pen.oval(mid, eaves + rise * 0.38, 0.011, _lit_window(rng, 0.4))
        else:
            pen.shape(
                path(
                    (x0 - 0.012, eaves - 0.006),
                    (x0 + 0.016, top, 0.004),
                    (x1 - 0.016, top, 0.004),
                    (x1 + 0.012, eaves - 0.006),
                ),
                tiles,
            )
            for k in range(1, 5):
                y = eaves + rise * k / 5
                pen.stroke(
                    [(x0 - 0.010 + 0.026 * k / 5, y), (x1 + 0.010 - 0.026 * k / 5, y)],
                    0.0014,
                    Mat(mix(roof, (8, 8, 12), 0.5)),
                    opacity=0.3,
                    ink=False,
                )
        pen.stroke([(x0 - 0.008, eaves - 0.003), (x1 + 0.008, eaves - 0.003)], 0.005, Mat((232, 228, 220)), ink=False)
        door = int(r() * 3)
        tint = ((92, 46, 42), (52, 74, 66), (60, 66, 92), (96, 76, 52))[int(r() * 4)]
        for f in range(floors):
            base = 0.016 + 0.062 * f
            for k in range(3):
                cx = x0 + w * (k + 0.5) / 3
                if f == 0 and k == door:
                    pen.rect(cx - 0.014, -0.02, cx + 0.014, 0.050, Mat((228, 224, 214)))
                    pen.rect(
                        cx - 0.011,
                        -0.02,
                        cx + 0.011,
                        0.047,
                        [(0, Mat(mix(tint, (255, 250, 240), 0.15))), (1, Mat(tint))],
                    )
                    pen.rect(cx - 0.007, 0.033, cx + 0.007, 0.043, _lit_window(rng, 0.6), ink=False)
                    continue
                pen.rect(cx - 0.0165, base - 0.002, cx + 0.0165, base + 0.038, Mat((236, 233, 226)))
                pen.rect(cx - 0.0135, base, cx + 0.0135, base + 0.036, _lit_window(rng, 0.55), ink=False)
                pen.stroke([(cx, base), (cx, base + 0.036)], 0.0025, Mat((236, 233, 226)), ink=False)
                pen.stroke(
                    [(cx - 0.0135, base + 0.02), (cx + 0.0135, base + 0.02)], 0.0025, Mat((236, 233, 226)), ink=False
                )
                pen.rect(
                    cx - 0.019,
                    base - 0.007,
                    cx + 0.019,
                    base - 0.002,
                    Mat((246, 248, 250)) if snow else Mat((206, 202, 192)),
                    ink=False,
                )
        _hedge(pen, x1 + 0.004, i * lot + lot + 0.05, rng, look, snow)


def _hedge(pen: Pen, x0: float, x1: float, rng: np.random.Generator, look: Look, snow: bool) -> None:
    spots, fills = [], []
    for _ in range(26):
        x, y = x0 + (x1 - x0) * float(rng.random()), 0.026 * float(rng.random())
        rgb = leaf(look, mix((34, 62, 30), (98, 132, 58), y / 0.026 * 0.7 + 0.3 * float(rng.random())))
        spots.append((x, y, 0.0065))
        fills.append(mix(rgb, (240, 244, 250), 0.8) if snow and y > 0.017 else rgb)
    order = np.argsort([-s[1] for s in spots])
    pen.dots(np.array(spots)[order], [fills[i] for i in order])


def _towers(pen: Pen, frame: Frame, variant: int, look: Look) -> None:
    for row, (lot, low, high, fade) in enumerate(((0.15, 0.26, 0.44, 0.45), (0.21, 0.15, 0.38, 0.0))):
        for i in _slots(frame, lot):
            rng = np.random.default_rng([0x70E5, variant, row, i + 1000])
            r = lambda: float(rng.random())  # noqa: B023, E731
            rgb: RGB = look.glass[int(r() * len(look.glass))]
            x0 = i * lot + (0.03 + 0.1 * row) * (variant % 4) + 0.02 * r()
            w, top = lot * (0.62 + 0.22 * r()), low + (high - low) * r()
            x1, style, deep = x0 + w, int(r() * 3), 0.026
            haze = (190, 204, 220)
            rgb = mix(rgb, haze, fade)
            side = 1 if x0 + w / 2 < 0.5 else -1  # which flank is seen from the middle of the street
            edge = x1 if side > 0 else x0
            flank = [(edge, -0.02), (edge, top), (edge + side * deep, top - 0.020), (edge + side * deep, -0.02)]
            pen.shape(flank, [(0, Mat(mix(rgb, (14, 18, 32), 0.42), 0, 10)), (1, Mat(mix(rgb, (14, 18, 32), 0.55)))])
            front = [
                (0, Mat(mix(rgb, (255, 255, 255), 0.16), 0, 60)),
                (0.5, Mat(rgb, 0, 25)),
                (1, Mat(mix(rgb, (30, 30, 40), 0.25))),
            ]
            pen.rect(x0, -0.02, x1, top, front)
            if style == 1:
                pen.rect(x0 + w * 0.25, top, x1 - w * 0.25, top + 0.030, front)
            elif style == 2:
                pen.stroke([(x0 + w / 2, top), (x0 + w / 2, top + 0.05)], 0.004, grey(110))
            cols, rows = max(3, round(w / 0.027)), max(4, round(top / 0.030))
            glow = 1 - 0.45 * (fade > 0)
            for j in range(rows):
                y = top * (j + 0.28) / rows
                for k in range(cols):
                    x = x0 + w * (k + 0.18) / cols
                    pane = _lit_window(rng, 0.42)
                    pane = pane._replace(
                        fixed=mix(pane.fixed, haze, fade * 0.9), glow=tuple(g * glow for g in pane.glow)
                    )
                    if style == 0:
                        pen.rect(
                            x, y, x + w * 0.80 / cols, y + top * 0.52 / rows, pane, ink=(j + k) % 2 == 0 and fade == 0
                        )
                    else:
                        pen.rect(
                            x, y, x + w * 0.64 / cols, y + top * 0.60 / rows, pane, ink=(j + k) % 2 == 0 and fade == 0
                        )
                y = top * (j + 0.28) / rows
                pen.shape([(edge + side * deep * 0.2, y), (edge + side * deep * 0.2, y + top * 0.45 / rows),
                           (edge + side * deep * 0.8, y + top * 0.45 / rows - 0.012 * (y / top)),
                           (edge + side * deep * 0.8, y - 0.012 * y / top)],
                          _lit_window(rng, 0.35), ink=False)  # fmt: skip
