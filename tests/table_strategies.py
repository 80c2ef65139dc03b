"""Random tables for the property tests, from a seed: what hypothesis shrinks is the seed."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from helpers.worlds.table.sample import sample_scene
from helpers.worlds.table.scene import Scene


@st.composite
def scenes(draw: st.DrawFn, duplicates: bool | None = None) -> Scene:
    """A table of any split's kind, with or without things that look the same."""
    twins = draw(st.booleans()) if duplicates is None else duplicates
    return sample_scene(np.random.default_rng(draw(st.integers(0, 2**32))), duplicates=twins)
