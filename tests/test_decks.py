"""Decks are for a room: pictures on most slides, code on few and short; the figures are counted as a room sees them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import find_notebooks
from tools.decks import EXCEPTIONS, Deck, Slide, read_deck, report
from tools.slides import main

NOTEBOOKS = find_notebooks([])
PICTURE = {"text/html": '<img alt="a street" src="data:image/webp;base64,AA">'}


def cell(source: str, kind: str = "", tags: tuple[str, ...] = (), data: dict | None = None) -> nbformat.NotebookNode:
    """A code cell; with `data` it has that output."""
    metadata = {"tags": list(tags)} | ({"slideshow": {"slide_type": kind}} if kind else {})
    outputs = [new_output("display_data", data=data)] if data else []
    return new_code_cell(source, metadata=metadata, outputs=outputs)


def head(text: str, kind: str = "slide") -> nbformat.NotebookNode:
    """A markdown cell that begins a slide, or, with kind "", goes on with one."""
    return new_markdown_cell(text, metadata={"slideshow": {"slide_type": kind}} if kind else {})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_deck_keeps_the_limits_or_is_excused_by_name(path: Path) -> None:
    problems = read_deck(nbformat.read(path, as_version=4)).problems()
    number = path.stem[:2].rstrip("_")
    unexcused = {limit: text for limit, text in problems.items() if (number, limit) not in EXCEPTIONS}
    assert not unexcused


def test_no_excuse_outlives_its_reason() -> None:
    broken = {
        (path.stem[:2].rstrip("_"), limit)
        for path in NOTEBOOKS
        for limit in read_deck(nbformat.read(path, as_version=4)).problems()
    }
    assert set(EXCEPTIONS) <= broken and all(len(reason) > 20 for reason in EXCEPTIONS.values())


def test_only_what_the_room_sees_is_counted() -> None:
    notebook = new_notebook(
        cells=[
            cell("before = 'any slide'", data=PICTURE),
            head("# One"),
            cell("# NBVAL_CHECK_OUTPUT\na = 1\nb = 2"),
            cell("hidden = 3", tags=("hide-input",), data=PICTURE),
            cell("for_the_page = 4\n" * 20, kind="skip", data=PICTURE),
            head("## Two", "subslide"),
            head("| a | table |\n|---|---|\n| 1 | 2 |", ""),
            new_markdown_cell("$$x$$", metadata={"slideshow": {"slide_type": "notes"}}),
            head("## Three"),
            cell("print()", data={"text/plain": "words"}),
        ]
    )
    slides = read_deck(notebook).slides
    assert [(s.heading, s.pictures, s.lines) for s in slides] == [("One", 1, 2), ("Two", 1, 0), ("Three", 0, 1)]


def test_each_limit_can_be_broken() -> None:
    good, plain = Slide("good", pictures=1), Slide("plain")
    assert not Deck((good,) * 25, 60).problems()
    assert set(Deck((good,) * 10 + (plain,) * 15, 60).problems()) == {"pictures"}
    assert set(Deck((good,) * 14 + (Slide("code", 1, 5),) * 11, 60).problems()) == {"code"}
    assert set(Deck((good,) * 24 + (Slide("long", 1, 13),), 60).problems()) == {"lines"}
    assert set(Deck((good,) * 33, 60).problems()) == {"slides"} == set(Deck((good,) * 10, 60).problems())
    assert not Deck((good,) * 10, 20).problems()
    assert set(Deck((), 60).problems()) == {"pictures", "slides"}


def test_the_report_names_the_long_slide_and_the_excuse() -> None:
    text = report({"07_clip": Deck((Slide("The loss", 1, 40),) * 25, 60), "00_start": Deck((Slide("Map"),) * 10, 10)})
    assert "“The loss” (40)" in text and f"allowed: {EXCEPTIONS['00', 'pictures']}" in text


def test_the_command_tells_of_one_deck(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--report", "A"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("A_street_world")
