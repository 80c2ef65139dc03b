"""Numbers as a page shows them."""

from __future__ import annotations

from typing import TypeVar

Numbers = TypeVar("Numbers")


def rounded(x: Numbers, decimals: int = 1) -> Numbers:
    """`x`, a number or an array or tensor of floats, rounded for printing; a zero has no sign.

    Where the exact answer is 0, a sum in floating point may end a little below it, on one processor and not on the
    next, and rounding that gives -0.0.
    """
    near = round(x, decimals) if isinstance(x, int | float) else x.round(decimals=decimals)
    return near + 0  # -0.0 + 0 is 0.0
