"""A check says what is wrong, and never raises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from helpers.page.exercises import check


@pytest.mark.parametrize(
    ("answer", "truth", "said"),
    [
        (None, 4, "○ not answered yet"),
        (4, torch.tensor(4), "✓ right"),
        (5, 4, "✗ 5 is too large"),
        (3, 4, "✗ 3 is too small"),
        (float("nan"), 4, "✗ nan is not a number"),
        (np.zeros((2, 3)), np.zeros((3, 2)), "✗ your answer has the shape (2, 3), expected (3, 2)"),
        (np.eye(2), np.zeros((2, 2)), "✗ 2 of 4 numbers differ; the first at (0, 0), where yours is 1"),
        ("cat", "cat", "✓ right"),
        ("dog", "cat", "✗ 'dog' is not it yet"),
        (True, True, "✓ right"),
        (False, True, "✗ False is too small"),
    ],
)
def test_verdicts(answer: object, truth: object, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(answer, truth)
    assert capsys.readouterr().out.startswith(said)


@given(arrays(np.float64, array_shapes(), elements=st.floats(-1e6, 1e6)))
def test_a_right_answer_is_right_and_a_shifted_one_is_not(truth: np.ndarray) -> None:
    import contextlib
    import io

    for answer, mark in [(truth.copy(), "✓"), (truth + 1, "✗")]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            check(answer, truth)
        assert said.getvalue().startswith(mark)
