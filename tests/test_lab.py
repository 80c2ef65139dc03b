"""The course in a real JupyterLab: cells run, figures answer, slides work, and nothing leaves the machine."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Page
from skimage import data

import course
from helpers.page.kernel_explorer import kernel_explorer
from tests import browser, jupyterlab
from tools import find_notebooks
from tools.browser import watched_page

chromium = browser.chromium
PATIENCE_MS = 45_000  # for a step that waits for a kernel; a machine under load is slow, not wrong

CELLS = [
    ("slide", new_markdown_cell("# A notebook to try")),
    (
        "slide",
        new_code_cell(
            "from helpers.worlds.photographs import photo\n"
            "from helpers.page.kernel_explorer import kernel_explorer\n"
            "kernel_explorer(photo('cat'))"
        ),
    ),
    (
        "slide",
        new_code_cell(
            "import ipywidgets, matplotlib.pyplot as plt\n"
            "from helpers.page.figures import figure\n\n"
            "@ipywidgets.interact(bins=(2, 30))\n"
            "def histogram(bins=10):\n"
            "    fig, ax = plt.subplots(figsize=(4, 2))\n"
            "    ax.hist(photo('cat').ravel(), bins)\n"
            "    return figure(fig, f'The values of all pixels of the cat, counted in {bins} bins.')"
        ),
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder that JupyterLab shows."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(folder) -> Iterator[str]:
    """A JupyterLab on a free port with settings of its own; yields its address."""
    notebook = new_notebook(cells=[])
    for kind, cell in CELLS:
        cell = cell.copy()
        cell.metadata = {"slideshow": {"slide_type": kind}}
        notebook.cells.append(cell)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "trial.ipynb")
    notebook.cells[1].outputs = [new_output("display_data", data={"text/html": kernel_explorer(data.camera()).data})]
    nbformat.write(notebook, folder / "stored.ipynb")
    for path in find_notebooks([]):
        (folder / path.name).write_bytes(path.read_bytes())  # Lab saves what it runs: leave the course's own alone
    command = course.program("lab", ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"])
    command = [f"--ServerApp.root_dir={folder}" if "root_dir" in option else option for option in command]
    with jupyterlab.started(folder, command) as address:
        yield re.match(r"http://[^/]+/lab", address).group()


@pytest.fixture
def page(lab, chromium) -> Iterator[Page]:
    """A window; at the end the proof that it asked no other machine for anything."""
    with watched_page(chromium) as (page, seen):
        page.set_default_timeout(PATIENCE_MS)
        yield page
        assert seen.outside == []


def run_all(page: Page, lab: str, name: str) -> None:
    """Open a notebook in Lab, run all cells through the command, and check that each ran once and in order."""
    page.goto(f"{lab}/tree/{name}?reset")
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext")
    counts = page.evaluate(
        """async () => {
            const app = window.jupyterapp, panel = app.shell.currentWidget;
            await panel.context.ready;
            await panel.sessionContext.ready;
            await panel.sessionContext.session.kernel.info;
            await app.commands.execute('notebook:run-all-cells');
            return panel.content.widgets.map(cell => cell.model)
                .filter(model => model.type === 'code' && model.sharedModel.source.trim())
                .map(model => model.executionCount);
        }"""
    )
    assert counts == list(range(1, len(counts) + 1)), counts


def use_explorer(page: Page) -> None:
    """Press arrow keys in the explorer: the window moves, the active cell does not."""
    explorer = page.locator(".kernel-explorer").first
    explorer.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.kernel-explorer').explorer")
    window = "document.querySelector('.kernel-explorer').explorer.window"
    explorer.locator(".input").click()
    before = page.evaluate(window)
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    cell = page.evaluate(active)
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    after = page.evaluate(window)
    assert (after["row"], after["col"]) == (before["row"] + 1, before["col"] + 1)
    assert page.evaluate(active) == cell
    weight = explorer.locator(".weights input").first
    weight.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("7")
    assert page.evaluate("document.querySelector('.kernel-explorer').explorer.weights[0]") == 7
    assert page.evaluate(active) == cell


def move_slider(page: Page) -> None:
    """Press an arrow key on the slider and wait until Python has answered with another picture."""
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.scroll_into_view_if_needed()
    picture = page.locator(".widget-interact img").last
    picture.wait_for()
    before = picture.get_attribute("src")
    assert picture.get_attribute("alt")
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => [...document.querySelectorAll('.widget-interact img')].pop()?.src !== before", arg=before
    )


def test_stored_figure_needs_trust_and_says_so(page, lab):
    """Without trust Lab runs no script of a stored output, and the figure says what to do."""
    page.goto(f"{lab}/tree/stored.ipynb?reset")
    page.get_by_text("run the cell, or trust the notebook").wait_for()
    assert page.evaluate("document.querySelector('.kernel-explorer').explorer === undefined")


def open_and_save(page: Page, lab: str, name: str) -> bool:
    """Open a notebook in Lab and wait for its kernel; return whether Lab calls it changed then; save and close it."""
    page.goto(f"{lab}/tree/{name}?reset")
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.sessionContext")
    return page.evaluate(
        """async () => {
            const app = window.jupyterapp, panel = app.shell.currentWidget;
            await panel.context.ready;
            await panel.sessionContext.ready;
            await panel.sessionContext.session.kernel.info;
            await new Promise(done => setTimeout(done, 1000));
            const dirty = panel.context.model.dirty;
            await app.commands.execute('docmanager:save');
            await panel.sessionContext.shutdown();
            return dirty;
        }"""
    )


@pytest.mark.parametrize("path", find_notebooks([]), ids=lambda path: path.stem)
def test_opening_a_notebook_does_not_change_it(page, lab, folder, path):
    """Lab takes from the kernel what the language is; if the file says otherwise, the notebook is at once unsaved."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.language_info.version = platform.python_version()  # ours need not be the student's
    before = nbformat.writes(notebook) + "\n"
    copy = folder / f"opened_{path.name}"
    copy.write_text(before, encoding="utf-8", newline="\n")
    assert not open_and_save(page, lab, copy.name)
    assert copy.read_text(encoding="utf-8") == before, "and saving it changes nothing"


