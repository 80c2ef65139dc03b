"""What every notebook promises: results on its pages, nothing of the author's machine, solutions that are right.

nbval executes each notebook as it is. Here each is executed a second time, as another machine would and with the
exercises solved, but without the slow cells.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from statistics import median

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests import elsewhere
from tests.stored import differences, is_compared
from tools import ROOT, find_notebooks
from tools.editions import without_solutions
from tools.execute import clean

NOTEBOOKS = find_notebooks([])
SLIDE_TYPES = {"slide", "subslide", "fragment", "skip", "notes"}
LOCAL_PATH = re.compile(r"(?<![\w/.])(/(home|root|Users|tmp|work|private|mnt)/\w|[A-Z]:\\\\?\w)")
MOST_BYTES = 1_500_000


class Images(HTMLParser):
    """Collects the attributes of every <img> of an HTML text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.found.append(dict(attrs))


def texts(output: NotebookNode) -> Iterator[str]:
    """Every text of an output that a reader may see."""
    if output.output_type == "stream":
        yield output.text
    for kind, data in output.get("data", {}).items():
        if isinstance(data, str) and not kind.startswith("image/"):
            yield data


def problems(nb: NotebookNode) -> list[str]:
    """What is wrong with a notebook, one sentence each."""
    found = []
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    course = nb.metadata.get("course", {})
    if not {"title", "minutes", "budget_s"} <= course.keys():
        found.append("metadata.course lacks title, minutes or budget_s")
    if not nb.cells[0].source.startswith("# ") or "minutes" not in nb.cells[0].source:
        found.append("the first cell has no title, or does not say how many minutes the notebook takes")
    if len([line for line in code[0].source.splitlines() if line.strip()]) > 5:
        found.append("the set-up cell has more than five lines")
    if median(len(cell.source.splitlines()) for cell in code) > 12:
        found.append("the median code cell has more than twelve lines")
    if "## Recap" not in "".join(c.source for c in nb.cells[-3:]) or "NBVAL_CHECK_OUTPUT" not in code[-1].source:
        found.append("it does not end with a recap whose output is compared")
    if sum("NBVAL_CHECK_OUTPUT" in cell.source for cell in code) < 2:
        found.append("fewer than two cells have their output compared")
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("the cells are not executed in order")
    for number, cell in enumerate(nb.cells):
        tags = cell.metadata.get("tags", [])
        where = f"cell {number} ({cell.source.splitlines()[0][:40] if cell.source else 'empty'})"
        slide = cell.metadata.get("slideshow", {}).get("slide_type", "skip")
        if slide not in SLIDE_TYPES:
            found.append(f"{where}: slide type {slide!r}")
        if cell.cell_type == "markdown":
            if re.search(r"!\[|<img", cell.source):
                found.append(f"{where}: a picture that no cell made")
            continue
        if {"hide-input", "solution"} & set(tags) and not cell.metadata.get("jupyter", {}).get("source_hidden"):
            found.append(
                f"{where}: plots and solutions are folded in JupyterLab; python -m tools.execute refresh does it"
            )
        if "NBVAL_CHECK_OUTPUT" in cell.source and not cell.outputs:
            found.append(f"{where}: its output is to be compared, and it has none")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"{where}: an error, {output.ename}")
            if any(kind.startswith("image/") for kind in output.get("data", {})):
                found.append(f"{where}: a picture without alternative text; return figure(fig, alt)")
            for text in texts(output):
                if LOCAL_PATH.search(text):
                    found.append(f"{where}: the path of a machine, {LOCAL_PATH.search(text)[0]!r}")
                for image in Images(text).found:
                    if len(image.get("alt") or "") < 20:
                        found.append(f"{where}: a picture without alternative text")
                    if not (image.get("src") or "").startswith("data:image/"):
                        found.append(f"{where}: a picture that is not in the notebook")
    if nb.cells[0].metadata.get("slideshow", {}).get("slide_type") != "slide":
        found.append("the first cell does not begin a slide")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_its_promises(path: Path) -> None:
    assert problems(nbformat.read(path, 4)) == []
    assert path.stat().st_size < MOST_BYTES, f"{path.name} has {path.stat().st_size:,} bytes, at most {MOST_BYTES:,}"


