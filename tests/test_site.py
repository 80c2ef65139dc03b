"""The site opens from a folder, asks nothing of another machine, and every link in it leads somewhere."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.page.kernel_explorer import kernel_explorer
from helpers.worlds.photographs import photo
from tests import browser
from tools import find_notebooks, site, slides
from tools.browser import watched_page

chromium = browser.chromium
PICTURE = '<img alt="a black square" width="8" height="8" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
LONG = "x = [" + ", ".join(f"{i}" for i in range(60)) + "]"


def code(source: str, *tags: str, **outputs: str) -> nbformat.NotebookNode:
    outputs = {kind.replace("__", "/"): text for kind, text in outputs.items()}
    shown = [new_output("display_data", data=outputs)] if outputs else []
    return new_code_cell(source, metadata={"tags": list(tags)}, execution_count=1, outputs=shown)


def text(source: str, kind: str = "") -> nbformat.NotebookNode:
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind}} if kind else {})


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two notebooks that name each other, with all that a page treats in its own way."""
    folder = tmp_path_factory.mktemp("notebooks")
    one = [
        text("# 90 · One\n\nThe word zymurgy stands here only; [the other](C_two.ipynb).", "slide"),
        text("## Formula\n\nInline $a_i$ and\n\n$$y = \\sum_i w_i x_i$$", "subslide"),
        text("Ask the room.", "notes"),
        code("# NBVAL_CHECK_OUTPUT\nplot = 'folded'", "hide-input", text__html=PICTURE),
        code("answer = 'closed'", "solution"),
        code("slider", **{site.WIDGET: {"model_id": "0", "version_major": 2}, "text__plain": "interactive(children"}),
        code("explorer", "hide-input", text__html=kernel_explorer(photo("cat")).data),
        code(LONG, text__html="<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"),
    ]
    for cell in one[3:7]:  # the picture, the solution, the controls and the explorer: a slide each
        cell.metadata.slideshow = {"slide_type": "subslide"}
    one[-1].metadata.slideshow = {"slide_type": "skip"}  # a line for the page, which scrolls it
    two = [text("# C · Two\n\nBack to [the first](90_one.ipynb).", "slide"), code("print(1)")]
    paths = []
    for name, title, cells in (("90_one", "One", one), ("C_two", "Two", two)):
        notebook = new_notebook(cells=cells)
        notebook.metadata.course = {"title": title, "minutes": 1, "budget_s": 1}
        notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
        paths.append(folder / f"{name}.ipynb")
        nbformat.write(notebook, paths[-1])
    return paths


