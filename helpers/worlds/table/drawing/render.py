"""From a table to a picture: `render` draws it, `masks` tells which pixels belong to which thing.

Both are pure functions: the same arguments give the same bytes. Wood, cloth, light, noise and how the blocks are turned
follow from the seed. Colours, styles and pen are those of the street world.
"""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops

from helpers.worlds.drawing.pen import Pen, Point, Sprite
from helpers.worlds.drawing.styles import FINE
from helpers.worlds.drawing.styles import STYLES as OTHER_STYLES
from helpers.worlds.drawing.texture import noise
from helpers.worlds.fields import SceneError
from helpers.worlds.street.view import STREET, STYLES, Look
from helpers.worlds.table.drawing import things as shapes
from helpers.worlds.table.drawing.camera import depth, project
from helpers.worlds.table.scene import FLOOR, RADIUS, SIDE, Scene

SIZES = (32, 1024)
_TABLES = 6  # how many table tops there are
_WOODS = ((196, 158, 112), (172, 128, 86), (214, 190, 158), (150, 112, 80), (186, 176, 164), (206, 172, 122))
_WALLS = ((206, 212, 216), (214, 206, 190), (188, 202, 206), (222, 214, 204), (196, 206, 196), (210, 200, 206))
_SHADOW = (22, 16, 24)
_EDGE = 0.06  # the table goes so far beyond the areas


@lru_cache(24)
def _table(size: int, variant: int) -> tuple[Image.Image, Image.Image]:
    """The empty table before a wall (RGB), and its contour lines (L)."""
    rng = np.random.default_rng([0x7AB1E, variant])
    v, u = (np.mgrid[0:size, 0:size].astype(np.float32) + 0.5) / size  # down, right
    wood, wall = np.array(_WOODS[variant], np.float32), np.array(_WALLS[variant], np.float32)
    _, horizon = project(0.5, 1 + _EDGE)
    # Grain runs from left to right; nearer to the viewer it is coarser, as everything is.
    near = np.clip((v - horizon) / (1 - horizon), 0, 1)
    grain = noise(rng, 512, 512, (5, 46), 4) - 0.5
    rows = np.clip((np.sqrt(near) * 511), 0, 511).astype(int)
    columns = np.clip((0.5 + (u - 0.5) * (0.72 - 0.2 * near)) * 511, 0, 511).astype(int)
    top = wood * (1 + 0.30 * grain[rows, columns])[..., None]
    planks = np.abs((np.sqrt(near) * 5.2) % 1 - 0.5)
    top *= (1 - 0.16 * np.clip(1 - (0.5 - planks) / 0.035, 0, 1))[..., None]
    light = 1.13 - 0.34 * np.hypot((u - 0.30) * 0.8, (v - 0.42) * 0.9)
    back = wall * (1.02 - 0.5 * np.hypot(u - 0.25, v - 0.0))[..., None] * (0.80 + 0.2 * v / horizon)[..., None]
    picture = np.where((v > horizon)[..., None], top * light[..., None], back)
    rim = np.clip(1 - np.abs(v - horizon - 0.006) / 0.006, 0, 1)[..., None]
    picture = picture * (1 - 0.35 * rim)
    ink = Image.new("L", (size, size))
    line = max(1, round(size / 250))
    row = int(horizon * size)
    ink.paste(235, (0, row, size, row + line))
    return Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8)), ink


