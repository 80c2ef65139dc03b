"""From a scene to a picture: `render` draws it, `layers` tells which pixels belong to which object.

Both are pure functions: the same arguments give the same bytes. What is drawn is put together from parts that are kept
after they are first drawn (sky, buildings, ground, each shape of tree and vehicle under each light), so a training set
of small pictures costs little more than pasting.

What tells the facts that are not shapes: a *parked* vehicle stands at its kerb beside a blue parking sign, its wheels
still and nobody in it; a *moving* one is in the middle of its lane, has a driver or rider, whirling wheels and a wake,
and by dusk and night its headlights shine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from helpers.worlds.drawing.pen import Mat, Pen, Point, Sprite, grey, mix
from helpers.worlds.drawing.styles import FINE
from helpers.worlds.drawing.styles import STYLES as OTHER_STYLES
from helpers.worlds.drawing.texture import blurred_disc
from helpers.worlds.street.drawing import trees as plants
from helpers.worlds.street.drawing import vehicles as machines
from helpers.worlds.street.drawing.camera import (
    BUILD_LINE,
    KERB_FAR,
    KERB_NEAR,
    LANE_DEPTHS,
    TREE_LINE,
    WALK,
    Frame,
    depth_of,
)
from helpers.worlds.street.drawing.ground import draw_ground, draw_mirror, lit_ground
from helpers.worlds.street.drawing.palette import Light, light
from helpers.worlds.street.drawing.places import draw_place
from helpers.worlds.street.drawing.scenery import draw_backdrop, draw_sky
from helpers.worlds.street.scene import Scene, SceneError, Vehicle
from helpers.worlds.street.view import STREET, STYLES, USUAL, Look, View

SIZES = (32, 1024)
_SMALL = 256  # pictures up to this size keep many of their parts, larger ones few
_SKIES, _GROUNDS, _BACKDROPS, _PLANTS = 10, 8, 10, 5  # how many of each part there are to choose from


@dataclass(frozen=True)
class Layer:
    """One object in a picture.

    `name` is its place in the scene ("vehicles[0]", "trees[2]", "being"); `mask` (size, size) is True where it is seen;
    `box` is (x0, y0, x1, y1) in pixels around all of it inside the picture, hidden parts included, x1 and y1 excluded;
    `trace` (size, size) is True where it changes other pixels: its soft rim, shadow, reflection, light, sign, wake.
    """

    name: str
    mask: np.ndarray
    box: tuple[int, int, int, int]
    trace: np.ndarray


def _keep(small: int, large: int) -> Callable:
    """Keep the last results of a pure function: `small` many for small pictures, `large` many for large ones.

    The function's first argument is the number of pixels in a unit.
    """

    def wrap(function: Callable) -> Callable:
        few, many = lru_cache(large)(function), lru_cache(small)(function)

        @wraps(function)
        def kept(scale: float, *rest):
            return (many if scale <= _SMALL else few)(scale, *rest)

        return kept

    return wrap


def _line(scale: float) -> float:
    return 1.15 + max(0.0, scale - 192) / 250


@_keep(128, 8)
def _sky(scale: float, frame: Frame, sky: str, variant: int, look: Look):
    return draw_sky(sky, frame, variant, light(sky, look), look)


@_keep(64, 4)
def _ground(scale: float, frame: Frame, surface: str, weather: str, variant: int, look: Look) -> Sprite:
    return draw_ground(surface, weather, frame, variant, look, _line(scale))


@_keep(256, 6)
def _lit_ground(scale: float, frame: Frame, surface: str, weather: str, sky: str, variant: int, look: Look):
    sprite = _ground(scale, frame, surface, weather, variant, look)
    return lit_ground(sprite, frame, light(sky, look)), sprite.ink


@_keep(16, 4)
def _mirror(scale: float, frame: Frame, variant: int) -> Image.Image:
    return draw_mirror(frame, variant)


@_keep(32, 4)
def _place(scale: float, frame: Frame, place: str, variant: int):
    return draw_place(place, frame, variant, _line(scale))


@_keep(64, 4)
def _backdrop(scale: float, frame: Frame, kind: str, snow: bool, variant: int, look: Look) -> Sprite:
    return draw_backdrop(kind, snow, frame, variant, look, _line(scale))


@_keep(256, 6)
def _lit_backdrop(scale: float, frame: Frame, kind: str, snow: bool, sky: str, variant: int, look: Look):
    sprite, lit = _backdrop(scale, frame, kind, snow, variant, look), light(sky, look)
    bottom = tuple(0.94 * c for c in lit.scenery)
    picture = sprite.lit((0, 0, 0), lit.scenery, bottom, lit.mirror, lit.lamps, lit.haze, 0.10).convert("RGBA")
    return picture, sprite.ink, sprite.anchor


def _cast(sprite: Sprite, lit: Light, look: Look, blur: float) -> tuple[Image.Image, Point] | None:
    """The shadow (L) that a sprite throws towards the viewer and away from the sun, and where its foot stands in it."""
    if lit.cast < 0.1:
        return None
    w, h = sprite.alpha.size
    ax, ay = sprite.anchor
    lean = -0.9 * look.sun  # pixels aside for each pixel down
    deep = int(h * lit.reach) + 2
    pad = int(abs(lean) * deep) + 2
    left = ax + (pad if lean < 0 else 2)
    size = w + pad + 2, deep
    rows = (1, -lean, ax - left, 0, -1 / lit.reach, ay)
    mask = sprite.alpha.transform(size, Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR)
    mask = mask.filter(ImageFilter.GaussianBlur(blur))
    return mask.point([int(v * lit.cast + 0.5) for v in range(256)]), (left, 0.0)


@_keep(64, 24)
def _plant(scale: float, kind: str, bare: bool, snow: bool, variant: int, look: Look) -> Sprite:
    height = plants.HEIGHTS[kind] * look.tall * scale
    return plants.draw_tree(kind, bare, snow, variant, height, look, _line(scale))


@_keep(512, 48)
def _lit_plant(scale: float, kind: str, bare: bool, snow: bool, variant: int, sky: str, look: Look):
    sprite, lit = _plant(scale, kind, bare, snow, variant, look), light(sky, look)
    # By night the street lamps shine on trees more than on what is behind them.
    top = mix(lit.scenery, (0.98, 0.90, 0.76), (0.52 if bare else 0.26) * lit.lamps**3)
    bottom = tuple(0.88 * c for c in top)
    picture = sprite.lit((0, 0, 0), top, bottom, lit.mirror, 0, lit.haze, 0.06)
    return picture, sprite, _cast(sprite, lit, look, 0.004 * scale)


@_keep(256, 12)
def _lit_being(scale: float, kind: str, variant: int, sky: str, look: Look):
    lit = light(sky, look)
    sprite = plants.draw_being(kind, variant, plants.BEING_HEIGHTS[kind] * scale, _line(scale))
    return sprite.lit((0, 0, 0), lit.top, lit.bottom, lit.mirror, 0), sprite, _cast(sprite, lit, look, 0.003 * scale)


@_keep(256, 24)
def _machine(scale: float, kind: str, age: str, moving: bool, depth: float, look: Look) -> Sprite:
    width = machines.SHAPES[kind, age].width * scale / depth
    return machines.draw(kind, age, moving, width, look, _line(scale))


@_keep(4096, 64)
def _lit_machine(scale: float, kind: str, age: str, moving: bool, depth: float, colour: str, sky: str, look: Look):
    sprite, lit = _machine(scale, kind, age, moving, depth, look), light(sky, look)
    lamps = lit.lamps if moving else 0.35 * lit.lamps
    haze = 0.10 * (depth - 1)
    picture = sprite.lit(look.hue(colour), lit.top, lit.bottom, lit.mirror, lamps, lit.haze, haze)
    return picture, sprite, _machine_shadow(scale, kind, age, moving, depth, sky, look)


@_keep(512, 48)
def _machine_shadow(scale: float, kind: str, age: str, moving: bool, depth: float, sky: str, look: Look):
    return _cast(_machine(scale, kind, age, moving, depth, look), light(sky, look), look, 0.004 * scale)


@_keep(64, 8)
def _sign(scale: float, sky: str, look: Look):
    """A blue parking sign, 1 unit high."""
    pen, lit = Pen((-0.2, -0.02, 0.2, 1.04), scale, _line(scale)), light(sky, look)
    pen.rect(-0.022, 0, 0.022, 1.0, [(0, grey(190)), (1, grey(110))])
    pen.rect(-0.15, 0.70, 0.15, 1.0, grey(244), 0.04)
    pen.rect(-0.13, 0.72, 0.13, 0.98, Mat((30, 84, 190)), 0.03, ink=False)
    pen.stroke([(-0.045, 0.75), (-0.045, 0.95)], 0.045, grey(248), ink=False)
    pen.stroke([(-0.045, 0.94), (0.03, 0.94), (0.06, 0.90), (0.03, 0.85), (-0.045, 0.85)], 0.04, grey(248), ink=False)
    sprite = pen.sprite()
    return sprite.lit((0, 0, 0), lit.top, lit.bottom, lit.mirror, 0), sprite


@_keep(64, 8)
def _wake(scale: float, weather: str, sky: str, look: Look):
    """What a vehicle that moves to the right leaves behind it: streaks of air, and dust or spray; 1 unit high."""
    pen, lit = Pen((-1.5, -0.05, 0.15, 1.0), scale, _line(scale)), light(sky, look)
    for k, (y, length) in enumerate(((0.80, 0.7), (0.62, 1.1), (0.44, 0.85), (0.28, 1.2))):
        pale = Mat((250, 250, 250))
        for t, opacity in ((1.0, 0.30), (0.66, 0.34), (0.36, 0.40)):
            pen.stroke([(-length * t, y), (-0.02 - 0.03 * k, y)], 0.030, pale, opacity=opacity, ink=t == 1.0)
    puff = Mat((196, 184, 164)) if weather == "dry" else Mat((232, 238, 244))
    for x, y, r in ((-0.06, 0.08, 0.11), (-0.24, 0.12, 0.14), (-0.46, 0.14, 0.15), (-0.70, 0.13, 0.12)):
        pen.oval(x, y, r, puff, r * 0.75, soft=0.045, opacity=0.42, ink=False)
    sprite = pen.sprite()
    return sprite.lit((0, 0, 0), lit.top, lit.bottom, lit.mirror, 0), sprite


@lru_cache(4096)
def _sized_shade(width: int, height: int, strength: float, sharp: float) -> Image.Image:
    return _shade(strength, sharp).resize((width, height), Image.Resampling.BILINEAR)


@lru_cache(64)
def _shade(strength: float, sharp: float) -> Image.Image:
    """A soft shadow (L) that fills most of 128 x 32 pixels; `sharp` from 0 (a mist) to 1 (an edge)."""
    y, x = np.mgrid[-1:1:32j, -1:1:128j]
    d = np.sqrt(np.abs(x) ** 4 + np.abs(y) ** 2.4)
    t = np.clip((1 - d) / (1 - 0.8 * sharp), 0, 1)
    return Image.fromarray((255 * strength * t * t * (3 - 2 * t)).astype(np.uint8))


@lru_cache(8)
def _beam(strength: float) -> Image.Image:
    """The light that headlights, at its left edge, throw to the right (RGB, to be added)."""
    y, x = np.mgrid[-1:1:64j, 0:1:128j]
    spread = 0.16 + 0.8 * x
    cone = np.clip(1 - (y / spread) ** 2, 0, 1) ** 1.5 * (1 - x) ** 1.6
    halo = np.clip(1 - np.sqrt((x / 0.16) ** 2 + (y / 0.40) ** 2), 0, 1) ** 1.4
    power = np.clip(0.55 * cone + 0.9 * halo, 0, 1)[..., None] * strength * np.array((255, 236, 180))
    return Image.fromarray(power.astype(np.uint8))


@_keep(32, 4)
def _haze_of_light(scale: float, frame: Frame, sky: str, look: Look) -> Image.Image | None:
    """The sun's light in the air, over trees and houses too (RGB, to be added)."""
    if sky not in ("day", "dusk"):
        return None
    low = sky == "dusk"
    colour = np.array((72, 40, 14) if low else (46, 42, 28), np.float32)
    x = (frame.left + (np.arange(frame.width, dtype=np.float32) + 0.5) / frame.scale)[None, :]
    y = (frame.top + (np.arange(frame.height, dtype=np.float32) + 0.5) / frame.scale)[:, None]
    d2 = (x - 0.5 - 0.36 * look.sun) ** 2 + (y - (frame.horizon - 0.08 if low else 0.14)) ** 2
    return Image.fromarray((colour * (1 / (1 + d2 / 0.07))[..., None]).astype(np.uint8))


