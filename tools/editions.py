"""Other editions of the notebooks: `python -m tools.editions [NN ...]`, for a class, writes them to build/exercises.

Hints and answers are gone. A function that the student is to write comes from the course behind the exercise, as
`attention = ATTENTION.right`, so that the cells below run whatever was written.

With `--colab` they go to build/colab, whole, each with a first cell that fetches the course and what Colab lacks. The
workflow that publishes the site lays them into the branch `colab`, where Colab's badges lead.
"""

from __future__ import annotations

import copy
import re
import sys

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from helpers.files import BUILD, whole
from tools import ROOT, find_notebooks
from tools.github import repository


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


# Colab has these, built for its machines; another version of torch or NumPy below a running kernel would break it.
IN_COLAB = {"torch", "torchvision", "numpy", "scipy", "matplotlib", "pillow", "scikit-image", "tqdm", "psutil"}
IN_COLAB |= {"jupyterlab", "jupyterlab-slideshow", "ipywidgets", "ipykernel", "nbclient", "nbconvert", "nbformat"}


def missing_in_colab(requirements: str) -> list[str]:
    """The pinned packages of a requirements file, given as text, that Colab has to install."""
    pins = re.findall(r"^([\w-]+)(==[\w.]+)", requirements, flags=re.MULTILINE)
    return [name + version for name, version in pins if name not in IN_COLAB]


COLAB = """!test -d /content/course || git clone --quiet --depth 1 https://github.com/{repository} /content/course
%cd -q /content/course/notebooks
%pip install --quiet {packages}
import sys

sys.path.insert(0, "/content/course")"""


def for_colab(notebook: NotebookNode, repository: str, requirements: str) -> NotebookNode:
    """A copy that begins by making Colab's machine ready, and has no outputs, which are larger than what Colab shows.

    Args:
        repository: account and name on GitHub.
        requirements: the text of requirements.txt.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    ready = COLAB.format(repository=repository, packages=" ".join(missing_in_colab(requirements)))
    notebook.cells[:0] = [
        new_markdown_cell("**In Colab**: run the cell below first. It fetches the course and its packages, once."),
        new_code_cell(ready),
    ]
    return notebook


def main(arguments: list[str]) -> int:
    """Write the edition that the command line asks for; return the exit code."""
    colab = "--colab" in arguments
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for path in find_notebooks([word for word in arguments if word != "--colab"]):
        notebook, target = nbformat.read(path, 4), BUILD / ("colab" if colab else "exercises") / path.name
        edition = for_colab(notebook, repository(), requirements) if colab else without_solutions(notebook)
        with whole(target) as temporary:
            nbformat.write(edition, temporary)
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
