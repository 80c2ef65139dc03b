"""Ruff's rules and layout, for the code and for the notebooks' cells."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tools import ROOT


@pytest.mark.parametrize("arguments", [("check",), ("format", "--diff")], ids=["rules", "layout"])
def test_ruff_has_no_complaint(arguments: tuple[str, ...]) -> None:
    ruff = subprocess.run([sys.executable, "-m", "ruff", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert ruff.returncode == 0, ruff.stdout + ruff.stderr
