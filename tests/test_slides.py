"""Every deck opens from a file, loads nothing from another machine, and no slide is too full."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import ipywidgets
import nbformat
import pytest
from ipywidgets.embed import dependency_state
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from skimage import data

from helpers.page.kernel_explorer import kernel_explorer
from tests import browser
from tools import find_notebooks, slides, vendor_assets
from tools.browser import watched_page

chromium = browser.chromium
NOTEBOOKS = find_notebooks([])


def executed(source: str, **outputs) -> nbformat.NotebookNode:
    """A code cell with one stored display output."""
    return new_code_cell(source, execution_count=1, outputs=[new_output("display_data", data=outputs)])


def slide(cell: nbformat.NotebookNode, kind: str = "slide") -> nbformat.NotebookNode:
    cell.metadata.slideshow = {"slide_type": kind}
    return cell


def folded(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Give the cell the tag that hides its code on slides; return it."""
    cell.metadata["tags"] = ["hide-input"]
    return cell


def save(folder: Path, *cells: nbformat.NotebookNode, widgets: dict | None = None) -> Path:
    notebook = new_notebook(cells=list(cells))
    notebook.metadata.course = {"title": "A deck to try", "minutes": 1, "budget_s": 1}
    if widgets:
        notebook.metadata.widgets = {"application/vnd.jupyter.widget-state+json": widgets}
    path = folder / "90_trial.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One folder for all decks of this module, with a blank and a letter beyond ASCII in its path."""
    return tmp_path_factory.mktemp("decks") / "USB stick é"


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_outputs_are_committed():
    """Decks show the committed outputs; without them an export would execute the notebook."""
    empty = [path.name for path in NOTEBOOKS if not slides.is_executed(nbformat.read(path, as_version=4))]
    assert empty == []


@pytest.fixture
def path(request) -> Path:
    """A notebook of the course; one without outputs has failed the test above."""
    if not slides.is_executed(nbformat.read(request.param, as_version=4)):
        pytest.fail(f"{request.param.name} has no outputs")
    return request.param


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem, indirect=True)
def test_deck_opens_offline_and_fits(chromium, folder, path):
    deck = slides.export(path, folder)
    assert slides.check(chromium, deck) == []
    assert re.findall(r'href="[^":]*\.ipynb', deck.read_text(encoding="utf-8")) == [], "links go from deck to deck"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem, indirect=True)
def test_deck_begins_and_ends_with_a_picture(path):
    notebook = nbformat.read(path, as_version=4)
    drawn = slides.read_deck(notebook).slides[0].pictures
    placed = slides.add_cover_and_recap(notebook, path.name)
    assert 'src="picture-of-recap"' in placed and ('src="picture-of-cover"' in placed) == (not drawn)
    last = [cell for cell in notebook.cells if "picture-of-recap" in cell.source]
    assert len(last) == 1 and last[0].source.startswith("## Recap")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem, indirect=True)
def test_page_opens_offline(chromium, folder, path):
    page = slides.export(path, folder.with_name("pages"), page=True)
    assert slides.check(chromium, page, page=True) == []


@pytest.fixture(scope="module")
def trial(folder) -> Path:
    """A small deck with everything that needs a script: a formula, a slider, the explorer, a fragment, notes."""
    slider = ipywidgets.IntSlider(5, description="sigma")
    box = ipywidgets.VBox([slider, ipywidgets.FileUpload()])  # the upload's icon comes from a font
    state = {"version_major": 2, "version_minor": 0, "state": dependency_state([box])}
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": box.model_id, "version_major": 2}}
    path = save(
        folder.parent,
        slide(new_markdown_cell("# A deck to try")),
        slide(new_markdown_cell("## Formula\n\n$$y = \\sum_i w_i x_i$$ and [the next one](02_convolution.ipynb)")),
        slide(new_markdown_cell("Say this aloud."), "notes"),
        slide(new_markdown_cell("or [the appendix](A_street_world.ipynb#top)"), "fragment"),
        slide(new_markdown_cell("shown by and by"), "fragment"),
        slide(executed("# NBVAL_IGNORE_OUTPUT\nslider", **view)),
        slide(executed("explorer", **{"text/html": kernel_explorer(data.camera()).data})),
        folded(executed("tilt = 'drawn by this'", **{"text/html": "<b>a figure</b>"})),
        slide(new_markdown_cell("never to be seen"), "skip"),
        widgets=state,
    )
    return slides.export(path, folder)


