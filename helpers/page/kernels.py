"""The named 3×3 image kernels of the lecture's demo.

The values are the well-known ones of Victor Powell, "Image Kernels Explained Visually" (setosa.io/ev/image-kernels);
the Sobel operator is Sobel and Feldman's (1968).

They are applied as deep learning applies them, by cross-correlation: the kernel is laid on the picture as it is
printed, each weight is multiplied with the pixel under it and the nine products are added up. A convolution in the
mathematical sense turns the kernel by 180° first, which would exchange, for instance, `sobel_top` and `sobel_bottom`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

_ROWS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "blur": [[1 / 16, 1 / 8, 1 / 16], [1 / 8, 1 / 4, 1 / 8], [1 / 16, 1 / 8, 1 / 16]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "outline": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "sobel_top": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    "sobel_bottom": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "sobel_left": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "sobel_right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
}


def _read_only(rows: list[list[float]]) -> np.ndarray:
    array = np.array(rows, dtype=np.float32)
    array.flags.writeable = False  # one cell of a notebook must not change the kernel of another
    return array


KERNELS: Mapping[str, np.ndarray] = MappingProxyType({name: _read_only(rows) for name, rows in _ROWS.items()})
"""Name to weights: read-only float32 arrays of shape (3, 3), every weight exact in float32."""


def kernel(name: str) -> np.ndarray:
    """Return a copy of the named kernel: float32, shape (3, 3), to be applied as cross-correlation.

    Raises:
        ValueError: no kernel has this name; the message lists the names.
    """
    if name not in KERNELS:
        raise ValueError(f"There is no kernel named {name!r}; choose one of {', '.join(KERNELS)}.")
    return KERNELS[name].copy()
