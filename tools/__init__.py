"""The maintainers' programs; each is started through `course.py`. Standard library only, course.py reads it too."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # not of helpers.files: course.py reads this before all is in place


def is_notebook(word: str) -> bool:
    """Whether a word of a command line is meant as the number or the letter of a notebook."""
    return word.isdigit() or (len(word) == 1 and word.isalpha())


def find_notebooks(numbers: list[str], root: Path = ROOT) -> list[Path]:
    """The course's notebooks with these numbers ("2" is "02"; the appendix is "A"), in order; without any, all of them.

    Raises ValueError naming a number that no notebook has.
    """
    paths = sorted((root / "notebooks").glob("[0-9A-Z]*_*.ipynb"))
    notebooks = {path.name.partition("_")[0]: path for path in paths}
    wanted = {number.zfill(2) if number.isdigit() else number.upper(): number for number in numbers} or notebooks
    for number in wanted:
        if number not in notebooks:
            raise ValueError(f"There is no notebook {wanted[number]}: choose from {', '.join(notebooks)}.")
    return [path for number, path in notebooks.items() if number in wanted]