@pytest.fixture
def deck(chromium, trial):
    """The trial deck, open on its first slide."""
    with watched_page(chromium) as (page, seen):
        assert slides.open_deck(page, trial) == 4
        yield page
        assert (seen.outside, seen.failed, seen.errors) == ([], [], [])


def test_trial_deck_is_good(chromium, trial):
    assert slides.check(chromium, trial) == []
    text = trial.read_text(encoding="utf-8")
    assert "never to be seen" not in text and "NBVAL" not in text
    assert 'href="02_convolution.html"' in text and 'href="A_street_world.html#top"' in text


def test_formula_and_slider_are_drawn(deck):
    slides.show_slide(deck, 1)
    assert deck.locator("section.present .MJXc-display").last.is_visible()
    slides.show_slide(deck, 2)
    assert deck.locator("section.present .widget-slider .noUi-handle").is_visible()
    assert deck.locator("section.present .widget-readout").inner_text() == "5"


def test_explorer_answers_in_a_deck_and_keeps_its_keys(deck):
    slides.show_slide(deck, 3)
    deck.locator(".kernel-explorer .input").focus()
    window = "document.querySelector('.kernel-explorer').explorer.window"
    before, slide_before = deck.evaluate(window), deck.evaluate("Reveal.getIndices()")
    deck.keyboard.press("ArrowLeft")
    assert deck.evaluate(window)["col"] == before["col"] - 1
    assert deck.evaluate("Reveal.getIndices()") == slide_before
    box = deck.locator(".kernel-explorer .input").bounding_box()
    deck.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.75)
    now = deck.evaluate(window)
    assert abs(now["col"] - 32) <= 1 and abs(now["row"] - 96) <= 1, "the figure is scaled, and the hover with it"


def test_fragments_come_by_and_by(deck):
    deck.evaluate("Reveal.slide(1)")
    fragment = deck.locator("section.present .fragment").first
    assert not fragment.evaluate("el => el.classList.contains('visible')")
    deck.keyboard.press("Space")
    assert fragment.evaluate("el => el.classList.contains('visible')")
    assert deck.evaluate("Reveal.getIndices().h") == 1


def test_speaker_view_shows_the_notes(deck):
    deck.evaluate("Reveal.slide(1)")
    with deck.expect_popup() as popup:
        deck.keyboard.press("s")
    popup.value.get_by_text("Say this aloud.").wait_for()


def test_c_opens_the_code_behind_a_figure_and_closes_it(deck):
    slides.show_slide(deck, 3)
    panel, code = deck.locator("#code-panel"), deck.locator("section.present .folded-code")
    assert deck.get_by_text("a figure", exact=True).is_visible() and not code.is_visible() and not panel.is_visible()
    deck.keyboard.press("c")
    assert panel.is_visible() and "tilt = 'drawn by this'" in panel.inner_text()
    before = deck.evaluate("Reveal.getIndices()")
    deck.keyboard.press("ArrowLeft")
    assert deck.evaluate("Reveal.getIndices()") == before and panel.is_visible(), "arrows scroll the code"
    deck.keyboard.press("c")
    assert not panel.is_visible()
    slides.show_slide(deck, 0)
    deck.keyboard.press("c")
    assert "on the slide" in panel.inner_text() and "tilt" not in panel.inner_text()
    slides.show_slide(deck, 1)
    assert not panel.is_visible()


def test_a_page_folds_the_code_of_figures(chromium, trial, folder):
    path = slides.export(folder.parent / "90_trial.ipynb", folder.parent / "pages", page=True)
    with watched_page(chromium) as (page, seen):
        slides.open_file(page, path)
        code = page.locator("details.folded-code pre")
        assert code.count() == 1 and not code.is_visible()
        page.locator("details.folded-code summary").click()
        assert code.is_visible() and "tilt" in code.inner_text()
    assert (seen.outside, seen.failed, seen.errors) == ([], [], [])


