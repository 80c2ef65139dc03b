"""A check says what is wrong, and never raises."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from helpers.page.exercises import check


@pytest.mark.parametrize(
    ("answer", "truth", "words"),
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
        (float("inf"), float("inf"), "✓ right"),
        (-np.inf, np.inf, "✗ -inf is too small"),
        (np.array([1, np.inf]), torch.tensor([1, torch.inf]), "✓ right"),
        (float("nan"), float("nan"), "✓ right"),
        (torch.tensor([1.0, 2.0], requires_grad=True), [1, 2], "✓ right"),
        (
            [torch.tensor(1.0, requires_grad=True), torch.tensor(3)],
            [1, 2],
            "✗ 1 of 2 numbers differ; the first at (1,)",
        ),
        ([[torch.tensor(1.0, requires_grad=True)], [2]], [[1], [2]], "✓ right"),
        (torch.tensor([1.0, 2.0], dtype=torch.bfloat16), torch.tensor([1, 2]), "✓ right"),
        (torch.eye(2).to_sparse(), np.eye(2), "✓ right"),
        (torch.eye(2).to_sparse_csr(), np.zeros((2, 2)), "✗ 2 of 4 numbers differ; the first at (0, 0)"),
        (torch.eye(2, device="meta"), np.eye(2), "✗ an answer of type Tensor cannot be compared here"),
        (1 + 2j, 1 + 2j, "✓ right"),
        (torch.tensor([1 + 2j]).conj(), np.array([1 - 2j]), "✓ right"),
        (1 + 2j, 1, "✗ (1+2j) is not it yet"),
        ({"cat": 1}, {"cat": 1}, "✓ right"),
        ({"cat": torch.ones(2)}, {"cat": [1, 1]}, "✓ right"),
        ({"cat": 1}, {"dog": 1}, "✗ {'cat': 1} is not it yet"),
        (["no", "pine"], ["no", "pine"], "✓ right"),
        (["no", "oak"], ["no", "pine"], "✗ ['no', 'oak'] is not it yet"),
        (["no"], ["no", "pine"], "✗ ['no'] is not it yet"),
        (np.array(["a", "b"]), np.array(["a", "b"]), "✓ right"),
        (np.array(["a", "c"]), np.array(["a", "b"]), "✗ array(['a', 'c']"),
        (np.array(["a"]), np.array(["a", "b"]), "✗ array(['a']"),
        (np.array([None, "a"], dtype=object), np.array([None, "a"], dtype=object), "✓ right"),
        ("4", 4, "✗ '4' is not it yet: expected a number"),
        ([[1, 2], [3]], np.eye(2), "✗ [[1, 2], [3]] is not it yet: expected numbers of shape (2, 2)"),
        ([1, None], [1, 2], "✗ [1, None] is not it yet: expected numbers of shape (2,)"),
        (10**400, 4, "✗ "),
        (10**400, 10**400, "✓ right"),
        (print, 4, "✗ <built-in function print> is not it yet: expected a number"),
        (lambda x: x, [1, 2], "✗ <function"),
        ({1, 2}, {2, 1}, "✓ right"),
        ([], [], "✓ right"),
    ],
)
def test_verdicts(answer: object, truth: object, words: str) -> None:
    assert said(answer, truth).startswith(words)


class Stubborn:
    """An answer that refuses whatever a check may try."""

    def refuse(self, *_: object, **__: object) -> None:
        raise RuntimeError("no")

    __eq__ = __repr__ = __str__ = __format__ = __array__ = __len__ = __iter__ = __bool__ = __float__ = refuse
    __hash__ = None


class Endless(list):
    """A list that contains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.append(self)


def said(answer: object, truth: object) -> str:
    """What the check prints, one line."""
    words = io.StringIO()
    with contextlib.redirect_stdout(words):
        check(answer, truth)
    assert words.getvalue().count("\n") >= 1 and words.getvalue()[0] in "✓✗○"
    return words.getvalue()


@pytest.mark.parametrize("answer", [Stubborn(), [Stubborn()], {"x": Stubborn()}, Endless(), torch.nn.Linear(1, 1), ...])
@pytest.mark.parametrize("truth", [4, "cat", np.eye(2), ["cat"], {"x": 1}, [Stubborn()], Endless()])
def test_an_answer_that_cannot_be_compared_does_not_stop_the_notebook(answer: object, truth: object) -> None:
    assert said(answer, truth).startswith("✗")


tensors = st.builds(
    lambda shape, dtype, layout: getattr(torch.ones(shape).to(dtype), layout)(),
    st.sampled_from([(), (0,), (2,), (2, 3)]),
    st.sampled_from([torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.complex64]),
    st.sampled_from(["clone", "to_sparse", "conj"]),
)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary()
    | st.dates() | st.decimals() | st.functions() | tensors | arrays(object, array_shapes(), elements=st.none())
    | arrays(st.sampled_from(["f2", "c8", "U3", "?", "M8[s]", "i1"]), array_shapes(max_dims=3))
    | st.builds(Stubborn)
)  # fmt: skip
anything = st.recursive(
    leaves, lambda part: st.lists(part) | st.tuples(part, part) | st.dictionaries(st.text(max_size=3), part)
)


@settings(deadline=None)
@given(anything, anything)
def test_no_answer_stops_the_notebook(answer: object, truth: object) -> None:
    said(answer, truth)


@given(arrays(np.float64, array_shapes(), elements=st.floats(-1e6, 1e6)))
def test_a_right_answer_is_right_and_a_shifted_one_is_not(truth: np.ndarray) -> None:
    assert said(truth.copy(), truth).startswith("✓") and said(truth + 1, truth).startswith("✗")
