"""Make the pictures of the README: `python -m tools.make_pictures`. Needs a browser of the Chromium family.

`explorer.png` is drawn anew; the others are taken from the outputs that the notebooks carry.
"""

from __future__ import annotations

import base64
import io
import re
import tempfile
from pathlib import Path

import nbformat
from PIL import Image

from helpers.files import whole
from helpers.page.kernel_explorer import kernel_explorer
from helpers.worlds.photographs import photo
from tools import ROOT, find_notebooks
from tools.browser import launch, watched_page

PICTURES = ROOT / "data" / "pictures"


def explorer() -> Image.Image:
    """The image-kernels figure as a browser shows it."""
    with tempfile.TemporaryDirectory() as folder, launch() as browser, watched_page(browser, 980, 420) as (page, _):
        html = Path(folder) / "explorer.html"
        html.write_text(f"<!doctype html><meta charset=utf-8>{kernel_explorer(photo('cat')).data}", encoding="utf-8")
        page.goto(html.as_uri())
        page.wait_for_function("document.querySelector('.kernel-explorer').explorer")
        return Image.open(io.BytesIO(page.locator(".kernel-explorer").screenshot())).convert("RGB")


def shown(number: str, alt: str) -> bytes:
    """The WebP of the first figure of a notebook whose alternative text begins with `alt`. LookupError without one."""
    (path,) = find_notebooks([number])
    for cell in nbformat.read(path, 4).cells:
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/html", "")
            found = re.search(f'<img alt="{alt}[^>]*base64,([^"]+)"', text)
            if found:
                return base64.b64decode(found.group(1))
    raise LookupError(f"{path.name} shows no figure whose alternative text begins with {alt!r}")


# A file of data/pictures -> the notebook that shows it, and how its alternative text begins.
SHOWN = {
    "clip_grid.webp": ("07", "A grid of eight sentences"),
    "caption_words.webp": ("10", "Six copies of the street"),
    "robot.webp": ("13", "What the robot saw before each step"),
}


def main() -> None:
    """Write every picture under its final name, whole or not at all."""
    for name, place in SHOWN.items():
        with whole(PICTURES / name) as temporary:
            temporary.write_bytes(shown(*place))
        print(PICTURES / name)
    for name, picture in {"explorer.png": explorer()}.items():
        with whole(PICTURES / name) as temporary:
            picture.quantize(128, dither=Image.Dither.NONE).save(temporary, format="png", optimize=True)
        print(PICTURES / name, picture.size)


if __name__ == "__main__":
    main()
