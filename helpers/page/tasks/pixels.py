"""Notebook 01: from the numbers of a screen to measured light (IEC 61966-2-1, CIE 1931)."""

from __future__ import annotations

import numpy as np
from skimage import color

from helpers.page.exercises import Task

_MATRIX = color.rgb2xyz(np.eye(3)).T  # [3, 3]: a column for each pure light


def _light(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _screen(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _inputs() -> tuple[tuple[np.ndarray], ...]:
    rng = np.random.default_rng(0)
    return (rng.random((5, 3)),), (rng.random((4, 6, 3)),), (0.04 * rng.random((7, 3)),)  # the last are almost black


XYZ = Task(
    right=color.rgb2xyz,
    inputs=_inputs(),
    mistakes={
        "the curve of the screen is not undone: the matrix wants light, not the numbers of the picture": lambda rgb: (
            rgb @ _MATRIX.T
        ),
        "the curve is applied once more where it is to be undone: half-way grey must become darker": lambda rgb: (
            _screen(rgb) @ _MATRIX.T
        ),
        "the matrix is turned on its side: each row of it gives one of X, Y and Z": lambda rgb: _light(rgb) @ _MATRIX,
        "the straight piece near black is missing": lambda rgb: ((rgb + 0.055) / 1.055) ** 2.4 @ _MATRIX.T,
        "the two pieces of the curve are exchanged": lambda rgb: (
            np.where(rgb > 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ _MATRIX.T
        ),
    },
)
