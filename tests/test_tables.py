"""A table shows what it is given, and no more."""

from __future__ import annotations

import pytest

from helpers.page.tables import Marked, table


def test_numbers_stand_right_and_words_left_and_nothing_is_html() -> None:
    text = table(
        ["arm", "accuracy"], [["<b>plain</b>", "−3.0 %"], ["two words", "1,000"], [7, "best"]], strong=[1]
    ).data
    assert "&lt;b&gt;plain" in text and "<b>" not in text
    sides = [part.split(";")[0] for part in text.split("text-align:")[1:]]
    assert sides == ["left", "left", "left", "right", "left", "right", "left", "left"]
    assert text.count("font-weight:bold") == 2


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 cells, but the header has 2"):
        table(["a", "b"], [[1, 2], [3]])


def test_a_marked_text_has_a_sign_and_is_no_html_either() -> None:
    text = table(["said", "truth"], [[Marked("<b>yes", True), 1], [Marked("no", False), 2]]).data
    assert "✓</span> &lt;b&gt;yes" in text and "✗</span> no" in text and "<b>" not in text
