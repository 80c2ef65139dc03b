"""Build the course's site: `python -m tools.site [NN ...]`, or `python3 course.py site`, writes it to build/site.

It holds each notebook as a page with the outputs that the notebook carries, as a deck and as a file to download, and a
search over all pages. It is opened by its index.html, from a folder or from a server, and asks nothing of another
machine. `--check` opens every page and deck in a headless browser and tells what is wrong; `--shots FOLDER` takes
pictures of the pages, on a wide screen and on a phone.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tools import ROOT, find_notebooks, slides
from tools.accessible import barriers
from tools.browser import BrowserMissing, launch, watched_page
from tools.github import PLACEHOLDER, launchers, repository

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TEMPLATE = Path(__file__).resolve().parent / "site_template"
WIDGET = "application/vnd.jupyter.widget-view+json"
NEEDS_KERNEL = (
    '<p class="needs-kernel">Here the notebook has controls that compute in Python: open it in JupyterLab to use '
    "them.</p>"
)


def link_list(name: str, repository: str) -> str:
    """The links to what there is of a notebook beside its page."""
    links = {"Slides": f"slides/{name}.html", "Notebook": f"notebooks/{name}.ipynb"}
    if PLACEHOLDER not in repository:
        links |= launchers(repository, name)
    return "".join(
        f'<a href="{escape(address)}"{" download" * (text == "Notebook")}>{text}</a>' for text, address in links.items()
    )


def readable(notebook: NotebookNode, name: str, repository: str) -> NotebookNode:
    """The notebook as its page shows it: what a presenter says is folded, and so are solutions; it is changed in place.

    Plot code carries the tag by which myst-nb folds it.
    """
    for cell in notebook.cells:
        cell.source = slides.without_words_to_tests(cell.source)
        tags = cell.metadata.setdefault("tags", [])
        if cell.cell_type == "markdown" and cell.metadata.get("slideshow", {}).get("slide_type") == "notes":
            words = f'<details class="speaker"><summary>A note for the one who presents</summary>\n\n{cell.source}'
            cell.source = f"{words}\n\n</details>"
        elif cell.cell_type == "code" and "solution" in tags:
            tags.append("hide-input")
            cell.metadata["mystnb"] = {"code_prompt_show": "Solution", "code_prompt_hide": "Solution"}
        for number, output in enumerate(cell.get("outputs", [])):
            if WIDGET in output.get("data", {}):
                cell.outputs[number] = new_output("display_data", {"text/html": NEEDS_KERNEL})
    notebook.cells.insert(1, new_markdown_cell(f'<p class="course-bar">{link_list(name, repository)}</p>'))
    return notebook


FRONT = """# From pixels to PaLM-E

One lecture on vision and language, as notebooks in which every system really works. Read them here, present them as
[slides](decks.md), or run and change them: a laptop with two cores is enough.

{cards}

## Run it

`python3 course.py lab`, in a copy of the course, installs what is needed and opens JupyterLab at the first notebook. It
needs Python and 10 GB of disk, no graphics card, and after the installation no network.

```{{toctree}}
:hidden:
:caption: The lecture

{lecture}
```

```{{toctree}}
:hidden:
:caption: Appendices

{appendices}
```

```{{toctree}}
:hidden:
:caption: To present

decks
```
"""


def write_sources(notebooks: list[Path], source: Path, decks: Path) -> None:
    """Write what Sphinx reads into the empty folder `source`; the decks lie in `decks` already."""
    own = repository()
    for path in notebooks:
        nbformat.write(readable(slides.read_executed(path), path.stem, own), source / path.name)

    parts = {True: [], False: []}
    for path in notebooks:
        parts[path.stem[0].isdigit()].append(path.stem)
    front = FRONT.format(
        cards=slides.cards(notebooks, decks, "{}.html", lambda name: link_list(name, own), "slides/"),
        lecture="\n".join(parts[True]),
        appendices="\n".join(parts[False]),
    )
    (source / "index.md").write_text(front, encoding="utf-8")
    opened = slides.cards(notebooks, decks, "slides/{}.html", prefix="slides/")
    (source / "decks.md").write_text(f"# All decks\n\n{slides.KEYS}\n\n{opened}\n", encoding="utf-8")


def build(notebooks: list[Path], folder: Path, browser: Browser | None = None) -> list[str]:
    """Write the site of these notebooks into the folder; return the warnings of Sphinx, one a line.

    With a browser the cards show slides, without one figures. What another build left in the folder goes.

    Raises:
        RuntimeError: a notebook without outputs could not be executed, or Sphinx gave up.
    """
    decks, downloads, source = folder / "slides", folder / "notebooks", folder.with_name(f"{folder.name}-source")
    for old in (*folder.glob("*.html"), *decks.glob("*.html"), *downloads.glob("*.ipynb")):
        if old.stem not in {"index", *(path.stem for path in notebooks)}:
            old.unlink()
    exported = [slides.export(path, decks) for path in notebooks]
    for path in notebooks:
        slides.write(downloads / path.name, path.read_bytes())
    if browser:
        slides.take_thumbnails(browser, exported)
    slides.write_index(decks, notebooks)
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    write_sources(notebooks, source, decks)
    warnings = source / "warnings.txt"
    with warnings.open("w", encoding="utf-8") as said, docutils_namespace():  # so that a process may build twice
        trees = source / ".doctrees"
        app = Sphinx(source, TEMPLATE, folder, trees, "html", status=None, warning=said, freshenv=True)
        app.build()
    if app.statuscode:
        raise RuntimeError(f"Sphinx failed: {warnings.read_text(encoding='utf-8')}")
    for path in notebooks:
        slides.copy_models((folder / f"{path.stem}.html").read_text(encoding="utf-8"), folder)
    return [line for line in warnings.read_text(encoding="utf-8").splitlines() if line.strip()]


class _Page(HTMLParser):
    """The addresses that an HTML page names, and the places in it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value and tag != "use":
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