@pytest.fixture(scope="module")
def folder(chromium, notebooks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of these notebooks, in a folder with a blank and a letter beyond ASCII in its path."""
    folder = tmp_path_factory.mktemp("site") / "USB stick é"
    assert site.build(notebooks, folder, chromium) == []
    return folder


def test_every_link_leads_somewhere(folder: Path) -> None:
    assert site.broken_links(folder) == []
    page = (folder / "90_one.html").read_text(encoding="utf-8")
    for address in ("C_two.html", "slides/90_one.html", "notebooks/90_one.ipynb", "decks.html", "index.html"):
        assert f'href="{address}' in page, address


def test_a_link_into_nowhere_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#x">b</a> <a href="c.html">c</a> <a href="https://c.org">d</a>')
    (tmp_path / "b.html").write_text('<p id="y"><a href="a.html">a</a><img src="no.png"></p>')
    assert site.broken_links(tmp_path) == [
        "a.html: b.html#x names no place on its page",
        "a.html: c.html leads nowhere",
        "b.html: no.png leads nowhere",
    ]


@pytest.mark.parametrize("name", ["index", "decks", "search", "90_one", "C_two"])
def test_a_page_opens_from_the_folder(chromium, folder: Path, name: str) -> None:
    page = folder / f"{name}.html"
    assert site.check(chromium, page) == site.judge(chromium, page) == []


def test_a_page_that_asks_elsewhere_is_too_wide_or_keeps_people_out_is_named(chromium, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<div style="width: 1300px">wide</div><img src="https://example.org/a.png">')
    problems = "\n".join(site.check(chromium, page) + site.judge(chromium, page))
    assert "pixels wide on a screen of 390" in problems and "on a screen of 1600" not in problems
    assert "loads https://example.org/a.png from another machine" in problems
    assert "light: image-alt" in problems and "dark: image-alt" in problems


def test_the_downloads_and_decks_are_there(folder: Path, notebooks: list[Path], chromium) -> None:
    for path in notebooks:
        assert (folder / "notebooks" / path.name).read_bytes() == path.read_bytes()
        assert (folder / "slides" / "thumbnails" / f"{path.stem}.webp").stat().st_size > 500
        assert slides.check(chromium, folder / "slides" / f"{path.stem}.html") == []


def test_what_is_folded_opens(chromium, folder: Path) -> None:
    with watched_page(chromium) as (page, seen):
        page.goto((folder / "90_one.html").as_uri())
        assert "NBVAL" not in page.content() and "interactive(children" not in page.content()
        assert page.locator(".needs-kernel").is_visible() and page.get_by_alt_text("a black square").is_visible()
        for name, hidden in (("Code", "plot = 'folded'"), ("Solution", "answer = 'closed'"), ("note", "Ask the room.")):
            part = page.locator("details").filter(has_text=hidden)
            assert not page.get_by_text(hidden).is_visible()
            part.locator("summary").filter(has_text=name).click()
            assert page.get_by_text(hidden).is_visible()
        page.locator(".MJXc-display").wait_for()
        page.locator(".kernel-explorer .input").focus()
        row = page.evaluate("document.querySelector('.kernel-explorer').explorer.window.row")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.querySelector('.kernel-explorer').explorer.window.row") == row + 1
        assert (seen.outside, seen.failed, seen.errors) == ([], [], [])


def test_search_finds_a_page_without_a_server(chromium, folder: Path) -> None:
    with watched_page(chromium) as (page, seen):
        page.goto((folder / "index.html").as_uri())
        page.get_by_role("textbox", name="Search").fill("zymurgy")
        page.keyboard.press("Enter")
        page.locator("#search-results a").first.click()
        page.get_by_role("heading", name="90 · One").wait_for()
        assert (seen.outside, seen.failed, seen.errors) == ([], [], [])


def test_next_previous_and_dark(chromium, folder: Path) -> None:
    with watched_page(chromium) as (page, _):
        page.goto((folder / "90_one.html").as_uri())
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        page.locator("a.next-page").click()
        page.get_by_role("heading", name="C · Two").wait_for()
        page.locator("a.prev-page").click()
        page.get_by_role("heading", name="90 · One").wait_for()


def test_a_phone_reaches_the_other_pages(chromium, folder: Path) -> None:
    with watched_page(chromium, 390, 800) as (page, _):
        page.goto((folder / "90_one.html").as_uri())
        link = page.locator(".sidebar-tree").get_by_text("C · Two")
        assert not link.is_visible() or link.bounding_box()["x"] < 0
        page.locator("label.nav-overlay-icon").click()
        link.click()
        page.get_by_role("heading", name="C · Two").wait_for()


def test_the_index_of_decks_opens_a_deck(chromium, folder: Path) -> None:
    with watched_page(chromium) as (page, seen):
        page.goto((folder / "slides" / "index.html").as_uri())
        page.wait_for_function("[...document.images].every(image => image.naturalWidth === 480)")
        page.get_by_role("link", name="90 · One").click()
        page.wait_for_function("window.Reveal?.isReady()")
        assert (seen.outside, seen.failed, seen.errors) == ([], [], [])


def test_without_a_browser_the_index_shows_a_figure(notebooks: list[Path], tmp_path: Path) -> None:
    for path in notebooks:
        slides.export(path, tmp_path)
    page = slides.write_index(tmp_path, notebooks).read_text(encoding="utf-8")
    assert page.count("<li>") == 2 and page.count("<img") == 1 and "data:image/gif" in page


def test_a_second_build_drops_what_is_gone(notebooks: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "site"
    for name in ("old.html", "slides/old.html", "notebooks/old.ipynb"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    site.build(notebooks[1:], folder)
    assert site.broken_links(folder) != [], "the page that the other names is not built"
    assert not list(folder.rglob("old.*"))


def test_the_course_builds_into_a_site_without_a_broken_link(chromium, tmp_path: Path) -> None:
    notebooks = find_notebooks([])
    assert site.build(notebooks, tmp_path / "site", chromium) == []
    assert site.broken_links(tmp_path / "site") == []
    pages = [tmp_path / "site" / f"{path.stem}.html" for path in notebooks]
    assert {page.name: problems for page in pages if (problems := site.check(chromium, page))} == {}
