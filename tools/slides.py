"""Export notebooks as slides, or as pages, that open from a file and load nothing from another machine.

`python -m tools.slides [NN ...]` writes decks to build/slides, with an index and the scripts they share, and
`--page` plain pages to build/pages. `--check` opens each in a headless browser and tells what is wrong with it, a
slide that is too full above all; `--shots FOLDER` writes pictures of every slide, or of a page in pieces; `--report`
only tells how many slides of each deck show pictures and code.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbconvert import HTMLExporter, SlidesExporter
from nbformat import NotebookNode
from PIL import Image, UnidentifiedImageError
from traitlets.config import Config

from helpers.files import whole
from tools import ROOT, find_notebooks
from tools.accessible import barriers
from tools.browser import BrowserMissing, watched_page
from tools.browser import launch as launch_browser
from tools.decks import read_deck, report
from tools.execute import execute

if TYPE_CHECKING:  # a student's environment exports decks without Playwright
    from playwright.sync_api import Browser, Page

HERE = Path(__file__).resolve().parent
ASSETS = HERE / "slides_assets"
WIDTH, HEIGHT = 1280, 720

CONFIG = Config()
CONFIG.TemplateExporter.extra_template_basedirs = [str(HERE / "slides_template")]
CONFIG.TemplateExporter.extra_template_paths = [str(HERE / "slides_template")]
CONFIG.TemplateExporter.exclude_input_prompt = True
CONFIG.TemplateExporter.exclude_output_prompt = True
CONFIG.HTMLExporter.exclude_anchor_links = True
CONFIG.HTMLExporter.require_js_url = "assets/requirejs/require.js"
CONFIG.HTMLExporter.jquery_url = "assets/jquery/dist/jquery.min.js"
CONFIG.HTMLExporter.mathjax_url = "assets/mathjax/MathJax.js?config=TeX-AMS_CHTML-full"
CONFIG.HTMLExporter.widget_renderer_url = "assets/html-manager/dist/embed-amd.js"
CONFIG.SlidesExporter.template_name = "course_slides"
CONFIG.SlidesExporter.reveal_url_prefix = "assets/reveal.js"
CONFIG.SlidesExporter.reveal_theme = "white"


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; one that already has this content is left alone."""
    if path.exists() and path.read_bytes() == content:
        return
    with whole(path) as temporary:
        temporary.write_bytes(content)


def is_executed(notebook: NotebookNode) -> bool:
    """Whether any code cell has run, or there is none to run."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return not code or any(cell.execution_count or cell.outputs for cell in code)


def read_executed(path: Path) -> NotebookNode:
    """Return the notebook with its committed outputs; one that was never executed is executed first.

    Raises:
        RuntimeError: a cell failed; the message names the notebook, the cell and the error.
    """
    notebook = nbformat.read(path, as_version=4)
    if not is_executed(notebook):
        result = execute(path)
        if result.failure:
            raise RuntimeError(result.failure)
        notebook = result.notebook
    return notebook


def title(notebook: NotebookNode, path: Path) -> str:
    """The notebook's title, from its metadata."""
    return notebook.metadata.get("course", {}).get("title", path.stem)


def without_words_to_tests(source: str) -> str:
    """The source of a cell as a reader wants it."""
    return re.sub(r"^# NBVAL_\w+\n?", "", source, flags=re.MULTILINE)


PICTURE = re.compile(r'<img [^>]*src="data:image/[^>]*>')
WIDE = 2.0  # a picture that is so many times as wide as high stands below the text, another beside it


def pictures_of(cell: NotebookNode) -> list[str]:
    """The pictures among a cell's outputs, as HTML."""
    return [
        tag
        for output in cell.get("outputs", [])
        for tag in PICTURE.findall(output.get("data", {}).get("text/html", ""))
    ]