@_keep(128, 6)
def _lamps(scale: float, frame: Frame, variant: int, sky: str, look: Look):
    """Street lamps: the posts (RGBA), their contour lines (L), and their light (RGB, to be added)."""
    lit = light(sky, look)
    right, bottom = frame.left + frame.width / frame.scale, frame.top + frame.height / frame.scale
    pen = Pen((frame.left, -bottom, right, -frame.top), frame.scale, _line(scale))
    glow = Image.new("RGB", (frame.width, frame.height))
    row, step = frame.row(1.76), 0.62
    top = row - 0.335
    for k in range(math.floor((frame.left - 0.2) / step), math.ceil((right + 0.2) / step)):
        x = k * step + 0.10 + 0.41 * (variant % 7) / 7
        pen.shape(
            [(x - 0.006, -row), (x - 0.0035, -top), (x + 0.0035, -top), (x + 0.006, -row)],
            [(0, grey(86)), (1, grey(40))],
        )
        pen.rect(x - 0.009, -row, x + 0.009, -row + 0.02, grey(52))
        pen.stroke([(x, -top), (x + 0.012, -top + 0.016), (x + 0.040, -top + 0.018)], 0.006, grey(64))
        pen.shape(
            [
                (x + 0.030, -top + 0.022),
                (x + 0.072, -top + 0.016),
                (x + 0.070, -top + 0.008),
                (x + 0.034, -top + 0.010),
            ],
            grey(58),
        )
        pen.rect(
            x + 0.038, -top + 0.004, x + 0.068, -top + 0.011, Mat((232, 226, 206), 0, 0, (255, 226, 160)), ink=False
        )
        if lit.lamps > 0.5:
            px, py = frame.pixel(x + 0.053, top - 0.006)
            for cx, cy, rx, ry, power in ((px, py, 0.060, 0.060, 0.42), (px, py, 0.020, 0.020, 1.0),
                                          (px, (row + 0.03 - frame.top) * frame.scale, 0.24, 0.055, 0.34)):  # fmt: skip
                w, h = max(2, int(4 * rx * frame.scale)), max(2, int(4 * ry * frame.scale))
                spot = blurred_disc(24).resize((w, h), Image.Resampling.BILINEAR)
                spot = Image.merge(
                    "RGB", [spot.point([int(v * c * power * lit.lamps) for v in range(256)]) for c in (1.0, 0.84, 0.55)]
                )
                box = (int(cx - w / 2), int(cy - h / 2))
                area = (*box, box[0] + w, box[1] + h)
                glow.paste(ImageChops.add(glow.crop(area), spot), box)
    sprite = pen.sprite()
    posts = sprite.lit((0, 0, 0), lit.scenery, lit.scenery, lit.mirror, lit.lamps).convert("RGBA")
    return posts, sprite.ink, glow if lit.lamps > 0.5 else None