def broken_links(folder: Path) -> list[str]:
    """The links of all HTML pages below the folder that lead nowhere, one sentence each; of others' pages, none."""
    pages = {
        path: _Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.resolve().rglob("*.html"))
        if "assets" not in path.parts
    }
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            name = path.relative_to(folder.resolve())
            if not target.is_file():
                found.append(f"{name}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{name}: {link} names no place on its page")
    return found


def open_page(tab: Page, path: Path) -> None:
    """Open a page of the site and wait until its formulas are drawn."""
    tab.goto(path.resolve().as_uri())
    tab.evaluate("() => window.MathJax && new Promise(done => MathJax.Hub.Queue(done))")


def check(browser: Browser, path: Path) -> list[str]:
    """Open a page of the site, from a wide screen to a phone; return what is wrong with it, one sentence each."""
    problems = []
    with watched_page(browser, 1600, 800) as (tab, seen):
        open_page(tab, path)
        for width in (1600, 1280, 390):
            tab.set_viewport_size({"width": width, "height": 800})
            wide = tab.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                problems.append(f"is {wide} pixels wide on a screen of {width}")
    return [
        *problems,
        *(f"loads {address} from another machine" for address in seen.outside),
        *(f"cannot load {address}" for address in seen.failed),
        *(f"error in the console: {text}" for text in seen.errors),
    ]


def judge(browser: Browser, path: Path) -> list[str]:
    """Name what keeps people out of a page of the site, in the light and in the dark, as axe sees it."""
    problems = []
    with watched_page(browser, 1280, 800) as (tab, _):  # axe asks again for the styles, which a file may not
        open_page(tab, path)
        for scheme in ("dark", "light"):
            tab.emulate_media(color_scheme=scheme)
            problems += [f"{scheme}: {barrier}" for barrier in barriers(tab)]
    return problems


def take_shots(browser: Browser, path: Path, folder: Path) -> None:
    """Write pictures of the head of a page: light and dark on a wide screen, and light on a phone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, width, scheme in (("light", 1280, "light"), ("dark", 1280, "dark"), ("phone", 390, "light")):
        with watched_page(browser, width, 2400) as (tab, _):
            tab.emulate_media(color_scheme=scheme)
            open_page(tab, path)
            tab.screenshot(path=folder / f"{path.stem}-{name}.png")


def main(arguments: list[str]) -> int:
    """Build the site, and check or photograph it; return the exit code."""
    parser = argparse.ArgumentParser(prog="site", description="Build the course's site, to be read without a network.")
    parser.add_argument("numbers", nargs="*", metavar="NN", help="numbers of notebooks; all, if none is given")
    parser.add_argument("--check", action="store_true", help="open all of it in a headless browser and name problems")
    parser.add_argument("--shots", type=Path, metavar="FOLDER", help="write PNG pictures of every page")
    options = parser.parse_args(arguments)
    folder = ROOT / "build" / "site"
    try:
        notebooks = find_notebooks(options.numbers)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        try:
            browser = stack.enter_context(launch())
        except BrowserMissing as missing:
            print(missing, file=sys.stderr)
            if options.check or options.shots:
                return 2
            browser = None
        try:
            problems = build(notebooks, folder, browser) + broken_links(folder)
        except RuntimeError as error:
            print(f"FAILED {error}", file=sys.stderr)
            return 1
        for page in sorted(folder.glob("*.html")):
            if options.shots:
                take_shots(browser, page, options.shots)
            if options.check:
                problems += [f"{page.name}: {problem}" for problem in check(browser, page) + judge(browser, page)]
        for deck in [folder / "slides" / f"{path.stem}.html" for path in notebooks] * options.check:
            problems += [f"slides/{deck.name}: {problem}" for problem in slides.check(browser, deck)]
    print((folder / "index.html").relative_to(ROOT))
    print("\n".join(re.sub(r"\x1b\[[\d;]*m", "", problem) for problem in problems) or "No problem found.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