def problems_of(chromium, folder: Path, *cells: nbformat.NotebookNode) -> list[str]:
    return slides.check(chromium, slides.export(save(folder, *cells), folder))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (new_markdown_cell("## Long\n" + "\n".join(f"- line {i}" for i in range(30))), "“Long”: .* pixels too high"),
        (new_code_cell("x = " + " + ".join(["1"] * 60), execution_count=1), "pixels too wide|cut or scrolled"),
        (executed("f", **{"text/html": "<div style='width: 2000px; height: 9px'>.</div>"}), "pixels too wide|cut or"),
        (new_markdown_cell("![far](https://example.org/far.png)"), "loads https://example.org/far.png"),
        (new_markdown_cell("![gone](gone.png)"), "cannot load file:.*gone.png"),
        (executed("f", **{"text/html": "<script>throw new Error('broken')</script>"}), "error in the console: broken"),
        (executed("f", **{"text/html": "<p style='color: #aaa'>pale</p>"}), "color-contrast: .*1 times.*pale"),
        (executed("f", **{"text/html": "<button></button>"}), "button-name: .*1 times"),
        (executed("f", **{"text/html": "<div role='slider' tabindex='0'>.</div>"}), "aria-[a-z-]+: .*1 times"),
    ],
    ids=[
        *("too high", "long code", "too wide", "remote image", "lost image", "script error", "pale text"),
        *("a button without a name", "a slider without name and value"),
    ],
)
def test_a_bad_slide_is_caught(chromium, tmp_path, cell, problem):
    """Negative of the tests above: each fault alone, on the second slide, is found and named."""
    problems = problems_of(chromium, tmp_path, slide(new_markdown_cell("# Good")), slide(cell.copy()))
    assert problems
    for text in problems:
        assert re.search(f"{problem}|net::ERR", text), text


def test_a_fragment_that_overflows_is_caught(chromium, tmp_path):
    filling = new_markdown_cell("## Half\n" + "\n".join(f"- line {i}" for i in range(10)))
    more = slide(new_markdown_cell("\n".join(f"- more {i}" for i in range(10))), "fragment")
    assert problems_of(chromium, tmp_path, slide(filling)) == []
    assert "too high" in problems_of(chromium, tmp_path, slide(filling), more)[0]


def test_an_unexecuted_notebook_is_executed_first(tmp_path):
    path = save(tmp_path, slide(new_code_cell("print(6 * 7)")))
    assert ">42\n" in slides.export(path, tmp_path).read_text(encoding="utf-8")
    assert nbformat.read(path, 4).cells[0].outputs == [], "the notebook itself stays as it was"


def test_a_failing_notebook_leaves_the_old_deck(tmp_path):
    deck = slides.export(save(tmp_path, slide(new_code_cell("print(1)"))), tmp_path)
    before = deck.read_bytes()
    with pytest.raises(RuntimeError, match=r"90_trial.ipynb, cell 0 .*ZeroDivisionError"):
        slides.export(save(tmp_path, slide(new_code_cell("1 / 0"))), tmp_path)
    assert deck.read_bytes() == before and not list(tmp_path.rglob("*.tmp"))