class _Canvas:
    """The picture in the making; it also notes what belongs to which object if `note` is set."""

    def __init__(self, frame: Frame, ink: bool, note: bool) -> None:
        self.frame = frame
        self.size = (frame.width, frame.height)
        self.rgb = Image.new("RGB", self.size)
        self.ink = Image.new("L", self.size) if ink else None
        self.parts: list[tuple[str, Image.Image]] | None = [] if note else None
        self.traces: dict[str, Image.Image] = {}

    def lay(self, picture: Image.Image, ink: Image.Image, at: tuple[int, int]) -> None:
        """Lay a part of the background: an RGBA picture, or an RGB one that covers everything."""
        cover = picture if picture.mode == "RGBA" else None
        self.rgb.paste(picture, at, cover)
        if self.ink is not None:
            self.ink.paste(ink, at, cover and ImageChops.lighter(picture.getchannel("A").point(_HARD), ink))

    def sprite(self, lit: Image.Image, sprite: Sprite, x: float, y: float, q: float, flip: bool, name: str, part: bool):
        """Place a lit sprite with its anchor at pixel (x, y), `q` times as large; `part` if it is the object itself."""
        ax, ay = sprite.anchor
        w, h = lit.size
        if flip:
            lit, ax = lit.transpose(Image.Transpose.FLIP_LEFT_RIGHT), w - ax
        x0, y0 = x - ax * q, y - ay * q
        i0, j0 = math.ceil(x0), math.ceil(y0)
        i1, j1 = math.floor(x0 + w * q), math.floor(y0 + h * q)
        if part and self.parts is not None:
            self.parts.append((name, Image.new("L", self.size)))
            self.traces.setdefault(name, Image.new("L", self.size))
        if i0 >= self.size[0] or j0 >= self.size[1] or i1 <= 0 or j1 <= 0 or i1 <= i0 or j1 <= j0:
            return
        box = ((i0 - x0) / q, (j0 - y0) / q, min((i1 - x0) / q, w), min((j1 - y0) / q, h))
        patch = lit.resize((i1 - i0, j1 - j0), Image.Resampling.BILINEAR, box=box).convert("RGBA")
        self.rgb.paste(patch, (i0, j0), patch)
        if self.ink is not None:
            ink = sprite.ink.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else sprite.ink
            ink = ink.resize((i1 - i0, j1 - j0), Image.Resampling.BILINEAR, box=box)
            self.ink.paste(ink, (i0, j0), ImageChops.lighter(patch.getchannel("A").point(_HARD), ink))
        if self.parts is not None:
            alpha = patch.getchannel("A")
            if part:
                self.parts[-1][1].paste(alpha, (i0, j0))
            self.note(name, alpha, (i0, j0))

    def note(self, name: str, mask: Image.Image, at: tuple[int, int]) -> None:
        """Remember that the object `name` may have changed the pixels under `mask` (L)."""
        if self.parts is not None:
            trace = self.traces.setdefault(name, Image.new("L", self.size))
            trace.paste(255, at, mask.point(_ANY))

    def shadow(self, x: float, y: float, w: float, h: float, strength: float, sharp: float, name: str) -> None:
        """A soft shadow centred at pixel (x, y)."""
        iw, ih = max(3, int(w + 0.5)), max(2, int(h + 0.5))
        mask = _sized_shade(iw, ih, round(strength, 3), sharp)
        at = int(x - iw / 2 + 0.5), int(y - ih / 2 + 0.5)
        self.rgb.paste((12, 14, 24), at, mask)
        self.note(name, mask, at)

    def cast(self, casts: list[tuple[str, tuple[Image.Image, Point] | None, float, float, float]]) -> None:
        """Cast shadows: (name, shadow, x and y of its foot in pixels, times as large); the darker of two holds.

        The shadow of a mirrored sprite is that of the sprite itself, which is nearly the same.
        """
        merged = None
        for name, shadow, x, y, q in casts:
            if shadow is None:
                continue
            mask, (ax, _) = shadow
            w, h = max(1, int(mask.width * q + 0.5)), max(1, int(mask.height * q + 0.5))
            if (w, h) != mask.size:
                mask = mask.resize((w, h), Image.Resampling.BILINEAR)
            at = int(x - ax * q + 0.5), int(y + 0.5)
            self.note(name, mask, at)
            if len(casts) == 1:
                self.rgb.paste(_SHADOW, at, mask)
                return
            merged = merged or Image.new("L", self.size)
            area = (*at, at[0] + w, at[1] + h)
            merged.paste(ImageChops.lighter(merged.crop(area), mask), at)
        if merged is not None:
            self.rgb.paste(_SHADOW, (0, 0), merged)


