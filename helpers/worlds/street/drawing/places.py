"""Unusual places for a vehicle, for pictures in the manner of ObjectNet: the street is replaced by another floor."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from helpers.worlds.drawing.pen import Fill, Mat, Pen, curve, grey, mix, oval, path
from helpers.worlds.drawing.texture import noise
from helpers.worlds.street.drawing.camera import Frame


def draw_place(place: str, frame: Frame, variant: int, line: float) -> tuple[Image.Image, Image.Image]:
    """The whole background (RGB) and its contour lines (L)."""
    rng = np.random.default_rng([0x91AC, variant, *place.encode()])
    right, bottom = frame.left + frame.width / frame.scale, frame.top + frame.height / frame.scale
    pen = Pen((frame.left, -bottom, right, -frame.top), frame.scale, line)
    view = _Room(pen, frame, right, bottom)
    {"beach": _beach, "kitchen": _kitchen, "lawn": _lawn, "studio": _studio, "desk": _desk, "moon": _moon}[place](
        view, rng
    )
    sprite = pen.sprite()
    flat = np.asarray(sprite.fixed).astype(np.float32)[2 : 2 + frame.height, 2 : 2 + frame.width]
    grain = noise(rng, 400, 400, (60, 110), 3).astype(np.float32) - 0.5
    layer = np.asarray(Image.fromarray(grain).resize((flat.shape[1], flat.shape[0]), Image.Resampling.BILINEAR))
    strength = {"beach": 0.16, "lawn": 0.20, "moon": 0.20, "studio": 0.02, "kitchen": 0.04, "desk": 0.05}[place]
    row = (frame.top + np.arange(frame.height) / frame.scale > frame.horizon + 0.04)[:, None].astype(np.float32)
    layer = layer * row  # walls and skies are smooth
    picture = Image.fromarray(np.clip(flat * (1 + strength * layer[..., None]) + 0.5, 0, 255).astype(np.uint8))
    return picture, sprite.ink.crop((2, 2, 2 + frame.width, 2 + frame.height))


class _Room:
    def __init__(self, pen: Pen, frame: Frame, right: float, bottom: float) -> None:
        self.pen, self.frame, self.left, self.right, self.bottom = (
            pen,
            frame,
            frame.left - 0.02,
            right + 0.02,
            bottom + 0.02,
        )

    def band(self, top: float, bottom: float, fill: Fill, ink: bool = False) -> None:
        """A band across the frame between two heights; gradients keep their place when the frame cuts them."""
        a, b = self.left, self.right
        self.pen.shape([(a, -top), (b, -top), (b, -bottom), (a, -bottom)], fill, ink=ink)

    def spots(self, rng: np.random.Generator, n: int, low: float, size: float, colours: tuple) -> None:
        spots, fills = [], []
        for _ in range(n):
            depth = 0.7 + 3.5 * float(rng.random()) ** 1.5
            x, y = self.frame.ground(0.5 + (float(rng.random()) - 0.5) * 4, depth)
            if y > low:
                spots.append((x, -y, size / depth * (0.5 + float(rng.random()))))
                fills.append(mix(*colours, float(rng.random())))
        if spots:
            self.pen.dots(np.array(spots), fills)


def _ramp(*colours: tuple[float, float, float]) -> list[tuple[float, Mat]]:
    return [(k / (len(colours) - 1), Mat(c)) for k, c in enumerate(colours)]


def _beach(room: _Room, rng: np.random.Generator) -> None:
    horizon = room.frame.horizon
    room.band(horizon - 1.2, horizon, _ramp((60, 140, 220), (70, 150, 224), (120, 186, 236), (214, 234, 244)))
    room.band(horizon, horizon + 0.26, _ramp((28, 96, 150), (40, 140, 180), (120, 206, 206)), ink=True)
    for k in range(26):
        x, y = -0.6 + 2.2 * float(rng.random()), horizon + 0.01 + 0.13 * float(rng.random())
        w = 0.03 + 0.3 * (y - horizon)
        room.pen.stroke(
            [(x, -y), (x + w / 2, -y - 0.002), (x + w, -y)], 0.003, Mat((236, 248, 250)), opacity=0.6, ink=k % 4 == 0
        )
    shore = [
        (x, -(horizon + 0.175 + 0.016 * math.sin(7 * x + 1) + 0.008 * math.sin(19 * x)))
        for x in np.linspace(room.left, room.right, 50).tolist()
    ]
    floor = [(room.right, -room.bottom), (room.left, -room.bottom)]
    room.pen.shape([*shore, *floor], Mat((250, 252, 250)))
    sand = [(x, y - 0.014) for x, y in shore]
    room.pen.shape([*sand, *floor], _ramp((196, 164, 116), (232, 208, 158), (238, 214, 166)), ink=False)
    room.spots(rng, 220, horizon + 0.22, 0.006, ((206, 176, 126), (250, 232, 192)))
    for x, y, s in ((0.12, 0.74, 0.06), (0.90, 0.95, 0.075)):  # a starfish and a shell
        star = [
            (
                x + s * (0.5 if k % 2 else 0.2) * math.cos(k * math.pi / 5),
                -y + s * 0.55 * (0.5 if k % 2 else 0.2) * math.sin(k * math.pi / 5),
            )
            for k in range(10)
        ]
        room.pen.shape(star, _ramp((244, 134, 92), (206, 90, 60)))


def _kitchen(room: _Room, rng: np.random.Generator) -> None:
    wall = room.frame.horizon + 0.12
    room.band(wall - 1.6, wall, _ramp((236, 232, 220), (240, 236, 226), (226, 220, 206)))
    for k in range(-2, 5):  # cupboards
        x = 0.04 + 0.31 * k
        room.pen.rect(x, -wall + 0.03, x + 0.29, -wall + 0.34, _ramp((150, 190, 182), (116, 160, 154)), 0.006)
        room.pen.rect(
            x + 0.025, -wall + 0.055, x + 0.265, -wall + 0.315, _ramp((132, 174, 166), (106, 148, 142)), 0.004
        )
        room.pen.rect(x + 0.235, -wall + 0.24, x + 0.247, -wall + 0.30, grey(226), 0.005)
    room.pen.rect(room.left, -wall + 0.355, room.right, -wall + 0.385, _ramp((170, 128, 86), (120, 84, 52)))
    room.band(wall - 0.03, room.bottom, _ramp((120, 84, 74), (190, 176, 160)))
    room.band(wall - 0.03, wall, _ramp((92, 88, 84), (60, 58, 56)))
    for row in range(1, 14):
        far, near = 4.0 - 0.25 * row, 3.75 - 0.25 * row
        for k in range(-24, 25):
            a, b = 0.5 + 0.23 * k, 0.5 + 0.23 * (k + 1)
            tile = [room.frame.ground(x, d) for x, d in ((a, far), (b, far), (b, near), (a, near))]
            if tile[0][1] < wall - 0.001:
                tile = [(x, max(y, wall)) for x, y in tile]
            rgb = (236, 230, 218) if (row + k) % 2 else (150, 70, 62)
            rgb = mix(rgb, (70, 50, 40), 0.10 * max(far - 0.6, 0))
            room.pen.shape([(x, -y) for x, y in tile], Mat(rgb), ink=far < 1.7)


def _lawn(room: _Room, rng: np.random.Generator) -> None:
    horizon = room.frame.horizon
    room.band(horizon - 1.2, horizon + 0.02, _ramp((88, 158, 226), (100, 168, 230), (176, 212, 240), (226, 238, 244)))
    bush = curve(
        *(
            (x, -(horizon - 0.05 - 0.05 * abs(math.sin(5 * x + 1))))
            for x in np.linspace(room.left, room.right, 26).tolist()
        ),
        steps=4,
    )
    room.pen.shape(
        [*bush, (room.right, -room.bottom), (room.left, -room.bottom)], _ramp((70, 116, 54), (46, 84, 40), (40, 70, 36))
    )
    room.band(horizon + 0.04, room.bottom, _ramp((112, 164, 66), (92, 150, 54), (74, 130, 44)), ink=True)
    for _ in range(420):
        depth = 0.62 + 2.2 * float(rng.random()) ** 1.4
        x, y = room.frame.ground(0.5 + (float(rng.random()) - 0.5) * 4.2, depth)
        if y > horizon + 0.06:
            h, rgb = 0.032 / depth, mix((52, 104, 32), (160, 204, 90), float(rng.random()))
            room.pen.stroke(
                [(x, -y), (x + h * 0.3 * (float(rng.random()) - 0.5), -y + h)],
                0.003 / depth,
                Mat(rgb),
                ink=False,
                opacity=0.8,
            )
    room.spots(rng, 60, horizon + 0.12, 0.008, ((250, 246, 236), (248, 214, 80)))


def _studio(room: _Room, rng: np.random.Generator) -> None:
    tone = ((206, 210, 214), (214, 198, 186), (190, 206, 210))[int(rng.random() * 3)]
    horizon = room.frame.horizon + 0.06
    room.band(
        horizon - 1.5, horizon, [(0, Mat(mix(tone, (60, 62, 70), 0.35))), (1, Mat(mix(tone, (255, 255, 255), 0.45)))]
    )
    room.band(
        horizon,
        room.bottom,
        [
            (0, Mat(mix(tone, (255, 255, 255), 0.45))),
            (0.35, Mat(mix(tone, (255, 255, 255), 0.25))),
            (1, Mat(mix(tone, (80, 80, 86), 0.25))),
        ],
    )


def _desk(room: _Room, rng: np.random.Generator) -> None:
    edge = room.frame.horizon + 0.10
    room.band(edge - 1.6, edge, _ramp((70, 84, 104), (84, 98, 118), (58, 68, 84)))
    x = -0.5
    while x < 1.5:  # a shelf of books
        w, h = 0.030 + 0.03 * float(rng.random()), 0.20 + 0.10 * float(rng.random())
        rgb = ((150, 60, 54), (52, 92, 120), (196, 162, 92), (70, 106, 80), (110, 78, 112), (206, 196, 176))[
            int(rng.random() * 6)
        ]
        room.pen.rect(
            x,
            -edge + 0.02,
            x + w,
            -edge + h,
            [(0, Mat(mix(rgb, (255, 250, 240), 0.2))), (0.5, Mat(rgb)), (1, Mat(mix(rgb, (0, 0, 0), 0.4)))],
            0.003,
            across=True,
        )
        room.pen.rect(x + 0.004, -edge + h - 0.05, x + w - 0.004, -edge + h - 0.035, Mat((226, 206, 150)), ink=False)
        x += w + 0.001
    room.band(edge - 0.02, room.bottom, _ramp((156, 106, 66), (178, 124, 78), (146, 98, 60)), ink=True)
    for _ in range(46):
        depth = 0.6 + 1.6 * float(rng.random())
        x0 = 0.5 + (float(rng.random()) - 0.5) * 4
        pts = [room.frame.ground(x0 + t * 0.5, depth + 0.01 * math.sin(6 * t + x0)) for t in (0, 0.35, 0.7, 1)]
        if min(y for _, y in pts) > edge:
            room.pen.stroke([(x, -y) for x, y in pts], 0.003, Mat((110, 70, 40)), opacity=0.45, ink=False)
    sheet = [room.frame.ground(*p) for p in ((-0.10, 1.15), (0.24, 1.12), (0.22, 1.5), (-0.06, 1.5))]
    room.pen.shape([(x, -y) for x, y in sheet], Mat((244, 242, 234)))
    room.pen.stroke([(0.80, -0.80), (0.97, -0.745)], 0.014, Mat((236, 190, 60)))


def _moon(room: _Room, rng: np.random.Generator) -> None:
    horizon = room.frame.horizon + 0.06
    room.band(horizon - 1.5, horizon + 0.03, Mat((6, 7, 14)))
    spots, fills = [], []
    for _ in range(120):
        spots.append(
            (
                -0.5 + 2 * float(rng.random()),
                -horizon + 1.2 * float(rng.random()),
                0.0012 + 0.0016 * float(rng.random()),
            )
        )
        fills.append((140 + 115 * float(rng.random()),) * 3)
    room.pen.dots(np.array(spots), fills)
    cx, cy = 0.78, -0.17
    room.pen.oval(cx, cy, 0.075, _ramp((150, 196, 240), (50, 110, 196), (20, 50, 110)))
    land = path(
        (cx - 0.05, cy + 0.02, 0.03), (cx, cy + 0.05, 0.03), (cx + 0.03, cy, 0.03), (cx - 0.01, cy - 0.05, 0.03)
    )
    room.pen.shape(land, Mat((90, 150, 90)), clip=oval(cx, cy, 0.074), ink=False)
    hill = curve(
        *(
            (x, -(horizon - 0.025 - 0.03 * math.sin(4 * x + 2) - 0.012 * math.sin(13 * x)))
            for x in np.linspace(room.left, room.right, 24).tolist()
        ),
        steps=4,
    )
    room.pen.shape(
        [*hill, (room.right, -room.bottom), (room.left, -room.bottom)],
        _ramp((196, 194, 190), (164, 162, 160), (128, 127, 126)),
    )
    for _ in range(26):
        depth = 0.72 + 2.4 * float(rng.random()) ** 1.5
        x, y = room.frame.ground(0.5 + (float(rng.random()) - 0.5) * 4, depth)
        r = (0.02 + 0.06 * float(rng.random())) / depth
        if y > horizon + 0.05:
            room.pen.oval(x, -y, r, _ramp((96, 95, 94), (190, 188, 184)), r * 0.30)
            room.pen.oval(x, -y - r * 0.03, r * 0.84, _ramp((110, 109, 108), (150, 149, 147)), r * 0.22, ink=False)
