"""Stored text is compared number by number: a zero's sign passes, and what really differs does not."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.stored import difference, differences, near

SAME = [
    ("-2.0   0.0", "-2.0  -0.0"),
    ("tensor([[ 1.,  0., -1.]])", "tensor([[ 1., -0., -1.]])"),
    ("[24.4  0.  -1.4]", "[24.4 -0.  -1.4]"),
    ("['0.0', '0.43']", "['-0.0', '0.44']"),
    ("loss 1234.5", "loss 1235.6"),
    ("1.6e+03, 1e-7", "1.7e+03, 2e-07"),
    ("45 % of them, 13%", "46 % of them, 14%"),
    ("1,234 pairs, 45.0 %", "1,234 pairs, 45.1 %"),
    ("0.1", "0.10000000149"),
    ("between −0.52 and 0.5", "between −0.51 and 0.5"),
    ("nan inf", "nan inf"),
    ("torch 3.11.2 uint8", "torch 3.11.2 uint8"),
    ("last line\n", "last line"),
]
OTHER = [
    ("0.43", "0.45"),
    ("1.0", "-1.0"),
    ("tensor([1., 2.])", "tensor([1., 3.])"),
    ("1000.0", "1002.0"),
    ("1e-7", "1e-6"),
    ("[11, 2, 15]", "[11, 2, 16]"),
    ("60,965,224 parameters", "60,965,225 parameters"),
    ("13%", "15%"),
    ("row 3", "row -3"),
    ("20-56", "20-57"),
    ("uint8", "uint16"),
    ("3.11.2", "3.11.3"),
    ("0.5", "nan"),
    ("inf", "-inf"),
    ("two words", "two"),
    ("two words", "twowords"),
    ("True", "False"),
    ("0.4 and 0.5", "0.4"),
    ("one\ntwo", "one"),
    ("one", "one\ntwo"),
    ("one two", "one\ntwo"),
]


@pytest.mark.parametrize(("stored", "new"), SAME)
def test_what_another_processor_prints_is_the_same(stored: str, new: str) -> None:
    assert difference(stored, new) is None
    assert difference(new, stored) is None


@pytest.mark.parametrize(("stored", "new"), OTHER)
def test_what_really_differs_is_found(stored: str, new: str) -> None:
    assert difference(stored, new) is not None
    assert difference(new, stored) is not None


@given(st.floats(-1e9, 1e9), st.sampled_from([".1f", ".3g", ".2e", "+,.2f"]))
def test_a_number_is_near_itself_and_not_near_another(x: float, layout: str) -> None:
    text = format(x, layout)
    assert near(text, text)
    assert difference(f"x = {text} m", f"x = {x * 1.2 + (50 if x >= 0 else -50):{layout}} m")


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_can_be_compared(a: str, b: str) -> None:
    assert difference(a, a) is None
    difference(a, b)


def printed(text: str) -> list[nbformat.NotebookNode]:
    return [new_output("stream", name="stdout", text=text)]


def test_outputs_are_compared_field_by_field() -> None:
    html = new_output("display_data", {"text/html": "<b>0.0</b>", "image/png": "x"})
    other = new_output("display_data", {"text/html": "<b>-0.0</b>", "image/png": "y"})
    assert differences([*printed("a"), html], [other, *printed("a")]) == []
    assert differences(printed("a\nb"), printed("a\n") + printed("b")) == [], "a stream may come in pieces"
    assert differences(printed("2 words"), []) == ["stdout: is stored and now missing"]
    assert differences([], printed("new")) == ["stdout: is not stored: 'new'"]
    assert differences([html, html], [html]) == ["text/html: 2 outputs are stored, now there are 1"]
    error = new_output("error", ename="ValueError", evalue="no", traceback=[])
    assert differences([], [error]) == ["error: is not stored: 'ValueError: no'"]
    assert differences(printed("a\n0.5"), printed("a\n0.7")) == ["stdout, line 2: stored '0.5', now '0.7'"]


CELLS = {  # what is stored, what the cell prints, whether it passes
    "the sign of a zero": ("0.0  x", "-0.0 x", True),
    "another number": ("0.5", "0.7", False),
    "a missing word": ("one two", "one", False),
    "a missing output": ("one", "", False),
    "a new output": ("", "one", False),
}


def test_pytest_compares_notebooks_like_this(pytester: pytest.Pytester, request: pytest.FixtureRequest) -> None:
    """nbval in a pytest of its own, which has our conftest: cells pass and fail as the table says."""
    notebook = new_notebook()
    for number, (stored, now, _) in enumerate(CELLS.values(), start=1):
        outputs = printed(stored + "\n") if stored else []
        source = f"# NBVAL_CHECK_OUTPUT\nprint({now!r})" if now else "# NBVAL_CHECK_OUTPUT\n1;"
        notebook.cells.append(new_code_cell(source, execution_count=number, outputs=outputs))
    nbformat.write(notebook, pytester.path / "trial.ipynb")
    pytester.makeconftest((Path(request.config.rootpath) / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini(f"[pytest]\npythonpath = {request.config.rootpath}")
    result = pytester.runpytest_subprocess("--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider")
    passing = sum(passes for *_, passes in CELLS.values())
    result.assert_outcomes(passed=passing, failed=len(CELLS) - passing)
    assert "stdout, line 1: stored '0.5', now '0.7'" in result.stdout.str()
