"""Checks an answer and says what is wrong with it; an exercise that is not done yet never stops the notebook."""

from __future__ import annotations

import reprlib

import numpy as np

RIGHT = "✓ right"


def check(answer: object, truth: object, tolerance: float = 1e-5) -> None:
    """Print one line: not answered yet (`answer` is None), right, or what differs. Never raises.

    Args:
        answer: a number, array or tensor, or anything that `==` can compare, also in lists and dictionaries.
        truth: what it should be.
        tolerance: the largest absolute difference that numbers may have.
    """
    try:
        verdict = _verdict(answer, truth, tolerance)
    except Exception as error:  # whatever the answer is, the cells below must run
        verdict = f"✗ an answer of type {type(answer).__name__} cannot be compared here ({type(error).__name__})"
    print(verdict)


def _verdict(answer: object, truth: object, tolerance: float) -> str:
    if answer is None:
        return "○ not answered yet: write your answer and run the cell again"
    a, t = _numbers(answer), _numbers(truth)
    if t is None:
        return RIGHT if _same(answer, truth, tolerance) else f"✗ {_short(answer)} is not it yet"
    if a is None:
        expected = "a number" if t.ndim == 0 else f"numbers of shape {t.shape}"
        return f"✗ {_short(answer)} is not it yet: expected {expected}"
    if a.shape != t.shape:
        return f"✗ your answer has the shape {a.shape}, expected {t.shape}"
    with np.errstate(all="ignore"):
        # Infinity less infinity is not a number, so equal ones must be asked for.
        wrong = ~((a == t) | (np.abs(a - t) <= tolerance) | (np.isnan(a) & np.isnan(t)))
    if not wrong.any():
        return RIGHT
    if a.ndim == 0:
        return f"✗ {answer} is {_how(a, t)}"
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"✗ {wrong.sum()} of {a.size} numbers differ; the first at {at}, where yours is {a[at]:g}"


def _how(a: np.ndarray, t: np.ndarray) -> str:
    if np.isnan(a):
        return "not a number"
    if np.isnan(t) or np.iscomplexobj(a) or np.iscomplexobj(t):
        return "not it yet"
    return "too large" if a > t else "too small"


def _numbers(x: object) -> np.ndarray | None:
    """`x` as an array of floats or complex numbers; None if it is not made of numbers alone."""
    if hasattr(x, "detach"):  # a tensor: with a gradient, of a type or a layout that numpy lacks, on another device
        x = x.detach().cpu()
        x = x if str(x.layout) == "torch.strided" else x.to_dense()
        x = x.resolve_conj().numpy() if x.is_complex() else x.double().numpy()
    elif isinstance(x, list | tuple) and any(isinstance(part, list | tuple) or hasattr(part, "detach") for part in x):
        x = [_numbers(part) for part in x]
    try:
        array = np.asarray(x)
    except Exception:  # a ragged list, or an object that cannot become an array
        return None
    if array.dtype.kind not in "biufc":
        return None
    return array.astype(complex if array.dtype.kind == "c" else float)


def _same(answer: object, truth: object, tolerance: float) -> bool:
    """Whether two things that are no numbers are equal, lists and dictionaries part by part."""
    if isinstance(answer, dict) and isinstance(truth, dict):
        parts = [(answer[key], truth[key]) for key in truth] if answer.keys() == truth.keys() else None
    elif isinstance(answer, list | tuple) and isinstance(truth, list | tuple):
        parts = list(zip(answer, truth, strict=True)) if len(answer) == len(truth) else None
    else:
        return np.shape(answer) == np.shape(truth) and bool(np.all(answer == truth))
    return parts is not None and all(a is t or _verdict(a, t, tolerance) == RIGHT for a, t in parts)


def _short(answer: object) -> str:
    return reprlib.repr(answer)
