"""Checks an answer and says what is wrong with it; an exercise that is not done yet never stops the notebook."""

from __future__ import annotations

import numpy as np


def check(answer: object, truth: object, tolerance: float = 1e-5) -> None:
    """Print one line: not answered yet (`answer` is None), right, or what differs.

    Args:
        answer: a number, array or tensor, or anything that `==` can compare.
        truth: what it should be.
        tolerance: the largest absolute difference that numbers may have.
    """
    if answer is None:
        print("○ not answered yet: write your answer and run the cell again")
        return
    try:
        a, t = np.asarray(answer, dtype=float), np.asarray(truth, dtype=float)
    except (TypeError, ValueError):
        print("✓ right" if answer == truth else f"✗ {answer!r} is not it yet")
        return
    if a.shape != t.shape:
        print(f"✗ your answer has the shape {a.shape}, expected {t.shape}")
        return
    wrong = ~(np.abs(a - t) <= tolerance)
    if not wrong.any():
        print("✓ right")
    elif a.ndim == 0:
        print(f"✗ {answer} is {'too large' if a > t else 'too small' if a < t else 'not a number'}")
    else:
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        print(f"✗ {wrong.sum()} of {a.size} numbers differ; the first at {at}, where yours is {a[at]:g}")
