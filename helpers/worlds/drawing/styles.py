"""Other ways to draw the same picture: renditions (cartoon, painting, embroidery, mosaic, pixel art) and a sketch.

Each style takes the clean colours and the contour lines of a picture. Marks of the hand (strokes, tiles, stitches) have
a fixed size in the picture, so a small and a large picture look alike. They are drawn at no less than `FINE` pixels;
the result may be a multiple of the size that is wanted, or smaller, with pixels to be enlarged.
In a sketch colour is lost as in ImageNet-Sketch: pencil lines follow the objects' own edges, hatching follows how dark
a surface is, so black and white still differ and night is hatched, but red and blue do not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from helpers.worlds.drawing.texture import noise

FINE = 160  # smallest size, in pixels, at which marks are drawn


def _luma(rgb: np.ndarray) -> np.ndarray:
    # Not `@`: its last digit is the processor's own, and a tone that is rounded to a step makes it a visible one.
    return (299 * rgb[..., 0] + 587 * rgb[..., 1] + 114 * rgb[..., 2]) / 1000


def _array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(np.float32)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def _ink(rgb: np.ndarray, ink: Image.Image, colour: tuple[float, float, float], strength: float) -> np.ndarray:
    cover = _array(ink)[..., None] * np.float32(strength / 255)
    return rgb + (np.array(colour, np.float32) - rgb) * cover


def cartoon(picture: Image.Image, ink: Image.Image, seed: int) -> np.ndarray:
    """Flat, bright areas of few tones inside dark outlines."""
    size = picture.width
    flat = picture.filter(ImageFilter.MedianFilter(3 if size < 256 else 5))
    rgb = _array(ImageEnhance.Color(flat).enhance(1.35))
    luma = np.maximum(_luma(rgb), 1)
    steps = np.round(luma / 36) * 36 + 6
    rgb = rgb * (steps / luma)[..., None]
    return _bytes(_ink(rgb, ink, (22, 20, 30), 0.92))


@lru_cache(8)
def _strokes(seed: int) -> tuple[np.ndarray, ...]:
    """Layers of brush strokes, coarse to fine: rows of x, y, angle, length, width, tone, all in units."""
    rng = np.random.default_rng([0xB2, seed])
    layers = []
    for n, length, width in ((22, 0.12, 0.046), (46, 0.052, 0.018), (112, 0.020, 0.0062)):
        y, x = np.mgrid[0:n, 0:n].reshape(2, -1) / n
        count = n * n
        jitter = rng.random((6, count))
        order = rng.permutation(count)
        bend = np.sin(5 * x + 3 * y + seed) * 0.35 + np.sin(9 * y) * 0.2
        rows = np.stack([
            x + (jitter[0] - 0.1) / n, y + (jitter[1] - 0.1) / n, bend + 0.5 * (jitter[2] - 0.5),
            length * (0.6 + 0.8 * jitter[3]), width * (0.7 + 0.6 * jitter[4]), 1 + 0.14 * (jitter[5] - 0.5),
        ], -1)  # fmt: skip
        layers.append(rows[order])
    return tuple(layers)


def painting(picture: Image.Image, ink: Image.Image, seed: int) -> np.ndarray:
    """Oil on canvas: coarse strokes below, finer ones where the picture has edges."""
    size = picture.width
    clean = ImageEnhance.Color(picture).enhance(1.18)
    canvas = clean.filter(ImageFilter.GaussianBlur(size * 0.012))
    draw = ImageDraw.Draw(canvas)
    edges = _array(clean.convert("L").filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(size * 0.006)))
    for layer, (rows, blur) in enumerate(zip(_strokes(seed % 8), (0.010, 0.005, 0.0015), strict=True)):
        source = np.asarray(clean.filter(ImageFilter.GaussianBlur(size * blur)))
        i = np.clip((rows[:, 1] * size).astype(int), 0, size - 1)
        j = np.clip((rows[:, 0] * size).astype(int), 0, size - 1)
        busy = edges[i, j]
        # Strokes run along edges: there the slope of the brightness turns them.
        grey = _array(Image.fromarray(source).convert("L"))
        gy, gx = grey[np.minimum(i + 2, size - 1), j] - grey[np.maximum(i - 2, 0), j], (
            grey[i, np.minimum(j + 2, size - 1)] - grey[i, np.maximum(j - 2, 0)])  # fmt: skip
        strong = gx * gx + gy * gy > 140
        angle = np.where(strong, np.arctan2(gy, gx) + np.pi / 2, rows[:, 2])
        colour = np.clip(source[i, j] * rows[:, 5:6], 0, 255).astype(int)
        shrink = np.where(busy > 14, 0.6, 1.0) if layer else 1.0
        dx, dy = np.cos(angle) * rows[:, 3] * shrink * size / 2, np.sin(angle) * rows[:, 3] * shrink * size / 2
        x, y = rows[:, 0] * size, rows[:, 1] * size
        width = np.maximum(rows[:, 4] * size * (0.7 if layer == 2 else 1), 1).astype(int)
        keep = busy > (-1, 2.5, 7)[layer]
        if layer == 0:
            keep &= busy < 26
        for k in np.flatnonzero(keep).tolist():
            draw.line(
                (x[k] - dx[k], y[k] - dy[k], x[k] + dx[k], y[k] + dy[k]), tuple(colour[k].tolist()), int(width[k])
            )
    # Thick paint catches light at the ridges of the strokes.
    rgb = _array(canvas)
    relief = _luma(rgb)
    ridge = np.clip(relief - np.roll(np.roll(relief, 1, 0), 1, 1), -30, 30)
    weave = noise(np.random.default_rng(0xCA), size, size, (90, 90), 2) - 0.5
    rgb += (0.22 * ridge + 11 * weave)[..., None]
    return _bytes(rgb)


@lru_cache(6)
def _stitches(size: int) -> tuple[np.ndarray, ...]:
    """For both directions of thread: the pixel whose colour each pixel's stitch has, and the thread's shading."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    found = []
    for angle in (0.42, -0.60):
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        along, across = x * c + y * s, -x * s + y * c
        row = np.floor(across * 104)
        shift = (row * 0.37) % 1
        cell = np.floor(along * 46 + shift)
        mid_a, mid_c = (cell + 0.5 - shift) / 46, (row + 0.5) / 104
        j = np.clip(((mid_a * c - mid_c * s) * size).astype(int), 0, size - 1)
        i = np.clip(((mid_a * s + mid_c * c) * size).astype(int), 0, size - 1)
        u, v = (across * 104 - row) * 2 - 1, (along * 46 + shift - cell) * 2 - 1
        shade = 0.62 + 0.50 * np.sqrt(np.clip(1 - u * u, 0, 1)) - 0.10 * u - 0.34 * np.abs(v) ** 6
        found += [i * size + j, (shade + 0.06 * np.sin(along * 900 + row)).astype(np.float32)]
    return tuple(found)


