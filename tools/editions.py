"""The notebooks without solutions, for a class: `python -m tools.editions [NN ...]` writes them to build/exercises.

Hints and answers are gone. A function that the student is to write comes from the course behind the exercise, as
`attention = ATTENTION.right`, so that the cells below run whatever was written.
"""

from __future__ import annotations

import copy
import re
import sys

import nbformat
from nbformat import NotebookNode

from helpers.files import BUILD, whole
from tools import find_notebooks


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy in which no cell tells an answer. Raises ValueError for a solution cell without a check before it."""
    notebook, checked = copy.deepcopy(notebook), None
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "exercise" in tags:
            checked = re.search(r"^check_function\((\w+), (\w+)\)", cell.source, flags=re.MULTILINE)
        if "solution" in tags and cell.cell_type == "code":
            if not checked:
                raise ValueError(
                    "a solution cell needs an exercise before it that ends with check_function(name, TASK)"
                )
            cell.source = "{} = {}.right".format(*checked.groups())
    notebook.cells = [
        cell for cell in notebook.cells if cell.cell_type == "code" or "solution" not in cell.metadata.get("tags", [])
    ]
    return notebook


if __name__ == "__main__":
    for path in find_notebooks(sys.argv[1:]):
        target = BUILD / "exercises" / path.name
        with whole(target) as temporary:
            nbformat.write(without_solutions(nbformat.read(path, 4)), temporary)
        print(target)
