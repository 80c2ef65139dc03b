"""Textures: smooth noise, and a soft spot of light."""

from __future__ import annotations

import numpy as np
from PIL import Image


def noise(
    rng: np.random.Generator, width: int, height: int, cells: tuple[float, float], octaves: int = 5
) -> np.ndarray:
    """Smooth noise (height, width) from 0 to 1: `cells` (across, down) in the first octave, then twice as many."""
    total = np.zeros((height, width), np.float32)
    for k in range(octaves):
        grid = rng.random((max(2, round(cells[1] * 2**k)) + 3, max(2, round(cells[0] * 2**k)) + 3), dtype=np.float32)
        layer = Image.fromarray(grid).resize(
            (width, height), Image.Resampling.BICUBIC, box=(1, 1, grid.shape[1] - 1, grid.shape[0] - 1)
        )
        total += np.asarray(layer) * np.float32(0.5**k)
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def blurred_disc(radius: int) -> Image.Image:
    """A soft round spot (L) for glows, 4 radii wide."""
    y, x = np.mgrid[-2 * radius : 2 * radius + 1, -2 * radius : 2 * radius + 1].astype(np.float32) / max(radius, 1)
    d2 = x * x + y * y
    return Image.fromarray((255 * np.clip(1 - d2 / 4, 0, 1) ** 2.2 + 0.5).astype(np.uint8))
