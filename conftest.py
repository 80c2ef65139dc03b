"""For all tests and notebooks: the head of a run says whether the network is blocked, and stored text is compared."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest
from nbformat import NotebookNode
from nbval.plugin import IPyNbCell

from tests.offline import MODE
from tests.stored import differences

pytest_plugins = ["pytester"]


def pytest_report_header() -> str:
    """A line of pytest's head."""
    return f"network: {os.environ.get(MODE, 'OPEN (python3 course.py test blocks it)')}"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Compare a notebook's cells number by number; nbval itself compares letter by letter and has no option for it."""
    if isinstance(item, IPyNbCell):

        def compare(new: Iterable[NotebookNode], stored: Iterable[NotebookNode]) -> bool:
            item.comparison_traceback = differences(stored, new)
            return not item.comparison_traceback

        item.compare_outputs = compare
