"""A table shows what it is given, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.page.tables import Marked, Shown, picture_table, table


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


def test_pictures_stand_beside_words_and_nothing_else_is_html() -> None:
    grey = Shown(np.full((20, 40, 3), 128, np.uint8), 'a "grey" rectangle')
    text = picture_table(["seen", "said", "truth"], [[grey, Marked("<b>yes", True), "no"]], side=80).data
    assert (
        'alt="a &quot;grey&quot; rectangle" width="80" height="40"' in text and 'src="data:image/webp;base64,' in text
    )
    assert "✓</span> &lt;b&gt;yes" in text and "<b>" not in text and "✗" not in text
    assert "✗</span> yes" in picture_table(["said"], [[Marked("yes", False)]]).data
    with pytest.raises(ValueError, match="row 0 has 1 cells, but the header has 2"):
        picture_table(["a", "b"], [["1"]])
