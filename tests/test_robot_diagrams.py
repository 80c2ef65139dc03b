"""PaLM-E's diagrams: nothing outside the canvas, nothing written over, and what is asked for alone in colour."""

from __future__ import annotations

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from helpers.page.figures import figure
from helpers.page.robot_diagrams import (
    LOOP_PARTS,
    SENTENCE_PARTS,
    columns_of_pictures,
    loop_diagram,
    sentence_diagram,
    token_strip,
)

PICTURE = np.full((48, 48, 3), 90, np.uint8)
STEP = "put the green block on the red block"
PROMPT = ["given", None, "human:", "build", "a", "tower:", "red,", "green,", "blue.", "robot:"]


def sentence(lit: tuple[str, ...] = (), prompt: list[str | None] = PROMPT) -> Figure:
    return sentence_diagram(PICTURE, prompt, STEP.split(), lit=lit)


def loop(lit: tuple[str, ...] = ()) -> Figure:
    event = "the yellow block comes off its stack"
    return loop_diagram(PICTURE, PICTURE, "build a tower: red, green, blue", STEP, 0.97, event, lit=lit)


@pytest.mark.parametrize(
    "draw", [sentence, loop, lambda: sentence(prompt=["given", None, "and then", None, "was it done?"])]
)
def test_all_words_are_inside_and_none_lies_on_another(draw) -> None:
    fig = draw()
    fig.canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in fig.axes[0].texts if text.get_text()}
    whole = fig.bbox
    for text, extent in boxes.items():
        assert whole.x0 <= extent.x0 and extent.x1 <= whole.x1 and whole.y0 <= extent.y0, text
    for (one, a), (other, b) in combinations(boxes.items(), 2):
        assert not a.overlaps(b), f"{one!r} lies on {other!r}"
    plt.close(fig)


@pytest.mark.parametrize(("draw", "parts"), [(sentence, SENTENCE_PARTS), (loop, LOOP_PARTS)])
def test_each_part_can_be_lit(draw, parts: tuple[str, ...]) -> None:
    alt = "a diagram that is long enough to be described"
    drawn = {figure(draw((part,)), alt, vector=True).data for part in parts}
    drawn.add(figure(draw(), alt, vector=True).data)
    assert len(drawn) == len(parts) + 1
    assert figure(draw(), alt, vector=True).data in drawn, "the same diagram is the same file"
    with pytest.raises(ValueError, match="lit: wheels is not one of "):
        draw(("wheels",))
    plt.close("all")


def test_a_sentence_is_shown_token_by_token_with_its_patches() -> None:
    pieces = ["given", *["<img>"] * 16, "<b>", *["<img>"] * 16, "done"]
    places = [piece == "<img>" for piece in pieces]
    target = [piece == "done" for piece in pieces]
    text = token_strip(pieces, places, target, [PICTURE, PICTURE]).data
    assert text.count("<img") == 2 and "at the positions 1 to 16" in text and "at the positions 18 to 33" in text
    assert "&lt;b&gt;" in text and text.count("#fdeee6") == 1 and ">34</span>" in text
    for pictures in ([PICTURE], [PICTURE] * 3):
        with pytest.raises(ValueError, match="32 places are not "):
            token_strip(pieces, places, target, pictures)


def test_patches_are_laid_out_in_the_order_of_reading() -> None:
    from helpers.page.robot_diagrams import _cut_up

    picture = np.kron(np.arange(16, dtype=np.uint8).reshape(4, 4), np.ones((4, 4), np.uint8))[..., None].repeat(3, 2)
    found = _cut_up(picture, 4, 10)
    assert found.shape == (20, 80, 3)
    assert found[5::10, 5::10, 0].reshape(-1).tolist() == list(range(16))


def test_texts_stand_below_their_pictures_and_inside_the_figure() -> None:
    texts = [("was put the yellow block at the front middle successful?", "black"), ("yes (97%)", "green")]
    fig = columns_of_pictures([([PICTURE, PICTURE], texts)] * 4)
    fig.canvas.draw()
    lowest = min(ax.get_window_extent().y0 for ax in fig.axes)
    extents = [text.get_window_extent() for ax in fig.axes for text in ax.texts]
    assert len(extents) == 8 and all(e.y1 <= lowest and e.y0 >= 0 and e.x1 <= fig.bbox.x1 for e in extents)
    assert not any(a.overlaps(b) for a, b in combinations(extents, 2))
    plt.close(fig)
