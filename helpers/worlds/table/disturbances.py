"""What happens on the table without the robot: a hand takes a block away, a block falls off its stack."""

from __future__ import annotations

import numpy as np

from helpers.worlds.chance import pick
from helpers.worlds.table.sample import near
from helpers.worlds.table.scene import Scene
from helpers.worlds.table.skills import moved

DISTURBANCES = ("hand", "fall")


def disturb(scene: Scene, rng: np.random.Generator, kind: str | None = None) -> Scene:
    """The table after a disturbance: "hand" moves any block on which nothing stands to a free area, "fall" one that
    stands on a block. Without a kind it is one of those that are possible here. Nothing changes if none is.

    Raises ValueError for another kind.
    """
    if kind is not None and kind not in DISTURBANCES:
        raise ValueError(f"kind: {kind!r} is not one of {', '.join(DISTURBANCES)}")
    free = [i for i in scene.blocks() if scene.above(i) is None]
    falling = [i for i in free if scene.level(i) > 0]
    kind = kind or (pick(rng, DISTURBANCES) if falling else "hand")
    movable, areas = falling if kind == "fall" else free, scene.free_areas()
    return moved(scene, pick(rng, movable), *near(pick(rng, areas), rng)) if movable and areas else scene