def drawn(width: int, height: int, colour: str, name: str) -> nbformat.NotebookNode:
    """A code cell that showed a picture."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "png")
    address = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    cell = executed("draw()", **{"text/html": f'<img alt="{name}" width="9" src="{address}">'})
    cell["id"] = name
    return cell


def with_pictures(folder: Path, **course: str) -> Path:
    """A notebook with a square picture, then one that is wide, whose first and last slides are text."""
    path = save(
        folder,
        slide(new_markdown_cell("# A deck\nof text")),
        slide(drawn(300, 300, "red", "square"), "subslide"),
        slide(drawn(900, 300, "blue", "wide"), "subslide"),
        slide(new_markdown_cell("## Recap\n- one")),
    )
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.course |= course
    nbformat.write(notebook, path)
    return path


def test_the_first_slide_gets_the_first_picture_and_the_last_the_one_that_is_named(chromium, tmp_path):
    deck = slides.export(with_pictures(tmp_path, recap="wide"), tmp_path)
    assert slides.check(chromium, deck) == []
    with watched_page(chromium, 1280, 720) as (page, _):
        assert slides.open_deck(page, deck) == 4
        found = []
        for index in (0, 3):
            slides.show_slide(page, index)
            picture = page.locator("section.present section.present img, section.present:not(:has(section)) img").first
            text = page.locator("section.present").last.get_by_text("of text" if index == 0 else "one").bounding_box()
            box = picture.bounding_box()
            found.append((picture.get_attribute("alt"), box["y"] >= text["y"] + text["height"]))
        assert found == [("square", False), ("wide", True)]  # beside the text, and below it
    page_of = slides.export(tmp_path / "90_trial.ipynb", tmp_path / "page", page=True)
    assert page_of.read_text(encoding="utf-8").count("<img") == 2, "a page has room for pictures where they are drawn"


def test_a_cover_that_is_named_goes_before_the_first_picture_and_one_without_a_picture_is_named(tmp_path):
    text = slides.export(with_pictures(tmp_path, cover="wide"), tmp_path).read_text(encoding="utf-8")
    assert text.count('alt="wide"') == 2 and text.count('alt="square"') == 1
    with pytest.raises(RuntimeError, match=r"90_trial.ipynb: .* 'nowhere' as its recap, which has no picture"):
        slides.export(with_pictures(tmp_path, recap="nowhere"), tmp_path)


def test_shots_and_index(chromium, trial, tmp_path, monkeypatch):
    shots = slides.take_shots(chromium, trial, tmp_path)
    assert [file.name for file in shots] == [f"90_trial-0{i}.png" for i in range(1, 5)]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in shots)
    notebook = trial.parent.parent / "90_trial.ipynb"
    monkeypatch.setattr(slides, "find_notebooks", lambda numbers: [notebook])
    index = slides.write_index(trial.parent)
    with watched_page(chromium) as (page, seen):
        page.goto(index.as_uri())
        page.get_by_text("A deck to try").click()
        page.wait_for_function("window.Reveal?.isReady()")
        assert (seen.outside, seen.failed, seen.errors) == ([], [], [])


def test_a_deck_prints_one_page_a_slide(chromium, trial, tmp_path):
    with watched_page(chromium, 1280, 720) as (page, seen):
        page.goto(f"{trial.as_uri()}?print-pdf")
        page.wait_for_function("() => window.Reveal?.isReady() && document.querySelectorAll('.pdf-page').length")
        page.evaluate("() => new Promise(done => MathJax.Hub.Queue(done))")
        pdf = page.pdf(prefer_css_page_size=True, print_background=True)
        shown = page.locator(".pdf-page").all_inner_texts()
        assert (seen.outside, seen.failed, seen.errors) == ([], [], [])
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == len(shown) == 4
    assert "shown by and by" in shown[1], "fragments are on the page of their slide"


def test_unknown_number_gets_a_sentence(capsys):
    assert slides.main(["77"]) == 2
    assert "no notebook 77" in capsys.readouterr().err


def test_vendored_assets_state_their_origin():
    files = [path for path in slides.ASSETS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12e6
    assert (slides.ASSETS / "README.md").read_text(encoding="utf-8") == vendor_assets.readme()
    folders = {path.relative_to(slides.ASSETS).parts[0] for path in files} - {"README.md"}
    assert folders == {package.folder for package in vendor_assets.PACKAGES}
    for folder in folders - {"requirejs"}:  # whose only file begins with its licence
        assert any("LICENSE" in path.name for path in (slides.ASSETS / folder).iterdir()), folder
    assert "MIT license" in (slides.ASSETS / "requirejs" / "require.js").read_text(encoding="utf-8")[:300]
