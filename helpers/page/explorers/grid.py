"""The grid of cosines between texts and pictures, with a slider through the training that shapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import HTML

from helpers.page.explorers.figure import explorer, sprite


def grid_explorer(
    pictures: Sequence[np.ndarray],
    texts: Sequence[str],
    grids: Mapping[int, np.ndarray],
    alt: str = "A grid of texts by pictures, each cell a cosine; a slider goes through the training",
) -> HTML:
    """Return the interactive figure; text i belongs to picture i.

    Args:
        pictures: n pictures uint8 [S, S, 3].
        texts: as many texts.
        grids: for each step of the training, in rising order, the cosines [texts, pictures]: numbers [n, n].
        alt: what a screen reader says the figure is.

    Raises ValueError if there is no step, or a grid is not n by n.
    """
    n, found = len(texts), {int(step): np.asarray(grid, np.float64) for step, grid in grids.items()}
    if not found or len(pictures) != n or any(grid.shape != (n, n) for grid in found.values()):
        sizes = sorted({grid.shape for grid in found.values()})
        raise ValueError(
            f"grids: expected [{n}, {n}] for each step, {n} texts by {len(pictures)} pictures, not {sizes}"
        )
    data = {
        "pictures": sprite(list(pictures), n, 85),
        "texts": list(texts),
        "steps": sorted(found),
        "grids": [np.round(found[step], 4).tolist() for step in sorted(found)],
    }
    return explorer("grid", data, alt)
