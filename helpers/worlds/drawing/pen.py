"""A pen that draws one object as layers of material, so that colour and light can be chosen after drawing.

Drawing a vehicle takes a hundred shapes; lighting it takes one formula over its pixels:

    picture = (fixed + paint * colour + mirror * sky) * light + glow * lamps

So each object is drawn once and lit many times. All layers are premultiplied by coverage:
at a soft edge they fade to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Point = tuple[float, float]
RGB = tuple[float, float, float]

_FULL = 200  # the stored value of paint 1.0; headroom above it is for highlights
_FINE = 4  # sub-pixels along each side of a pixel when coverage is computed

# A leaf's outline, pointing seven ways.
_LEAF = np.array(((-1.35, 0.0), (-0.5, -0.75), (0.5, -0.66), (1.35, 0.0), (0.5, 0.66), (-0.5, 0.75)))
_LEAVES = np.stack([_LEAF @ np.array(((np.cos(a), np.sin(a)), (-np.sin(a), np.cos(a)))) for a in np.arange(7) * 2.4])


class Mat(NamedTuple):
    """What a surface does with light. Values are 0 to 255, paint is 0 to 1.27."""

    fixed: RGB = (0, 0, 0)
    paint: float = 0.0
    mirror: float = 0
    glow: RGB = (0, 0, 0)


Fill = Mat | Sequence[tuple[float, Mat]]  # one material, or stops (0 to 1, material) of a gradient


def grey(value: float, mirror: float = 0) -> Mat:
    return Mat((value, value, value), 0, mirror)


def mix(a: RGB, b: RGB, t: float) -> RGB:
    """The colour at `t` of the way from `a` to `b`."""
    return tuple(x + (y - x) * t for x, y in zip(a, b, strict=True))


def path(*corners: tuple[float, ...]) -> list[Point]:
    """A closed outline through `corners` (x, y) or (x, y, r); a corner with r > 0 is rounded over that length."""
    points: list[Point] = []
    n = len(corners)
    for i, (x, y, *r) in enumerate(corners):
        if not r or r[0] <= 0:
            points.append((x, y))
            continue
        ends = []
        for other in (corners[i - 1], corners[(i + 1) % n]):
            dx, dy = other[0] - x, other[1] - y
            length = (dx * dx + dy * dy) ** 0.5
            step = min(r[0], 0.5 * length) / length if length else 0
            ends.append((x + dx * step, y + dy * step))
        (x0, y0), (x1, y1) = ends
        for t in (0, 0.15, 0.325, 0.5, 0.675, 0.85, 1):
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
            points.append((a * x0 + b * x + c * x1, a * y0 + b * y + c * y1))
    return points


def curve(*points: Point, steps: int = 8) -> list[Point]:
    """An open smooth line through `points` (Catmull-Rom)."""
    p = [points[0], *points, points[-1]]
    line = []
    for i in range(1, len(p) - 2):
        for k in range(steps):
            t = k / steps
            line.append(
                tuple(
                    0.5
                    * (
                        2 * p[i][j]
                        + (p[i + 1][j] - p[i - 1][j]) * t
                        + (2 * p[i - 1][j] - 5 * p[i][j] + 4 * p[i + 1][j] - p[i + 2][j]) * t * t
                        + (3 * p[i][j] - p[i - 1][j] - 3 * p[i + 1][j] + p[i + 2][j]) * t**3
                    )
                    for j in (0, 1)
                )
            )
    return [*line, points[-1]]


def oval(cx: float, cy: float, rx: float, ry: float | None = None, start: float = 0, stop: float = 360) -> list[Point]:
    """An ellipse, or a part of one in degrees (0 right, 90 up), as points."""
    ry = rx if ry is None else ry
    t = np.radians(np.linspace(start, stop, 33 if abs(stop - start) > 180 else 17))
    return [(cx + rx * c, cy + ry * s) for c, s in zip(np.cos(t).tolist(), np.sin(t).tolist(), strict=True)]


@dataclass(frozen=True)
class Sprite:
    """One drawn object: its layers at one size, and the pixel (x, y) of its anchor, the point it stands on."""

    fixed: Image.Image  # RGB
    alpha: Image.Image  # L
    control: Image.Image  # RGB: paint, mirror, 0
    glow: Image.Image  # RGB
    ink: Image.Image  # L, the contour lines
    anchor: Point

    def lit(
        self,
        colour: RGB,
        top: RGB,
        bottom: RGB,
        sky: RGB,
        lamps: float,
        haze: RGB = (0, 0, 0),
        distance: float = 0.0,
    ) -> Image.Image:
        """The object in body colour `colour` (0 to 255) as a premultiplied "RGBa" picture.

        `top` and `bottom` multiply the light at the top and at the bottom of the object (1 is full light), `sky` is
        the colour that mirrors show, `lamps` the strength of the object's own lights, and `haze` the colour it
        fades to over `distance` (0 to 1).
        """
        control = np.asarray(self.control)
        out = np.asarray(self.fixed).astype(np.float32)
        out += control[..., 0:1] * np.array(colour, np.float32) * np.float32(1 / _FULL)
        if control[..., 1].any():
            out += control[..., 1:2] * np.array(sky, np.float32) * np.float32(1 / 255)
        h = out.shape[0]
        t = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
        out *= np.array(top, np.float32) * (1 - t) + np.array(bottom, np.float32) * t
        alpha = np.asarray(self.alpha)
        if distance:
            out += (np.array(haze, np.float32) * (alpha[..., None] * np.float32(1 / 255)) - out) * np.float32(distance)
        if lamps:
            out += np.asarray(self.glow) * np.float32(lamps)
        rgba = np.empty((*alpha.shape, 4), np.uint8)
        # Premultiplied colour never exceeds coverage, or soft rims would shine.
        rgba[..., :3] = np.minimum(np.maximum(out + 0.5, 0), alpha[..., None])
        rgba[..., 3] = alpha
        return Image.frombuffer("RGBa", (alpha.shape[1], h), rgba.tobytes(), "raw", "RGBa", 0, 1)


class Pen:
    """Draws shapes, each over the earlier ones, in units of its own with y upwards and the anchor at (0, 0)."""

    def __init__(self, box: tuple[float, float, float, float], scale: float, line: float = 1.0) -> None:
        """`box` is (left, bottom, right, top) in units, `scale` the pixels in a unit, `line` the width of ink
        in pixels."""
        rim = 2 / scale  # two clear pixels around, so that a picture of it can be moved by parts of a pixel
        self._left, self._top, self._scale, self._line = box[0] - rim, box[3] + rim, scale, line
        self.size = int((box[2] - box[0]) * scale + 5), int((box[3] - box[1]) * scale + 5)
        self._fixed, self._control, self._glow = (Image.new("RGB", self.size) for _ in range(3))
        self._alpha, self._ink = (Image.new("L", self.size) for _ in range(2))

    def sprite(self) -> Sprite:
        anchor = -self._left * self._scale, self._top * self._scale
        return Sprite(self._fixed, self._alpha, self._control, self._glow, self._ink, anchor)

    def shape(
        self,
        points: list[Point],
        fill: Fill,
        *,
        cut: Sequence[list[Point]] = (),
        clip: list[Point] | None = None,
        across: bool = False,
        soft: float = 0.0,
        opacity: float = 1.0,
        ink: bool = True,
    ) -> None:
        """Fill an outline. `cut` outlines are left out, `clip` limits it, `across` runs a gradient left to right
        instead of top to bottom, `soft` blurs the rim over that many units, `ink` also draws its contour line."""
        dots = self._dots(points)
        pad = int(3 * soft * self._scale) + 2
        box = self._box(dots, pad)
        if box is None:
            return
        cover = self._cover(dots, box, int(255 * opacity + 0.5))
        for hole in cut:
            self._polygon(cover, self._dots(hole), box, 0)
        mask = cover.reduce(_FINE)
        if clip is not None:
            mask = ImageChops.multiply(mask, self._cover(self._dots(clip), box).reduce(_FINE))
        if soft and soft * self._scale > 0.3:
            mask = mask.filter(ImageFilter.GaussianBlur(soft * self._scale))
        self._paste(mask, box, fill, across, self._extent(dots))
        if ink and opacity == 1 and not soft:
            self._ink.paste(0, box, mask)
            outline = [*dots, dots[0]]
            self._trace(outline, self._line, clip=mask if clip is not None else None)
        elif opacity > 0.6 and not soft:
            self._ink.paste(0, box, mask)

    def contour(self, points: list[Point]) -> None:
        """The ink of an outline alone; it hides the ink behind it."""
        dots = self._dots(points)
        box = self._box(dots, 2)
        if box is not None:
            self._ink.paste(0, box, self._cover(dots, box).reduce(_FINE))
            self._trace([*dots, dots[0]], self._line, clip=None)

    def oval(self, cx: float, cy: float, rx: float, fill: Fill, ry: float | None = None, **options) -> None:
        self.shape(oval(cx, cy, rx, ry), fill, **options)

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: Fill, r: float = 0, **options) -> None:
        self.shape(path((x0, y0, r), (x1, y0, r), (x1, y1, r), (x0, y1, r)), fill, **options)

    def stroke(self, points: list[Point], width: float, fill: Fill, opacity: float = 1.0, ink: bool = True) -> None:
        """A line of `width` units through `points`, at least half a pixel wide."""
        dots = self._dots(points)
        thick = max(width * self._scale, 0.5)
        box = self._box(dots, int(thick) + 2)
        if box is None:
            return
        mask = self._line_mask(dots, thick, box, int(255 * opacity + 0.5))
        self._paste(mask, box, fill, False, self._extent(dots))
        if ink and thick > 2.5 * self._line:
            self._ink.paste(0, box, mask)
            rim = self._line_mask(dots, thick + self._line, box)
            inner = self._line_mask(dots, thick - self._line, box)
            self._ink.paste(255, box, ImageChops.subtract(rim, inner))
        elif ink:
            self._ink.paste(255, box, self._line_mask(dots, max(thick * 0.8, self._line * 0.8), box))

    def dots(self, spots: np.ndarray, colours: Sequence[RGB] | np.ndarray, leaves: bool = False) -> None:
        """Many opaque spots at once, round or like leaves: `spots` (n, 3) of x, y, radius, and a colour for each."""
        centre = np.stack([spots[:, 0] - self._left, self._top - spots[:, 1]], -1) * self._scale
        box = self._box(centre.tolist(), int(1.4 * spots[:, 2].max() * self._scale) + 2)
        if box is None:
            return
        corner, radius = np.array(box[:2]), spots[:, 2:3] * self._scale
        fixed, alpha = self._fixed.crop(box), self._alpha.crop(box)
        small = Image.merge("RGBA", (*fixed.split(), alpha))
        fine = small.resize((small.width * 3, small.height * 3), Image.Resampling.NEAREST)
        draw, centre, radius = ImageDraw.Draw(fine), (centre - corner) * 3, radius * 3
        fills = [(*rgb, 255) for rgb in np.asarray(colours).astype(int).tolist()]
        if leaves:
            outlines = centre[:, None] + radius[:, None] * _LEAVES[np.arange(len(spots)) % len(_LEAVES)]
            for outline, fill in zip(outlines.reshape(len(spots), -1).tolist(), fills, strict=True):
                draw.polygon(outline, fill=fill)
        else:
            for extent, fill in zip(np.hstack([centre - radius, centre + radius]).tolist(), fills, strict=True):
                draw.ellipse(extent, fill=fill)
        bands = fine.reduce(3).split()
        self._fixed.paste(Image.merge("RGB", bands[:3]), box)
        self._alpha.paste(bands[3], box)

    def _dots(self, points: Sequence[Point]) -> list[Point]:
        left, top, k = self._left, self._top, self._scale
        return [((x - left) * k, (top - y) * k) for x, y in points]

    @staticmethod
    def _extent(dots: list[Point]) -> tuple[float, float, float, float]:
        xs, ys = [x for x, _ in dots], [y for _, y in dots]
        return min(xs), min(ys), max(xs), max(ys)

    def _box(self, dots: list[Point], pad: int) -> tuple[int, int, int, int] | None:
        x0, y0, x1, y1 = self._extent(dots)
        w, h = self.size
        box = max(int(x0) - pad, 0), max(int(y0) - pad, 0), min(int(x1) + pad, w), min(int(y1) + pad, h)
        return box if box[0] < box[2] and box[1] < box[3] else None

    @staticmethod
    def _polygon(cover: Image.Image, dots: list[Point], box: tuple[int, int, int, int], value: int) -> None:
        if len(dots) > 2:
            # Pillow fills whole sub-pixels around the outline, so it is moved in by half of one.
            moved = [((x - box[0]) * _FINE - 0.5, (y - box[1]) * _FINE - 0.5) for x, y in dots]
            ImageDraw.Draw(cover).polygon(moved, fill=value)

    def _cover(self, dots: list[Point], box: tuple[int, int, int, int], level: int = 255) -> Image.Image:
        cover = Image.new("L", ((box[2] - box[0]) * _FINE, (box[3] - box[1]) * _FINE))
        self._polygon(cover, dots, box, level)
        return cover

    @staticmethod
    def _line_mask(dots: list[Point], thick: float, box: tuple[int, int, int, int], level: int = 255) -> Image.Image:
        """Coverage of a line. One thinner than a pixel is drawn a pixel wide and paler."""
        cover = Image.new("L", ((box[2] - box[0]) * _FINE, (box[3] - box[1]) * _FINE))
        moved = [((x - box[0]) * _FINE - 0.5, (y - box[1]) * _FINE - 0.5) for x, y in dots]
        wide = max(int(thick * _FINE + 0.5), 2)
        # Thin lines need no rounded joints, which Pillow draws slowly.
        ImageDraw.Draw(cover).line(moved, fill=level, width=wide, joint="curve" if wide > 7 else None)
        return cover.reduce(_FINE)

    def _trace(self, dots: list[Point], thick: float, clip: Image.Image | None) -> None:
        box = self._box(dots, int(thick) + 2)
        if box is None:
            return
        mask = self._line_mask(dots, thick, box)
        if clip is not None and clip.size == mask.size:
            mask = ImageChops.multiply(mask, clip)
        self._ink.paste(255, box, mask)

    def _paste(
        self, mask: Image.Image, box: tuple[int, int, int, int], fill: Fill, across: bool, extent: tuple
    ) -> None:
        w, h = mask.size
        if isinstance(fill, Mat):
            fixed = tuple(int(min(max(v, 0), 255) + 0.5) for v in fill.fixed)
            control = (int(fill.paint * _FULL + 0.5), int(fill.mirror), 0)
            glow = tuple(int(v) for v in fill.glow)
        else:
            n, low, high = (w, extent[0] - box[0], extent[2] - box[0]) if across else (
                h, extent[1] - box[1], extent[3] - box[1])  # fmt: skip
            t = (np.arange(n) + 0.5 - low) / max(high - low, 1e-6)
            at = [stop for stop, _ in fill]
            table = np.array([(*m.fixed, m.paint * _FULL, m.mirror, 0, *m.glow) for _, m in fill], float)
            ramp = np.stack([np.interp(t, at, column) for column in table.T], -1)
            ramp = np.clip(ramp + 0.5, 0, 255).astype(np.uint8)
            whole = np.ascontiguousarray(
                np.broadcast_to(ramp[None] if across else ramp[:, None], (h, w, ramp.shape[1]))
            )
            fixed, control, glow = (Image.fromarray(np.ascontiguousarray(whole[..., k : k + 3])) for k in (0, 3, 6))
        self._fixed.paste(fixed, box, mask)
        self._control.paste(control, box, mask)
        self._glow.paste(glow, box, mask)
        self._alpha.paste(255, box, mask)