class _Canvas:
    """The picture in the making, with contour lines if `inked`, and the pixels of the first `things` things."""

    def __init__(self, size: int, variant: int, look: Look, inked: bool, things: int) -> None:
        picture, ink = _table(size, variant)
        self.rgb, self.ink, self.size, self.look = picture.copy(), ink.copy(), size, look
        self.inked, self.fine = inked, size > 160
        self.covers = [Image.new("L", (size, size)) for _ in range(things)]

    def pen(self, points: list[Point], pad: float = 0.02) -> tuple[Pen, tuple[int, int]]:
        """A pen for what lies between `points` of the picture, aligned with its pixels, and where its sheet goes."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        x0, y0 = int((min(xs) - pad) * self.size), int((min(ys) - pad) * self.size)
        x1, y1 = int((max(xs) + pad) * self.size) + 1, int((max(ys) + pad) * self.size) + 1
        box = (x0 / self.size, -y1 / self.size, x1 / self.size, -y0 / self.size)
        line = 1.15 + max(0.0, self.size - 192) / 250
        return Pen(box, self.size, line), (x0 - 2, y0 - 2)

    def lay(self, sprite: Sprite, at: tuple[int, int], colour: str, warm: float, owner: int | None) -> None:
        """Lay a drawn thing over the picture."""
        hue = self.look.hue(colour) if colour else (0, 0, 0)
        top, bottom = (1.03 + 0.03 * warm, 1.0, 1.0 - 0.04 * warm), (0.96, 0.95, 0.97)
        patch = sprite.lit(hue, top, bottom, (206, 218, 230), 0).convert("RGBA")
        alpha = patch.getchannel("A")
        self.rgb.paste(patch, at, alpha)
        if self.inked:
            self.ink.paste(sprite.ink, at, ImageChops.lighter(alpha.point(_HARD), sprite.ink))
        for i, cover in enumerate(self.covers):
            cover.paste(255 if i == owner else 0, at, alpha)

    def shade(self, points: list[Point], strength: float, blur: float) -> None:
        """A soft shadow over the outline `points` of the picture."""
        pen, at = self.pen(points, 0.03 + 3 * blur)
        pen.shape([(x, -y) for x, y in points], shapes.paint(0), soft=blur, ink=False)
        mask = pen.sprite().alpha.point(_scaled(strength))
        self.rgb.paste(_SHADOW, at, mask)


_HARD = [255 if v > 127 else 0 for v in range(256)]


@lru_cache(8)
def _scaled(strength: float) -> tuple[int, ...]:
    return tuple(int(v * strength + 0.5) for v in range(256))


def _cast(points: list[shapes.Corner], sun: float) -> list[Point]:
    """Where the light throws the shadow of `points` on the table: the outline in the picture."""
    on_table = [(x - 0.55 * sun * z, min(y + 0.22 * z, 1 + _EDGE - 0.03), 0.0) for x, y, z in points]
    return shapes.hull([project(*point) for point in on_table])


def _compose(scene: Scene, size: int, seed: int, look: Look, ink: bool = False, note: bool = False) -> _Canvas:
    chance = random.Random(seed).random
    variant, warm = int(chance() * _TABLES), 2 * chance() - 1 + look.warmth
    turns = [0.34 * (2 * chance() - 1) for _ in range(8)]
    sun = look.sun + 0.25 * (2 * chance() - 1)
    canvas = _Canvas(size, variant, look, ink, len(scene.things) if note else 0)
    held, hand = scene.gripper.holds, scene.gripper
    # All shadows first: they lie on the table.
    for i, thing in enumerate(scene.things):
        z = scene.height(i)
        if thing.kind == "bowl":
            outline = shapes.ring(thing.x, thing.y, 0.085, RADIUS) + shapes.ring(thing.x, thing.y, 0, 0.07)
        else:
            foot = shapes.corners(thing.x, thing.y, turns[i])
            outline = [(x, y, h) for x, y in foot for h in (z, z + SIDE)]
        canvas.shade(_cast(outline, sun), 0.36 if i != held else 0.26, 0.006 if i != held else 0.012)
        if thing.on is None and i != held:
            wide = 0.082 if thing.kind == "bowl" else 0.088
            canvas.shade([project(*p) for p in shapes.ring(thing.x, thing.y, 0, wide)], 0.42, 0.008)
    finger = [(hand.x + dx, hand.y, hand.z + dz) for dx in (-0.09, 0.09) for dz in (0, 0.2)]
    canvas.shade(_cast(finger, sun), 0.22, 0.016)
    # From the back to the front; a stack from below upwards, with its bowl's near wall last.
    order = sorted(scene.bases(), key=lambda i: -depth(scene.things[i].x, scene.things[i].y, 0))
    hand_drawn = False
    for base in order:
        if not hand_drawn and scene.things[base].y < hand.y and base != held:
            _hand(canvas, scene, turns, warm)
            hand_drawn = True
        if base != held:
            _stack(canvas, scene, base, turns, warm)
    if not hand_drawn:
        _hand(canvas, scene, turns, warm)
    return canvas


def _stack(canvas: _Canvas, scene: Scene, base: int, turns: list[float], warm: float) -> None:
    thing = scene.things[base]
    if thing.kind == "bowl":
        points = [project(*p) for z in (0, 0.09) for p in shapes.ring(thing.x, thing.y, z, RADIUS)]
        pen, at = canvas.pen(points)
        shapes.draw_bowl_back(pen, thing.x, thing.y, canvas.inked)
        canvas.lay(pen.sprite(), at, thing.colour, warm, base)
    else:
        _block(canvas, scene, base, turns, warm)
    above = scene.above(base)
    while above is not None:
        _block(canvas, scene, above, turns, warm)
        above = scene.above(above)
    if thing.kind == "bowl":
        pen, at = canvas.pen(points)
        shapes.draw_bowl_front(pen, thing.x, thing.y, canvas.inked, canvas.fine)
        canvas.lay(pen.sprite(), at, thing.colour, warm, base)


def _block(canvas: _Canvas, scene: Scene, i: int, turns: list[float], warm: float) -> None:
    thing, z = scene.things[i], scene.height(i)
    foot = shapes.corners(thing.x, thing.y, turns[i])
    pen, at = canvas.pen([project(x, y, h) for x, y in foot for h in (z, z + SIDE)])
    sunk = 0.03 if z == FLOOR else 0.0  # a bowl is narrower further down
    shapes.draw_block(pen, thing.x, thing.y, z, turns[i], canvas.inked, canvas.fine, sunk)
    canvas.lay(pen.sprite(), at, thing.colour, warm, i)


def _hand(canvas: _Canvas, scene: Scene, turns: list[float], warm: float) -> None:
    hand = scene.gripper
    if hand.holds is not None:
        _block(canvas, scene, hand.holds, turns, warm)
    points = [project(hand.x + dx, hand.y, z) for dx in (-0.16, 0.16) for z in (max(hand.z - 0.02, 0), 1.6)]
    points = [(x, max(y, -0.05)) for x, y in points]
    pen, at = canvas.pen(points, 0.03)
    wide = SIDE if hand.holds is not None else SIDE + 0.04
    shapes.draw_gripper(pen, hand.x, hand.y, hand.z, wide, canvas.inked, canvas.fine)
    canvas.lay(pen.sprite(), at, "", warm, None)


def _checked(scene: Scene, size: int) -> None:
    if not isinstance(scene, Scene):
        raise SceneError(f"scene: expected a table Scene, not {type(scene).__name__}")
    if type(size) is not int or not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size: {size!r} is not a whole number of pixels from {SIZES[0]} to {SIZES[1]}")


def render(scene: Scene, size: int = 512, seed: int = 0, style: str = "photo", look: Look = STREET) -> np.ndarray:
    """The picture of a table: uint8 [size, size, 3], red, green, blue.

    `seed` decides the table top, the light, how the blocks are turned, and the noise; `style` is one of STYLES of the
    street world, `look` its colours and light. Raises SceneError for another scene, ValueError for a size or a style
    out of range.
    """
    _checked(scene, size)
    if style not in STYLES:
        raise ValueError(f"style: {style!r} is not one of {', '.join(STYLES)}")
    if style != "photo":
        fine = size if size >= FINE else size * -(-FINE // size)
        canvas = _compose(scene, fine, seed, look, ink=True)
        picture = Image.fromarray(OTHER_STYLES[style](canvas.rgb, canvas.ink, seed))
        resample = Image.Resampling.NEAREST if picture.width < size else Image.Resampling.BOX
        return np.asarray(picture.resize((size, size), resample))
    canvas = _compose(scene, size, seed, look)
    rng = np.random.default_rng([0xCA3E, seed])
    gain = np.float32(1 + 0.05 * (2 * rng.random() - 1))  # before the noise, whose numbers depend on the size
    grain = rng.standard_normal((size, size, 1), np.float32) * 2.2
    return np.clip(np.asarray(canvas.rgb) * gain + grain + 0.5, 0, 255).astype(np.uint8)


def masks(scene: Scene, size: int = 512, seed: int = 0, look: Look = STREET) -> np.ndarray:
    """Which pixels each thing is seen in, in the picture of the same arguments: bool [things, size, size].

    A thing that is hidden has none; no pixel belongs to two. Raises as `render` does.
    """
    _checked(scene, size)
    canvas = _compose(scene, size, seed, look, note=True)
    return np.stack([np.asarray(cover) > 127 for cover in canvas.covers])