_SHADOW = (16, 18, 34)
_HARD = [255 if v > 127 else 0 for v in range(256)]
_ANY = [255 if v else 0 for v in range(256)]


def _compose(scene: Scene, frame: Frame, seed: int, look: Look, place: str, ink: bool, note: bool) -> _Canvas:
    draws = random.Random(seed)
    chance = draws.random
    numbers = [int(chance() * n) for n in (_SKIES, _BACKDROPS, _GROUNDS, 7)]
    sizes = [1 + 0.05 * (2 * chance() - 1) for _ in LANE_DEPTHS]
    canvas = _Canvas(frame, ink, note)
    sky, mirror = scene.sky, None
    if place == "street":
        mirror = _street(canvas, scene, seed, numbers, look)
    else:
        sky = "overcast" if place in ("kitchen", "desk", "studio") else "day"
        picture, lines = _place(frame.scale, frame, place, numbers[0] % 3)
        canvas.lay(picture, lines, (0, 0))
    for i in reversed(range(len(scene.vehicles))):
        _vehicle(canvas, scene, i, sizes[scene.vehicles[i].lane], sky, look, mirror, place == "street")
    return canvas


def _street(canvas: _Canvas, scene: Scene, seed: int, numbers: list[int], look: Look) -> Image.Image | None:
    """Everything but the vehicles. Returns how much the road mirrors, if it does."""
    frame, lit, snow = canvas.frame, light(scene.sky, look), scene.weather == "snowy"
    k = frame.scale
    canvas.lay(*_sky(k, frame, scene.sky, numbers[0], look), (0, 0))
    back, lines, (ax, ay) = _lit_backdrop(k, frame, scene.buildings, snow, scene.sky, numbers[1], look)
    x, y = frame.pixel(0, frame.row(BUILD_LINE))
    canvas.lay(back, lines, (round(x - ax), round(y - ay)))
    canvas.lay(*_lit_ground(k, frame, scene.surface, scene.weather, scene.sky, numbers[2], look), (-2, -2))
    if scene.trees:
        _trees(canvas, scene, seed, lit, look)
    posts, lines, glow = _lamps(k, frame, numbers[3], scene.sky, look)
    canvas.lay(posts, lines, (-2, -2))
    for shine in (glow, _haze_of_light(k, frame, scene.sky, look)):
        if shine is not None:
            canvas.rgb.paste(ImageChops.add(canvas.rgb, shine))
    if scene.being:
        _being(canvas, scene, seed, lit, look)
    if scene.weather != "wet":
        return None
    mirror = _mirror(k, frame, numbers[2])
    _reflect(canvas, mirror)
    return mirror