def proportions(source: str) -> float:
    """How many times as wide as high the picture at a data address is."""
    kind, _, data = source.partition(",")
    content = base64.b64decode(data)
    if "svg" in kind:
        width, height = re.search(rb'viewBox="[\d.+-]+ [\d.+-]+ ([\d.]+) ([\d.]+)"', content).groups()
        return float(width) / float(height)
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.width / picture.height
    except UnidentifiedImageError:
        return 1.0  # a browser, too, shows its words only


def add_cover_and_recap(notebook: NotebookNode, name: str) -> dict[str, str]:
    """Make room for a picture on the first and on the last slide; return what is to be put there, by placeholder.

    The notebook's metadata name the cells that draw them: `course.cover` (without it, the first picture of all) and
    `course.recap` (without it, none). A first slide with a picture of its own keeps that.
    Raises RuntimeError if a cell that is named has no picture, or is not there.
    """
    course, placed = notebook.metadata.get("course", {}), {}
    headed = [
        cell for cell in notebook.cells if cell.metadata.get("slideshow", {}).get("slide_type") in ("slide", "subslide")
    ]
    slides = read_deck(notebook).slides
    for part, cell, wanted in (
        ("cover", headed[:1], not slides or not slides[0].pictures),
        ("recap", headed[-1:], True),
    ):
        choice = (
            [one for one in notebook.cells if one.get("id") == course.get(part)] if part in course else notebook.cells
        )
        found = [tag for one in choice for tag in pictures_of(one)] if part in course or part == "cover" else []
        if part in course and not found:
            raise RuntimeError(f"{name}: the metadata name cell {course[part]!r} as its {part}, which has no picture")
        if not (wanted and cell and found and cell[0].cell_type == "markdown"):
            continue
        source, alt = (re.search(rf'{key}="([^"]*)"', found[0]) for key in ("src", "alt"))
        below = proportions(source[1]) >= WIDE
        mark = f"picture-of-{part}"
        placed[f'src="{mark}"'] = f'src="{source[1]}"'
        image = f'<img class="{"below" if below else "beside"}" src="{mark}" alt="{alt[1] if alt else ""}">'
        heading, _, rest = cell[0].source.partition("\n")
        cell[0].source = f"{heading}\n{rest}\n\n{image}" if below else f"{heading}\n\n{image}\n\n{rest}"
    return placed


def copy_assets(folder: Path) -> None:
    """Lay the scripts and fonts that decks share into folder/assets."""
    for source in ASSETS.rglob("*"):
        if source.is_file():
            write(folder / "assets" / source.relative_to(ASSETS), source.read_bytes())


def copy_models(text: str, folder: Path) -> None:
    """Lay the weights that the explorers of a deck or page ask for into folder/assets/models."""
    for model in sorted(set(re.findall(r'class="explorer [^>]* data-model="([\w-]+)"', text))):
        from helpers.page.explorers.weights import model_script  # needs torch, which takes seconds to import

        write(folder / "assets" / "models" / f"{model}.js", model_script(model).encode())


def export(path: Path, folder: Path, page: bool = False) -> Path:
    """Write the notebook as a deck, or as a page, into the folder, with folder/assets beside it; return the file."""
    notebook = read_executed(path)
    notebook.metadata.title = title(notebook, path)
    for cell in notebook.cells:
        cell.source = without_words_to_tests(cell.source)
    if page:
        CONFIG.HTMLExporter.template_name = "course_page"
    placed = {} if page else add_cover_and_recap(notebook, path.name)
    exporter = HTMLExporter(config=CONFIG, template_name="course_page") if page else SlidesExporter(config=CONFIG)
    text, _ = exporter.from_notebook_node(notebook)
    for mark, source in placed.items():
        text = text.replace(mark, source)
    text = re.sub(r'href="((?:\d\d|[A-Z])_\w+)\.ipynb', r'href="\1.html', text)  # from deck to deck
    copy_assets(folder)
    copy_models(text, folder)
    target = folder / f"{path.stem}.html"
    write(target, text.encode())
    return target


