"""How an explorer gets into an output cell: its scripts, its data, and a sentence for where no script runs."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import HTML
from PIL import Image

_HERE = Path(__file__).parent


def explorer(
    name: str,
    data: dict[str, Any],
    alt: str,
    model: str | None = None,
    inline: bool = False,
    parts: Sequence[str] = (),
) -> HTML:
    """The interactive figure that `name`.js mounts with `data`.

    Args:
        name: of the script beside this module, which defines `mount(host, data)`.
        data: what JSON can hold.
        alt: what a screen reader says the figure is.
        model: a street model that it computes with. Its weights are read once a page: in Jupyter from data/weights by
            way of the server, in an exported deck or page from assets/models beside it.
        inline: put the weights into the output itself, for places that can do neither.
        parts: names of further scripts beside this module, which `name`.js builds on.
    """
    scripts = ["base.js", *(["models.js"] if model else []), *(f"{part}.js" for part in parts), f"{name}.js"]
    code = "\n".join((_HERE / script).read_text(encoding="utf-8") for script in scripts)
    text = json.dumps(data).replace("<", r"\u003c")  # no "</script>" may come out of a label
    # The id follows from the content, so that running the notebook again changes nothing in the file.
    identity = hashlib.sha256(f"{name}{text}".encode()).hexdigest()[:12]
    needs = f' data-model="{model}"' if model else ""
    weights = ""
    if model and inline:
        from helpers.page.explorers.weights import model_script

        weights = f"<script>{model_script(model)}</script>\n"
    return HTML(
        f'{weights}<div class="explorer {name}-explorer" data-figure="{identity}"{needs} role="group" '
        f'aria-label="{html.escape(alt)}">'
        "<p>This figure is interactive. If you read this sentence, the page does not run its script: "
        "in JupyterLab run the cell, or trust the notebook.</p></div>\n"
        f'<script type="module">\n{code}\n'
        # Two equal figures share the id: each script mounts what is not mounted yet.
        f"for (const element of document.querySelectorAll('[data-figure=\"{identity}\"]'))\n"
        f"  if (!element.shadowRoot) mount(element, {text});\n</script>"
    )


def sprite(pictures: Sequence[np.ndarray], columns: int, quality: int) -> str:
    """Pictures uint8 [S, S, 3] of one size side by side, `columns` in a row, as the address of one WebP."""
    side, rows = len(pictures[0]), -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side))
    for i, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture), (i % columns * side, i // columns * side))
    file = io.BytesIO()
    sheet.save(file, format="webp", quality=quality, method=6)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def differences(pictures: np.ndarray) -> np.ndarray:
    """Each pixel of pictures uint8 [n, H, W, 3] less its left neighbour, modulo 256: as many bytes, but they compress
    better."""
    out = pictures.copy()
    out[:, :, 1:] -= pictures[:, :, :-1]
    return out


def packed_pictures(pictures: Sequence[np.ndarray]) -> str:
    """Pictures uint8 [S, S, 3] of one size, byte for byte, as text that `inflate` of pictures.js reads."""
    return base64.b64encode(zlib.compress(differences(np.stack(pictures)).tobytes(), 9)).decode()