def embroidery(picture: Image.Image, ink: Image.Image, seed: int) -> np.ndarray:
    """Threads of few colours in slanting stitches, outlines in dark thread."""
    size = picture.width
    few = ImageEnhance.Color(picture).enhance(1.25)
    rgb = _array(few)
    rgb = np.round(rgb / 20) * 20
    # Light areas are stitched one way and dark ones the other.
    way = _array(few.convert("L").filter(ImageFilter.GaussianBlur(size * 0.008))) > 112
    source_a, shade_a, source_b, shade_b = _stitches(size)
    source, shade = np.where(way, source_a, source_b), np.where(way, shade_a, shade_b)
    rgb = rgb.reshape(-1, 3)[source] * shade[..., None] + 6
    line = ink
    rgb = _ink(rgb, line, (40, 32, 44), 0.62)
    return _bytes(rgb)


@lru_cache(6)
def _tiles(size: int, variant: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which tile each pixel lies in, how many pixels each has, and how much of it is tile and not grout."""
    n = 64
    rng = np.random.default_rng([0x71, variant])
    sites = rng.random((n, n, 2), dtype=np.float32) * 0.62 + 0.19
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) * (n / size)
    i, j = y.astype(int), x.astype(int)
    best = np.full(x.shape, 9, np.float32)
    second, label = best.copy(), np.zeros(x.shape, int)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            a, b = np.clip(i + di, 0, n - 1), np.clip(j + dj, 0, n - 1)
            site = sites[a, b]
            d = np.maximum(np.abs(x - b - site[..., 1]), np.abs(y - a - site[..., 0])) * 0.6
            d += 0.4 * np.hypot(x - b - site[..., 1], y - a - site[..., 0])
            new = a * n + b
            closer = (d < best) & (new != label)
            second = np.where(closer, best, np.where(new != label, np.minimum(second, d), second))
            label, best = np.where(closer, new, label), np.where(closer, d, best)
    tile = np.clip((second - best - 0.06) / 0.10, 0, 1)
    return label, np.maximum(np.bincount(label.ravel(), minlength=n * n), 1), tile.astype(np.float32)


def mosaic(picture: Image.Image, ink: Image.Image, seed: int) -> np.ndarray:
    """Small stones of one colour each, set in dark grout."""
    size = picture.width
    rgb = _array(ImageEnhance.Color(picture).enhance(1.3))
    rgb = _ink(rgb, ink, (20, 20, 28), 0.5)
    label, count, tile = _tiles(size, seed % 4)
    flat = label.ravel()
    means = np.stack([np.bincount(flat, rgb[..., c].ravel(), len(count)) / count for c in range(3)], -1)
    rng = np.random.default_rng([0x57, seed])
    means *= 1 + 0.16 * (rng.random((len(count), 1)) - 0.5)
    stones = means[label].astype(np.float32)
    bevel = np.clip(tile - np.roll(np.roll(tile, 2, 0), 2, 1), -1, 1)
    stones = stones * (1 + 0.20 * bevel[..., None])
    grout = np.array((70, 66, 62), np.float32)
    return _bytes(grout + (stones - grout) * tile[..., None])


def pixel_art(picture: Image.Image, ink: Image.Image, seed: int) -> np.ndarray:
    """64 by 64 large pixels of few colours."""
    rgb = _array(ImageEnhance.Color(picture).enhance(1.3).resize((64, 64), Image.Resampling.BOX))
    outline = ink.resize((64, 64), Image.Resampling.BOX)
    return _bytes(np.round(_ink(rgb, outline, (16, 16, 24), 0.40) / 28) * 28)


def sketch(picture: Image.Image, ink: Image.Image, seed: int) -> np.ndarray:
    """Pencil on paper: contour lines, and hatching that tells how dark a surface is."""
    size = picture.width
    dark = 1 - _luma(_array(picture.filter(ImageFilter.GaussianBlur(size * 0.003)))) / 255
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    wave = 0.012 * np.sin(11 * x + 7 * y)
    shade = np.zeros_like(dark)
    for angle, start, rate in ((0.9, 0.58, 74), (-0.7, 0.78, 70), (0.1, 0.92, 78)):
        t = (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + wave) * rate
        line = np.clip(1.5 - 3.2 * np.abs(t % 1 - 0.5) * 2, 0, 1)
        shade = np.maximum(shade, line * np.clip((dark - start) / 0.22, 0, 1) * 0.62)
    cover = _array(ink) / 255
    rng = np.random.default_rng([0x9A, seed % 8])
    grain = noise(rng, size, size, (120, 120), 2)
    pencil = np.maximum(cover * 0.96, shade * (0.72 + 0.5 * grain))
    paper = 247 - 9 * grain
    grey = paper - (paper - 34) * np.clip(pencil, 0, 1)
    warm = np.array((1.0, 0.992, 0.965), np.float32)
    return _bytes(grey[..., None] * warm)


STYLES = {
    "cartoon": cartoon,
    "painting": painting,
    "embroidery": embroidery,
    "mosaic": mosaic,
    "pixel art": pixel_art,
    "sketch": sketch,
}
