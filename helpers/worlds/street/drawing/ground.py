"""The ground: grass, pavements, kerbs and the road with its surface and weather."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from PIL import Image

from helpers.worlds.drawing.pen import Fill, Mat, Pen, Sprite, mix
from helpers.worlds.drawing.texture import noise
from helpers.worlds.street.drawing.camera import (
    BUILD_LINE,
    EDGES,
    KERB_FAR,
    KERB_NEAR,
    LANE_DEPTHS,
    PAVEMENT_FAR,
    Frame,
)
from helpers.worlds.street.drawing.palette import Light, leaf
from helpers.worlds.street.view import Look

SNOW, SLUSH = (238, 242, 248), (206, 212, 220)


class _Plane:
    """A pen for shapes that lie on the ground, given as (x along the street, depth)."""

    def __init__(self, frame: Frame, line: float) -> None:
        self.frame = frame
        bottom = -(frame.top + frame.height / frame.scale)
        self.pen = Pen((frame.left, bottom, frame.left + frame.width / frame.scale, -frame.top), frame.scale, line)
        # The strip of street in view at the far side of the pavement.
        half = max(abs(frame.left - 0.5), abs(frame.left + frame.width / frame.scale - 0.5)) * 2.4 + 0.1
        self.x0, self.x1 = 0.5 - half, 0.5 + half

    def flat(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x, -y) for x, y in (self.frame.ground(*p) for p in points)]

    def patch(self, points: list[tuple[float, float]], fill: Fill, **options) -> None:
        self.pen.shape(self.flat(points), fill, **options)

    def strip(self, near: float, far: float, fill: Fill, **options) -> None:
        """A band along the whole street between two depths."""
        low, high = (-self.frame.row(d) for d in (near, far))
        a, b = self.frame.left - 0.02, self.frame.left + self.frame.width / self.frame.scale + 0.02
        self.pen.shape([(a, low), (b, low), (b, high), (a, high)], fill, **options)

    def line(self, points: list[tuple[float, float]], width: float, fill: Fill, **options) -> None:
        """A line on the ground; `width` is in units at depth 1."""
        depth = sum(d for _, d in points) / len(points)
        self.pen.stroke(self.flat(points), width / depth, fill, **options)


def draw_ground(surface: str, weather: str, frame: Frame, variant: int, look: Look, line: float) -> Sprite:
    """The ground over the whole frame, not yet lit."""
    rng = np.random.default_rng([0x6A0D, variant, *surface.encode()])
    plane = _Plane(frame, line)
    snow = weather == "snowy"
    _verge(plane, snow, look)
    cracked = surface == "cracked"
    base = (134, 129, 121) if cracked else (74, 76, 82)
    if weather == "wet":
        base = mix(base, (26, 30, 38), 0.52)
    base = tuple(c * look.asphalt for c in base)
    plane.strip(
        KERB_NEAR, KERB_FAR, [(0, Mat(mix(base, (200, 205, 215), 0.10))), (1, Mat(mix(base, (10, 10, 14), 0.12)))]
    )
    if cracked:
        _repairs(plane, base, rng)
    _marks(plane, cracked, rng)
    if cracked:
        _cracks(plane, base, weather, rng)
    if snow:
        _snow(plane, rng)
    _kerbs(plane, snow)
    sprite = plane.pen.sprite()
    return replace(sprite, fixed=_grain(sprite.fixed, frame, variant, cracked))


def lit_ground(sprite: Sprite, frame: Frame, light: Light) -> Image.Image:
    """The ground under a light, paler with distance (RGBA)."""
    picture = np.asarray(sprite.fixed).astype(np.float32) * np.array(light.ground, np.float32)
    haze = np.clip((frame.row(1.25) - _heights(frame, picture.shape[0])) / 0.6, 0, 0.22)[:, None, None]
    picture += (np.array(light.haze, np.float32) * np.float32(0.9) - picture) * haze
    lit = Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
    lit.putalpha(sprite.alpha)
    return lit


def _heights(frame: Frame, rows: int) -> np.ndarray:
    """The height in the picture of each row of pixels."""
    return frame.top + (np.arange(rows, dtype=np.float32) + 0.5) / frame.scale


def _verge(plane: _Plane, snow: bool, look: Look) -> None:
    grass = SNOW if snow else leaf(look, (98, 138, 62))
    shade = (208, 216, 230) if snow else leaf(look, (62, 100, 46))
    plane.strip(PAVEMENT_FAR - 0.06, BUILD_LINE + 0.16, [(0, Mat(shade)), (1, Mat(grass))])
    stone = (228, 232, 240) if snow else (182, 174, 162)
    plane.strip(KERB_FAR, PAVEMENT_FAR - 0.06, [(0, Mat(mix(stone, (90, 86, 84), 0.22))), (1, Mat(stone))])
    plane.strip(0.4, KERB_NEAR, [(0, Mat(stone)), (1, Mat(mix(stone, (120, 112, 104), 0.2)))])
    joint = Mat(mix(stone, (70, 66, 62), 0.5))
    for near, far in ((KERB_FAR, PAVEMENT_FAR - 0.06), (0.62, KERB_NEAR)):
        step = 0.22
        for k in range(math.floor(plane.x0 / step), math.ceil(plane.x1 / step)):
            plane.line([(k * step, near), (k * step, far)], 0.004, joint, opacity=0.7, ink=k % 2 == 0)


def _kerbs(plane: _Plane, snow: bool) -> None:
    for depth, height, thick in ((KERB_FAR, 0.013, 0.035), (KERB_NEAR, -0.014, 0.03)):
        far = depth + thick if depth > 1 else depth - thick
        face = (176, 172, 166) if not snow else (226, 231, 238)
        low = -plane.frame.row(depth)
        a, b = plane.frame.left - 0.02, plane.frame.left + plane.frame.width / plane.frame.scale + 0.02
        edge = low + height if depth > 1 else low
        if depth > 1:
            plane.pen.shape(
                [(a, low), (b, low), (b, edge), (a, edge)],
                [(0, Mat(mix(face, (255, 255, 250), 0.3))), (0.35, Mat(face)), (1, Mat(mix(face, (40, 40, 46), 0.55)))],
            )
            plane.pen.shape(
                [(a, low - 0.004), (b, low - 0.004), (b, low), (a, low)], Mat((20, 20, 24)), opacity=0.35, ink=False
            )
        else:
            plane.strip(far, depth, [(0, Mat(mix(face, (255, 255, 250), 0.35))), (1, Mat(face))])
        step = 0.16
        for k in range(math.floor(plane.x0 / step), math.ceil(plane.x1 / step)):
            x, _ = plane.frame.ground(k * step, depth)
            if depth > 1:
                plane.pen.stroke([(x, low), (x, edge)], 0.002, Mat((96, 92, 88)), opacity=0.8, ink=False)
            else:
                plane.line([(k * step, depth), (k * step, far)], 0.004, Mat((96, 92, 88)), opacity=0.7, ink=False)


def _marks(plane: _Plane, cracked: bool, rng: np.random.Generator) -> None:
    white = (226, 226, 220) if not cracked else (186, 184, 174)
    strength = 1.0 if not cracked else 0.62
    for depth in (KERB_NEAR + 0.055, KERB_FAR - 0.07):
        plane.strip(depth - 0.008, depth + 0.008 * depth, Mat(white), opacity=strength, ink=not cracked)
    for n, depth in enumerate(EDGES):
        step, length = 0.34, 0.19
        shift = 0.06 + 0.17 * n
        for k in range(math.floor(plane.x0 / step), math.ceil(plane.x1 / step)):
            x, half = k * step + shift, 0.013 * depth
            if cracked and rng.random() < 0.25:
                continue
            dash = [(x, depth - half), (x + length, depth - half), (x + length, depth + half), (x, depth + half)]
            plane.patch(dash, Mat(white), opacity=strength)
            if cracked:
                for _ in range(3):  # worn away in places
                    cx = x + length * float(rng.random())
                    plane.patch(
                        [(cx, depth - half), (cx + 0.03, depth - half), (cx + 0.02, depth + half)],
                        Mat((126, 122, 115)),
                        ink=False,
                    )


def _repairs(plane: _Plane, base: tuple, rng: np.random.Generator) -> None:
    """Squares of newer asphalt with tarred seams."""
    for k in range(5):
        depth = (0.93, 1.06, 1.20, 1.34, 1.52)[k] + 0.02 * float(rng.random())
        x = -0.10 + 1.1 * float(rng.random())
        w, d = 0.14 + 0.14 * float(rng.random()), 0.05 + 0.05 * float(rng.random())
        dark = mix(base, (34, 34, 38), 0.50)
        quad = [(x, depth - d), (x + w, depth - d), (x + w + 0.02, depth + d), (x + 0.01, depth + d)]
        plane.patch(quad, Mat(dark))
        plane.line([*quad, quad[0]], 0.007, Mat((26, 26, 28)), ink=False)


def _cracks(plane: _Plane, base: tuple, weather: str, rng: np.random.Generator) -> None:
    dark = (22, 21, 22) if weather != "wet" else (8, 9, 12)
    pale = mix(base, (236, 230, 220), 0.45)

    def crack(x: float, depth: float, angle: float, length: float, width: float, forks: int) -> None:
        points = [(x, depth)]
        steps = 14 if forks else 8
        for _ in range(steps):
            turn = angle + 2.0 * (float(rng.random()) - 0.5)
            angle += 0.5 * (float(rng.random()) - 0.5)
            x, depth = x + length / steps * math.cos(turn), depth + length / steps * math.sin(turn) * 1.2
            depth = min(max(depth, KERB_NEAR + 0.02), KERB_FAR - 0.03)
            points.append((x, depth))
        thick = max(width, 0.72 / plane.frame.scale * depth)  # still to be seen in a small picture
        plane.line([(px, pd - 0.005) for px, pd in points], thick, Mat(pale), opacity=0.5, ink=False)
        plane.line(points, thick, Mat(dark), opacity=0.92 if forks else 0.8)
        for _ in range(forks):
            px, pd = points[2 + int(rng.random() * (len(points) - 3))]
            turn = 0.6 + 0.7 * float(rng.random())
            crack(px, pd, angle + (turn if rng.random() < 0.5 else -turn), length * 0.5, width * 0.6, forks - 2)

    depths = (0.90, 0.985, 1.07, 1.16, 1.27, 1.38, 1.50, 1.62)
    for k in range(17):
        depth = depths[k % 8] + 0.04 * (float(rng.random()) - 0.5)
        x = -0.35 + 0.24 * ((k * 5) % 8) + 0.12 * float(rng.random())
        angle = 0.9 * (float(rng.random()) - 0.5) + (math.pi if rng.random() < 0.5 else 0)
        crack(x, depth, angle, 0.36 + 0.26 * float(rng.random()), 0.0062, 3)
    for _ in range(4):  # pot-holes
        x, depth = float(rng.random()) * 1.1 - 0.05, 0.92 + 0.66 * float(rng.random())
        r = 0.026 + 0.022 * float(rng.random())
        ring = []
        for k in range(14):
            a, s = 2 * math.pi * k / 14, r * (0.75 + 0.5 * float(rng.random()))
            ring.append((x + s * math.cos(a) * 1.3, depth + s * math.sin(a)))
        plane.patch([(px, pd - 0.010) for px, pd in ring], Mat(pale), ink=False, opacity=0.8)
        plane.patch(ring, [(0, Mat((20, 20, 22))), (1, Mat((52, 50, 50)))])


def _snow(plane: _Plane, rng: np.random.Generator) -> None:
    """Snow lies at the kerbs and between the lanes; wheels have cleared tracks."""
    bands = [
        (KERB_NEAR, KERB_NEAR + 0.060),
        (EDGES[0] - 0.028, EDGES[0] + 0.028),
        (EDGES[1] - 0.036, EDGES[1] + 0.036),
        (KERB_FAR - 0.09, KERB_FAR),
    ]
    middle = [(d - 0.013 * d, d + 0.013 * d) for d in LANE_DEPTHS]
    for n, (near, far) in enumerate((*bands, *middle)):
        thin = n >= len(bands)
        points_far, points_near = [], []
        steps = 60
        for k in range(steps + 1):
            x = plane.x0 + (plane.x1 - plane.x0) * k / steps
            wobble = 0.020 * (float(rng.random()) - 0.5) * near
            points_far.append((x, far + wobble + (0.004 if thin else 0)))
            wobble = 0.020 * (float(rng.random()) - 0.5) * near
            points_near.append((x, max(near + (0 if near == KERB_NEAR else wobble), KERB_NEAR)))
        fill = Mat(SLUSH) if thin else [(0, Mat(SNOW)), (0.6, Mat((226, 232, 242))), (1, Mat((188, 200, 220)))]
        plane.patch(
            [*points_near, *points_far[::-1]],
            fill,
            opacity=0.55 if thin else 1.0,
            soft=0.0 if not thin else 0.003,
            ink=not thin,
        )
    spots, fills = [], []
    for _ in range(150):
        x, depth = (
            plane.x0 + (plane.x1 - plane.x0) * float(rng.random()),
            KERB_NEAR + (KERB_FAR - KERB_NEAR) * float(rng.random()),
        )
        px, py = plane.frame.ground(x, depth)
        spots.append((px, -py, 0.0035 / depth * (0.6 + float(rng.random()))))
        fills.append(SLUSH)
    plane.pen.dots(np.array(spots), fills)


def _grain(fixed: Image.Image, frame: Frame, variant: int, cracked: bool) -> Image.Image:
    """Asphalt and grass are grainy, finer with distance; large stains break the evenness."""
    rng = np.random.default_rng([0x6A1, variant])
    fine = noise(rng, 512, 512, (170, 400), 2)
    coarse = noise(rng, 128, 128, (4, 26), 3)
    coarse = np.asarray(Image.fromarray(coarse).resize((512, 512), Image.Resampling.BICUBIC))
    texture = (fine - 0.5) * (0.20 if cracked else 0.14) + (coarse - 0.5) * (0.26 if cracked else 0.13)
    layer = Image.fromarray(texture.astype(np.float32)).resize(fixed.size, Image.Resampling.BILINEAR)
    far = np.clip(1.15 - (frame.row(1.0) - _heights(frame, fixed.height)) * 1.3, 0.4, 1.1)[:, None]
    out = np.asarray(fixed) * (1 + np.asarray(layer) * far)[..., None]
    return Image.fromarray(np.clip(out + 0.5, 0, 255).astype(np.uint8))


def draw_mirror(frame: Frame, variant: int) -> Image.Image:
    """How much each pixel of a wet road mirrors what stands beyond it (L): most in its puddles."""
    rng = np.random.default_rng([0x3E7, variant])
    span_x, span_y = frame.width / frame.scale, frame.height / frame.scale
    pools = noise(rng, 256, 256, (3.0 * span_x, 17 * span_y), 4)
    t = np.clip((pools - 0.50) / 0.12, 0, 1)
    level = Image.fromarray((0.36 + 0.38 * t * t * (3 - 2 * t)).astype(np.float32)).resize(
        (frame.width, frame.height), Image.Resampling.BICUBIC
    )
    v = _heights(frame, frame.height)
    near, far = frame.row(KERB_NEAR), frame.row(KERB_FAR)
    inside = ((v > far) & (v < near)).astype(np.float32)
    slope = np.clip(1.15 - 0.75 * (v - far) / (near - far), 0, 1.2) * inside
    return Image.fromarray(np.clip(np.asarray(level) * slope[:, None] * 255, 0, 255).astype(np.uint8))