def good() -> NotebookNode:
    """The smallest notebook that has no problem."""
    picture = new_output(
        "execute_result", {"text/html": '<img alt="a sentence that says it" src="data:image/png;base64,">'}
    )
    facts = new_output("stream", text="2")
    cells = [
        new_markdown_cell("# Title\n5 minutes", metadata={"slideshow": {"slide_type": "slide"}}),
        new_code_cell("import math", execution_count=1),
        new_code_cell("# NBVAL_CHECK_OUTPUT\nfigure(…)", execution_count=2, outputs=[picture]),
        new_markdown_cell("## Recap"),
        new_code_cell("# NBVAL_CHECK_OUTPUT\nprint(2)", execution_count=3, outputs=[facts]),
    ]
    return new_notebook(cells=cells, metadata={"course": {"title": "T", "minutes": 5, "budget_s": 5}})


def html(text: str) -> NotebookNode:
    return new_output("display_data", {"text/html": text})


FAULTS = {
    "no budget": lambda nb: nb.metadata.course.pop("budget_s"),
    "no title": lambda nb: nb.cells[0].update(source="5 minutes"),
    "long set-up": lambda nb: nb.cells[1].update(source="import math\n" * 6),
    "long cells": lambda nb: [cell.update(source=cell.source + "\n1" * 13) for cell in nb.cells[2:]],
    "no recap": lambda nb: nb.cells[3].update(source="## End"),
    "nothing compared": lambda nb: nb.cells[2].update(source="figure(…)"),
    "never executed": lambda nb: nb.cells[1].update(execution_count=None),
    "out of order": lambda nb: nb.cells[1].update(execution_count=7),
    "hidden slide": lambda nb: nb.cells[1].metadata.update(slideshow={"slide_type": "-"}),
    "remote picture": lambda nb: nb.cells[3].update(source="## Recap ![x](https://example.org/x.png)"),
    "lost output": lambda nb: nb.cells[4].update(outputs=[]),
    "error": lambda nb: nb.cells[1].outputs.append(new_output("error", ename="E", evalue="", traceback=[])),
    "bare picture": lambda nb: nb.cells[1].outputs.append(new_output("display_data", {"image/png": "x"})),
    "path": lambda nb: nb.cells[1].outputs.append(new_output("stream", text="in /home/me/course")),
    "Windows path": lambda nb: nb.cells[1].outputs.append(new_output("stream", text=r"in C:\Users\me")),
    "no alt": lambda nb: nb.cells[1].outputs.append(html('<img src="data:image/png;base64,">')),
    "short alt": lambda nb: nb.cells[1].outputs.append(html('<img alt="plot" src="data:image/png;base64,">')),
    "file picture": lambda nb: nb.cells[1].outputs.append(html('<img alt="a sentence that says it" src="x.png">')),
    "open solution": lambda nb: nb.cells[1].metadata.update(tags=["solution"]),
    "no first slide": lambda nb: nb.cells[0].metadata.clear(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str) -> None:
    nb = good()
    assert problems(nb) == []
    FAULTS[fault](nb)
    assert len(problems(nb)) >= 1


def with_definition(exercise: str, solution: str) -> str:
    """The code of an exercise in which the function or class to write is the one of the solution."""
    (stub, *more) = [node for node in ast.parse(exercise).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert not more, "an exercise defines one function or class"
    names = {n.name for n in ast.parse(solution).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert stub.name in names, f"the solution does not define {stub.name}"
    lines = exercise.splitlines()
    return "\n".join([*lines[: stub.lineno - 1], solution, *lines[stub.end_lineno :]])


def solved(nb: NotebookNode) -> tuple[NotebookNode, int]:
    """The notebook with every exercise replaced by its folded solution, without slow cells, and their number."""
    cells, waiting, count = [], None, 0
    # What comes after the exercise runs with the function of the edition without solutions.
    taken = [c.source for c in without_solutions(nb).cells if "solution" in c.metadata.get("tags", [])]
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            assert waiting is None, f"an exercise without a solution: {waiting and waiting.source}"
            waiting = cell
        if "solution" in tags:
            assert waiting is not None, "a solution without an exercise"
            if cell.cell_type == "code":  # the course's own version of what the student writes
                waiting.source = with_definition(waiting.source, cell.source)
                cell.source = taken.pop(0)
            else:
                blocks = re.findall(r"```python\n(.*?)```", cell.source, flags=re.DOTALL)
                assert len(blocks) == 1, "a solution has exactly one block of code"
                waiting.source = blocks[0]
            waiting, count = None, count + 1
        if "slow" not in tags:  # no exercise needs what such a cell makes
            cells.append(cell)
    assert waiting is None, "an exercise without a solution"
    return nbformat.from_dict({**nb, "cells": cells}), count


def unlike(stored: NotebookNode, new: NotebookNode) -> list[str]:
    """What the compared cells of a notebook put out that is not what is stored for them, one sentence each."""
    before = {cell.id: cell for cell in stored.cells}
    return [
        f"cell {stored.cells.index(before[cell.id])}, {what}"
        for cell in filter(is_compared, new.cells)
        for what in differences(before[cell.id].outputs, cell.outputs)
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_another_machine_finds_the_solutions_right_and_prints_what_is_stored(path: Path) -> None:
    stored = nbformat.read(path, 4)
    nb, count = solved(nbformat.read(path, 4))
    assert count >= 1 and any(map(is_compared, nb.cells))
    client = NotebookClient(nb, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    client.execute(env=elsewhere.environment())
    exercises = [cell for cell in nb.cells if "exercise" in cell.metadata.get("tags", [])]
    said = ["".join(text for output in cell.outputs for text in texts(output)) for cell in exercises]
    assert said == ["✓ right\n"] * count
    assert unlike(stored, clean(nb)) == []


def test_what_another_machine_prints_otherwise_is_found() -> None:
    stored, new = good(), good()
    for cell, other in zip(stored.cells, new.cells, strict=True):
        other.id = cell.id
    assert unlike(stored, new) == []
    new.cells[4].outputs[0].text = "3"
    assert unlike(stored, new) == ["cell 4, stdout, line 1: stored '2', now '3'"]


def test_the_other_machine_is_another_one() -> None:
    """The variables take effect: other instructions and thus another sum, one thread, other hashes, another zone."""
    code = """
import time, torch
x = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
total = (x @ x).sum().item()
print(torch.backends.cpu.get_cpu_capability(), total.hex(), torch.get_num_threads(), hash("a"), time.tzname)
"""
    here, there = (
        subprocess.check_output([sys.executable, "-c", code], text=True, env=env).split(maxsplit=4)
        for env in ({**os.environ, "PYTHONHASHSEED": "0"}, elsewhere.environment())
    )
    if here[0] in ("DEFAULT", "AVX2", "AVX512"):  # other processors know no such choice
        assert here[0] != there[0] and here[1] != there[1]
    assert there[2] == "1" and here[3] != there[3] and here[4] != there[4]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_exercises_are_open_in_the_students_edition(path: Path) -> None:
    nb = nbformat.read(path, 4)
    exercises = [cell for cell in nb.cells if "exercise" in cell.metadata.get("tags", [])]
    assert all("○" in "".join(text for o in cell.outputs for text in texts(o)) for cell in exercises)


def test_every_link_leads_somewhere() -> None:
    prose = {ROOT / "README.md": (ROOT / "README.md").read_text(encoding="utf-8")}
    for path in NOTEBOOKS:
        cells = nbformat.read(path, 4).cells
        prose[path] = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for page, text in prose.items():
        for target in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_readme_and_start_list_every_notebook() -> None:
    readme, start = ((path).read_text(encoding="utf-8") for path in (ROOT / "README.md", NOTEBOOKS[0]))
    for path in NOTEBOOKS:
        minutes = nbformat.read(path, 4).metadata.course.minutes
        row = next((line for line in readme.splitlines() if f"](notebooks/{path.name})" in line), "")
        assert f"| {minutes} |" in row, f"the README's map lacks {path.name} with its {minutes} minutes"
        assert path == NOTEBOOKS[0] or f"]({path.name})" in start, f"the map in 00 lacks {path.name}"
