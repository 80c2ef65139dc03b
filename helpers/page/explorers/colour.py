"""Colours by hand: a walk through one colour space, seen in the six others."""

from __future__ import annotations

from IPython.display import HTML

from helpers.page.explorers.figure import explorer

SPACES = ("RGB", "HSV", "HSL", "XYZ", "Lab", "LUV", "CMYK")


def colour_explorer(
    space: str = "HSV",
    rgb: tuple[float, float, float] = (0.9, 0.35, 0.15),
    alt: str = "Seven colour spaces: a plane of one to walk in, and the same walk in planes of the six others",
) -> HTML:
    """Return the interactive figure, which begins in a space, one of SPACES, at a colour, sRGB in [0, 1].

    Raises ValueError for another space, and for a colour out of range.
    """
    if space not in SPACES:
        raise ValueError(f"space: {space!r} is not one of {', '.join(SPACES)}")
    if len(rgb) != 3 or not all(0 <= v <= 1 for v in rgb):
        raise ValueError(f"rgb: {rgb!r} is not three numbers from 0 to 1")
    return explorer("colour", {"space": space, "rgb": list(rgb)}, alt)