FIRST_DRAWN = """() => Math.max(0, Reveal.getSlides().findIndex(slide =>
    [...slide.querySelectorAll('img:not(.beside, .below), .kernel-explorer')]
        .some(shown => !shown.closest('aside.notes'))))"""


def take_thumbnails(browser: Browser, decks: list[Path]) -> None:
    """Write thumbnails/NAME.webp beside each deck, its first slide with a picture; one that is current stays."""
    for deck in decks:
        target = deck.parent / "thumbnails" / f"{deck.stem}.webp"
        if target.exists() and target.stat().st_mtime > deck.stat().st_mtime:
            continue
        with watched_page(browser, WIDTH, HEIGHT) as (tab, _):
            open_deck(tab, deck)
            show_slide(tab, tab.evaluate(FIRST_DRAWN))
            bare = ".reveal :is(.controls, .progress, .slide-number) { opacity: 0 }"
            picture = Image.open(io.BytesIO(tab.screenshot(style=bare)))
        with whole(target) as temporary:
            picture.convert("RGB").resize((480, 270), Image.Resampling.LANCZOS).save(temporary, "webp", quality=86)


def first_picture(notebook: NotebookNode) -> str:
    """The address, with the data in it, of the first picture among a notebook's outputs; "" if there is none."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found = re.search(r'src="(data:image/[^"]+)"', output.get("data", {}).get("text/html", ""))
            if found:
                return found.group(1)
    return ""


def cards(
    notebooks: list[Path], folder: Path, address: str, links: Callable[[str], str] | None = None, prefix: str = ""
) -> str:
    """A list in HTML of notebooks whose decks lie in the folder, each with its picture: a slide, or else a figure.

    Args:
        address: where a title leads, with {} for the notebook's name without ".ipynb".
        links: HTML that stands below, from that name; nothing, if it is not given.
        prefix: the way from the page that has the list to the folder.
    """
    entries = []
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        number, thumbnail = path.stem.partition("_")[0], Path("thumbnails", f"{path.stem}.webp")
        picture = f"{prefix}{thumbnail.as_posix()}" if (folder / thumbnail).exists() else first_picture(notebook)
        more = f'<span class="links">{links(path.stem)}</span>' if links else ""
        entries.append(
            (f'<li><img src="{picture}" alt="" width="480" height="270" loading="lazy">' if picture else "<li>")
            + f'<div class="text"><a class="name" href="{address.format(path.stem)}">{number} · '
            f"{html.escape(title(notebook, path))}</a>"
            f"<small>{notebook.metadata.get('course', {}).get('minutes', '?')} minutes, "
            f"{len(read_deck(notebook).slides)} slides</small>{more}</div></li>"
        )
    return f'<ul class="cards">{"".join(entries)}</ul>'


KEYS = (
    "In a deck: arrow keys or space to go on, Esc for the overview, S for the speaker’s view with notes, F for the "
    "full screen, C for the code behind a slide’s figures. To print a deck, or to save it as a PDF, add ?print-pdf "
    "to its address, before the #, and print from the browser."
)


def write_index(folder: Path, notebooks: list[Path] | None = None) -> Path:
    """Write folder/index.html, the decks of these notebooks, or of all whose decks lie in the folder."""
    if notebooks is None:
        notebooks = [path for path in find_notebooks([]) if (folder / f"{path.stem}.html").exists()]
    style = (HERE / "slides_template" / "index.css").read_text(encoding="utf-8")
    decks = cards(notebooks, folder, "{}.html")
    write(
        folder / "index.html",
        (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
            "<title>From pixels to PaLM-E: slides</title>\n"
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<link rel="stylesheet" href="assets/reveal.js/dist/theme/fonts/source-sans-pro/source-sans-pro.css">\n'
            f"<style>{style}</style></head>\n<body><main><h1>From pixels to PaLM-E</h1>\n{decks}\n<p>{KEYS}</p></main>"
            "</body></html>\n"
        ).encode(),
    )
    return folder / "index.html"


def open_file(page: Page, path: Path) -> None:
    """Open an exported file and wait until formulas, fonts and widgets are drawn."""
    page.goto(path.resolve().as_uri())
    page.evaluate("() => new Promise(done => MathJax.Hub.Queue(done))")
    page.evaluate("() => document.fonts.ready")
    page.wait_for_function(
        """() => [...document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]')]
            .every(script => script.parentElement.querySelector('.jupyter-widgets'))"""
    )


def open_deck(page: Page, path: Path) -> int:
    """Open a deck, with transitions off; return the number of its slides."""
    open_file(page, path)
    page.wait_for_function("() => window.Reveal?.isReady()")
    page.evaluate("() => Reveal.configure({ transition: 'none', backgroundTransition: 'none' })")
    page.add_style_tag(content=".reveal .fragment { transition: none !important; }")
    return page.evaluate("() => Reveal.getSlides().length")


def show_slide(page: Page, index: int) -> str:
    """Go to a slide, counted from 0, with all its fragments shown; return its name: numbers and heading."""
    return page.evaluate(
        """async index => {
            const slide = Reveal.getSlides()[index], { h, v } = Reveal.getIndices(slide);
            Reveal.slide(h, v, Number.MAX_SAFE_INTEGER);
            await new Promise(done => MathJax.Hub.Queue(done));
            await Promise.all([...slide.querySelectorAll('img')].map(image => image.decode().catch(() => {})));
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
            const heading = slide.querySelector('h1, h2, h3')?.innerText ?? '';
            return `slide ${index + 1} (${h + 1}.${v + 1}) ${heading && `“${heading.trim()}”`}`.trim();
        }""",
        index,
    )


OVERFLOW = """() => {
    const slide = Reveal.getCurrentSlide(), found = { right: 0, bottom: 0, left: 0, inside: [] };
    for (const element of slide.querySelectorAll('*')) {
        if (element.closest('aside.notes, .MJX_Assistive_MathML, .cm-widgetBuffer')) continue;
        const box = element.getBoundingClientRect();
        if (!box.width || !box.height) continue;
        found.right = Math.max(found.right, box.right);
        found.bottom = Math.max(found.bottom, box.bottom);
        found.left = Math.min(found.left, box.left);
        const style = getComputedStyle(element);
        const wide = element.scrollWidth > element.clientWidth + 2 && style.overflowX !== 'visible';
        const high = element.scrollHeight > element.clientHeight + 2 && ['auto', 'scroll'].includes(style.overflowY);
        if (element.clientWidth && (wide || high)) found.inside.push(element.innerText.trim().slice(0, 60));
    }
    return found;
}"""


def check_overflow(page: Page) -> list[str]:
    """Name the slides of the open deck, all fragments shown, whose content exceeds 1280×720 or is cut by its box.

    The page's viewport must be 1280×720, so that a pixel of the slide is a pixel of the window.
    """
    problems = []
    for index in range(page.evaluate("() => Reveal.getSlides().length")):
        name = show_slide(page, index)
        found = page.evaluate(OVERFLOW)
        if found["bottom"] > HEIGHT + 1:
            problems.append(f"{name}: {found['bottom'] - HEIGHT:.0f} pixels too high")
        if found["right"] > WIDTH + 1 or found["left"] < -1:
            problems.append(f"{name}: {max(found['right'] - WIDTH, -found['left']):.0f} pixels too wide")
        problems += [f"{name}: cut or scrolled: {text!r}" for text in found["inside"][:1]]
    return problems


# Names are given to ipywidgets' handles a moment after they are drawn.
NAMED = "() => !document.querySelector('.noUi-handle:not([aria-label])')"


def check(browser: Browser, path: Path, page: bool = False) -> list[str]:
    """Open an exported deck or page and return what is wrong with it, one sentence each; nothing is good."""
    with watched_page(browser, WIDTH, HEIGHT) as (tab, seen):
        if page:
            open_file(tab, path)
            problems = []
        else:
            open_deck(tab, path)
            problems = check_overflow(tab)
    if not page:
        # As for printing, all slides are drawn at once. Of all but one reveal.js says even there that they are hidden,
        # which axe would believe.
        with watched_page(browser, WIDTH, HEIGHT) as (tab, _):
            tab.goto(path.resolve().as_uri() + "?print-pdf")
            tab.wait_for_selector(".pdf-page")
            tab.evaluate("() => new Promise(done => MathJax.Hub.Queue(done))")
            tab.wait_for_function(NAMED)
            tab.evaluate("() => document.querySelectorAll('section').forEach(s => s.removeAttribute('aria-hidden'))")
            problems += barriers(tab)
    return [
        *problems,
        *(f"loads {address} from another machine" for address in seen.outside),
        *(f"cannot load {address}" for address in seen.failed),
        *(f"error in the console: {text}" for text in seen.errors),
    ]


def take_shots(browser: Browser, path: Path, folder: Path, page: bool = False) -> list[Path]:
    """Write PNG pictures of an exported deck (one a slide) or page (one a thousand pixels) and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{path.stem}-[0-9][0-9].png"):
        old.unlink()
    files: list[Path] = []
    with watched_page(browser, WIDTH, HEIGHT) as (tab, _):
        if page:
            open_file(tab, path)
            height = tab.evaluate("document.documentElement.scrollHeight")
            clips = [{"x": 0, "y": y, "width": WIDTH, "height": min(1000, height - y)} for y in range(0, height, 1000)]
        else:
            clips = [None] * open_deck(tab, path)
        for index, clip in enumerate(clips):
            files.append(folder / f"{path.stem}-{index + 1:02d}.png")
            if not page:
                show_slide(tab, index)
            tab.screenshot(path=files[-1], clip=clip, full_page=page)
    return files


