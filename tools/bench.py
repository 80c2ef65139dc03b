"""Measure the course: `python -m tools.bench [NN ... | NAME ...]` writes build/bench.json and build/bench.md.

A measurement is a function registered under a name, which returns rows. Numbers choose notebooks, names choose other
measurements; without either, everything is measured.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import course
from helpers.files import whole
from tools import ROOT, find_notebooks, is_notebook
from tools.execute import execute_all

PEAK_BUDGET_GB = 2.0
NO_TRANSFORMERS = "transformers is one of the maintainers' packages: python3 course.py test installs them"


@dataclass(frozen=True)
class Row:
    """One measured figure, with the most that it should be."""

    name: str
    value: float
    unit: str
    budget: float | None = None


MEASUREMENTS: dict[str, Callable[[], list[Row]]] = {}


def measurement(function: Callable[[], list[Row]]) -> Callable[[], list[Row]]:
    """Register a measurement under its function's name."""
    MEASUREMENTS[function.__name__] = function
    return function


def notebooks(paths: list[Path]) -> list[Row]:
    """Time and peak memory of each notebook. Raises RuntimeError if one fails: its figures would mean nothing."""
    rows = []
    for result in execute_all(paths):
        if result.failure:
            raise RuntimeError(result.failure)
        rows.append(Row(f"{result.path.stem}, time", result.seconds, "s", result.budget_s))
        rows.append(Row(f"{result.path.stem}, peak memory", result.peak_bytes / 1e9, "GB", PEAK_BUDGET_GB))
    return rows


def seconds(command: list[str]) -> float:
    """How long a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


@measurement
def start() -> list[Row]:
    """A second start of course.py, up to where it hands over. Needs course.py's environment, or an activated one."""
    if not (course.is_ready() or course.is_activated()):
        raise RuntimeError("there is no complete .venv to start from: python3 course.py bench makes it")
    best = min(seconds([sys.executable, "-c", "import course; course.choose(course.STUDENTS)"]) for _ in range(3))
    return [Row("second start of course.py", best, "s", 3)]


@measurement
def lab() -> list[Row]:
    """From the start of JupyterLab to its first answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command = [sys.executable, *course.program("lab", options)[1:]]
    begin = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while time.perf_counter() - begin < 120 and server.poll() is None:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                    return [Row("JupyterLab answers", time.perf_counter() - begin, "s")]
                except (urllib.error.URLError, OSError):
                    time.sleep(0.05)
        finally:
            server.kill()
    raise RuntimeError("JupyterLab did not answer")


@measurement
def imports() -> list[Row]:
    """What `import helpers`, and all its modules, cost a process that has imported torch; the best of five."""

    def best(modules: str) -> float:
        code = f"import time, torch; begin = time.perf_counter(); import {modules}; print(time.perf_counter() - begin)"
        runs = [subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) for _ in range(5)]
        return min(map(float, runs))

    modules = ", ".join(f"helpers.{path.stem}" for path in sorted((ROOT / "helpers").glob("[a-z]*.py")))
    return [
        Row("import helpers, after torch", best("helpers"), "s", 0.3),
        Row("import every module of helpers, after torch", best(modules), "s"),
    ]


@measurement
def street() -> list[Row]:
    """The street world: 20,000 scenes with captions drawn on all cores into an empty cache, and one redrawn large."""
    # A child's ru_maxrss counts the memory of the parent that it was forked from, so the processes are watched instead.
    build = """
import json, threading, time
import psutil
from helpers.worlds.streets import load_street
this, peak, done = psutil.Process(), 0, threading.Event()
def watch():
    global peak
    while not done.wait(0.1):
        sizes = []
        for process in [this, *this.children(recursive=True)]:
            try:
                sizes.append(process.memory_info().rss)
            except psutil.NoSuchProcess:
                pass
        peak = max(peak, sum(sizes))
watcher = threading.Thread(target=watch)
watcher.start()
begin = time.perf_counter()
load_street("train", 20_000, progress=False)
took = time.perf_counter() - begin
done.set()
watcher.join()
print(json.dumps([took, peak]))
"""
    redraw = """
