"""What the student writes: the right version passes, each known mistake is named, and nothing makes a check fail."""

from __future__ import annotations

import contextlib
import io
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
import torch

import helpers.page.tasks
from helpers.page.exercises import NOT_WRITTEN, RIGHT, Task, check_function

TASKS = {
    f"{module.name}.{name}": task
    for module in iter_modules(helpers.page.tasks.__path__)
    for name, task in vars(import_module(f"helpers.page.tasks.{module.name}")).items()
    if isinstance(task, Task)
}


def said(written: object, task: Task) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        check_function(written, task)
    return out.getvalue().rstrip("\n")


@pytest.mark.parametrize("name", TASKS)
def test_the_right_version_passes_and_each_mistake_is_named(name: str) -> None:
    task = TASKS[name]
    assert said(task.right, task) == RIGHT
    assert task.mistakes
    for sentence, wrong in task.mistakes.items():
        assert said(wrong, task) == f"✗ {sentence}"


def _raises(*_: object, **__: object) -> None:
    raise KeyError("deliberately")


HOSTILE = {
    "None": None,
    "a number": 3,
    "raises": _raises,
    "text": lambda *a, **k: "a string",
    "empty": lambda *a, **k: torch.zeros(0),
    "not a number": lambda *a, **k: torch.full((2, 2), torch.nan),
    "object": lambda *a, **k: object(),
    "ragged": lambda *a, **k: [[1], [1, 2]],
    "generator": lambda *a, **k: (i for i in range(3)),
    "numpy": lambda *a, **k: np.zeros((1, 1)),
    "a class": type("Wrong", (), {}),
    "too many arguments": lambda a, b, c, d, e, f, g, h: a,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", TASKS)
def test_whatever_is_written_gets_a_line(name: str, kind: str) -> None:
    line = said(HOSTILE[kind], TASKS[name])
    assert line.startswith("✗ ") and "\n" not in line


@pytest.mark.parametrize("empty", [lambda *a, **k: None, lambda *a, **k: ...])
@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if not isinstance(task.right, type)])
def test_an_empty_body_is_not_written_yet(name: str, empty: object) -> None:
    assert said(empty, TASKS[name]) == NOT_WRITTEN


def test_what_is_wrong_is_told() -> None:
    task = Task(lambda x: 2 * x, ((np.ones(3),), (np.arange(4.0),)), {"it is halved": lambda x: x / 2})

    def spoils(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x

    def unwritten(x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    assert said(lambda x: x * 2, task) == RIGHT
    assert said(lambda x: x / 2, task) == "✗ it is halved"
    assert said(lambda x: x + 1, task) == "✗ for [4]: 3 of 4 numbers differ; the first at (0,), where yours is 1"
    assert said(lambda x: x[:2], task) == "✗ for [3]: your answer has the shape (2,), expected (3,)"
    assert said(spoils, task) == "✗ for [3] it changes what it was given: work on a copy"
    assert said(unwritten, task) == NOT_WRITTEN
    assert said(lambda x: x["a"], task).startswith("✗ for [3] it stops with IndexError: ")
