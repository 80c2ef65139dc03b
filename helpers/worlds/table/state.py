"""A table as numbers: what an exact sensor would tell of each thing."""

from __future__ import annotations

import numpy as np

from helpers.worlds.table.scene import COLOURS, KINDS, MAX_THINGS, Scene

FEATURES = 1 + len(KINDS) + len(COLOURS) + 3


def state_vector(scene: Scene) -> np.ndarray:
    """float32 [8, 14], one row for each thing in its order, zeros where there is none.

    A row holds 1 for "is there", the kind and the colour as one-hot vectors, and x, y from -1 to 1 and z, the height of
    its lower side, from 0 to 1. What stands on what is not told: it follows from the places.
    """
    state = np.zeros((MAX_THINGS, FEATURES), np.float32)
    for i, thing in enumerate(scene.things):
        row = state[i]
        row[0] = row[1 + KINDS.index(thing.kind)] = row[1 + len(KINDS) + COLOURS.index(thing.colour)] = 1
        row[-3:] = 2 * thing.x - 1, 2 * thing.y - 1, scene.height(i)
    return state
