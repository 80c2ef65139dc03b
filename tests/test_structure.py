"""The house can be read from outside: imports point one way, between folders and between files, without a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import nbformat
import pytest

from tools import ROOT, find_notebooks

# What is higher may import what is lower, and its own folder.
FLOORS = ("helpers.files helpers.cores", "helpers.worlds", "helpers.models", "helpers.training", "helpers.weights",
          "helpers.laion", "helpers.page", "experiments", "tools")  # fmt: skip


def modules(root: Path) -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    paths = [path for folder in ("helpers", "experiments", "tools") for path in (root / folder).rglob("*.py")]
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in paths}


def imports(text: str, known: dict[str, Path]) -> set[str]:
    """The modules of ours that a text of Python imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & known.keys()


def floor(name: str) -> int:
    return next(
        i for i, names in enumerate(FLOORS) if any(name == n or name.startswith(f"{n}.") for n in names.split())
    )


def wrong_ways(root: Path) -> list[str]:
    """Imports that point up, and circles, one sentence each."""
    known = {name: path for name, path in modules(root).items() if path.name != "__init__.py"}
    arrows = {name: imports(path.read_text(encoding="utf-8"), known) for name, path in known.items()}
    found = [f"{a} imports {b}" for a, others in arrows.items() for b in others if floor(b) > floor(a)]
    inside = "helpers.worlds.street.drawing."
    for name, others in arrows.items():  # what is said of a scene does not know how it is drawn
        if name.startswith("helpers.worlds.street.") and not name.startswith(inside):
            found += [f"{name} imports {other}" for other in others if other.startswith(inside)]
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        found.append(f"a circle: {' -> '.join(error.args[1])}")
    return found


def test_imports_point_one_way() -> None:
    assert wrong_ways(ROOT) == []


def test_a_wrong_way_and_a_circle_are_found(tmp_path: Path) -> None:
    for name, text in {
        "helpers/worlds/a.py": "from helpers.models import b\n",
        "helpers/models/b.py": "",
        "experiments/c.py": "import experiments.d\n",
        "experiments/d.py": "def f():\n    from experiments.c import g\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = wrong_ways(tmp_path)
    assert found[0] == "helpers.worlds.a imports helpers.models.b"
    assert len(found) == 2 and found[1].startswith("a circle: experiments.")


@pytest.mark.parametrize("path", find_notebooks([]), ids=lambda path: path.stem)
def test_notebooks_take_code_from_the_helpers_only(path: Path) -> None:
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert "import experiments" not in cell.source and "from experiments" not in cell.source
