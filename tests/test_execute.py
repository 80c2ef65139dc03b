"""Running and refreshing notebooks: what is written, what is told, and what stays the same from run to run."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import execute as tool
from tools import find_notebooks
from tools.execute import WIDGET_STATE, clean, execute, main

SLIDER = """import ipywidgets as widgets, matplotlib.pyplot as plt
hidden = widgets.FloatText(2.5), widgets.FloatText(2.0)
widgets.interactive(lambda x: print("x is", x), x=(0, 10))"""
PLOT = "plt.plot([0, 1, 4, 9]); plt.show()"
TIMES = "import time; time.time_ns()"
STREAMS = """import sys, time
from tqdm import tqdm
print("one", flush=True); time.sleep(0.3); print("two", flush=True)
print("a warning", file=sys.stderr)
for _ in tqdm(range(3)): time.sleep(0.01)"""


def make(folder: Path, *cells: str, budget_s: int | None = 40, name: str = "04_small.ipynb") -> Path:
    """A notebook file with these code cells below a title; a cell's first line `# tag: T` becomes its tag."""
    notebook = new_notebook(cells=[new_markdown_cell("# Small", id="title")])
    for number, source in enumerate(cells):
        tag = re.match("# tag: (.+)", source)
        metadata = {"tags": [tag.group(1)]} if tag else {}
        notebook.cells.append(new_code_cell(source, id=f"cell-{number}", metadata=metadata))
    if budget_s:
        notebook.metadata.course = {"title": "Small", "minutes": 1, "budget_s": budget_s}
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notebooks' folder of a course of its own, into whose build/ the tool writes."""
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "find_notebooks", lambda numbers: find_notebooks(numbers, tmp_path))
    return tmp_path / "notebooks"


