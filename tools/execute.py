"""Execute notebooks without a browser: `run` into copies under build/executed, `refresh` in place.

Used as `python -m tools.execute run|refresh [NN ...]`.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from tqdm import tqdm

from helpers.files import whole
from tools import ROOT, find_notebooks

CELL_TIMEOUT_S = 600
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

# The kernel reports its own peak, because the system forgets it when the process ends. On Linux not by ru_maxrss, in
# which a process inherits the size of the one that started it.
PEAK_BYTES = """(lambda need: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
    if need("sys").platform == "linux" else need("psutil").Process().memory_info().peak_wset
    if need("sys").platform == "win32" else need("resource").getrusage(0).ru_maxrss)(__import__)"""


@dataclass(frozen=True)
class Result:
    """What came of executing one notebook."""

    path: Path
    notebook: NotebookNode
    """With its new outputs, up to the cell that failed."""
    seconds: float
    """Wall-clock time, the start of the kernel included."""
    budget_s: float | None
    """The time that the notebook's own metadata allows."""
    peak_bytes: int | None
    """The largest resident memory of the kernel's process, after the last cell that the kernel lived through."""
    failure: str | None
    """The cell that failed and its error, in one line."""


def execute(path: Path, place: str = "", cell_timeout_s: float = CELL_TIMEOUT_S) -> Result:
    """Execute a notebook in a fresh kernel whose working folder is the notebook's; the file stays as it is.

    A bar on stderr, headed by `place` ("2/4"), shows the cell and the time against the notebook's budget. A cell
    tagged `raises-exception` may raise. A failing cell, a cell over its time and a kernel that dies end the execution
    and are told in `Result.failure`.
    """
    notebook = nbformat.read(path, as_version=4)
    budget_s = notebook.metadata.get("course", {}).get("budget_s")
    cells = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    current, failure, peak = 0, None, None
    begin = time.perf_counter()

    def elapsed() -> float:
        return time.perf_counter() - begin

    def show_cell(cell: NotebookNode, cell_index: int) -> None:
        nonlocal current
        current = cell_index
        spent = f"{elapsed():.0f} s" + (f" of {budget_s} s" if budget_s else "")
        bar.set_postfix_str(f"cell {cell_index}, {spent}", refresh=interactive)

    async def count_cell(cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        nonlocal peak
        bar.update()
        question = client.kc.execute("", silent=True, user_expressions={"peak": PEAK_BYTES})
        answer = (await client.async_wait_for_reply(question))["content"]["user_expressions"]["peak"]
        peak = int(answer["data"]["text/plain"])

    client = NotebookClient(
        notebook,
        timeout=cell_timeout_s,
        startup_timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=show_cell,
        on_cell_executed=count_cell,
        # Its log tells of unencrypted traffic inside this machine and of its own end; cells report their errors anyway.
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
    )
    title = f"{place} {path.stem}".strip()
    interactive = sys.stderr.isatty()
    layout = "{desc} |{bar:24}| {n}/{total}{postfix}"
    with tqdm(total=len(cells), desc=title, bar_format=layout, mininterval=0.1 if interactive else 20) as bar:
        try:
            client.execute()
        except CellExecutionError as error:
            failure = f"{error.ename}: {error.evalue}".rstrip(": ")
        except CellTimeoutError:
            failure = f"the cell took longer than {cell_timeout_s:g} s"
        except DeadKernelError:
            failure = "the kernel died, most often because the memory was full"
        if failure:
            first_line = (notebook.cells[current].source.strip() or "(empty)").splitlines()[0]
            failure = f"{path.name}, cell {current} ({first_line}): {failure}"
    return Result(path, notebook, elapsed(), budget_s, peak, failure)


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook file whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def clean(notebook: NotebookNode) -> NotebookNode:
    """A copy of an executed notebook without what differs from one execution to the next.

    Gone: times of execution, progress bars. Folded: the code of plots and of solutions. Joined: pieces of one text
    stream. Renamed: widget models, numbered from the outputs down; their state stays, so that exported pages show the
    widgets. The metadata are as JupyterLab would save them, with the language's description and version, so that
    opening a notebook does not change it.
    """
    notebook = nbformat.from_dict(json.loads(json.dumps(_renumber_widgets(notebook))))
    notebook.metadata = nbformat.from_dict(_numbers_of_javascript(notebook.metadata))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            if {"hide-input", "solution"} & set(cell.metadata.get("tags", [])):
                cell.metadata.setdefault("jupyter", {})["source_hidden"] = True
            cell.outputs = _join_streams(cell.outputs)
    return notebook


def _numbers_of_javascript(part: Any) -> Any:
    """The same with 1.0 as 1, which is one number in JavaScript."""
    if isinstance(part, dict):
        return {key: _numbers_of_javascript(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_numbers_of_javascript(value) for value in part]
    return int(part) if isinstance(part, float) and part.is_integer() else part


def _join_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    joined: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.get("name") == "stderr":
            # A progress bar redraws its line with carriage returns; nothing else that the course prints does.
            output.text = "".join(line for line in re.findall(r"[^\n]*\n?", output.text) if "\r" not in line)
    return [output for output in joined if output.get("text") != ""]


def _renumber_widgets(notebook: NotebookNode) -> NotebookNode:
    """Name widget models by their place instead of by chance: first those shown, in order, each before its parts."""
    models = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    shown = [
        output.data[WIDGET_VIEW]["model_id"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if WIDGET_VIEW in output.get("data", {})
    ]
    order: dict[str, str] = {}

    def visit(model: str) -> None:
        if model in models and model not in order:
            order[model] = f"{len(order):032x}"
            for part in re.findall(r"IPY_MODEL_(\w+)", json.dumps(models[model], sort_keys=True)):
                visit(part)

    for model in [*shown, *models]:
        visit(model)
    if not order:
        return notebook
    text = json.dumps(notebook)
    return json.loads(re.sub("|".join(order), lambda match: order[match.group()], text))


def table(results: list[Result]) -> str:
    """The results as lines of text: minutes, budget, peak memory and state of each notebook."""
    lines = [f"{'notebook':<28}{'minutes':>9}{'budget':>9}{'peak memory':>14}  state"]
    for result in results:
        budget = f"{result.budget_s / 60:.2f}" if result.budget_s else "none"
        peak = f"{result.peak_bytes / 2**20:.0f} MiB" if result.peak_bytes else "unknown"
        over = result.budget_s and result.seconds > result.budget_s
        state = "FAILED" if result.failure else "over its budget" if over else "ok"
        lines.append(f"{result.path.stem:<28}{result.seconds / 60:>9.2f}{budget:>9}{peak:>14}  {state}")
    return "\n".join(lines)


def execute_all(paths: list[Path]) -> list[Result]:
    """Execute notebooks in order and write each executed copy, partial or not, under build/executed."""
    results = []
    for position, path in enumerate(paths, start=1):
        result = execute(path, f"{position}/{len(paths)}")
        write(result.notebook, ROOT / "build" / "executed" / path.name)
        results.append(result)
    return results


def refresh(paths: list[Path]) -> list[Result]:
    """Execute notebooks in order and put the new outputs into the files; one that fails keeps its old ones."""
    results = []
    for position, path in enumerate(paths, start=1):
        result = execute(path, f"{position}/{len(paths)}")
        if not result.failure:
            write(clean(result.notebook), path)
        results.append(result)
    return results


def main(arguments: list[str]) -> int:
    """Carry out `run [NN ...]` or `refresh [NN ...]`; return the exit code."""
    command, *numbers = arguments
    try:
        paths = find_notebooks(numbers)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        results = {"run": execute_all, "refresh": refresh}[command](paths)
    except KeyboardInterrupt:
        print("Stopped. Notebooks finished before keep their new outputs.", file=sys.stderr)
        return 130
    print(table(results))
    failures = [result.failure for result in results if result.failure]
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
