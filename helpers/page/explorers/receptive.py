"""What one number of a layer sees: the part of the picture that reaches it, for every layer and place by hand."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
from IPython.display import HTML
from PIL import Image
from torch import nn

from helpers.page.explorers.figure import explorer


class Window(NamedTuple):
    """A layer as it slides over the one before it: a square window, in places of that layer."""

    name: str
    kernel: int
    stride: int
    padding: int


def windows(layers: nn.Sequential) -> list[Window]:
    """The convolutions and poolings among `layers`, named "conv 1", "pool 1" and so on; the others move nothing.

    A pooling has the number of the convolution before it. Raises ValueError for one that is not square, or has gaps.
    """
    found, convolutions = [], 0
    for layer in layers:
        if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            continue
        convolutions += isinstance(layer, nn.Conv2d)
        sizes = []
        for value in (layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1)):
            one, other = value if isinstance(value, tuple) else (value, value)
            if one != other:
                raise ValueError(f"expected square windows, not {layer}")
            sizes.append(one)
        if sizes[3] != 1:
            raise ValueError(f"expected windows without gaps, not {layer}")
        kind = "conv" if isinstance(layer, nn.Conv2d) else "pool"
        found.append(Window(f"{kind} {convolutions}", *sizes[:3]))
    return found


def receptive_explorer(
    picture: np.ndarray,
    layers: nn.Sequential,
    alt: str = "A picture, and beside it the places of one layer; a frame on the picture shows what the chosen place "
    "sees",
) -> HTML:
    """Return the interactive figure for a picture uint8 [S, S, 3] and the layers that it goes through.

    Raises ValueError if the picture is not square, or for layers as `windows` does.
    """
    side, found = picture.shape[0], windows(layers)
    if picture.shape != (side, side, 3) or picture.dtype != np.uint8:
        raise ValueError(f"expected a square picture, uint8 [S, S, 3], not {picture.dtype} {list(picture.shape)}")
    sides = [side]
    for window in found:
        sides.append((sides[-1] + 2 * window.padding - window.kernel) // window.stride + 1)
    if not found or sides[-1] < 1:
        raise ValueError(f"expected windows that fit on {side} pixels, not {found}")
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="webp", quality=80, method=6)
    data = {
        "picture": f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}",
        "layers": [window._asdict() for window in found],
        "sides": sides,
    }
    return explorer("receptive", data, alt)