def main(arguments: list[str]) -> int:
    """Export, and check or photograph, what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="slides", description="Export notebooks as slides that need no network.")
    parser.add_argument("numbers", nargs="*", metavar="NN", help="numbers of notebooks; all, if none is given")
    parser.add_argument("--page", action="store_true", help="export plain pages to build/pages instead")
    parser.add_argument("--check", action="store_true", help="open the result in a headless browser and name problems")
    parser.add_argument("--shots", type=Path, metavar="FOLDER", help="write PNG pictures of every slide")
    parser.add_argument("--report", action="store_true", help="tell what share of the slides shows pictures and code")
    options = parser.parse_args(arguments)
    try:
        notebooks = find_notebooks(options.numbers)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.report:
        print(report({path.stem: read_deck(nbformat.read(path, as_version=4)) for path in notebooks}))
        return 0
    folder = ROOT / "build" / ("pages" if options.page else "slides")
    try:
        files = [export(path, folder, options.page) for path in notebooks]
    except RuntimeError as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1
    if not options.page:
        try:
            with launch_browser() as browser:
                take_thumbnails(browser, files)
        except BrowserMissing:
            pass  # the index shows the first figure instead
    for file in [*files, *([] if options.page else [write_index(folder)])]:
        print(file.relative_to(ROOT))
    if not (options.check or options.shots):
        return 0
    problems = []
    try:
        with launch_browser() as browser:
            for file in files:
                if options.shots:
                    shots = take_shots(browser, file, options.shots, options.page)
                    print(f"{len(shots)} pictures: {options.shots / file.stem}-NN.png")
                if options.check:
                    problems += [f"{file.name}: {problem}" for problem in check(browser, file, options.page)]
    except BrowserMissing as error:
        print(error, file=sys.stderr)
        return 2
    if options.check:
        print("\n".join(problems) or "No problem found.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
