"""Checks an answer and says what is wrong with it; an exercise that is not done yet never stops the notebook."""

from __future__ import annotations

import copy
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

RIGHT = "✓ right"
NOT_ANSWERED = "○ not answered yet: write your answer and run the cell again"
NOT_WRITTEN = "○ not written yet: put your lines in place of the dots and run the cell again"


@dataclass(frozen=True)
class Task:
    """A function or class that the student writes. Those of the notebooks are in `helpers.page.tasks`.

    Args:
        right: the same by a library or by `helpers`.
        inputs: the arguments of each trial.
        mistakes: what a wrong version does, in a sentence without the answer -> that version.
        apply: (function or class, *arguments) -> its output; without it, what is written is called.
        tolerance: the largest absolute difference that numbers may have.
    """

    right: Callable[..., Any]
    inputs: Sequence[tuple[Any, ...]]
    mistakes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    apply: Callable[..., Any] = lambda written, *arguments: written(*arguments)
    tolerance: float = 1e-4


def check_function(written: object, task: Task) -> None:
    """Print one line: not written yet, right, or what is wrong, by name where the mistake is known. Never raises."""
    try:
        verdict = _tried(written, task)
    except Exception as error:  # whatever was written, the cells below must run
        verdict = f"✗ what it gives cannot be compared here ({type(error).__name__})"
    print(verdict)


def _tried(written: Any, task: Task) -> str:
    outputs = []
    for arguments in task.inputs:
        given = copy.deepcopy(arguments)
        try:
            outputs.append(task.apply(written, *given))
        except NotImplementedError:
            return NOT_WRITTEN
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0][:160]
            return f"✗ for {_told(arguments)} it stops with {type(error).__name__}: {reason}"
        if outputs[-1] is None or outputs[-1] is ...:
            return NOT_WRITTEN
        if not _same(list(given), list(arguments), 0.0):
            return f"✗ for {_told(arguments)} it changes what it was given: work on a copy"
    truths = [task.apply(task.right, *copy.deepcopy(arguments)) for arguments in task.inputs]
    verdicts = [_verdict(output, truth, task.tolerance) for output, truth in zip(outputs, truths, strict=True)]
    if all(verdict == RIGHT for verdict in verdicts):
        return RIGHT
    for sentence, wrong in task.mistakes.items():
        same = [task.apply(wrong, *copy.deepcopy(arguments)) for arguments in task.inputs]
        if all(_verdict(o, s, task.tolerance) == RIGHT for o, s in zip(outputs, same, strict=True)):
            return f"✗ {sentence}"
    arguments, verdict = next((a, v) for a, v in zip(task.inputs, verdicts, strict=True) if v != RIGHT)
    return f"✗ for {_told(arguments)}: {verdict.removeprefix('✗ ')}"


def _told(arguments: Sequence[Any]) -> str:
    """Arguments in few words: the shape of an array, a short form of anything else."""
    return ", ".join(f"{list(a.shape)}" if hasattr(a, "shape") else _short(a) for a in arguments)


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
        return NOT_ANSWERED
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