def _trees(canvas: _Canvas, scene: Scene, seed: int, lit: Light, look: Look) -> None:
    frame, k, trees = canvas.frame, canvas.frame.scale, scene.trees
    row, snow = frame.row(TREE_LINE), scene.weather == "snowy"
    placed = []
    for i, place in enumerate(trees.places):
        # Each tree has draws of its own, so that it stays as it is when another is felled.
        chance = random.Random(seed * 1_000_003 + int(place * 1_000_000)).random
        variant, size, base = int(chance() * _PLANTS), 0.92 + 0.12 * chance(), row + 0.012 * (chance() - 0.5)
        parts = _lit_plant(k, trees.kind, trees.bare, snow, variant, scene.sky, look)
        placed.append((base, f"trees[{i}]", *frame.pixel(place, base), size, *parts))
    wide = {"oak": 0.20, "birch": 0.13, "pine": 0.17, "palm": 0.10}[trees.kind] * look.crown
    canvas.cast([(name, cast, x, y, size) for _, name, x, y, size, _, _, cast in placed])
    for _, name, x, y, size, *_ in placed:
        canvas.shadow(x, y, wide * size * k, 0.026 * k, lit.shadow * 0.7, 0.4, name)
    for _, name, x, y, size, picture, sprite, _ in sorted(placed, key=lambda p: p[0]):
        canvas.sprite(picture, sprite, x, y, size, False, name, True)


