"""Captions on a page: what is struck through is false of the street, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.page.captions import caption_table, false_words, marked, word_bars
from helpers.worlds.street.captions import FOCI, caption
from helpers.worlds.street.sample import scene_at
from helpers.worlds.street.scene import RED_TRUCK


@pytest.mark.parametrize("focus", FOCI)
def test_nothing_is_struck_of_a_true_caption(focus: str) -> None:
    for i in range(20):
        scene = scene_at("test", i)
        assert false_words(caption(scene, np.random.default_rng(i), focus), scene) == set()


@pytest.mark.parametrize(
    ("text", "false"),
    [
        ("a green truck", {"green"}),
        ("a red bus is parked on a road", {"bus"}),
        ("a red truck is driving down a street", {"driving"}),
        ("a red truck after dark", {"after", "dark"}),
        ("a red truck on a soaked street", {"soaked"}),
        ("a red truck and a zebra", {"zebra"}),
    ],
)
def test_what_is_false_of_the_red_truck_is_struck(text: str, false: set[str]) -> None:
    assert false_words(text, RED_TRUCK) == false
    assert marked(text, RED_TRUCK).count("line-through") == len(false)
    assert all(f">{word}</span>" in marked(text, RED_TRUCK) for word in false)


def test_a_table_has_a_picture_with_its_text_in_each_row_and_no_html_of_a_caption() -> None:
    picture = np.zeros((96, 96, 3), dtype=np.uint8)
    shown = caption_table([picture], [RED_TRUCK], {"one": ["a red truck"], "two": ["<b>a</b> red truck"]}).data
    assert shown.count("<tr>") == 2 and shown.count("<img alt=") == 1 and "<b>" not in shown
    small = caption_table([picture], [RED_TRUCK], {"one": ["a red truck"]}, side=64).data
    assert 'width="64" height="64" style="min-width:64px" src=' in small
    with pytest.raises(ValueError, match="two: 0 captions for 1 pictures"):
        caption_table([picture], [RED_TRUCK], {"two": []})


def test_each_word_stands_above_its_bar() -> None:
    shown = word_bars(["a", "<red>"], [0.0, 1.0], height=2).data
    assert "height:0.00em" in shown and "height:2.00em" in shown and "&lt;red&gt;" in shown
    with pytest.raises(ValueError, match="between 0 and 1"):
        word_bars(["a"], [1.5])
    with pytest.raises(ValueError, match="1 words have 2 values"):
        word_bars(["a"], [0.5, 0.5])