import time, numpy as np
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.sample import scenes
times = []
for scene in scenes("test", 60):
    begin = time.perf_counter()
    render(scene, 512)
    times.append(time.perf_counter() - begin)
begin = time.perf_counter()
render(scene, 512)
print(np.median(times), time.perf_counter() - begin)
"""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"COURSE_CACHE": cache}
        command = [sys.executable, "-c", build]
        took, peak = json.loads(subprocess.check_output(command, cwd=ROOT, text=True, env=environment))
    new, again = map(float, subprocess.check_output([sys.executable, "-c", redraw], cwd=ROOT, text=True).split())
    return [
        Row("20,000 street scenes of 96 px with captions, drawn and cached", took, "s", 40),
        Row("of that, one scene, all cores together", took / 20, "ms", 1.25),
        Row("peak memory of that process, torch included, and its workers", peak / 1e9, "GB", 1),
        Row("a new scene at 512 px, median of 60", 1e3 * new, "ms"),
        Row("the same scene redrawn at 512 px", 1e3 * again, "ms", 50),
    ]


def has_transformers() -> bool:
    """Whether the maintainers' packages are here, for the comparison with CLIPModel."""
    return importlib.util.find_spec("transformers") is not None


@measurement
def clip() -> list[Row]:
    """A training step of the small CLIP, and the way to zero-shot, beside `transformers.CLIPModel`; many minutes."""
    if not has_transformers():
        raise RuntimeError(NO_TRANSFORMERS)
    from tools import bench_clip

    ours, theirs = bench_clip.step_seconds()
    rows = [
        Row("CLIP, pairs a second in a training step of 256, ours", 256 / ours, ""),
        Row("the same, transformers.CLIPModel", 256 / theirs, ""),
        Row("our step's time over CLIPModel's", ours / theirs, "", 1 / 1.5),
    ]
    ours, theirs, limit = bench_clip.race()
    if ours is None:
        raise RuntimeError("our loop did not reach 90 % zero-shot within a quarter of an hour")
    stopped = "" if theirs else ", stopped before it got there"
    return [
        *rows,
        Row("CLIP, to 90 % zero-shot vehicle accuracy, our loop", ours, "s"),
        Row(f"the same, a plain loop{stopped}", theirs or limit, "s"),
        Row("our time over the plain loop's", ours / (theirs or limit), "", 1 / 3),
    ]


@measurement
def install() -> list[Row]:
    """The size of the environment that this runs in."""
    files = (Path(folder) / name for folder, _, names in os.walk(sys.prefix) for name in names)
    return [Row("size of the environment", sum(path.lstat().st_size for path in files) / 1e9, "GB", 7)]


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| what | measured | budget |", "| --- | ---: | ---: |"]
    for row in rows:
        budget = "" if row.budget is None else f"{row.budget:g} {row.unit}" + (" (over)" * (row.value > row.budget))
        lines.append(f"| {row.name} | {row.value:.2f} {row.unit} | {budget} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure what is asked for; return 2 for an unknown name, 1 if a measurement failed."""
    numbers = [word for word in arguments if is_notebook(word)]
    names = [word for word in arguments if not is_notebook(word)]
    unknown = [name for name in names if name not in MEASUREMENTS]
    try:
        paths = find_notebooks(numbers) if numbers or not names else []
        if unknown:
            raise ValueError(f"There is no measurement {unknown[0]}: choose from {', '.join(MEASUREMENTS)}.")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    chosen = {name: MEASUREMENTS[name] for name in (MEASUREMENTS if not arguments else names)}
    if paths:
        chosen["notebooks"] = lambda: notebooks(paths)
    if not arguments and not has_transformers() and chosen.pop("clip", None):
        print(f"clip is left out: {NO_TRANSFORMERS}")
    rows, failures = [], []
    for name, measure in chosen.items():
        try:
            rows += measure()
        except RuntimeError as error:
            failures.append(f"FAILED {name}: {error}")
    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    text = f"{table(rows)}\n\nMeasured on {time.strftime('%Y-%m-%d')}: {machine}.\n"
    for file, content in [
        ("bench.json", json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1)),
        ("bench.md", text),
    ]:
        with whole(ROOT / "build" / file) as temporary:
            temporary.write_text(content, encoding="utf-8")
    print(text, *failures, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
