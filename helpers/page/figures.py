"""One look for every figure of the course, and one way to show it with its alternative text.

JupyterLab and nbconvert drop the `alt` of `IPython.display.Image`, so `figure` returns an HTML `<img>` instead.
Importing this module sets the course's Matplotlib style.
"""

from __future__ import annotations

import base64
import io
import re
from html import escape

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito (2008): colours that readers with colour-vision deficiency can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
DOTS_PER_INCH = 100

plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "figure.dpi": DOTS_PER_INCH,
        "figure.facecolor": "white",
        "font.size": 11,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY]),
        "legend.frameon": False,
        "image.interpolation": "nearest",
    }
)


def figure(fig: Figure, alt: str, vector: bool = False) -> HTML:
    """Close `fig` and return it as an HTML `<img>` that carries its alternative text.

    Args:
        fig: a Matplotlib figure. It is closed, so that no second copy of it appears below the cell.
        alt: what the figure shows, for a reader who cannot see it: a sentence, at least 20 characters; line
            breaks and repeated blanks count as one blank.
        vector: draw it as SVG, sharp at every size, such as a diagram on a projector; its letters are outlines, so
            that it looks the same on every machine. Without it the picture is a WebP, which suits photographs.

    Raises:
        ValueError: `alt` is shorter than that.
    """
    alt = " ".join(alt.split())
    if len(alt) < 20:
        plt.close(fig)
        raise ValueError(f"alt text {alt!r} is too short: say in one sentence what the figure shows")
    drawn = io.BytesIO()
    if vector:
        # Without a salt the names inside the file, and with the date the file itself, would differ from run to run.
        with plt.rc_context({"svg.hashsalt": "figure", "svg.fonttype": "path"}):
            fig.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
        width, height = (round(DOTS_PER_INCH * inches) for inches in fig.get_size_inches())
        plt.close(fig)
        return _image(_with_small_pictures(drawn.getvalue()), "svg+xml", width, height, alt)
    fig.savefig(drawn, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    plt.close(fig)
    picture = Image.open(drawn).convert("RGB")
    return _image(_webp(picture), "webp", *picture.size, alt)


def _webp(picture: Image.Image) -> bytes:
    # A photograph in a PNG takes ten times the room, and a notebook that stays small opens at once and diffs well.
    small = io.BytesIO()
    picture.save(small, format="webp", quality=86, method=6)
    return small.getvalue()


def _with_small_pictures(svg: bytes) -> bytes:
    """The drawing with the pictures in it, which Matplotlib stores as PNG, as WebP."""

    def smaller(found: re.Match[bytes]) -> bytes:
        picture = Image.open(io.BytesIO(base64.b64decode(found[1])))
        return b"data:image/webp;base64," + base64.b64encode(_webp(picture))

    return re.sub(rb"data:image/png;base64,([^\"]+)", smaller, svg)


def _image(data: bytes, kind: str, width: int, height: int, alt: str) -> HTML:
    return HTML(
        f'<img alt="{escape(alt)}" width="{width}" height="{height}" style="max-width:100%;height:auto" '
        f'src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
    )


def show_picture(ax: Axes, picture: np.ndarray, title: str = "", **imshow) -> None:
    """Draw `picture` (H, W) grey or (H, W, 3), uint8 or float in [0, 1], without axes; grey is never stretched."""
    if picture.ndim == 2:
        top = 255 if picture.dtype == np.uint8 else 1
        imshow = {"cmap": "gray", "vmin": 0, "vmax": top} | imshow
    ax.imshow(picture, **imshow)
    ax.set_title(title)
    ax.axis("off")


def show_numbers(ax: Axes, values: np.ndarray, title: str = "", form: str = "{:.0f}", **imshow) -> None:
    """Draw the matrix `values` (H, W) as grey cells, each with its number printed in a colour that stands out."""
    imshow = {"cmap": "gray", "vmin": float(values.min()), "vmax": float(values.max())} | imshow
    drawn = ax.imshow(values, **imshow)
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = drawn.to_rgba(value)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        ax.text(column, row, form.format(value), ha="center", va="center", color="white" if dark else "black")
    ax.set_title(title)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
