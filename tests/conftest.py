"""Says at the head of every run whether the network is blocked."""

from __future__ import annotations

import os

from tests.offline import MODE


def pytest_report_header() -> str:
    """A line of pytest's head."""
    return f"network: {os.environ.get(MODE, 'OPEN (python3 course.py test blocks it)')}"
