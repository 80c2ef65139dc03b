"""Every file below data/ has its row in data/README.md, with its true size and sha256."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from helpers.weights.pretrained import DATA, WeightsError, manifest, shipped


def problems(folder: Path) -> list[str]:
    """Compare the files below `folder` with the table in its README.md; one sentence for each difference."""
    listed = manifest(folder)
    present = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path != folder / "README.md" and not path.is_relative_to(folder / "results")
    }
    found = [f"{file} has no row" for file in present.keys() - listed.keys()]
    found += [f"{file} has a row and is not there" for file in listed.keys() - present.keys()]
    for file in present.keys() & listed.keys():
        data, (sha256, size) = present[file].read_bytes(), listed[file]
        if len(data) != size:
            found.append(f"{file} has {len(data)} bytes, its row says {size}")
        if hashlib.sha256(data).hexdigest() != sha256:
            found.append(f"{file} has another sha256 than its row")
    table = [line for line in (folder / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    for line in table:  # a row that `manifest` cannot read would go unseen
        if len(re.split(r"\s*\|\s*", line.strip("| "))) != 6 or not any(f"| `{file}` |" in line for file in listed):
            found.append(f"this row is not in the form of the others: {line}")
    if len(table) != len(listed):
        found.append("a file has two rows")
    return sorted(found)


def test_data_is_as_listed():
    assert manifest(), "no row was read from data/README.md"
    assert problems(DATA) == []


@pytest.fixture
def folder(tmp_path):
    """A small data folder in order."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "any.json").write_text("{}")
    (tmp_path / "weights" / "a.bin").write_bytes(b"abc")
    sha256 = hashlib.sha256(b"abc").hexdigest()
    (tmp_path / "README.md").write_text(f"| File |\n|---|\n| `weights/a.bin` | `{sha256}` | 3 | here | CC0 | me |\n")
    assert problems(tmp_path) == []
    return tmp_path


def test_each_fault_is_caught(folder):
    readme, file = folder / "README.md", folder / "weights" / "a.bin"
    text = readme.read_text()
    (folder / "weights" / "new.bin").write_bytes(b"x")
    assert problems(folder) == ["weights/new.bin has no row"]
    (folder / "weights" / "new.bin").unlink()

    file.write_bytes(b"abd")
    assert problems(folder) == ["weights/a.bin has another sha256 than its row"]
    file.unlink()
    assert problems(folder) == ["weights/a.bin has a row and is not there"]
    file.write_bytes(b"abc")

    readme.write_text(text.replace("| 3 |", "| 4 |"))
    assert problems(folder) == ["weights/a.bin has 3 bytes, its row says 4"]
    readme.write_text(text + text.splitlines()[-1] + "\n")
    assert problems(folder) == ["a file has two rows"]
    readme.write_text(text.replace("| CC0 ", ""))
    assert "form of the others" in problems(folder)[0]


def test_shipped_refuses_what_is_unlisted_missing_or_damaged(folder, monkeypatch):
    monkeypatch.setattr("helpers.weights.pretrained.DATA", folder)
    file = folder / "weights" / "a.bin"
    assert shipped("weights/a.bin") == file
    with pytest.raises(WeightsError, match=r"data/weights/b\.bin is not listed in data/README\.md"):
        shipped("weights/b.bin")
    file.write_bytes(b"abd")
    with pytest.raises(WeightsError, match=r"a\.bin in .* is damaged.*git checkout -- data/weights/a\.bin"):
        shipped("weights/a.bin")
    file.unlink()
    with pytest.raises(WeightsError, match=r"a\.bin is not in .*git checkout -- data/weights/a\.bin"):
        shipped("weights/a.bin")
