"""An interactive figure: a 3×3 kernel walks over a picture, and every number on the way is shown.

The figure rebuilds, for this course, the idea of Victor Powell's "Image Kernels Explained Visually"
(setosa.io/ev/image-kernels). It computes in the browser and loads nothing, so that it works in JupyterLab, in slides
and in an exported page with neither a kernel nor a network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path

import numpy as np
from IPython.display import HTML
from PIL import Image

from helpers.page.kernels import KERNELS, kernel

_SCRIPT = Path(__file__).with_suffix(".js")
MAX_WIDTH, MAX_HEIGHT = 176, 128  # pixels; drawn at twice this size, two pictures and the sums fit on a slide


def kernel_explorer(
    picture: np.ndarray,
    kernel_name: str = "sobel_top",
    alt: str = "Image kernels: a picture, a 3 by 3 window on it with nine pixels, the nine products with the weights "
    "of the kernel, their sum, and the output picture",
) -> HTML:
    """Return the interactive figure for a picture.

    Args:
        picture: uint8, shape (H, W) grey or (H, W, 3) RGB, at least 3×3, values 0 to 255. Colour becomes grey by the
            luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B); a picture that exceeds 176×128 is reduced to fit.
        kernel_name: the kernel to start with, a name in `helpers.page.kernels.KERNELS`.
        alt: what a screen reader says the figure is.

    The output is the cross-correlation without padding, so (H - 2, W - 2) values of the reduced picture, shown
    clipped to 0 to 255.

    Raises:
        ValueError: the picture has another shape or dtype, or no kernel has this name.
    """
    kernel(kernel_name)
    picture = np.asarray(picture)
    if picture.dtype != np.uint8 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)):
        raise ValueError(
            f"The picture must be uint8 with shape (H, W) or (H, W, 3), not {picture.dtype} with shape "
            f"{picture.shape}; for a float picture in 0 to 1 pass (picture * 255).round().astype('uint8')."
        )
    if min(picture.shape[:2], default=0) < 3:
        raise ValueError(f"The picture must be at least 3×3 pixels, not {picture.shape[0]}×{picture.shape[1]}.")
    image = Image.fromarray(picture).convert("L")
    image.thumbnail((MAX_WIDTH, MAX_HEIGHT), Image.Resampling.BOX)
    if min(image.size) < 3:
        raise ValueError(f"The picture is too narrow: reduced, it is only {image.height}×{image.width} pixels.")
    data = {
        "width": image.width,
        "height": image.height,
        "pixels": base64.b64encode(image.tobytes()).decode(),
        "maxWidth": MAX_WIDTH,
        "maxHeight": MAX_HEIGHT,
        "kernels": {name: weights.flatten().tolist() for name, weights in KERNELS.items()},
        "kernel": kernel_name,
        "label": alt,
    }
    text = json.dumps(data).replace("<", r"\u003c")  # no "</script>" may come out of a label
    # The id follows from the content, so that running the notebook again changes nothing in the file.
    identity = hashlib.sha256(text.encode()).hexdigest()[:12]
    script = _SCRIPT.read_text(encoding="utf-8")
    return HTML(
        f'<div class="kernel-explorer" data-figure="{identity}" role="group" aria-label="{html.escape(alt)}">'
        "<p>This figure is interactive. If you read this sentence, the page does not run its script: "
        "in JupyterLab run the cell, or trust the notebook.</p></div>\n"
        f'<script type="module">\n{script}\n'
        # Two equal figures share the id: each script mounts what is not mounted yet.
        f"for (const element of document.querySelectorAll('[data-figure=\"{identity}\"]'))\n"
        f"  if (!element.explorer) mount(element, {text});\n</script>"
    )
