"""Make the pictures of the README: `python -m tools.make_pictures`. Needs a browser of the Chromium family."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image

from helpers.files import whole
from helpers.page.kernel_explorer import kernel_explorer
from helpers.worlds.photographs import photo
from tools import ROOT
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


def main() -> None:
    """Write every picture under its final name, whole or not at all."""
    for name, picture in {"explorer.png": explorer()}.items():
        with whole(PICTURES / name) as temporary:
            picture.quantize(128, dither=Image.Dither.NONE).save(temporary, format="png", optimize=True)
        print(PICTURES / name, picture.size)


if __name__ == "__main__":
    main()
