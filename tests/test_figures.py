"""The one way to show a figure keeps its alternative text, closes it, and makes the same bytes every time."""

from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers.page.figures import figure, show_numbers, show_picture


def drawing() -> plt.Figure:
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, 1], [1, 0])
    return fig


def test_alt_is_kept_escaped_and_the_figure_closed() -> None:
    shown = figure(drawing(), 'A line that "falls"\n    from <1> to 0 & ends')
    assert 'alt="A line that &quot;falls&quot; from &lt;1&gt; to 0 &amp; ends"' in shown.data
    assert plt.get_fignums() == []


@pytest.mark.parametrize("alt", ["", "   ", "plot", "a\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nb"])
def test_too_short_an_alt_is_refused_and_the_figure_closed(alt: str) -> None:
    with pytest.raises(ValueError, match="too short"):
        figure(drawing(), alt)
    assert plt.get_fignums() == []


def test_the_same_figure_gives_the_same_bytes_and_the_stated_size() -> None:
    first, second = (figure(drawing(), "A line that falls from one to zero").data for _ in range(2))
    assert first == second
    picture = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", first)[1])))
    assert picture.size == (300, 200) == tuple(int(n) for n in re.findall(r'(?:width|height)="(\d+)"', first))


def test_a_vector_figure_is_the_same_svg_every_time_and_needs_no_font() -> None:
    first, second = (figure(drawing(), "A line that falls from one to zero", vector=True).data for _ in range(2))
    assert first == second and 'width="300" height="200"' in first
    svg = base64.b64decode(re.search(r"svg\+xml;base64,([^\"]+)", first)[1]).decode()
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg") and root.get("viewBox") == "0 0 216 144"
    assert not root.findall(".//{http://www.w3.org/2000/svg}text") and "font-family" not in svg
    assert not re.search(r"\d{4}-\d\d-\d\d", svg), "a date would make each run differ"
    assert plt.get_fignums() == []


def test_grey_pictures_are_not_stretched() -> None:
    _, axes = plt.subplots(1, 2)
    show_picture(axes[0], np.full((4, 4), 100, np.uint8))
    show_picture(axes[1], np.full((4, 4), 0.4))
    assert axes[0].images[0].get_clim() == (0, 255)
    assert axes[1].images[0].get_clim() == (0, 1)
    plt.close("all")


def test_numbers_stand_on_their_own_cell_in_a_colour_that_differs() -> None:
    _, ax = plt.subplots()
    values = np.array([[0, 1, 2], [3, 4, 9]])
    show_numbers(ax, values)
    assert {(round(t.get_position()[0]), round(t.get_position()[1])): t.get_text() for t in ax.texts} == {
        (column, row): str(values[row, column]) for row in range(2) for column in range(3)
    }
    assert [t.get_color() for t in ax.texts][:1] + [t.get_color() for t in ax.texts][-1:] == ["white", "black"]
    plt.close("all")