def stable_lines(path: Path) -> str:
    """A notebook's text without the outputs of its volatile cells."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if "volatile" in cell["metadata"].get("tags", []):
            del cell["outputs"]
    return json.dumps(notebook, sort_keys=True)


def test_a_second_refresh_changes_nothing_but_volatile_cells(course: Path) -> None:
    path = make(course, SLIDER, PLOT, STREAMS, f"# tag: volatile\n{TIMES}")
    assert main(["refresh"]) == 0
    first, first_stable = path.read_bytes(), stable_lines(path)
    assert main(["refresh", "4"]) == 0
    assert path.read_bytes() != first, "the volatile cell shows that the cells really ran again"
    assert stable_lines(path) == first_stable

    notebook = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3, 4]
    assert [cell.id for cell in notebook.cells] == ["title", "cell-0", "cell-1", "cell-2", "cell-3"]
    assert list(path.parent.iterdir()) == [path]
    streams = [(output.name, output.text) for output in notebook.cells[3].outputs]
    assert streams == [("stdout", "one\ntwo\n"), ("stderr", "a warning\n")]
    models = notebook.metadata.widgets[WIDGET_STATE].state
    assert {"IntSliderModel", "FloatTextModel"} <= {model.model_name for model in models.values()}
    shown = notebook.cells[1].outputs[0].data["application/vnd.jupyter.widget-view+json"].model_id
    values = {model.state["value"] for model in models.values() if model.model_name == "FloatTextModel"}
    assert sorted(map(str, values)) == ["2", "2.5"], "as JupyterLab would save them"
    assert notebook.metadata.language_info.codemirror_mode == {"name": "ipython", "version": 3}
    assert notebook.metadata.language_info.version == platform.python_version()
    assert shown == f"{0:032x}" and "VBoxModel" in models[shown].model_name


def test_without_the_cleaning_two_executions_differ(course: Path) -> None:
    """The negative of the test above, on cells of which none is volatile."""
    path = make(course, SLIDER, PLOT, STREAMS)
    first, second = (execute(path).notebook for _ in range(2))
    assert nbformat.writes(first) != nbformat.writes(second)
    assert nbformat.writes(clean(first)) == nbformat.writes(clean(second))
    assert nbformat.writes(clean(clean(first))) == nbformat.writes(clean(first))
    assert nbformat.writes(clean(nbformat.reads(nbformat.writes(clean(first)), 4))) == nbformat.writes(clean(first))


def test_a_failing_notebook_is_named_and_does_not_stop_the_next(
    course: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(course, "x = 6", "# a comment\nprint(x)\nx / 0", "print('never')", name="04_bad.ipynb")
    make(course, "print('fine')", name="05_good.ipynb")
    assert main(["run"]) == 1
    told = capfd.readouterr()
    assert "FAILED 04_bad.ipynb, cell 2 (# a comment): ZeroDivisionError: division by zero" in told.err
    assert re.search(r"04_bad +\d+\.\d\d +0\.67 +\d+ MiB +FAILED", told.out)
    assert re.search(r"05_good +\d+\.\d\d +0\.67 +\d+ MiB +ok", told.out)
    bad, good = (
        nbformat.read(course.parent / "build/executed" / name, 4) for name in ("04_bad.ipynb", "05_good.ipynb")
    )
    assert bad.cells[2].outputs[0].text == "6\n" and not bad.cells[3].outputs
    assert good.cells[1].outputs[0].text == "fine\n"


def test_a_failing_refresh_leaves_the_notebook_as_it_is(course: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make(course, "print('new')", "raise ValueError('two\\nlines')")
    before = path.read_bytes()
    assert main(["refresh"]) == 1
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    assert "04_small.ipynb, cell 2" in capfd.readouterr().err


def test_a_cell_that_may_raise_does(course: Path) -> None:
    result = execute(make(course, "# tag: raises-exception\n1 / 0", "print('after')"))
    assert result.failure is None
    assert result.notebook.cells[2].outputs[0].text == "after\n"


def test_a_kernel_that_dies_is_told_as_such(course: Path) -> None:
    result = execute(make(course, "import os", "os._exit(137)"))
    assert "04_small.ipynb, cell 2 (os._exit(137)): the kernel died" in result.failure


def test_a_cell_over_its_time_is_told_as_such(course: Path) -> None:
    result = execute(make(course, "import time; time.sleep(60)"), cell_timeout_s=1)
    assert result.failure.endswith("the cell took longer than 1 s")


def test_peak_memory_is_measured(course: Path) -> None:
    """Memory that was let go counts, and that of the process which started the kernel does not."""
    ballast = b"x" * 400_000_000
    small = execute(make(course, "pass")).peak_bytes
    large = execute(make(course, "block = b'x' * 300_000_000", "del block")).peak_bytes
    assert small < len(ballast) / 2
    assert 250e6 < large - small < 350e6


def test_the_kernel_works_in_the_notebooks_folder(course: Path) -> None:
    result = execute(make(course, "import os; print(os.getcwd())", budget_s=None))
    assert Path(result.notebook.cells[1].outputs[0].text.strip()) == course.resolve()
    assert result.budget_s is None


def test_a_number_that_no_notebook_has_is_named(course: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make(course, "pass")
    assert main(["run", "4", "17"]) == 2
    assert capfd.readouterr().err == "There is no notebook 17: choose from 04.\n"
    assert not (course.parent / "build").exists()


def test_notebooks_are_found_in_order(tmp_path: Path) -> None:
    for name in ("A_d.ipynb", "10_c.ipynb", "02_b.ipynb", "00_a.ipynb", "notes.ipynb"):
        make(tmp_path / "notebooks", "pass", name=name)
    found = [path.name for path in find_notebooks([], tmp_path)]
    assert found == ["00_a.ipynb", "02_b.ipynb", "10_c.ipynb", "A_d.ipynb"]
    assert [path.name for path in find_notebooks(["10", "2"], tmp_path)] == ["02_b.ipynb", "10_c.ipynb"]
    assert [path.name for path in find_notebooks(["a"], tmp_path)] == ["A_d.ipynb"]
