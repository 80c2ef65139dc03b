"""Every check of notebook 00 finds its fault and says how to mend it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers.files import DATA, ROOT
from helpers.page import checks
from helpers.weights import store
from helpers.worlds import photographs


def test_all_is_well_here() -> None:
    assert "Everything is here" in checks.report((checks.python, checks.packages, checks.photographs, checks.weights))


def test_old_python() -> None:
    check = checks.python((3, 10, 4))
    assert not check.ok and "3.10.4" in str(check) and "3.11" in check.remedy


def test_other_and_missing_packages() -> None:
    check = checks.packages("numpy==1.0  # for arrays\nno-such-package==2.0\n# torch==1.0\n-e .\n")
    assert not check.ok
    assert "numpy" in check.found and "instead of 1.0" in check.found
    assert "no-such-package missing instead of 2.0" in check.found and "torch" not in check.found


def test_every_pin_is_looked_at() -> None:
    pins = sum("==" in line.split("#")[0] for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert checks.packages().found == f"all {pins} in the tested versions"


def test_too_little_memory() -> None:
    assert checks.memory(checks.NEEDED_MEMORY).ok
    check = checks.memory(checks.NEEDED_MEMORY - 1)
    assert not check.ok and "close other programs" in str(check)


def test_a_photograph_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"cat": photographs.Photo("gone.png", "", "", "")}
    monkeypatch.setattr(photographs, "PHOTOS", broken)
    check = checks.photographs()
    assert not check.ok and "gone.png" in check.found and check.remedy


def test_a_damaged_weights_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(DATA, tmp_path, ignore=shutil.ignore_patterns("results"), dirs_exist_ok=True)
    monkeypatch.setattr(store, "DATA", tmp_path)
    assert checks.weights().ok
    damaged = tmp_path / "weights" / "squeezenet1_1.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    check = checks.weights()
    assert not check.ok and "squeezenet1_1.safetensors" in check.found


def test_report_names_what_to_mend_first() -> None:
    report = checks.report((lambda: checks.python((3, 9, 0)), lambda: checks.memory(2**40)))
    assert "✗ Python" in report and "→ install Python 3.11" in report and report.endswith("Mend first: Python.")
