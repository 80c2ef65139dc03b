"""SimVLM's diagram and the drawn masks: nothing written over, the part that is meant in colour, shut squares grey."""

from __future__ import annotations

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import FancyBboxPatch

from helpers.page.figures import BLUE, GREEN, ORANGE
from helpers.page.prefix_diagrams import GREY, NOBODY, PARTS, network_diagram, show_mask

PICTURE = np.full((96, 96, 3), 90, np.uint8)


@pytest.mark.parametrize("lit", [None, *PARTS])
def test_all_words_are_inside_and_none_lies_on_another(lit: str | None) -> None:
    fig = network_diagram(PICTURE, lit, vocabulary=512)
    fig.canvas.draw()
    extents = {text.get_text(): text.get_window_extent() for text in fig.axes[0].texts if text.get_text()}
    for text, extent in extents.items():
        assert fig.bbox.x0 <= extent.x0 and extent.x1 <= fig.bbox.x1 and fig.bbox.y0 <= extent.y0, text
    for (one, a), (other, b) in combinations(extents.items(), 2):
        assert not a.overlaps(b), f"{one!r} lies on {other!r}"
    plt.close(fig)


def test_only_the_part_that_is_meant_is_in_colour() -> None:
    for lit in PARTS:
        fig = network_diagram(PICTURE, lit, vocabulary=512)
        frames = [to_hex(p.get_edgecolor()) for p in fig.axes[0].patches if isinstance(p, FancyBboxPatch)]
        assert len(frames) == len(PARTS) and frames.count(to_hex(GREY)) == len(PARTS) - 1
        plt.close(fig)
    with pytest.raises(ValueError, match="'ears' is not one of eye"):
        network_diagram(PICTURE, "ears", vocabulary=512)


def test_the_sizes_that_are_told_stand_on_the_arrows() -> None:
    fig = network_diagram(PICTURE, blocks=3, places=9, width=64, vocabulary=777)
    told = {text.get_text() for text in fig.axes[0].texts}
    assert {"3 residual\nblocks", "9 × 64", "T × 64", "(9 + T)\n× 64", "T × 777", "3 × 96 × 96"} <= told
    plt.close(fig)


def test_a_mask_is_drawn_square_by_square() -> None:
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    fig, ax = plt.subplots()
    show_mask(ax, mask, "causal", {"picture": 2, "prompt": 1, "text": 1})
    drawn = ax.images[0].get_array()
    for (row, column), seen in np.ndenumerate(mask.numpy()):
        colour = to_rgb((BLUE, BLUE, ORANGE, GREEN)[column]) if seen else (NOBODY,) * 3
        assert np.allclose(drawn[row, column], colour)
    with pytest.raises(ValueError, match="three with"):
        show_mask(ax, mask)
    plt.close(fig)