def test_a_notebook_that_lab_changes_would_be_found(page, lab, folder):
    notebook = nbformat.read(find_notebooks(["0"])[0], as_version=4)
    del notebook.metadata.language_info["codemirror_mode"]
    nbformat.write(notebook, folder / "opened_less.ipynb")
    assert open_and_save(page, lab, "opened_less.ipynb")


@pytest.mark.parametrize("path", find_notebooks(["2"]), ids=lambda path: path.stem)
def test_course_notebook_with_the_explorer(page, lab, path):
    run_all(page, lab, path.name)
    use_explorer(page)


def test_notebook_and_live_slides(page, lab):
    run_all(page, lab, "trial.ipynb")
    use_explorer(page)
    move_slider(page)
    # As slides: Lab is on the last cell, the slider's; the explorer is one slide back.
    page.evaluate("window.jupyterapp.commands.execute('deck:toggle')")
    page.locator("body[data-jp-deck-mode=presenting]").wait_for(state="attached")
    on_screen = page.locator(".jp-deck-mod-onscreen")
    on_screen.locator(".widget-slider").wait_for()
    assert not page.locator(".kernel-explorer").is_visible()
    move_slider(page)
    page.evaluate("window.jupyterapp.commands.execute('deck:go', { direction: 'back' })")
    on_screen.locator(".kernel-explorer").wait_for()
    assert not page.locator(".widget-slider").first.is_visible()
    use_explorer(page)
    page.evaluate("window.jupyterapp.commands.execute('deck:go', { direction: 'back' })")
    on_screen.get_by_role("heading", name="A notebook to try").wait_for()
    page.evaluate("window.jupyterapp.commands.execute('deck:stop')")
    page.locator("body[data-jp-deck-mode=presenting]").wait_for(state="detached")