def _being(canvas: _Canvas, scene: Scene, seed: int, lit: Light, look: Look) -> None:
    frame, being, k = canvas.frame, scene.being, canvas.frame.scale
    chance = random.Random(seed + 0xBE).random
    picture, sprite, cast = _lit_being(k, being.kind, int(chance() * 4), scene.sky, look)
    x, y = frame.pixel(being.x, frame.row(WALK))
    flip = chance() < 0.5
    wide = plants.BEING_HEIGHTS[being.kind] * k * {"dog": 1.3, "cat": 0.8, "person": 0.5}[being.kind]
    canvas.shadow(x, y, wide, 0.018 * k, lit.shadow, 0.4, "being")
    canvas.cast([("being", cast, x, y, 1.0)])
    canvas.sprite(picture, sprite, x, y, 1.0, flip, "being", True)


def _reflect(canvas: _Canvas, mirror: Image.Image) -> None:
    """The wet road shows, upside down and smeared, what stands beyond it."""
    frame = canvas.frame
    top = int((frame.row(KERB_FAR) - frame.top) * frame.scale + 0.5)
    bottom = min(int((frame.row(KERB_NEAR) - frame.top) * frame.scale + 1), frame.height)
    h = bottom - top
    if h < 2 or top < 1:
        return
    above = canvas.rgb.crop((0, max(top - int(1.7 * h), 0), frame.width, top))
    above = above.resize((frame.width, max(h // 2, 2)), Image.Resampling.BILINEAR).resize(
        (frame.width, h), Image.Resampling.BILINEAR
    )
    box = (0, top, frame.width, bottom)
    canvas.rgb.paste(above.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, top), mirror.crop(box))
    for name in list(canvas.traces):
        whole = canvas.traces[name].crop((0, max(top - int(1.7 * h), 0), frame.width, top))
        whole = whole.resize((frame.width, max(h // 2, 2)), Image.Resampling.BILINEAR).resize(
            (frame.width, h), Image.Resampling.BILINEAR
        )
        canvas.note(name, whole.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, top))


def _vehicle(
    canvas: _Canvas,
    scene: Scene,
    i: int,
    size: float,
    sky: str,
    look: Look,
    mirror: Image.Image | None,
    street: bool,
) -> None:
    vehicle: Vehicle = scene.vehicles[i]
    frame, k, name, lit = canvas.frame, canvas.frame.scale, f"vehicles[{i}]", light(sky, look)
    depth, moving, flip = depth_of(vehicle), not vehicle.parked, vehicle.facing == "left"
    shape = machines.SHAPES[vehicle.kind, vehicle.age]
    base = LANE_DEPTHS[vehicle.lane]
    picture, sprite, cast = _lit_machine(k, vehicle.kind, vehicle.age, moving, base, vehicle.colour, sky, look)
    q = size * base / depth
    x, y = frame.pixel(vehicle.x, frame.row(depth))
    wide = shape.width * look.length * size * k / depth
    high = shape.height / shape.length * shape.width * look.height * size * k / depth
    ahead = -1 if flip else 1
    # The cast shadow falls away from the sun; the contact shadow holds the wheels on the road.
    canvas.cast([(name, cast, x, y, q)])
    thin = vehicle.kind == "bicycle"
    canvas.shadow(x, y, wide * (0.9 if thin else 1.06), high * (0.06 if thin else 0.22), lit.shadow, 0.25, name)
    if not thin:
        canvas.shadow(x, y - 0.01 * high, wide * 0.95, high * 0.16, min(0.85, lit.shadow + 0.30), 0.3, name)
    if mirror is not None:
        _mirrored(canvas, picture, sprite, x, y, q, flip, mirror, name)
    if vehicle.parked and street:
        sign, sign_sprite = _sign(0.2 * k, sky, look)
        reach = shape.width * look.length * size / depth / 2 + 0.045 / depth
        at = vehicle.x - ahead * reach
        at = at if 0.02 < at < 0.98 else vehicle.x + ahead * reach
        kerb = KERB_NEAR - 0.02 if vehicle.lane == 0 else KERB_FAR + 0.03
        canvas.sprite(sign, sign_sprite, *frame.pixel(at, frame.row(kerb)), 1 / depth, False, name, False)
    elif street:
        wake, wake_sprite = _wake(0.2 * k, scene.weather, sky, look)
        canvas.sprite(wake, wake_sprite, x - ahead * wide * 0.49, y, high / (0.2 * k), flip, name, False)
    canvas.sprite(picture, sprite, x, y, q, flip, name, True)
    if moving and street and lit.lamps > 0.5:
        beam = _beam(round(0.9 * lit.lamps, 3))
        w, h = max(4, int(0.30 * k / depth)), max(4, int(0.15 * k / depth))
        beam = beam.resize((w, h), Image.Resampling.BILINEAR)
        lamp_y = y - 0.40 * min(high, 0.14 * k / depth)
        left = x + ahead * wide * 0.485
        if flip:
            beam, left = beam.transpose(Image.Transpose.FLIP_LEFT_RIGHT), left - w
        at = int(left + 0.5), int(lamp_y - h * 0.5)
        area = (*at, at[0] + w, at[1] + h)
        canvas.rgb.paste(ImageChops.add(canvas.rgb.crop(area), beam), at)
        canvas.note(name, beam.getchannel("R"), at)


def _mirrored(
    canvas: _Canvas, picture, sprite: Sprite, x: float, y: float, q: float, flip: bool, mirror, name: str
) -> None:
    """The vehicle upside down in the wet road."""
    w, h = int(picture.width * q + 0.5), int(picture.height * q * 0.62 + 0.5)
    if w < 2 or h < 2:
        return
    turned = (
        picture.resize((w, max(h // 2, 2)), Image.Resampling.BILINEAR)
        .resize((w, h), Image.Resampling.BILINEAR)
        .convert("RGBA")
    )
    turned = turned.transpose(Image.Transpose.ROTATE_180 if flip else Image.Transpose.FLIP_TOP_BOTTOM)
    ax = sprite.anchor[0] if not flip else picture.width - sprite.anchor[0]
    below = (picture.height - sprite.anchor[1]) * q * 0.62
    at = round(x - ax * q), round(y - below)
    area = (*at, at[0] + w, at[1] + h)
    mask = ImageChops.multiply(turned.getchannel("A"), mirror.crop(area))
    canvas.rgb.paste(turned.convert("RGB"), at, mask)
    canvas.note(name, mask, at)


@lru_cache(8)
def _vignette(size: int) -> np.ndarray:
    t = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    d2 = t[:, None] ** 2 + t[None] ** 2
    return (1.03 - 0.13 * d2)[..., None].astype(np.float32)


@lru_cache(8)
def _film(size: int) -> np.ndarray:
    """Grain of film, a little larger than the picture so that a seed can choose a part of it."""
    rng = np.random.default_rng(0xF11)
    grain = rng.standard_normal((size + 61, size + 61, 1), dtype=np.float32) * 1.7
    return grain + rng.standard_normal((size + 61, size + 61, 3), dtype=np.float32) * 0.9


def _develop(picture: Image.Image, size: int, seed: int, sky: str) -> np.ndarray:
    """A photograph's exposure, tint, vignette and grain."""
    draws = random.Random(seed ^ 0x9E3779B9)
    gain = 1 + 0.07 * (2 * draws.random() - 1)
    tint = 0.025 * (2 * draws.random() - 1)
    i, j = int(draws.random() * 61), int(draws.random() * 61)
    out = np.asarray(picture).astype(np.float32)
    out *= _vignette(size) * np.array((gain * (1 + tint), gain, gain * (1 - tint)), np.float32)
    grain = _film(size)[i : i + size, j : j + size]
    out += grain * np.float32(1.5) if sky == "night" else grain
    np.clip(out, 0, 255, out=out)
    return out.astype(np.uint8)


def _frame(size: int, view: View) -> Frame:
    turn = math.radians(view.rotation)
    span = abs(math.cos(turn)) + abs(math.sin(turn))
    pixels = size if view.rotation % 360 == 0 else math.ceil(size * span) + 2
    scale = size * view.zoom
    half = pixels / scale / 2
    return Frame(scale, 0.5 + view.pan_x - half, 0.5 + view.pan_y - half, pixels, pixels, view.horizon)


def _turned(image: Image.Image, size: int, view: View, sampling=Image.Resampling.BICUBIC) -> Image.Image:
    if view.rotation % 360 == 0:
        return image
    image = image.rotate(view.rotation, sampling)
    a = (image.width - size) // 2
    return image.crop((a, a, a + size, a + size))


def _check(scene: Scene, size: int, seed: int, view: View, look: Look) -> None:
    for name, value, kind in (("scene", scene, Scene), ("view", view, View), ("look", look, Look)):
        if not isinstance(value, kind):
            raise SceneError(f"{name}: expected a {kind.__name__}, found {type(value).__name__}")
    low, high = SIZES
    if type(size) is not int or not low <= size <= high:
        raise SceneError(f"size: {size!r} is not a whole number of pixels from {low} to {high}")
    if type(seed) is not int or not 0 <= seed < 2**64:
        raise SceneError(f"seed: {seed!r} is not a whole number from 0 to 2**64 - 1")


def render(
    scene: Scene, size: int = 96, seed: int = 0, style: str = "photo", view: View = USUAL, look: Look = STREET
) -> np.ndarray:
    """Draw `scene` as an RGB picture, uint8 (size, size, 3).

    `size` is 32 to 1024 pixels. `seed` chooses what the scene leaves open: clouds, houses, the trees' growth, cracks,
    exposure, grain; the same seed gives the same street at every size. `style` is one of `STYLES`: "photo", the
    renditions, or "sketch". Equal arguments give equal bytes. Raises SceneError, naming the argument, for a bad one.
    """
    _check(scene, size, seed, view, look)
    if style not in STYLES:
        raise SceneError(f"style: {style!r} is not one of {', '.join(STYLES)}")
    if style == "photo":
        canvas = _compose(scene, _frame(size, view), seed, look, view.backdrop, False, False)
        return _develop(_turned(canvas.rgb, size, view), size, seed, scene.sky)
    work = size * math.ceil(FINE / size)
    canvas = _compose(scene, _frame(work, view), seed, look, view.backdrop, True, False)
    drawn = OTHER_STYLES[style](_turned(canvas.rgb, work, view), _turned(canvas.ink, work, view), seed)
    if drawn.shape[0] == size:
        return drawn
    picture = Image.fromarray(drawn)
    if picture.width < size:
        return np.array(picture.resize((size, size), Image.Resampling.NEAREST))
    return np.array(picture.resize((size, size), Image.Resampling.BOX))


def layers(scene: Scene, size: int = 96, seed: int = 0, view: View = USUAL, look: Look = STREET) -> list[Layer]:
    """The vehicles, trees and being of the picture that `render` draws for the same arguments, back to front.

    An object that lies outside the picture or is hidden has an empty mask; one outside also has the box (0, 0, 0, 0).
    Raises SceneError as `render` does.
    """
    _check(scene, size, seed, view, look)
    canvas = _compose(scene, _frame(size, view), seed, look, view.backdrop, False, True)
    found: list[Layer] = []
    hidden = np.zeros((size, size), bool)
    for name, whole in reversed(canvas.parts):
        whole = _turned(whole, size, view)
        solid = np.asarray(whole) > 127
        trace = canvas.traces[name]
        if view.rotation % 360:
            # Turning mixes each pixel with its neighbours, two away at most.
            trace = _turned(trace.filter(ImageFilter.MaxFilter(5)), size, view, Image.Resampling.NEAREST)
        mask = solid & ~hidden
        hidden |= solid
        box = Image.fromarray(solid).getbbox() or (0, 0, 0, 0)
        found.append(Layer(name, mask, box, (np.asarray(trace) > 0) & ~mask))
    return found[::-1]
